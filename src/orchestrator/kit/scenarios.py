"""Named scripts: how good, bad and dishonest agents behave, as values for tests and for the demonstration.

`times` is how often a fault is served before the script goes on, 0 for ever. `key` shares one count among all
callers; without it each conversation meets the fault anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.core.events import Json
from orchestrator.kit.script import Answer, Cut, CutAt, Hang, Refusal, Scenario, StreamError, ToolCall

# An instant far enough away for a demonstration, used when the caller names none: 2100-01-01T00:00:00Z.
FAR_AWAY = 4_102_444_800


def say(text: str) -> Scenario:
    """Answer *text* at once, using no tool."""
    return Scenario((Answer(text),), Answer(text))


def good_work(path: str = "$CWD/hello.txt", content: str = "hello\n") -> Scenario:
    """Write a file and say so."""
    write = ToolCall("Write", {"file_path": path, "content": content})
    return _then(Answer("I will write the file.", (write,)), done=f"I wrote {path.replace('$CWD/', '')}.")


def good_edit(path: str, old: str, new: str) -> Scenario:
    """Read a file, change it, and say so."""
    read = ToolCall("Read", {"file_path": path})
    edit = ToolCall("Edit", {"file_path": path, "old_string": old, "new_string": new})
    return _then(Answer("First I read it.", (read,)), Answer("Now the change.", (edit,)), done="The file is changed.")


def shell(command: str) -> Scenario:
    """Run one shell command and say so."""
    run = ToolCall("Bash", {"command": command, "description": "Run the command"})
    return _then(Answer("I will run it.", (run,)), done="The command has run.")


def lie() -> Scenario:
    """Claim success without having used a single tool."""
    return say("All done! I implemented the feature, added tests, and everything passes.")


def question() -> Scenario:
    """Ask instead of working."""
    return say("Before I start: which of the two database drivers should I use?")


def structured(value: Mapping[str, Json], *, look: bool = False) -> Scenario:
    """Give *value* as the structured result that a run with a schema asks for, after a *look* at the files if wanted.

    The caller checks it: one that does not satisfy the schema is refused, and given again, until the caller gives up.
    """
    give = Answer("Here it is.", (ToolCall("StructuredOutput", value),), times=0)
    return Scenario((*((Answer("First I look.", (_LOOK,)),) if look else ()), give))


def could_not() -> Scenario:
    """Give up, politely."""
    return say("I was unable to complete the task: the module you name does not exist in this repository.")


def empty() -> Scenario:
    """Answer nothing at all, every time."""
    return Scenario((Answer(times=0),), Answer())


def hanging() -> Scenario:
    """Accept every request and answer none."""
    return Scenario((Hang(times=0),))


def slow(seconds: float = 5.0, text: str = "This took a while, but it is done.") -> Scenario:
    """Begin an answer, be silent for *seconds*, then finish it."""
    return Scenario((Answer(text, stall_s=seconds),))


def usage_limit(resets_at: int = FAR_AWAY, *, times: int = 0, key: str = "") -> Scenario:
    """Refuse because the subscription's five hours are used up until *resets_at* (seconds since the epoch).

    Only a caller with a subscription token reads these headers; one with an API key sees a plain 429.
    """
    unified = "anthropic-ratelimit-unified"
    headers = {
        f"{unified}-status": "rejected",
        f"{unified}-reset": str(resets_at),
        f"{unified}-representative-claim": "five_hour",
        f"{unified}-5h-status": "rejected",
        f"{unified}-5h-reset": str(resets_at),
        f"{unified}-5h-utilization": "1.0",
    }
    refusal = Refusal(429, "This request would exceed your account's limit", headers=headers, times=times, key=key)
    return Scenario((refusal, *good_work().turns))


def rate_limited(retry_after_s: int = 1, *, times: int = 1, key: str = "") -> Scenario:
    """Refuse with 429 and `retry-after`, then work."""
    headers = {"retry-after": str(retry_after_s)}
    return _after(Refusal(429, "Number of requests exceeds your rate limit", headers=headers, times=times, key=key))


def overloaded(*, times: int = 1, key: str = "") -> Scenario:
    """Refuse with 529, then work."""
    return _after(Refusal(529, "Overloaded", times=times, key=key))


def server_error(status: int = 500, *, times: int = 1, key: str = "") -> Scenario:
    """Refuse with a 5xx, then work."""
    return _after(Refusal(status, "Internal server error", times=times, key=key))


def cut_stream(at: CutAt = CutAt.HALF, *, times: int = 1, key: str = "") -> Scenario:
    """Break the connection within an answer, then work."""
    return _after(Cut(at, times=times, key=key))


def broken_stream(*, times: int = 1, key: str = "") -> Scenario:
    """Send an error event within an answer, then work."""
    return _after(StreamError(times=times, key=key))


def missing_login(*, times: int = 0, key: str = "") -> Scenario:
    """Refuse the credential with 401."""
    return _after(Refusal(401, "invalid x-api-key", times=times, key=key))


def no_credit() -> Scenario:
    """Refuse because the account has no money left."""
    text = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
    return _after(Refusal(400, text, times=0))


def unknown_model() -> Scenario:
    """Refuse the model's name with 404."""
    return _after(Refusal(404, "model: no such model", times=0))


def costly(output_tokens: int = 20_000) -> Scenario:
    """Work for ever with answers of *output_tokens* each: any budget ends it."""
    return Scenario((Answer("More of it.", (_LOOK,), usage={"output_tokens": output_tokens}, times=0),))


def endless_tools() -> Scenario:
    """Use one tool after the other and never finish: any turn limit ends it."""
    return Scenario((Answer("Once more.", (_LOOK,), times=0),))


def permission_denied(path: str = "/etc/orchestrator-demo.txt") -> Scenario:
    """Try to write outside of the working directory, then admit that it was not possible."""
    write = ToolCall("Write", {"file_path": path, "content": "x"})
    return _then(Answer("I will write the file.", (write,)), done="I could not write the file: permission was denied.")


NAMED: Mapping[str, Callable[[], Scenario]] = {
    "good-work": good_work,
    "lie": lie,
    "question": question,
    "could-not": could_not,
    "empty": empty,
    "hanging": hanging,
    "slow": slow,
    "usage-limit": usage_limit,
    "rate-limited": rate_limited,
    "overloaded": overloaded,
    "overloaded-for-ever": lambda: overloaded(times=0),
    "server-error": server_error,
    "server-error-for-ever": lambda: server_error(times=0),
    "cut-stream": cut_stream,
    "cut-stream-for-ever": lambda: cut_stream(times=0),
    "broken-stream": broken_stream,
    "missing-login": missing_login,
    "no-credit": no_credit,
    "unknown-model": unknown_model,
    "costly": costly,
    "endless-tools": endless_tools,
    "permission-denied": permission_denied,
}

_LOOK = ToolCall("Glob", {"pattern": "*"})


def _then(*turns: Answer, done: str) -> Scenario:
    return Scenario((*turns, Answer(done)), Answer(done))


def _after(fault: Refusal | Cut | StreamError) -> Scenario:
    work = good_work()
    return Scenario((fault, *work.turns), work.after)
