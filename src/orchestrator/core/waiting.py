"""The files in `tasks/waiting/` by which a person answers: what stands in them, and how an answer is read back.

    <!-- question 1a2b3c4d.2 -->

    # fix_db asks

    > Which of the two drivers should I use?

    1. psycopg
    2. asyncpg

    ## Answer

What stands below the last heading is the answer. The first line tells which question is meant; a file in which it was
deleted is believed by its name. Pure.
"""

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.core.question import Question, default_in
from orchestrator.core.task import FileStamp, Task
from orchestrator.core.text import printable

SUFFIX = ".question.md"
LATE = ".late.md"
_MARK = re.compile(r"<!--\s*question ([0-9a-f]{8}\.[0-9]+)\b")
_HEADING = re.compile(r"#{1,6}\s*answer\s*:?\s*#*\s*\Z", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


class WaitingFiles(Protocol):
    """The folder `tasks/waiting/`. Names are those of files in it. Raises OSError when the disk refuses."""

    async def scan(self) -> Mapping[str, FileStamp]:
        """Return the regular files that end in SUFFIX, each with how it looks. A folder that is missing is empty."""
        ...

    async def conflicts(self) -> Sequence[str]:
        """Return the names by which sync tools leave a second version of such a file: nobody's answer is read there."""
        ...

    async def read(self, name: str) -> bytes | None:
        """Return the whole of a file that nobody is writing; None while somebody does, and when it cannot be read."""
        ...

    async def create(self, name: str, text: bytes) -> bool:
        """Create a file, all of it at once; False, with nothing changed, when there is one."""
        ...

    async def remove(self, name: str, seen: FileStamp) -> bool:
        """Remove a file that still looks as *seen*; False when it does not, or is gone."""
        ...

    async def set_aside(self, name: str) -> str:
        """Give a file another name, so that it is looked at no more. Returns the new one, "" when it is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What a file says: *answer* "" for nothing yet. *mark* "" where its first line was deleted.

    *trouble* is why it cannot be understood, "" where it can.
    """

    mark: str
    answer: str
    trouble: str = ""


def mark_of(task: Task) -> str:
    """Return by what a file names the question that *task* asks now."""
    return f"{task.uid[-8:]}.{task.attempt}"


def question_text(task: Task, question: Question, *, if_unanswered: str, asked: str, until: str, command: str) -> str:
    """Return the file for a question. *asked* and *until* are times as people read them, *until* "" for no end."""
    name = printable(task.name)
    lines = [f"<!-- question {mark_of(task)} - leave this line as it is -->", "", f"# {name} asks", ""]
    lines += [f"> {printable(line)}".rstrip() for line in question.text.splitlines()]
    lines += ["", *(f"{number}. {printable(one)}" for number, one in enumerate(question.options, start=1))]
    lines += [""] if question.options else []
    lines += [f"Asked {asked}. {_without(if_unanswered, until)}", ""]
    lines += ["Write the answer at the end of this file and save it; the task then goes on in the same conversation."]
    lines += ["The number of an option will do."] if question.options else []
    lines += [f"The same by a command: `{command} answer {name} 'TEXT'`", "", "## Answer", "", ""]
    return "\n".join(lines)


def _without(if_unanswered: str, until: str) -> str:
    if not until:
        return "It waits until it is answered or cancelled."
    default = " ".join(printable(default_in(if_unanswered)).split())
    return f"Without an answer until {until} it {f'goes on with: {default}' if default else 'fails.'}"


def reply_in(data: bytes) -> Reply:
    """Return what the bytes of a question's file say."""
    if (text := _decoded(data)) is None:
        return Reply("", "", "it is not text in UTF-8")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = _MARK.search(text)
    headings = [number for number, line in enumerate(lines) if _HEADING.match(line.strip())]
    if not headings:
        return Reply(found[1] if found else "", "", "it has no heading `## Answer`" if text.strip() else "")
    answer = _COMMENT.sub("", "\n".join(lines[headings[0] + 1 :])).strip()
    return Reply(found[1] if found else "", answer)


def _decoded(data: bytes) -> str | None:
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as some editors of Windows save
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        return None
