"""How an attempt by Claude Code ended: everything it printed and how its process went, folded into one Outcome.

Neither exit code nor `subtype` tells success: a failed run may say `"subtype": "success"`, an interrupted one may
exit with 0. Finished needs exit code 0 *and* a final result *and* that this result says no error. Of a failure, the
kind comes from structured fields first, from words last.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestrator.bridges.claude_limits import is_exhausted, is_throttle, reset_in
from orchestrator.bridges.claude_messages import (
    ApiRetry,
    AssistantText,
    Init,
    Malformed,
    Message,
    PermissionDenied,
    RateLimit,
    Result,
    ToolResult,
    ToolUse,
)
from orchestrator.bridges.claude_wants import Wants, structured_in
from orchestrator.bridges.process import ExitRecord
from orchestrator.core.attempt import AgentReport, Failed, FailureKind, Finished, Interrupted, Outcome, Usage
from orchestrator.core.notes import NoteGiven

AUTH_REFUSALS = 3  # a token that can be refreshed is refused twice at most
_WRITERS = ("Write", "Edit", "MultiEdit", "NotebookEdit")
_DETAIL = 600
K = FailureKind


@dataclass(frozen=True, slots=True)
class Begun:
    """How an attempt was begun: what the program itself will not say at its end.

    *resumed*: the session existed before. *spent_usd* is what it had cost, None when that is unknown. *notes* of the
    project stood in the prompt.
    """

    session_id: str
    resumed: bool = False
    spent_usd: float | None = 0.0
    confinement: str = ""
    version: str = ""
    notes: tuple[NoteGiven, ...] = ()


class Tally:
    """Everything worth keeping of the messages so far. Open while the agent runs; feed it with `add`."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.init: Init | None = None
        self.error = ""  # why the provider did not answer, as the last message of the main thread says
        self.last_text = ""
        self.limit: RateLimit | None = None
        self.denied: list[str] = []
        self.tools: Counter[str] = Counter()
        self.files: dict[str, None] = {}
        self.auth_refusals = 0
        self.last_retry: ApiRetry | None = None
        self.last_noise = ""
        self.wants = Wants()
        self._writing: dict[str, str] = {}

    def add(self, message: Message) -> None:
        """Take one message into account."""
        match message:
            case Init():
                self.init = message
            case AssistantText(sub=False):
                self.error, self.last_text = message.error, message.text or self.last_text
                if not message.error:
                    self.auth_refusals, self.last_retry = 0, None
            case ToolUse():
                self._use(message)
            case ToolResult():
                path = self._writing.pop(message.id, "")
                if path and not message.is_error:
                    self.files[path] = None
            case ApiRetry():
                self.last_retry = message
                self.auth_refusals = self.auth_refusals + 1 if message.status in (401, 403) else 0
            case PermissionDenied():
                self.denied.append(message.tool)
                self.wants.deny(message)
            case RateLimit():
                self.limit = message
            case Result():
                self.results.append(message)
            case Malformed():
                self.last_noise = message.excerpt
            case _:
                pass

    def _use(self, use: ToolUse) -> None:
        self.error, self.auth_refusals, self.last_retry = "", 0, None
        self.tools[use.name] += 1
        self.wants.use(use)
        path = use.input.get("notebook_path" if use.name == "NotebookEdit" else "file_path")
        if use.name in _WRITERS and isinstance(path, str):
            self._writing[use.id] = path


# Ends that say nothing against a final result which was there before.
_AFTER_ITS_LAST_WORD = frozenset({"lingered", "stalled", "stopped", "daemon_gone", "supervisor_killed"})


