"""A request in free words, as somebody types it on a phone: what it is called, and what it asks for."""

import re
import unicodedata

from orchestrator.core.task import TaskRules, TaskSpec
from orchestrator.core.taskfile import parse_task_file
from orchestrator.core.text import SUFFIX

NAME_WORDS, NAME_CHARS = 5, 40
_LITTLE = frozenset({"a", "an", "and", "at", "for", "in", "of", "on", "please", "the", "to", "with"})
_WORD = re.compile(r"[a-z0-9]+")


def request_id(text: str) -> str:
    """Return an id a person recognises *text* by, of its first words that say something; "task" when there are none."""
    first = next((line for line in text.splitlines() if line.strip(" #*-_`>")), "")
    plain = "".join(c for c in unicodedata.normalize("NFKD", first.lower()) if not unicodedata.combining(c))
    words = [word for word in _WORD.findall(plain.replace("'", "")) if word not in _LITTLE]
    name = ""
    for word in words[:NAME_WORDS]:
        longer = f"{name}_{word}".strip("_")
        if len(longer) > NAME_CHARS:
            break
        name = longer
    return name or "task"


def read_request(text: str, rules: TaskRules, *, name: str) -> TaskSpec:
    """Return what *text* asks for; it may also be a whole task file. Its id is *name* where it brings none.

    Raises TaskFileError. By *rules* a door that may bring no commands has a criterion with one refused.
    """
    return parse_task_file(text.encode("utf-8", "replace"), file_name=f"{name}{SUFFIX}", rules=rules)
