"""Requests in free words: read by their words at once, by a model where one is there and may take its time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TypeVar

from orchestrator.core.errors import TaskFileError
from orchestrator.core.ports import TextReader
from orchestrator.core.reading import is_bare
from orchestrator.core.task import TaskRules, TaskSpec
from orchestrator.core.taskfile import parse_task_file

Read = TypeVar("Read")
Fresh = Sequence[tuple[Read, TaskSpec | TaskFileError]]


def apart(fresh: Fresh[Read]) -> tuple[Fresh[Read], Sequence[tuple[Read, TaskSpec]]]:
    """Return what has the format of a task file, or is refused, and what is nothing but words."""
    plain: list[tuple[Read, TaskSpec | TaskFileError]] = []
    words: list[tuple[Read, TaskSpec]] = []
    for read, spec in fresh:
        if isinstance(spec, TaskSpec) and is_bare(spec):
            words.append((read, spec))
        else:
            plain.append((read, spec))
    return plain, words


async def by_model(
    reader: TextReader,
    words: Sequence[tuple[Read, TaskSpec]],
    rules: TaskRules,
    look: Callable[[Read, TaskSpec], Awaitable[TaskSpec | TaskFileError]],
    stop: asyncio.Event,
) -> Fresh[Read]:
    """Return *words* as a model reads them; *look* is asked again about target files that are others now.

    Nothing is returned where *stop* is set before the model is done: nobody waits for it then.
    """
    read = await _unless(stop, reader.read([spec for _, spec in words], rules))
    return [
        (one, spec if spec.target_files == before.target_files else await look(one, spec))
        for (one, before), spec in zip(words, read, strict=bool(read))
    ]


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, Sequence[TaskSpec]]) -> Sequence[TaskSpec]:
    """Return what *work* gives, nothing where *stop* is set first; then it is ended."""
    tasks = [asyncio.create_task(work), asyncio.create_task(_nothing_once(stop))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].result() if tasks[0].done() else ()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _nothing_once(stop: asyncio.Event) -> Sequence[TaskSpec]:
    await stop.wait()
    return ()


async def read_request(text: str, *, file_name: str, rules: TaskRules, reader: TextReader | None = None) -> TaskSpec:
    """Return the task that *text* asks for, for any door; *file_name* gives it its id.

    Raises TaskFileError where it can be none. What was guessed, by words or by a model, is among `inferred`.
    """
    spec = parse_task_file(text.encode("utf-8", "replace"), file_name=file_name, rules=rules)
    return await better(spec, rules, reader) if reader else spec


async def better(spec: TaskSpec, rules: TaskRules, reader: TextReader) -> TaskSpec:
    """Return *spec* as a model reads it, where it is nothing but words; else itself."""
    if not is_bare(spec):
        return spec
    (read,) = await reader.read([spec], rules)
    return read
