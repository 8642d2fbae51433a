"""The fields of a task file that say when: `after`, `schedule`, `timezone`, `deadline`.

They are kept as written. Which moment they mean is reckoned when the task is taken in.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from orchestrator.core.errors import TaskFileError
from orchestrator.core.moment import is_relative, moment_of, moment_words
from orchestrator.core.schedule import cron_words
from orchestrator.core.task import Notice
from orchestrator.core.zones import zone_named

Read = tuple[Any, tuple[Notice, ...]]
TIMES = ("after", "schedule", "timezone", "deadline")


class Given(Protocol):
    """What is needed of a value that is about to be read."""

    @property
    def key(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def shown(self) -> str: ...

    def fault(self, reason: str, message: str, *, expected: str = "", hint: str = "") -> TaskFileError: ...


def moment_field(given: Given) -> Read:
    """Read `after` or `deadline`. Raises after_invalid, deadline_invalid."""
    return _kept(given, moment_words, "is no point in time")


def schedule_field(given: Given) -> Read:
    """Read `schedule`. Raises schedule_invalid."""
    return _kept(given, cron_words, "is no schedule")


def timezone_field(given: Given) -> Read:
    """Read `timezone`. Raises timezone_invalid."""

    def known(text: str) -> str:
        zone_named(text)
        return text

    return _kept(given, known, "is no time zone")


def _kept(given: Given, read: Callable[[str], str], what: str) -> Read:
    try:
        return read(given.text), ()
    except ValueError as error:
        message = f"`{given.key}`: {given.shown} {what}"
        raise given.fault(f"{given.key}_invalid", message, expected=str(error)) from None


def deadline_conflict(values: Mapping[str, Any]) -> str:
    """Return what is wrong with a deadline among the other *values* of its task, "" when nothing is."""
    after, deadline = str(values.get("after", "")), str(values.get("deadline", ""))
    if values.get("schedule") and deadline and not is_relative(deadline):
        return "a schedule makes many runs, and one date can be the deadline of none but one"
    if not after or not deadline or is_relative(after) or is_relative(deadline):
        return ""
    zone = zone_named(str(values.get("timezone", "")))
    begins, ends = moment_of(after, now=0.0, zone=zone), moment_of(deadline, now=0.0, zone=zone, last=True)
    return "" if begins < ends else "the deadline is no later than the time before which the task does not start"
