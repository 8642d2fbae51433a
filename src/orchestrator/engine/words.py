"""Requests in free words: read by their words at once, by a model where one is there and may take its time."""

from collections.abc import Awaitable, Callable, Sequence
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
    words = [(read, spec) for read, spec in fresh if isinstance(spec, TaskSpec) and is_bare(spec)]
    return [one for one in fresh if one not in words], words


async def by_model(
    reader: TextReader,
    words: Sequence[tuple[Read, TaskSpec]],
    rules: TaskRules,
    look: Callable[[Read, TaskSpec], Awaitable[TaskSpec | TaskFileError]],
) -> Fresh[Read]:
    """Return *words* as a model reads them; *look* is asked again about target files that are others now."""
    read = await reader.read([spec for _, spec in words], rules)
    return [
        (one, spec if spec.target_files == before.target_files else await look(one, spec))
        for (one, before), spec in zip(words, read, strict=True)
    ]


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
