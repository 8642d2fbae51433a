"""How a text fits into the messages of a chat that counts in UTF-16 units."""

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.core.chat import Attachment, Mark, Outgoing

MESSAGE_UNITS = 4096
BUTTON_BYTES = 64
MOST_PARTS = 3  # what needs more is a file
FIRST_LINES_UNITS = 1000  # of a text that goes as a file


def units(text: str) -> int:
    """Return the length of *text* in UTF-16 units; a lone surrogate counts as one."""
    return len(text) + sum(1 for char in text if ord(char) > 0xFFFF)


def clean(text: str) -> str:
    """Return *text* as every far side can carry it: no lone surrogates, no NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def fitted(message: Outgoing, *, most_units: int = MESSAGE_UNITS) -> Sequence[Outgoing]:
    """Return *message* as messages that fit, each cut at the end of a line where there is one, else within it.

    The last one has the buttons and the attachment, the first one the reply. A text that would take more than
    MOST_PARTS becomes its beginning, and a file with all of it.
    """
    message = replace(message, text=clean(message.text))
    bounds = _cuts(message.text, most_units)
    if len(bounds) > MOST_PARTS and message.attachment is None:
        start = _cuts(message.text, FIRST_LINES_UNITS)[0][1]
        whole = Attachment("message.txt", message.text.encode())
        head = f"{message.text[:start].rstrip()}\n…"
        return [replace(message, text=head, marks=_within(message.marks, 0, start), attachment=whole)]
    if len(bounds) > MOST_PARTS:  # it has a file already: that one tells the rest
        bounds = bounds[:1]
    parts = [replace(message, text=message.text[a:b], marks=_within(message.marks, a, b)) for a, b in bounds]
    last = len(parts) - 1
    return [
        replace(
            part,
            buttons=part.buttons if n == last else (),
            attachment=part.attachment if n == last else None,
            asks=part.asks and n == last,
            reply_to=part.reply_to if n == 0 else 0,
        )
        for n, part in enumerate(parts)
    ]


def _cuts(text: str, most_units: int) -> list[tuple[int, int]]:
    """Return where *text* is cut, as (begin, end); one part at least."""
    found: list[tuple[int, int]] = []
    begin = 0
    while units(text[begin:]) > most_units:
        end = _reach(text, begin, most_units)
        line = text.rfind("\n", begin, end + 1)
        if line > begin + (end - begin) // 2:
            found.append((begin, line))
            begin = line + 1
        else:
            found.append((begin, end))
            begin = end
    return [*found, (begin, len(text))]


def _reach(text: str, begin: int, most_units: int) -> int:
    """Return how far from *begin* *most_units* reach."""
    room = most_units
    for place in range(begin, len(text)):
        room -= 2 if ord(text[place]) > 0xFFFF else 1
        if room < 0:
            return place
    return len(text)


def _within(marks: Sequence[Mark], begin: int, end: int) -> tuple[Mark, ...]:
    """Return *marks* as they fall into the characters from *begin* to *end*."""
    cut = ((mark, max(mark.start, begin), min(mark.start + mark.length, end)) for mark in marks)
    return tuple(replace(mark, start=a - begin, length=b - a) for mark, a, b in cut if a < b)
