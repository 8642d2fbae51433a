"""The types of settings: what a value has to be, and the words it is refused with."""

import ntpath
import posixpath
import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from orchestrator.core.attempt import FailureKind
from orchestrator.core.question import rule_in, seconds_in
from orchestrator.core.remedies import ErrorClass

MAX_TIMEOUT_S = 7 * 86_400


def comma_list(value: object) -> object:
    """Let `1, 2` mean the list that YAML writes as [1, 2]."""
    if isinstance(value, str):
        return [piece.strip() for piece in re.split("[,;]", value) if piece.strip()]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number, not true or false")  # noqa: TRY004 - pydantic collects ValueError only
    return value


def _absolute(value: str) -> str:
    """Return *value* without `.`, `..` and doubled separators, in the style it was written in."""
    if any(ord(character) < 32 for character in value):
        raise ValueError(
            "a path without control characters; in .env write a Windows path without quotes or in single quotes"
        )
    if value.startswith("~"):
        raise ValueError("the full path: ~ is not expanded here")
    if PurePosixPath(value).is_absolute():
        return posixpath.normpath(value)
    if PureWindowsPath(value).is_absolute():
        return ntpath.normpath(value)
    raise ValueError("an absolute path")


def _in_home_or_absolute(value: str) -> str:
    if not value.startswith("~/"):
        return _absolute(value)
    if ".." in value.split("/"):
        raise ValueError("a path without ..")
    return value.rstrip("/")


def _branch(value: str) -> str:
    if value.count("{name}") != 1 or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/{}-]*", value):
        raise ValueError("a branch of letters, digits, `.`, `_`, `-` and `/` with {name} in it once")
    plain = value.replace("{name}", "x")
    if re.search(r"[{}]|\.\.|//|/\.|\.lock(/|$)|[./]$", plain):
        raise ValueError("a name that git accepts for a branch")
    return value


def _within(value: str) -> str:
    parts = value.replace("\\", "/").split("/")
    if not value or value.startswith(("/", "~")) or ":" in value or ".." in parts or parts[0] == ".git":
        raise ValueError("a path within the repository")
    return posixpath.normpath(value)


def _pattern(value: str) -> str:
    try:
        re.compile(value, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"a regular expression: {error}") from None
    return value


def named_strategy(value: object) -> object:
    """Let `backoff` mean {use: backoff}."""
    return {"use": value} if isinstance(value, str) else value


def _recovery_key(value: str) -> str:
    if value not in [*(one.value for one in ErrorClass), *(one.value for one in FailureKind)]:
        raise ValueError("a kind of failure or a class of errors")
    return value


def _seconds(value: object) -> object:
    """Let `2h` mean 7200."""
    return seconds_in(value) if isinstance(value, str) else _no_boolean(value)


def at_most_days(days: int) -> AfterValidator:
    """Return what refuses a time of more than *days*, in the unit that people write."""

    def check(value: float) -> float:
        if value > days * 86_400:
            raise ValueError(f"at most {days}d")
        return value

    return AfterValidator(check)


Number = BeforeValidator(_no_boolean)
Count = Annotated[int, Number, Field(ge=0)]
Seconds = Annotated[float, Number, Field(ge=0, le=MAX_TIMEOUT_S, allow_inf_nan=False)]
Bytes = Annotated[int, Number, Field(ge=1024)]
Dollars = Annotated[float, Number, Field(ge=0, allow_inf_nan=False)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
SeenPath = Annotated[str, AfterValidator(_in_home_or_absolute)]
Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]
BranchPattern = Annotated[str, AfterValidator(_branch)]
PathWithin = Annotated[str, AfterValidator(_within)]
TypeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Door = Literal["folder", "cli", "http", "mcp", "telegram"]
Commands = tuple[Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)], ...]
PluginName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
RecoveryKey = Annotated[str, AfterValidator(_recovery_key)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
UnansweredRule = Annotated[str, AfterValidator(rule_in)]
Duration = Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False), at_most_days(366)]


class Group(BaseModel):
    """A group of settings: frozen, and strange keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