def outcome(
    tally: Tally, exit_record: ExitRecord, begun: Begun, *, stderr: str = "", lingered: bool = False
) -> Outcome:
    """Return how the attempt ended.

    *stderr* is the tail of what the program complained. *lingered*: we ended the process because it stayed after its
    final result; the result counts all the same, also where the supervisor did it, or where daemon or supervisor died
    meanwhile: what was paid for and is there is not done twice.
    """
    report = _report(tally, exit_record, begun)
    result = tally.results[-1] if tally.results else None
    ended_well = exit_record.reason == "exited" and exit_record.exit_code == 0
    stayed = lingered or exit_record.reason in _AFTER_ITS_LAST_WORD
    if result is not None and _is_good(result) and (ended_well or stayed):
        return Finished(report)
    ended = _ended_by_us(exit_record, tally, report, begun)
    if ended is not None:
        return ended
    if result is not None and not _is_good(result):
        kind, detail = _of_result(result, tally)
    else:
        kind, detail = _of_exit(exit_record, tally, stderr.strip(), result)
    resets_at = _resets_at(tally, detail, exit_record.ended_ts) if kind is K.USAGE_LIMIT else 0.0
    return Failed(kind, detail[:_DETAIL], report, resets_at)


def _resets_at(tally: Tally, detail: str, said_at: float) -> float:
    """Return when the limit ends, by what was refused; else by the words; else by the last that was told at all."""
    told = tally.limit.resets_at if tally.limit else 0.0
    if tally.limit and tally.limit.status == "rejected" and told:
        return told
    return reset_in(detail, said_at=said_at) or told


def _is_good(result: Result) -> bool:
    return not result.is_error and result.subtype == "success" and not result.local_command and result.turns != 0


def _ended_by_us(record: ExitRecord, tally: Tally, report: AgentReport, begun: Begun) -> Outcome | None:
    """Return the outcome where the process did not end by itself, None where it did."""
    if record.reason == "exited":
        return None
    if tally.auth_refusals >= AUTH_REFUSALS:
        detail = f"the provider refused the credential {tally.auth_refusals} times ({_waiting(tally)})"
        nothing = replace(report.usage, cost_usd=0.0, session_cost_usd=begun.spent_usd)
        return Failed(K.AUTH, detail, report if tally.last_text or tally.tools else replace(report, usage=nothing))
    match record.reason:
        case "stopped" | "daemon_gone" | "lingered":
            return Interrupted(record.detail or record.reason, report)
        case "timeout":
            waited = f"; it was waiting for its provider ({_waiting(tally)})" if tally.last_retry else ""
            return Failed(K.TIMEOUT, f"ended by its time limit after {record.duration_s:.0f} s{waited}", report)
        case "output_too_large":
            return Failed(K.BAD_OUTPUT, record.detail or "it printed more than is kept", report)
        case "shortage":
            return Failed(K.SHORTAGE, record.detail, report)
        case "spawn_failed":
            return Failed(K.START_REFUSED, record.detail, report)
        case "stalled":
            return Failed(K.STALLED, record.detail or "it fell silent", report)
        case "too_many_processes":
            return Failed(K.TOO_MANY_PROCESSES, record.detail, report)
        case "too_much_memory":
            return Failed(K.KILLED, record.detail, report)
        case "supervisor_killed":
            return Interrupted(record.detail or "the process that held the agent was killed", report)
        case unknown:
            return Failed(K.CRASH, f"its process ended in an unknown way ({unknown}): {record.detail}", report)


def _waiting(tally: Tally) -> str:
    retry = tally.last_retry
    return f"{retry.status or 'no answer'}, {retry.error}" if retry else "401"


