"""Orders and expectations shared by the tests of Claude Code's bridge."""

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.bridges.process import ExitRecord
from orchestrator.core.attempt import AgentMessage, MessageKind, WorkOrder
from orchestrator.core.events import TaskUid

TRANSCRIPTS = Path(__file__).parents[1] / "data" / "transcripts"
SESSION = "7d5a1f0e-4a34-4c6e-9f0e-0a4d7f6f3c11"


def order(tmp_path: Path, **changes: Any) -> WorkOrder:
    """Return an order for a private folder. *changes* replace single fields."""
    cwd = tmp_path / "cwd"
    cwd.mkdir(exist_ok=True)
    plain = WorkOrder(
        uid=TaskUid(uuid.uuid4().hex),  # processes are found by it: two tests at once must not share one
        attempt=1,
        epoch=1,
        task_id="demo",
        agent="claude",
        prompt="Do it.",
        cwd=str(cwd),
        session_id=SESSION,
        attempt_dir=str(tmp_path / "attempt"),
        tools=("Bash", "Read", "Edit", "Write", "Glob", "Grep"),
        timeout_s=60,
    )
    return replace(plain, **changes)


def exited(code: int | None = 0, reason: str = "exited", detail: str = "") -> ExitRecord:
    """Return the record of a process that ended with *code*."""
    return ExitRecord(code, reason, detail, 100.0, 103.0, 3.0, 0, 1.0, 200_000, "subreaper+mark")


class Said:
    """A `say` that keeps everything."""

    def __init__(self) -> None:
        self.messages: list[AgentMessage] = []

    async def __call__(self, message: AgentMessage) -> None:
        self.messages.append(message)

    def of(self, kind: MessageKind) -> list[str]:
        """Return the texts of one kind."""
        return [message.text for message in self.messages if message.kind is kind]
