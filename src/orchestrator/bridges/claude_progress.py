"""What is told of a running Claude Code: its messages as milestones with a short text for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from orchestrator.bridges import claude_tool
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
from orchestrator.bridges.claude_outcome import Begun
from orchestrator.core.attempt import AgentMessage, MessageKind
from orchestrator.core.codec import to_json
from orchestrator.core.events import Json
from orchestrator.core.notes import words
from orchestrator.core.ports import Say
from orchestrator.core.worker_tool import SPLIT_TASK

_TEXT = 200
# The argument of a tool that says most to a person, in order of preference.
_TELLING = (
    "file_path",
    "notebook_path",
    "command",
    "pattern",
    "url",
    "query",
    "path",
    "description",
    "skill",
    "prompt",
)
K = MessageKind


class Teller:
    """Tells `say` what the agent does. Remembers what each tool use was, to name it when it fails."""

    def __init__(self, cwd: str, begun: Begun, say: Say, *, tool: bool = False) -> None:
        """*tool*: the worker's tool was offered."""
        self._cwd = cwd
        self._begun = begun
        self._say = say
        self._tool = tool
        self._uses: dict[str, str] = {}
        self._denied: set[str] = set()
        self._session_told = False

    async def tell(self, message: Message) -> None:
        """Say what is worth saying of *message*; most are worth nothing."""
        first = not self._session_told
        if (said := self._as_milestone(message)) is not None:
            await self._say(said)
        if isinstance(message, Init) and first and self._tool and (why := claude_tool.missing(message.servers)):
            await self._say(
                AgentMessage(K.NOTE, short(f"it goes on without {SPLIT_TASK}: {why}"), {"tool": SPLIT_TASK})
            )

    def _as_milestone(self, message: Message) -> AgentMessage | None:
        match message:
            case Init():
                return self._session(message)
            case AssistantText(sub=False, error="") if message.text.strip():
                return AgentMessage(K.TEXT, short(message.text))
            case ToolUse():
                self._uses[message.id] = text = describe(message, self._cwd)
                return AgentMessage(K.TOOL, text, {"tool": message.name, "id": message.id})
            case PermissionDenied():
                self._denied.add(message.tool_use_id)
                use = self._uses.get(message.tool_use_id, message.tool)
                return AgentMessage(K.DENIED, short(f"{use}: {message.text}"), {"tool": message.tool})
            case ToolResult(is_error=True) if message.id not in self._denied:
                use = self._uses.get(message.id, "a tool")
                return AgentMessage(K.TOOL_FAILED, short(f"{use}: {message.text}"), {"id": message.id})
            case ApiRetry():
                return _waiting(message)
            case RateLimit() if message.status != "allowed" or message.utilization:
                return _limit(message)
            case Malformed():
                return AgentMessage(K.NOTE, short(f"printed a line that is no message: {message.excerpt}"))
            case Result(local_command=command) if command:
                return AgentMessage(K.NOTE, f"answered the command /{command} by itself")
            case _:
                return None

    def _session(self, init: Init) -> AgentMessage | None:
        if self._session_told:
            return None
        self._session_told = True
        verb = "resumed" if self._begun.resumed else "started"
        data: dict[str, Json] = {
            "session_id": init.session_id,
            "model": init.model,
            "version": init.version,
            "resumed": self._begun.resumed,
            "confinement": self._begun.confinement,
            "project_notes": to_json(self._begun.notes),
        }
        notes = f"; project notes: {', '.join(map(words, self._begun.notes))}" if self._begun.notes else ""
        return AgentMessage(K.SESSION, f"session {verb} with {init.model}, {self._begun.confinement}{notes}", data)


def _waiting(retry: ApiRetry) -> AgentMessage:
    why = f"{retry.status} {retry.error}" if retry.status else f"no answer ({retry.error})"
    text = f"waits {retry.delay_s:.1f} s for its provider: {why}, retry {retry.attempt} of {retry.max_retries}"
    data: dict[str, Json] = {"status": retry.status, "error": retry.error, "delay_s": retry.delay_s}
    return AgentMessage(K.WAITING, text, {**data, "attempt": retry.attempt, "max_retries": retry.max_retries})


def _limit(limit: RateLimit) -> AgentMessage:
    used = "is used up" if limit.status == "rejected" else f"is {limit.utilization:.0%} used"
    window = limit.window.replace("_", " ") or "account"
    data: dict[str, Json] = {"status": limit.status, "window": limit.window, "resets_at": limit.resets_at}
    return AgentMessage(K.LIMIT, f"the {window} allowance {used}", {**data, "utilization": limit.utilization})


def describe(use: ToolUse, cwd: str) -> str:
    """Return a tool use in a few words, such as `Edit src/app.py`; paths under *cwd* are shown relative to it."""
    values: Mapping[str, Json] = use.input
    subject = next((value for key in _TELLING if isinstance(value := values.get(key), str) and value), "")
    path = PurePath(subject)
    if path.is_absolute() and cwd and path.is_relative_to(cwd):
        subject = str(path.relative_to(cwd))
    return short(f"{use.name} {subject}".strip())


def short(text: str) -> str:
    """Return *text* on one line, cut to 200 characters."""
    line = " ".join(text[: 4 * _TEXT].split())
    return line if len(line) <= _TEXT else f"{line[: _TEXT - 1]}…"
