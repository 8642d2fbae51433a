"""What Claude Code wanted of a person: questions by a tool or in a structured result, and what it was denied.

Where nobody sits at the keyboard the program refuses its own tool AskUserQuestion ("disabled for this session"); what
the model wanted to know stands in the call all the same.
"""

import json
import re

from orchestrator.bridges.claude_messages import PermissionDenied, Result, ToolUse
from orchestrator.core.question import Question, asked_by_tool, asked_in_result

_ASKING = re.compile(r"AskUserQuestion|mcp__\w+__ask_(?:user|human|person|question)\w*")
_SUBJECTS = ("file_path", "notebook_path", "command", "url", "path")
_MOST, _CHARS = 5, 300


class Wants:
    """Fed with what the agent does. *denied_for* holds, in order, what it was denied and why, in a few words each."""

    def __init__(self) -> None:
        self.denied_for: dict[str, None] = {}
        self._asked: Question | None = None
        self._subjects: dict[str, str] = {}

    def use(self, use: ToolUse) -> None:
        """A question counts while nothing follows: who goes on working has decided by itself."""
        self._asked = asked_by_tool(use.input) if _ASKING.fullmatch(use.name) else None
        found = (use.input.get(key) for key in _SUBJECTS)
        self._subjects[use.id] = next((value[:_CHARS] for value in found if isinstance(value, str)), "")

    def deny(self, denied: PermissionDenied) -> None:
        words = " ".join(f"{denied.tool} {self._subjects.get(denied.tool_use_id, '')}".split())
        if len(self.denied_for) < _MOST:
            self.denied_for[f"{words}: {denied.text}"[:_CHARS]] = None

    def question(self, result: Result | None) -> Question | None:
        """Return what it asked in a form that leaves no doubt; what it says in words is for others to judge."""
        if result is None or result.is_error:
            return None
        return self._asked or asked_in_result(result.structured)


def structured_in(result: Result | None) -> str:
    """Return the structured result as JSON. "" where there is none: an agent that never gave one, though it was told
    to twice, ends with exit code 0 all the same."""
    return json.dumps(result.structured) if result and result.structured and not result.is_error else ""
