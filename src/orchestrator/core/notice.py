"""What a person is told without having asked: notices, and the words a sink answers with.

A notice is plain text throughout, free of secrets and of control characters: a sink that writes markup escapes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.events import Json, TaskUid

_NO_TASK = TaskUid("")


class NoticeKind(StrEnum):
    """Why a person is told. A sink is configured with the kinds it gets."""

    NEEDS_YOU = "needs_you"  # nothing goes on without a person
    FAILED = "failed"  # a task ended without success, or its file was refused
    BATCH_FINISHED = "batch_finished"  # nothing waits or runs any more
    SUCCEEDED = "succeeded"  # a task ended well
    LIMITED = "limited"  # held for a while; goes on by itself


class Act(StrEnum):
    """What a button does; the same words as the commands."""

    ANSWER = "answer"
    ACCEPT = "accept"
    MERGE = "merge"
    DISCARD = "discard"
    RETRY = "retry"
    CANCEL = "cancel"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Button:
    """What a sink with buttons may offer. *text*: the answer of `answer`, what `resume` resumes, else ""."""

    act: Act
    label: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A long text, as a file to go with the message. *name* is a plain file name."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. *key* names it within its root: what has the same key is told once to each sink.

    *title* is one line. *text* is what happened and the first lines of the summary, at most TEXT_CHARS. *commands* are
    complete lines to type. *buttons* speak of the task *uid*, whose name is *name*; both are "" where it is about no
    task. *ts* is when it happened, in seconds since the epoch.
    """

    key: str
    kind: NoticeKind
    title: str
    text: str
    ts: float
    commands: tuple[str, ...] = ()
    buttons: tuple[Button, ...] = ()
    document: Document | None = None
    uid: TaskUid = _NO_TASK
    name: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notice on its way to one sink.

    *id* is the same in every try, and unlike that of any other message of any root: for far sides that know a repeat
    by it. *again*: an earlier try may have arrived; a sink whose far side knows no repeats says so in the message.
    """

    notice: Notice
    id: str
    tries: int = 1
    again: bool = False


class NotSent(Exception):  # noqa: N818 - an answer, not an error of ours
    """A message was not sent, as far as the sink knows. The words carry no secret.

    *retry_after_s*: the far side asked for that long a wait (0: it said nothing). *final*: this message will never be
    taken, the next one may be. *unsure*: it may have arrived nevertheless (the answer was lost).
    """

    def __init__(self, why: str, *, retry_after_s: float = 0.0, final: bool = False, unsure: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.retry_after_s = retry_after_s
        self.final = final
        self.unsure = unsure


TEXT_CHARS = 1500
DOCUMENT_CHARS = 200_000


def notice_json(notice: Notice) -> dict[str, Json]:
    """Return *notice* as it is stored and sent."""
    document = notice.document
    return {
        "key": notice.key,
        "kind": notice.kind.value,
        "title": notice.title,
        "text": notice.text,
        "ts": notice.ts,
        "commands": list(notice.commands),
        "buttons": [{"act": one.act.value, "label": one.label, "text": one.text} for one in notice.buttons],
        "document": {"name": document.name, "text": document.text} if document else None,
        "uid": notice.uid,
        "name": notice.name,
    }


def notice_of(value: Json) -> Notice:
    """Undo `notice_json`. Raises ValueError where it is none; a button of another release is left out."""
    try:
        return _notice(value)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no notice: {error!r}") from None


def _notice(value: Json) -> Notice:
    if not isinstance(value, Mapping):
        raise TypeError(type(value).__name__)
    document, ts = value.get("document"), value["ts"]
    if not isinstance(ts, (int, float)):
        raise TypeError("ts")
    return Notice(
        key=str(value["key"]),
        kind=NoticeKind(str(value["kind"])),
        title=str(value["title"]),
        text=str(value["text"]),
        ts=float(ts),
        commands=tuple(str(one) for one in _list(value.get("commands"))),
        buttons=tuple(
            Button(Act(str(one["act"])), str(one["label"]), str(one["text"]))
            for one in _list(value.get("buttons"))
            if isinstance(one, Mapping) and one["act"] in list(Act)
        ),
        document=Document(str(document["name"]), str(document["text"])) if isinstance(document, Mapping) else None,
        uid=TaskUid(str(value.get("uid", ""))),
        name=str(value.get("name", "")),
    )


def _list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, (list, tuple)) else []
