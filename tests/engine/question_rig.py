"""Tasks that ask, on real bridges: how they come to wait, and what a person does to their files."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.agents import DONE, FakeAgent
from tests.rig import Engine

from orchestrator.core.attempt import Outcome
from orchestrator.core.events import Event, EventKind
from orchestrator.core.task import Task

TEXT = "There are two drivers.\n\n1. psycopg\n2. asyncpg\n\nWhich of the two should I use?"
ASKS = replace(DONE, report=replace(DONE.report, answer=TEXT))
FILE = "tasks/waiting/{}.question.md"


def asking(*more: Outcome, times: int = 1) -> FakeAgent:
    return FakeAgent({"t": [*[ASKS] * times, *more]})


@asynccontextmanager
async def asked(engine: Engine, **given: Any) -> AsyncIterator[Task]:
    """Give a task that has asked, and whose file lies there. No daemon runs then."""
    task = await engine.add("t", **given)
    await engine.run_until(file_of(engine).exists, "the file of the question")
    yield await engine.task(task.uid)


def file_of(engine: Engine, name: str = "t") -> Path:
    return engine.root / FILE.format(name)


def write(engine: Engine, answer: str, name: str = "t") -> None:
    """Append below the last heading, and save as careful programs do."""
    path = file_of(engine, name)
    hidden = path.with_name(f".{name}.swp")
    hidden.write_text(f"{path.read_text()}{answer}\n")
    hidden.rename(path)


async def kinds(engine: Engine, task: Task, *wanted: EventKind) -> Sequence[Event]:
    return [event for event in await engine.store.events_of(task.uid, limit=1000) if event.kind in wanted]


async def warnings(engine: Engine) -> list[str]:
    return [
        str(e.data["reason"]) for e in await engine.store.events_after(0, limit=1000) if e.kind is EventKind.WARNING
    ]
