"""A program that stands in for the agent's command line where a real one could not be made to misbehave.

Run by `python -I -S scripted_program.py [flags]`. Without a script it reads its prompt and ends well, with the messages
of Claude Code's `stream-json` output. A script is JSON, `{"steps": [{"say": "hi"}, {"hang": 0}], "journal": "/file"}`,
taken from the first of: `--script FILE`, the variable SCRIPTED_PROGRAM, a `<<<SCRIPT {...} SCRIPT>>>` block in the
prompt. The steps are the functions of `STEPS`; a run whose last step does not end it ends with exit code 0, and without
a result if no step gave one.

Unless a step says otherwise SIGINT ends a scripted run with an error result and exit code 0, SIGTERM with 143.

`journal` (or the variable SCRIPTED_JOURNAL) names a file that gets the lines `start UID ATTEMPT` and `end UID ATTEMPT`,
and `OVERLAP UID ATTEMPT` if another run of the same UID is alive, as told by a lock. UID and ATTEMPT are read from
ORCHESTRATOR_ATTEMPT.
"""

# ruff: noqa: PTH109, PTH110 - importing pathlib takes as long as a whole run

import os
import sys

try:
    from _json import encode_basestring_ascii as quote  # importing json takes as long as all the rest
except ImportError:
    from json.encoder import encode_basestring_ascii as quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

VERSION = "2.1.329"
MODEL = "claude-opus-5-5"
ENVIRON = os.environ  # noqa: TID251 - a program of its own, not a part of the orchestrator
BLOCK = ("<<<SCRIPT", "SCRIPT>>>")
INIT = (
    '{"type":"system","subtype":"init","cwd":%s,"session_id":%s,"tools":["Bash","Edit","Read","Write"],"mcp_servers":[],'
    '"model":%s,"permissionMode":"acceptEdits","slash_commands":[],"apiKeySource":"none","claude_code_version":%s,'
    '"output_style":"default","agents":[],"skills":[],"plugins":[],"uuid":%s}\n'
)
ASSISTANT = (
    '{"type":"assistant","message":{"id":%s,"type":"message","role":"assistant","model":%s,"content":[{"type":"text",'
    '"text":%s}],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":100,"cache_creation_input_tokens":0,'
    '"cache_read_input_tokens":0,"output_tokens":1}},"parent_tool_use_id":null,"session_id":%s,"uuid":%s}\n'
)
RESULT = (
    '{"type":"result","subtype":%s,"is_error":%s,"duration_ms":12,"duration_api_ms":8,"num_turns":1,%s,"stop_reason":'
    '"end_turn","terminal_reason":%s,"api_error_status":null,"session_id":%s,"total_cost_usd":0.0008,"usage":'
    '{"input_tokens":100,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":20},"modelUsage":'
    '{},"permission_denials":[],"uuid":%s}\n'
)


def main() -> None:
    if "--version" in sys.argv or "-v" in sys.argv:
        _write(f"{VERSION} (Claude Code)\n".encode())
        return
    prompt = b"".join(iter(lambda: os.read(0, 1 << 20), b""))
    source = _script_source(prompt)
    journal = ENVIRON.get("SCRIPTED_JOURNAL", "")
    if source is None and not journal:
        _default_run()
        return
    import json

    script = json.loads(source or "{}")
    _open_journal(script.get("journal") or journal)
    if source is None:
        _default_run()
    else:
        _play(script["steps"])
    _leave(0)


def _default_run() -> None:
    _write((_init() + _assistant("Done.") + _result("Done.")).encode())


def _script_source(prompt: bytes) -> "str | None":
    for flag, value in zip(sys.argv, sys.argv[1:], strict=False):
        if flag == "--script":
            with open(value, encoding="utf-8") as stream:
                return stream.read()
    if given := ENVIRON.get("SCRIPTED_PROGRAM"):
        return given
    if BLOCK[0].encode() not in prompt:
        return None
    text = prompt.decode(errors="replace")
    if text.lstrip().startswith("{"):  # a stream-json message, in which the prompt is a quoted string
        import json

        text = json.loads(text.splitlines()[0])["message"]["content"]
    return text.partition(BLOCK[0])[2].partition(BLOCK[1])[0]


# --- messages -------------------------------------------------------------------------------------------------------


def _write(content: bytes) -> None:
    while content:
        content = content[os.write(1, content) :]


