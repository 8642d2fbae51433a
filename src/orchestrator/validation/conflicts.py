"""Conflict markers of our own merges: how they look, and what is said where some are left. Pure.

Only our own count: each carries a label that names a task, so a text about merging is no conflict.
"""

import re
from collections.abc import Sequence

from orchestrator.core.text import printable

LABEL = "task/"  # and then name and mark, in every marker of ours
UNDECIDED = f"{LABEL}undecided-00000000"  # in the file that names what no marker can stand for
SHOWN, SAID = 20, 1000
GREP = rf"^[<>|]{{7,}} {LABEL}[A-Za-z0-9._-]+-[0-9a-f]{{8}}"  # as an extended regular expression, too
_MARKER = re.compile(GREP, re.MULTILINE)


def has_markers(text: str) -> bool:
    """Return whether *text* holds a line of a conflict that nobody has resolved."""
    return _MARKER.search(text) is not None


def left_words(paths: Sequence[str]) -> str:
    """Return what is wrong with a result that has markers left in *paths*."""
    shown = ", ".join(printable(path) for path in paths[:SHOWN])
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return f"conflicts of a merge are left in {shown}{more}"


def question_words(paths: Sequence[str], sides: Sequence[str], place: str, said: str = "") -> str:
    """Return what a person is asked about *paths*.

    *sides* name the results, *place* is the folder they lie in, *said* are the words with which the agent ended.
    """
    lines = ["The results of several tasks do not fit together, and the agent has left conflict markers in:"]
    lines += [f"- {printable(path)}" for path in paths[:SHOWN]]
    lines += [f"- and {len(paths) - SHOWN} more"] if len(paths) > SHOWN else []
    lines += ["What comes together:", *(f"- {printable(side)}" for side in sides)]
    lines += ["Answer in words what is to become of these files: the agent goes on with that. Or edit them yourself in"]
    lines += [f"{place}, take all markers out, and answer: done"]
    lines += [f"The agent said: {printable(said.strip())[:SAID]}"] if said.strip() else []
    return "\n".join(lines)
