"""Requirements as task files, one for each item, to be looked through before they are dropped into tasks/. Pure."""

import re
from collections.abc import Mapping

from orchestrator.core.requirements import Item, Requirements, in_order
from orchestrator.core.task import Priority, TaskSpec
from orchestrator.core.taskfile import render_task_file
from orchestrator.core.text import is_reserved

ID_CHARS = 40
SHOWN_CHARS = 4000  # of the whole, in the context of a part
SUFFIX = ".task.md"


def task_files(read: Requirements, text: str, context: str = "") -> tuple[tuple[str, str], ...]:
    """Return name and content of a file for each item of *read*, which was read from *text*.

    Each waits for those that its item depends on. Raises ValueError where no task file can say an item.
    """
    ids = _ids(read)
    needs = in_order(read.items, read.dependencies)
    found = []
    for item in read.items:
        about = _about(read, text, context)
        spec = TaskSpec(
            id=ids[item.number],
            type=item.type,
            priority=Priority.MEDIUM,
            title=item.title,
            prompt=item.text,
            target_files=item.target_files,
            context=about,
            depends_on=tuple(ids[on] for on in needs[item.number]),
        )
        found.append((f"{spec.id}{SUFFIX}", render_task_file(spec)))
    return tuple(found)


def _ids(read: Requirements) -> Mapping[int, str]:
    taken: set[str] = set()
    found: dict[int, str] = {}
    for item in read.items:
        word = _id_of(item)
        number, unique = 2, word
        while unique in taken:
            unique, number = f"{word}-{number}", number + 1
        taken.add(unique)
        found[item.number] = unique
    return found


def _id_of(item: Item) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", item.title.lower()).strip("-")
    word = words if len(words) <= ID_CHARS else words[:ID_CHARS].rpartition("-")[0] or words[:ID_CHARS]
    return word.strip("-") if word and not is_reserved(word) else f"item-{item.number}"


def _about(read: Requirements, text: str, context: str) -> str:
    """Return what one who works on a part has to know of the whole, quoted: no line of it is a heading or a label."""
    parts = []
    if len(read.items) > 1:
        whole = "\n".join(f"> {line}".rstrip() for line in text[:SHOWN_CHARS].strip().splitlines())
        parts.append(f"This is one of {len(read.items)} parts. Do only this part. The whole is:\n\n{whole}")
    if context.strip():
        parts.append("\n".join(f"> {line}".rstrip() for line in context[:SHOWN_CHARS].strip().splitlines()))
    return "\n\n".join(parts)