_BY_SUBTYPE: Mapping[str, FailureKind] = {
    "error_max_turns": K.MAX_TURNS,
    "error_max_budget_usd": K.BUDGET,
    "error_max_structured_output_retries": K.BAD_OUTPUT,
}
_BY_TERMINAL: Mapping[str, FailureKind] = {
    "max_turns": K.MAX_TURNS,
    "budget_exhausted": K.BUDGET,
    "structured_output_retry_exhausted": K.BAD_OUTPUT,
    "prompt_too_long": K.PROMPT_TOO_LONG,
    "blocking_limit": K.PROMPT_TOO_LONG,
    "rapid_refill_breaker": K.PROMPT_TOO_LONG,
    "aborted_streaming": K.CRASH,
    "aborted_tools": K.CRASH,
}
_BY_API_ERROR: Mapping[str, FailureKind] = {
    "usage_limit_reached": K.USAGE_LIMIT,
    "connection_failed": K.TRANSIENT,
}
# Words of the last assistant message that say more than the HTTP status does.
_BY_CLEAR_ERROR: Mapping[str, FailureKind] = {
    "authentication_failed": K.AUTH,
    "oauth_org_not_allowed": K.AUTH,
    "account_on_hold": K.AUTH,
    "verification_required": K.AUTH,
    "cloud_credential_error": K.AUTH,
    "billing_error": K.BILLING,
    "model_not_found": K.MODEL_NOT_FOUND,
}
_BY_STATUS: Mapping[int, FailureKind] = {
    401: K.AUTH,
    402: K.BILLING,
    403: K.AUTH,
    408: K.TRANSIENT,
    413: K.PROMPT_TOO_LONG,
    429: K.RATE_LIMITED,
}
_BY_VAGUE_ERROR: Mapping[str, FailureKind] = {
    "rate_limit": K.RATE_LIMITED,
    "overloaded": K.TRANSIENT,
    "server_error": K.TRANSIENT,
    "invalid_request": K.BAD_REQUEST,
}
_BY_WORDS: tuple[tuple[re.Pattern[str], FailureKind], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"not logged in|/login|invalid api key|failed to authenticate|token has expired", K.AUTH),
        (r"credit balance|billing", K.BILLING),
        (r"prompt is too long", K.PROMPT_TOO_LONG),
        (
            r"overloaded|timed out|connection (dropped|refused|error|reset)|ECONN|ENOTFOUND|EAI_AGAIN|network",
            K.TRANSIENT,
        ),
    )
)


def _of_result(result: Result, tally: Tally) -> tuple[FailureKind, str]:
    text = result.text or "; ".join(result.errors) or tally.last_text or result.subtype
    if result.local_command or (not result.is_error and result.turns == 0):
        return K.BAD_REQUEST, f"the program answered by itself, no model was asked: {text}"
    if result.startup_failure:
        return K.START_REFUSED, f"{text} ({result.startup_failure}){_START_HINTS.get(result.startup_failure, '')}"
    return _kind_of(result, tally, text), text


def _kind_of(result: Result, tally: Tally, text: str) -> FailureKind:
    rejected = tally.limit is not None and tally.limit.status == "rejected" and result.api_status == 429
    candidates = (
        _BY_SUBTYPE.get(result.subtype),
        _BY_TERMINAL.get(result.terminal_reason),
        _BY_API_ERROR.get(result.api_error),
        K.USAGE_LIMIT if rejected else None,
        _by_limit_words(text) if result.api_status in (0, 429) else None,
        _BY_CLEAR_ERROR.get(tally.error),
        _of_status(result.api_status),
        _BY_VAGUE_ERROR.get(tally.error) if result.terminal_reason in ("api_error", "model_error", "") else None,
        _by_words(text),
    )
    return next((kind for kind in candidates if kind is not None), K.AGENT_ERROR)


_START_HINTS: Mapping[str, str] = {
    "bypass_root": (
        ". CLAUDE_SKIP_PERMISSIONS does not work for root. Run the daemon as another user; or, in a container that is"
        " itself the fence, set IS_SANDBOX=1 in the daemon's environment and list IS_SANDBOX among the variables that"
        " the agent may see"
    ),
    "sandbox_required_unavailable": (
        ". Install bubblewrap and socat, or let the agent work without a shell: set the sandbox to auto or off"
    ),
}


def _of_status(status: int) -> FailureKind | None:
    if status >= 500:
        return K.TRANSIENT
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return K.BAD_REQUEST if 400 <= status < 500 else None


def _by_limit_words(text: str) -> FailureKind | None:
    """A refusal by 429 is both: a throttle, which is over in a minute, and an allowance that is used up."""
    if is_throttle(text):
        return K.RATE_LIMITED
    return K.USAGE_LIMIT if is_exhausted(text) else None


def _by_words(text: str) -> FailureKind | None:
    return _by_limit_words(text) or next((kind for pattern, kind in _BY_WORDS if pattern.search(text)), None)


