"""Checks that need no program: a file is there, holds a text, or a JSON value. The daemon looks itself.

No link is followed on the way, not the last part either: what somebody else wrote there must not lead the daemon
out of the folder. Nothing is read that is no regular file, and no more than a limit.
"""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from orchestrator.bridges.files import look, open_below, open_folder, opened, read_regular
from orchestrator.core.criteria import json_value, pointer_parts
from orchestrator.core.events import Json
from orchestrator.core.proof import CheckKind, CheckRun, CheckSpec
from orchestrator.core.text import printable

MAX_BYTES = 16 << 20
SHOWN = 200
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EILSEQ})
_ABSENT = object()


def look_at(check: CheckSpec, folder: Path, *, inside: str, commit: str, max_bytes: int = MAX_BYTES) -> CheckRun:
    """Return what came of *check*, one of a file, whose path counts from *inside*, a folder relative to *folder*.

    *passed* is None where the disk refuses to tell.
    """
    try:
        passed, detail = _looked(check, folder, PurePosixPath(inside, check.path), max_bytes)
    except OSError as error:
        passed, detail = None, f"{printable(check.path)} cannot be looked at: {error.strerror or error}"
    return CheckRun(passed, commit, detail=detail, confinement="looked at by the daemon")


def _looked(check: CheckSpec, folder: Path, path: PurePosixPath, max_bytes: int) -> tuple[bool | None, str]:
    shown = printable(check.path)
    parts = path.parts
    if not parts or path.is_absolute() or ".." in parts:
        return False, f"{shown} is no path in the work area"
    with opened(open_folder(folder)) as top:
        try:
            at = _folder_of(top, parts[:-1])
        except OSError as error:
            return _missing(error, f"{shown} is not there: a folder on the way is missing, or a link")
        with opened(at):
            try:
                mode = look(at, parts[-1]).st_mode
            except OSError as error:
                return _missing(error, f"{shown} is not there")
            if stat.S_ISLNK(mode):
                return False, f"{shown} is a symbolic link, and links are not followed"
            if check.kind is CheckKind.FILE_EXISTS:
                there = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
                return there, f"{shown} is there" if there else f"{shown} is neither a file nor a folder"
            data = read_regular(at, parts[-1], limit=max_bytes) if stat.S_ISREG(mode) else None
    if data is None:
        return False, f"{shown} is not a file"
    if len(data) > max_bytes:
        return None, f"{shown} has more than {max_bytes:,} bytes and was not read"
    return _holds(check, shown, data) if check.kind is CheckKind.FILE_CONTAINS else _equals(check, shown, data)


def _folder_of(top: int, parts: Sequence[str]) -> int:
    """Return a new descriptor of the folder that *parts* lead to from *top*. Raises OSError, also for a link."""
    fd = os.dup(top)
    for part in parts:
        try:
            inner = open_below(fd, part)
        finally:
            os.close(fd)
        fd = inner
    return fd


def _missing(error: OSError, words: str) -> tuple[bool, str]:
    if error.errno not in _NOT_THERE:
        raise error
    return False, words


def _holds(check: CheckSpec, shown: str, data: bytes) -> tuple[bool, str]:
    if check.expected.encode() in data:
        return True, f"{shown} contains it"
    return False, f"{shown}, {len(data):,} bytes, does not contain it"


def _equals(check: CheckSpec, shown: str, data: bytes) -> tuple[bool, str]:
    try:
        found = _at(json_value(data), check.pointer)
    except ValueError as error:
        return False, f"{shown} is not JSON: {printable(str(error))[:SHOWN]}"
    where = f"{shown} {printable(check.pointer)}".strip()
    if found is _ABSENT:
        return False, f"{where} is not there"
    try:
        same = _same(found, json_value(check.expected))
        told = printable(repr(found))[:SHOWN]
    except RecursionError:
        return False, f"{where} is nested too deeply"
    return same, f"{where} is {told}"


def _at(value: Json, pointer: str) -> object:
    found: object = value
    for part in pointer_parts(pointer):
        if isinstance(found, dict):
            found = found.get(part, _ABSENT)
        elif isinstance(found, list):
            number = part.isascii() and part.isdigit() and (part == "0" or part[0] != "0") and len(part) < 10
            found = found[int(part)] if number and int(part) < len(found) else _ABSENT
        else:
            return _ABSENT
    return found


def _same(one: object, other: object) -> bool:
    """Return whether two values are equal as JSON: 1 is 1.0, and neither is true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other
