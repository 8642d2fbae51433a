"""What `doctor` says about one thing it looked at."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How it stands. Only FAIL keeps the program from working."""

    PASS = "pass"  # noqa: S105 - not a password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. *fix* is what to do, a command where there is one; "" when there is nothing to do."""

    group: str
    name: str
    level: Level
    message: str
    fix: str = ""


def passed(group: str, name: str, message: str) -> Finding:
    return Finding(group, name, Level.PASS, message)


def warned(group: str, name: str, message: str, fix: str) -> Finding:
    return Finding(group, name, Level.WARN, message, fix)


def failed(group: str, name: str, message: str, fix: str) -> Finding:
    return Finding(group, name, Level.FAIL, message, fix)