def _of_exit(record: ExitRecord, tally: Tally, stderr: str, good: Result | None) -> tuple[FailureKind, str]:
    code = record.exit_code
    said = f": {stderr}" if stderr else (f": {tally.last_noise}" if tally.last_noise else "")
    after = " after a good result" if good else ""
    if code in (-9, 137):
        return K.KILLED, f"killed by SIGKILL from outside{after}; usually the system was out of memory{said}"
    if code is None:
        return K.NO_RESULT, f"nobody knows its exit code{after}{said}"
    if code < 0 or code > 128:
        return K.CRASH, f"ended by signal {-code if code < 0 else code - 128}{after}{said}"
    if good:
        return K.AGENT_ERROR, f"exit code {code}{after}{said}"
    if code != 0 and tally.init is None:
        return _by_words(stderr) or K.START_REFUSED, f"it ended with exit code {code} before it began{said}"
    return K.NO_RESULT, f"exit code {code} without a result{said}"


def _report(tally: Tally, record: ExitRecord, begun: Begun) -> AgentReport:
    result = tally.results[-1] if tally.results else None
    denials = tuple(name for each in tally.results for name in each.denials) or tuple(tally.denied)
    return AgentReport(
        answer=result.text if result and not result.is_error else "",
        exit_code=record.exit_code,
        usage=_usage(tally, begun, cut=record.reason not in ("exited", "spawn_failed", "shortage")),
        session_id=(tally.init.session_id if tally.init else "") or begun.session_id,
        model=tally.init.model if tally.init else "",
        agent_version=(tally.init.version if tally.init else "") or begun.version,
        duration_s=record.duration_s,
        files_changed=tuple(tally.files),
        denials=denials,
        tool_calls=dict(tally.tools),
        survivors_killed=record.survivors_killed,
        container=record.container,
        confinement=begun.confinement,
        notes=begun.notes,
        denied_for=tuple(tally.wants.denied_for),
        question=tally.wants.question(result),
        structured=structured_in(result),
    )


def _usage(tally: Tally, begun: Begun, *, cut: bool) -> Usage:
    """Return what the attempt used. Without a result the cost is unknown, and so is the session's from then on.

    *cut*: its process was ended. A request that was cut off in the middle was paid for and is counted by nobody.
    """
    if not tally.results:
        return Usage(session_cost_usd=None if tally.init else begun.spent_usd, cost_usd=None if tally.init else 0.0)
    each = [result.tokens for result in tally.results]
    usage = Usage(
        turns=_sum([result.turns for result in tally.results]),
        input_tokens=_sum([tokens.input for tokens in each]),
        output_tokens=_sum([tokens.output for tokens in each]),
        cache_read_tokens=_sum([tokens.cache_read for tokens in each]),
        cache_write_tokens=_sum([tokens.cache_write for tokens in each]),
    )
    if tally.init is None:  # it refused to start: the session's own meter was never read
        return replace(usage, cost_usd=0.0, session_cost_usd=begun.spent_usd)
    last = tally.results[-1]
    usage = replace(usage, cost_usd=_share(last.cost_usd, begun), session_cost_usd=last.cost_usd)
    return _without_zeros(usage) if last.is_error and (cut or _was_cut_off(last, tally)) else usage


def _was_cut_off(last: Result, tally: Tally) -> bool:
    """Whether requests went out whose answers did not come back whole: aborted, or lost on the way."""
    lost = last.terminal_reason == "api_error" and not last.api_status and tally.error not in _BY_CLEAR_ERROR
    return lost or last.terminal_reason.startswith("aborted_")


def _without_zeros(usage: Usage) -> Usage:
    """A 0 of a run that was cut off says only that nothing was counted."""
    return replace(
        usage,
        input_tokens=usage.input_tokens or None,
        output_tokens=usage.output_tokens or None,
        cache_read_tokens=usage.cache_read_tokens if usage.input_tokens else None,
        cache_write_tokens=usage.cache_write_tokens if usage.input_tokens else None,
        cost_usd=usage.cost_usd or None,
        session_cost_usd=usage.session_cost_usd or None,
    )


def _share(total: float | None, begun: Begun) -> float | None:
    """Return this attempt's part of the session's *total*.

    A total below what was spent before means that the meter began anew: it forgets what a killed run had cost.
    """
    if not begun.resumed or total is None:
        return total
    if begun.spent_usd is None:
        return None
    return total - begun.spent_usd if total >= begun.spent_usd else total


def _sum(numbers: list[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