def _uuid() -> str:
    digits = os.urandom(16).hex()
    return quote(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")


def _session() -> str:
    for flag, value in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        name, joined, after = flag.partition("=")
        if name in ("--session-id", "--resume"):
            return quote(after if joined else value)
    return quote("00000000-0000-4000-8000-000000000000")


def _init() -> str:
    return INIT % (quote(os.getcwd()), _session(), quote(MODEL), quote(VERSION), _uuid())


def _assistant(text: str) -> str:
    return ASSISTANT % (_uuid(), quote(MODEL), quote(text), _session(), _uuid())


def _result(text: str, subtype: str = "success", is_error: bool = False, terminal: str = "completed") -> str:
    said = f'"result":{quote(text)}' if subtype == "success" else f'"errors":[{quote(text)}]'
    return RESULT % (quote(subtype), str(is_error).lower(), said, quote(terminal), _session(), _uuid())


# --- the journal ----------------------------------------------------------------------------------------------------


_held: "list[tuple[str, str, int]]" = []


def _open_journal(path: str) -> None:
    """Say in the journal that this run has started. The lock lives as long as this run: the kernel sees to that."""
    if not path:
        return
    import fcntl

    uid, _, attempt = ENVIRON.get("ORCHESTRATOR_ATTEMPT", "unknown.0").rpartition(".")
    lock = os.open(f"{path}.{uid}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _note(path, f"OVERLAP {uid} {attempt}")
    _note(path, f"start {uid} {attempt}")
    _held.append((path, f"{uid} {attempt}", lock))


def _leave(code: int) -> "NoReturn":
    """End, and say so in the journal."""
    for path, who, _lock in _held:
        _note(path, f"end {who}")
    os._exit(code)


def _note(path: str, line: str) -> None:
    """One write to a file opened for appending is never torn by another's."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


# --- steps ----------------------------------------------------------------------------------------------------------


def _play(steps: "list[dict[str, Any]]") -> None:
    import signal

    signal.signal(signal.SIGINT, _interrupted)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    _take(steps)


def _take(steps: "list[dict[str, Any]]") -> None:
    for step in steps:
        for name, value in step.items():
            STEPS[name](value)


def _interrupted(_number: int, _frame: object) -> None:
    _write(_result("Request interrupted", "error_during_execution", True, "aborted_streaming").encode())
    _leave(0)


def _step_init(_value: object) -> None:
    _write(_init().encode())


def _step_say(text: str) -> None:
    _write(_assistant(text).encode())


def _step_result(text: str) -> None:
    _write(_result(text).encode())


def _step_error(value: "str | dict[str, str]") -> None:
    """A text: a failed run as the agent tells it. Or {"subtype", "text", "terminal_reason"}; ends with exit code 1."""
    if isinstance(value, str):
        value = {"text": value}
    terminal = value.get("terminal_reason", "api_error")
    _write(_result(value.get("text", ""), value.get("subtype", "success"), True, terminal).encode())
    _leave(1)


def _step_line(text: str) -> None:
    _write(text.encode() + b"\n")


def _step_raw(digits: str) -> None:
    """Bytes in hexadecimal: half lines, invalid UTF-8."""
    _write(bytes.fromhex(digits))


def _step_long_line(size: int) -> None:
    """One message of *size* characters of text."""
    _write(_assistant("x" * size).encode())


def _step_flood(size: int) -> None:
    """*size* bytes of lines of 1 KiB."""
    for _ in range(0, size, 1 << 20):
        _write((b"x" * 1023 + b"\n") * 1024)


def _step_stderr(text: str) -> None:
    os.write(2, text.encode() + b"\n")


def _step_ignore(names: "list[str]") -> None:
    import signal

    for name in names:
        signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)


def _step_orphan(options: "dict[str, Any]") -> None:
    """Leave a process in a session of its own whose parent is gone. Options: "empty_env", "closed_output",
    "ignore" (SIGTERM and SIGINT), and "pid_file", which holds its pid when this step is over."""
    import signal

    told, tell = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if (pid := os.fork()) == 0:
            if options.get("ignore"):
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            if options.get("closed_output"):
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, 1)
                os.dup2(null, 2)
            os.execve("/bin/sleep", ["sleep", "600"], {} if options.get("empty_env") else dict(ENVIRON))  # noqa: S606 - no shell
        os.write(tell, str(pid).encode())
        os._exit(0)
    pid_text = os.read(told, 32)
    os.wait()
    os.close(told)
    os.close(tell)
    if path := options.get("pid_file"):
        with open(path, "wb") as stream:
            stream.write(pid_text)


def _step_child(seconds: int) -> None:
    """Leave a child in this process group."""
    if os.fork() == 0:
        os.execv("/bin/sleep", ["sleep", str(seconds or 600)])  # noqa: S606 - an argument list, no shell


def _step_write(value: "dict[str, str]") -> None:
    """{"path", "text"}: a file, as a tool of the agent would write it."""
    with open(value["path"], "w", encoding="utf-8") as stream:
        stream.write(value["text"])


def _step_wait_for(path: str) -> None:
    """Go on once *path* exists."""
    import select

    while not os.path.exists(path):
        select.select([], [], [], 0.005)


def _step_hang(seconds: float) -> None:
    """Do nothing for so long; 0 is forever."""
    import select

    select.select([], [], [], seconds or None)


def _step_delete_cwd(_value: object) -> None:
    import shutil

    shutil.rmtree(os.getcwd())


def _step_signal(name: str) -> "None":
    """Send a signal to itself: "KILL", "SEGV", "STOP"."""
    import signal

    number = getattr(signal, f"SIG{name}")
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _step_first_time(steps: "list[dict[str, Any]]") -> None:
    """Take *steps* in the first attempt of a task only: so an agent fails that would not fail again."""
    if ENVIRON.get("ORCHESTRATOR_ATTEMPT", ".1").endswith(".1"):
        _take(steps)


def _step_exit(code: int) -> "NoReturn":
    _leave(code)


STEPS = {name.removeprefix("_step_"): step for name, step in list(globals().items()) if name.startswith("_step_")}

if __name__ == "__main__":
    main()
