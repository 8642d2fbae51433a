"""A request in free words, as somebody types it on a phone: what it is called."""

import re
import unicodedata

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
