"""Facts as JSON and back, for the store, the attempt folder and the event log.

Reading is strict about types and tolerant about keys: a key this release does not know is passed over, a key
that is missing takes the dataclass's default, so that neighbouring releases read each other's facts. The one
name that differs from the dataclass: an outcome carries its class under `kind`, so the kind of a failure is
under `failure`.
"""

import json
import math
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from itertools import islice
from typing import Any, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from orchestrator.core.attempt import Failed, Finished, Interrupted, Outcome, WorkOrder
from orchestrator.core.events import Json
from orchestrator.core.job import Job
from orchestrator.core.notes import NoteGiven
from orchestrator.core.task import TaskSpec

EVENT_DATA_BYTES = 64 * 1024

_OUTCOMES: Mapping[str, Any] = {"finished": Finished, "failed": Failed, "interrupted": Interrupted}
_KINDS = {kind: tag for tag, kind in _OUTCOMES.items()}
_PLAIN = frozenset({str, int, bool})
_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode
_Reader: TypeAlias = Callable[[Json, str], Any]
_T = TypeVar("_T")


def to_json(value: object) -> Json:
    """Return *value* as plain dicts, lists and scalars. A float JSON has no word for (NaN, infinity) becomes None.

    Takes the dataclasses of core, enums, datetimes, mappings, sequences and scalars; raises TypeError otherwise.
    """
    if value is None or type(value) in _PLAIN:  # the commonest first: every accepted task passes here
        return cast("Json", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Enum):
        return cast("Json", value.value)
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return _facts(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [to_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _facts(value: Any) -> dict[str, Json]:
    kind: Any = type(value)
    found: dict[str, Json] = {"kind": _KINDS[kind]} if kind in _KINDS else {}
    for name, key in _keys(kind):
        found[key] = to_json(getattr(value, name))
    return found


@cache
def _keys(kind: Any) -> Sequence[tuple[str, str]]:
    return [(each.name, _key(each, tagged=kind in _KINDS)) for each in fields(kind)]


def _key(each: Field[Any], *, tagged: bool) -> str:
    return "failure" if tagged and each.name == "kind" else each.name


def spec_from_json(value: Json) -> TaskSpec:
    """Return the TaskSpec that `to_json` wrote. Raises ValueError, naming the key, for a value of another type."""
    return cast("TaskSpec", _dataclass(TaskSpec)(value, "spec"))


def job_from_json(value: Json) -> Job:
    """Return the Job that `to_json` wrote. Raises ValueError like `spec_from_json`."""
    return cast("Job", _dataclass(Job)(value, "job"))


def order_from_json(value: Json) -> WorkOrder:
    """Return the WorkOrder that `to_json` wrote. Raises ValueError like `spec_from_json`."""
    return cast("WorkOrder", _dataclass(WorkOrder)(value, "order"))


def notes_from_json(value: Json) -> tuple[NoteGiven, ...]:
    """Return the notes that `to_json` wrote. Raises ValueError like `spec_from_json`."""
    return cast("tuple[NoteGiven, ...]", _tuple(_dataclass(NoteGiven))(value, "notes"))


def outcome_from_json(value: Json) -> Outcome:
    """Return the Outcome that `to_json` wrote. Raises ValueError like `spec_from_json`, also for an unknown kind."""
    if not isinstance(value, Mapping):
        raise _wrong("outcome", "an object", value)
    tag = value.get("kind")
    if not isinstance(tag, str) or tag not in _OUTCOMES:
        raise _wrong("outcome.kind", f"one of {', '.join(_OUTCOMES)}", tag)
    return cast("Outcome", _dataclass(_OUTCOMES[tag], tagged=True)(value, "outcome"))


def text(value: object) -> str:
    """Return *value* as compact JSON text in ASCII, so that any character survives any encoding."""
    if isinstance(value, dict):  # almost always plain already, as the data of events are
        with suppress(TypeError, ValueError):
            return _encode(value)
    return _encode(to_json(value))


def event_text(data: Mapping[str, Json]) -> str:
    """Return the data of an event as JSON text of at most EVENT_DATA_BYTES.

    What is too large keeps its shape and its first keys; strings and lists are cut, ever shorter until it
    fits, and `truncated` is true.
    """
    whole = text(data)
    longest, entries = 8192, 256
    while len(whole) > EVENT_DATA_BYTES:
        cut = {key: _cut(value, longest, entries) for key, value in islice(data.items(), entries)}
        whole = text({**cut, "truncated": True})
        longest, entries = longest // 2, entries // 2
    return whole


def _cut(value: Json, longest: int, entries: int) -> Json:
    if isinstance(value, str):
        return value if len(value) <= longest else value[:longest] + "…"
    if isinstance(value, Mapping):
        return {key[:longest]: _cut(item, longest, entries) for key, item in islice(value.items(), entries)}
    if isinstance(value, Sequence):
        return [_cut(item, longest, entries) for item in value[:entries]]
    return value


@cache
def _dataclass(kind: Any, *, tagged: bool = False) -> _Reader:
    hints = get_type_hints(kind)
    known = [(each, _key(each, tagged=tagged), _reader(hints[each.name])) for each in fields(kind)]

    def read(value: Json, where: str) -> object:
        if not isinstance(value, Mapping):
            raise _wrong(where, "an object", value)
        given: dict[str, object] = {}
        for each, key, reader in known:
            item = value.get(key)
            if item is None and not _optional(hints[each.name]):
                if each.default is MISSING and each.default_factory is MISSING:
                    raise ValueError(f"{where}.{key} is missing")
            elif key in value:
                given[each.name] = reader(item, f"{where}.{key}")
        return kind(**given)

    return read


@cache
def _optional(hint: object) -> bool:
    return type(None) in get_args(hint)


@cache
def _reader(hint: Any) -> _Reader:
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass(cast("Any", hint))
    if (origin := get_origin(hint)) in (Union, types.UnionType):
        (inner,) = (arg for arg in get_args(hint) if arg is not type(None))
        read = _reader(inner)
        return lambda value, where: None if value is None else read(value, where)
    if origin is tuple:
        return _tuple(_reader(get_args(hint)[0]))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(_reader(get_args(hint)[1]))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum(hint)
    return _SCALARS[getattr(hint, "__supertype__", hint)]


def _tuple(item: _Reader) -> _Reader:
    def read(value: Json, where: str) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise _wrong(where, "a list", value)
        return tuple(item(each, f"{where}[{n}]") for n, each in enumerate(value))

    return read


def _mapping(item: _Reader) -> _Reader:
    def read(value: Json, where: str) -> dict[str, object]:
        if not isinstance(value, Mapping):
            raise _wrong(where, "an object", value)
        return {key: item(each, f"{where}.{key}") for key, each in value.items()}

    return read


def _enum(kind: type[Enum]) -> _Reader:
    def read(value: Json, where: str) -> Enum:
        try:
            return kind(value)
        except ValueError:
            raise _wrong(where, f"one of {', '.join(str(each.value) for each in kind)}", value) from None

    return read


def _scalar(kind: type[_T], noun: str) -> _Reader:
    def read(value: Json, where: str) -> _T:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _wrong(where, noun, value)
        return value

    return read


def _float(value: Json, where: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _wrong(where, "a number", value)
    try:
        return float(value)
    except OverflowError:
        raise _wrong(where, "a number of this size", value) from None


def _datetime(value: Json, where: str) -> datetime:
    try:
        return datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise _wrong(where, "a date and time", value) from None


def _wrong(where: str, wanted: str, value: Json) -> ValueError:
    return ValueError(f"{where} is not {wanted} but {value!r:.60}")


_SCALARS: Mapping[object, _Reader] = {
    str: _scalar(str, "text"),
    int: _scalar(int, "a whole number"),
    bool: _scalar(bool, "true or false"),
    float: _float,
    datetime: _datetime,
}
