"""What an agent asks in the middle of a task, and what follows when nobody answers.

`wait` waits for ever. `skip` fails the task when its time is over, `default: TEXT` answers with TEXT then. Without any
time both do so at once.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.events import Json

ANSWERED = "answered"  # the reason of a task that is queued again with an answer
PERSON, BY_DEFAULT = "person", "default"
WAIT, SKIP, DEFAULT = "wait", "skip", "default:"
ANSWER_CHARS = 32_000
MAX_DEFAULTS = 3  # answers that nobody gave: an agent that goes on asking is not paid for ever
MAX_OPTIONS = 10
_TEXT_CHARS, _OPTION_CHARS = 4000, 300
_DURATION = re.compile(r"([0-9]{1,6})\s*(s|sec|m|min|h|d)?\Z")
_UNITS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_BESIDE = frozenset({"question", "options", "needs_input", "status", "why", "reason", "context", "kind", "type"})


class Source(StrEnum):
    """By what a question was recognised, what says most first."""

    DENIAL = "denial"  # it was denied what it needed
    TOOL = "tool"  # it called a tool that asks, and did nothing more
    SCHEMA = "schema"  # its structured result is a question
    CONFLICT = "conflict"  # results of several tasks do not fit together, and it did not make one of them
    TEXT = "text"  # the words at the end of its answer
    PLAN = "plan"  # the daemon itself asks whether a plan may run


@dataclass(frozen=True, slots=True)
class Question:
    """*text* in the agent's own words; *options* are the answers that it offers, often none."""

    text: str
    options: tuple[str, ...] = ()
    source: Source = Source.TEXT


@dataclass(frozen=True, slots=True)
class QuestionRules:
    """What follows without an answer: see the head of this module. *answer_within_s* 0: no time is given."""

    if_unanswered: str = WAIT
    answer_within_s: float = 0.0

    @property
    def waits(self) -> bool:
        """Whether a task waits at all, be it for a time."""
        return self.if_unanswered == WAIT or self.answer_within_s > 0

    @property
    def default(self) -> str:
        """The answer that is given without a person, "" for none."""
        return default_in(self.if_unanswered)

    def deadline(self, now: float) -> float:
        """Return when the waiting is over, in seconds since the epoch; 0.0: never."""
        return 0.0 if self.if_unanswered == WAIT else now + self.answer_within_s


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question of an earlier attempt, and the answer."""

    question: str
    answer: str


def default_in(words: str) -> str:
    """Return TEXT of `default: TEXT`, "" for other words."""
    return words[len(DEFAULT) :].strip() if words.lower().startswith(DEFAULT) else ""


def rule_in(words: str) -> str:
    """Return *words* as `wait`, `skip` or `default: TEXT`. Raises ValueError for anything else."""
    plain = words.strip()
    if plain.lower() in (WAIT, SKIP):
        return plain.lower()
    if (text := default_in(plain)) and len(text) <= ANSWER_CHARS:
        return f"{DEFAULT} {text}"
    raise ValueError("wait, skip, or default: and the answer to give")


def seconds_in(words: str) -> float:
    """Return the seconds of 90s, 30m, 2h, 1d or a plain number of them. Raises ValueError for anything else."""
    if (found := _DURATION.match(words.strip().lower())) is None:
        raise ValueError("a time such as 30m, 2h or 1d")
    return float(int(found[1]) * _UNITS[found[2] or ""])


def chosen(answer: str, options: Sequence[str]) -> str:
    """Return the option whose number *answer* is, counted from 1; else *answer* without blanks around it."""
    plain = answer.strip()
    number = plain.rstrip(".)")
    if number.isascii() and number.isdigit() and len(number) < 4 and 1 <= int(number) <= len(options):
        return options[int(number) - 1]
    return plain


def bounded(text: str, options: Sequence[str], source: Source) -> Question | None:
    """Return the question of *text*, cut to what people read; None where it has no word."""
    plain = text.strip()
    if not any(character.isalnum() for character in plain):
        return None
    cut = plain if len(plain) <= _TEXT_CHARS else f"{plain[: _TEXT_CHARS - 1]}…"
    offered = (" ".join(option.split())[:_OPTION_CHARS] for option in options)
    return Question(cut, tuple(dict.fromkeys(one for one in offered if one))[:MAX_OPTIONS], source)


def asked_by_tool(arguments: Mapping[str, Json]) -> Question | None:
    """Return what a call of a tool that asks says; None where no question is found in its arguments.

    Of several questions at once each is in the text, and only those of one are options.
    """
    asked = [one for one in _rows(arguments.get("questions")) if isinstance(one.get("question"), str)]
    if not asked:
        words = next((arguments[key] for key in ("question", "prompt", "message") if arguments.get(key)), "")
        return bounded(str(words), _options(arguments.get("options")), Source.TOOL)
    if len(asked) == 1:
        return bounded(str(asked[0]["question"]), _options(asked[0].get("options")), Source.TOOL)
    lines = []
    for number, one in enumerate(asked, start=1):
        offered = ", ".join(_options(one.get("options")))
        lines.append(f"{number}. {one['question']}{f' ({offered})' if offered else ''}")
    return bounded("\n".join(lines), (), Source.TOOL)


def asked_in_result(value: Json) -> Question | None:
    """Return the question that a structured result is; None where it holds anything else beside it."""
    if not isinstance(value, Mapping) or not isinstance(value.get("question"), str):
        return None
    if any(item for key, item in value.items() if key.lower() not in _BESIDE):
        return None
    return bounded(str(value["question"]), _options(value.get("options")), Source.SCHEMA)


def exchange_in(verdict: Mapping[str, Json]) -> Exchange | None:
    """Return question and answer of an attempt by its stored verdict; None where it asked nothing or waits still."""
    question, answered = verdict.get("question"), verdict.get("answered")
    if not isinstance(question, Mapping) or not isinstance(answered, Mapping):
        return None
    return Exchange(str(question.get("question", "")), str(answered.get("answer", "")))


def question_in(verdict: Mapping[str, Json]) -> Question | None:
    """Return what an attempt asked by its stored verdict, answered or not."""
    told = verdict.get("question")
    if not isinstance(told, Mapping) or not isinstance(told.get("question"), str):
        return None
    source = str(told.get("source", ""))
    known = Source(source) if source in list(Source) else Source.TEXT
    return Question(str(told["question"]), _options(told.get("options")), known)


def by_default(verdict: Mapping[str, Json]) -> bool:
    """Return whether the question of an attempt was answered by nobody."""
    answered = verdict.get("answered")
    return isinstance(answered, Mapping) and answered.get("by") == BY_DEFAULT


def _options(value: Json) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    words = (one.get("label") or one.get("value") if isinstance(one, Mapping) else one for one in value)
    return tuple(word for word in words if isinstance(word, str) and word.strip())


def _rows(value: Json) -> list[Mapping[str, Json]]:
    found = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [one for one in found if isinstance(one, Mapping)]
