"""Writing and moving files so that a crash at any instant leaves the old or the new, never half and never neither.

Every path is a name relative to an open folder, and no link is followed on the way: nobody can redirect a write
by exchanging a folder. Every return value of the system is checked. Names are bytes to the system; here they are
`str` with undecodable bytes as surrogates.
"""

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from orchestrator.core.failpoint import hit
from orchestrator.core.ports import TargetFact
from orchestrator.core.shortage import UnsyncedError

NAME_BYTES = 255
TEMPORARY = ".tmp-"

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
_RENAME_NOREPLACE = 1
MANY_NAMES = 16  # from here on one sync of the whole file system costs less than one for each file
_TO_SYNC = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone leaves data in the drive's cache


@contextlib.contextmanager
def opened(fd: int) -> Iterator[int]:
    """Close *fd* at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)


def open_folder(path: Path) -> int:
    """Open a folder that the configuration names; links are followed. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_below(folder_fd: int, name: str, *, create: bool = False) -> int:
    """Open the folder *name* inside an open folder, following no link. Raises OSError."""
    if create:
        try:
            os.mkdir(name, 0o700, dir_fd=folder_fd)
        except FileExistsError:
            pass
        else:
            sync_folder(folder_fd)
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)


_refused = ""


def refused() -> str:
    """Return what the disk has refused to sync since this process began, in words; "" for nothing.

    The kernel tells of a lost write once, to whoever syncs first, and the next sync of the same file succeeds though
    the bytes are gone. So whoever that was may try again or go on: it is remembered here, and the daemon stops.
    """
    return _refused


@contextlib.contextmanager
def _remembered(what: str) -> Iterator[None]:
    global _refused
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        words = f"{what} could not be synced: {error.strerror}"
        _refused = _refused or words
        raise UnsyncedError(error.errno, words) from error


def sync_file(fd: int) -> None:
    """Bring written bytes to the disk itself. An I/O error is an UnsyncedError, and remembered: see `refused`."""
    with _remembered("a file"):
        hit("files.sync")
        if _FULL_SYNC is not None:
            try:
                fcntl.fcntl(fd, _FULL_SYNC)
            except OSError:
                os.fsync(fd)  # the file system does not know the stronger one
        else:
            os.fsync(fd)


def sync_folder(folder_fd: int) -> None:
    """Bring created, renamed and removed names to the disk. File systems without such a notion are let off."""
    try:
        with _remembered("a folder"):
            hit("files.folder")
            os.fsync(folder_fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise


def sync_names(folder_fd: int, names: Sequence[str]) -> None:
    """Bring files of an open folder to the disk, whoever wrote them: their bytes and their names.

    Many are brought there by one call that takes the whole file system along, where there is such a call. What is
    gone meanwhile is left out. Raises OSError when the disk refuses.
    """
    if len(names) < MANY_NAMES or not _file_system_synced(folder_fd):
        for name in names:
            with contextlib.suppress(FileNotFoundError), opened(os.open(name, _TO_SYNC, dir_fd=folder_fd)) as fd:
                sync_file(fd)
        sync_folder(folder_fd)


def _file_system_synced(fd: int) -> bool:
    if (call := _from_libc("syncfs")) is None:
        return False
    with _remembered("a folder"):
        if call(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    return True


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data*. Raises OSError, also when the system takes nothing more without saying why."""
    rest = memoryview(data)
    while rest:
        if (count := os.write(fd, rest)) <= 0:
            raise OSError(errno.EIO, "the system wrote nothing")
        rest = rest[count:]


def atomic_write(folder_fd: int, name: str, data: bytes) -> None:
    """Write *name* so that readers see the old content or all of the new, also after a power cut."""
    _through_temporary(folder_fd, data, lambda temporary: _replace(folder_fd, temporary, name))


def create_new(folder_fd: int, name: str, data: bytes) -> None:
    """Create *name* with all of *data* at once. Raises FileExistsError, with nothing changed, if it is there."""
    _through_temporary(folder_fd, data, lambda temporary: rename_new(folder_fd, temporary, folder_fd, name))


def _replace(folder_fd: int, temporary: str, name: str) -> None:
    os.rename(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    hit("files.replaced")
    sync_folder(folder_fd)


def _through_temporary(folder_fd: int, data: bytes, publish: Callable[[str], None]) -> None:
    temporary = f"{TEMPORARY}{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=folder_fd)
    try:
        with opened(fd):
            write_all(fd, data)
            sync_file(fd)
        hit("files.temporary")
        publish(temporary)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder_fd)
        raise


def rename_new(from_fd: int, name: str, to_fd: int, new_name: str) -> None:
    """Move a file (or the link itself) and bring both folders to the disk. Never replaces anything.

    A move that a power cut left half done, one file with both names, is brought to its end. Raises FileExistsError if
    *new_name* is taken, FileNotFoundError if *name* is gone.
    """
    try:
        if not _renamed_by_kernel(from_fd, name, to_fd, new_name):
            _rename_by_link(from_fd, name, to_fd, new_name)
    except FileExistsError:
        if not _is_half_moved(from_fd, name, to_fd, new_name):
            raise
        os.unlink(name, dir_fd=from_fd)
    hit("files.renamed")
    sync_folder(to_fd)
    if from_fd != to_fd:
        sync_folder(from_fd)


def _is_half_moved(from_fd: int, name: str, to_fd: int, new_name: str) -> bool:
    """Whether both are names of one file: some file systems bring a new name to the disk before the old one is gone."""
    try:
        one = os.stat(name, dir_fd=from_fd, follow_symlinks=False)
        other = os.stat(new_name, dir_fd=to_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(one, other) and one.st_nlink == 2  # not one name in two spellings


@functools.cache
def _from_libc(name: str) -> Callable[..., int] | None:
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    return found


def _renameat2() -> Callable[..., int] | None:
    return _from_libc("renameat2")


def _renamed_by_kernel(from_fd: int, name: str, to_fd: int, new_name: str) -> bool:
    if (call := _renameat2()) is None:
        return False
    if call(from_fd, os.fsencode(name), to_fd, os.fsencode(new_name), _RENAME_NOREPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS):  # this file system cannot
        return False
    raise OSError(code, os.strerror(code), name, None, new_name)


def _rename_by_link(from_fd: int, name: str, to_fd: int, new_name: str) -> None:
    try:
        os.link(name, new_name, src_dir_fd=from_fd, dst_dir_fd=to_fd, follow_symlinks=False)
    except FileExistsError:
        if not os.path.samestat(look(from_fd, name), look(to_fd, new_name)):
            raise  # otherwise we were interrupted between the two steps
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if exists(to_fd, new_name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new_name) from None
        os.rename(name, new_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)
        return
    os.unlink(name, dir_fd=from_fd)


def look(folder_fd: int, name: str) -> os.stat_result:
    """Return the facts of *name* itself, not of what a link points to. Raises OSError."""
    return os.stat(name, dir_fd=folder_fd, follow_symlinks=False)


def exists(folder_fd: int, name: str) -> bool:
    """Return whether *name* is there, be it a dangling link."""
    try:
        look(folder_fd, name)
    except FileNotFoundError:
        return False
    return True


def names_in(folder_fd: int) -> list[str]:
    """Return the names in an open folder, sorted."""
    with os.scandir(folder_fd) as found:
        return sorted(item.name for item in found)


def read_regular(folder_fd: int, name: str, *, limit: int) -> bytes | None:
    """Return up to *limit* + 1 bytes of a regular file, None if there is none of that name. Never blocks."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
            return None
        raise
    with opened(fd):
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        return read_all(fd, limit=limit)


def read_all(fd: int, *, limit: int) -> bytes:
    """Return what *fd* holds, at most *limit* + 1 bytes."""
    pieces: list[bytes] = []
    left = limit + 1
    while left > 0 and (piece := os.read(fd, min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def fitted(stem: str, suffix: str) -> str:
    """Return *stem* + *suffix*, the stem cut so that the name has at most 255 bytes."""
    room = NAME_BYTES - len(os.fsencode(suffix))
    raw = os.fsencode(stem)
    if len(raw) > room:
        while room > 0 and raw[room] & 0xC0 == 0x80:  # do not cut a character in two
            room -= 1
        raw = raw[:room]
    return os.fsdecode(raw) + suffix


class ArtifactFiles:
    """Implements the port `Artifacts` under one root."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def write(self, relative: str, data: bytes) -> None:
        await asyncio.to_thread(self._write, relative, data)

    async def read(self, relative: str) -> bytes | None:
        return await asyncio.to_thread(self._read, relative)

    async def exists(self, relative: str) -> bool:
        return await asyncio.to_thread(self._exists, relative)

    async def remove(self, relative: str) -> bool:
        return await asyncio.to_thread(self._remove, relative)

    async def names(self, folder: str) -> Sequence[str]:
        return await asyncio.to_thread(self._names, folder)

    def _write(self, relative: str, data: bytes) -> None:
        with self._folder_of(relative, create=True) as (fd, name):
            atomic_write(fd, name, data)

    def _read(self, relative: str) -> bytes | None:
        try:
            with self._folder_of(relative) as (fd, name):
                return read_regular(fd, name, limit=1 << 40)
        except FileNotFoundError:
            return None

    def _exists(self, relative: str) -> bool:
        try:
            with self._folder_of(relative) as (fd, name):
                return stat.S_ISREG(look(fd, name).st_mode)
        except FileNotFoundError:
            return False

    def _remove(self, relative: str) -> bool:
        try:
            with self._folder_of(relative) as (fd, name):
                os.unlink(name, dir_fd=fd)
                sync_folder(fd)
        except FileNotFoundError:
            return False
        folder = PurePosixPath(relative).parent
        if folder.parts[:1] == ("workspace",):  # the folders of a root itself are expected to be there
            with contextlib.suppress(OSError), self._folder_of(str(folder)) as (fd, name):
                os.rmdir(name, dir_fd=fd)
        return True

    def _names(self, folder: str) -> list[str]:
        try:
            with self._folder_of(f"{folder}/x") as (fd, _), os.scandir(fd) as found:
                return sorted(e.name for e in found if e.is_file(follow_symlinks=False) and e.name[0] != ".")
        except FileNotFoundError:
            return []

    @contextlib.contextmanager
    def _folder_of(self, relative: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
        """Yield the open folder that *relative* lies in, and the last part of its name."""
        path = PurePosixPath(relative)
        if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in relative:
            raise ValueError(f"not a path inside the root: {relative!r}")
        fd = open_folder(self._root)
        try:
            for part in path.parts[:-1]:
                inner = open_below(fd, part, create=create)
                os.close(fd)
                fd = inner
            yield fd, path.name
        finally:
            os.close(fd)


class TargetFiles:
    """Implements the port `Targets`."""

    async def look(self, targets: Sequence[str], *, base: str, allowed_root: str) -> Sequence[TargetFact]:
        return await asyncio.to_thread(self._look, targets, base, allowed_root)

    def _look(self, targets: Sequence[str], base: str, allowed_root: str) -> list[TargetFact]:
        root = Path(allowed_root).resolve()
        return [_fact(Path(base) / target, root) for target in targets]


def _fact(path: Path, root: Path) -> TargetFact:
    try:
        real = path.resolve()
        there = path.exists()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name the system refuses
        return TargetFact(exists=False, inside=False)
    return TargetFact(exists=there, inside=real.is_relative_to(root))
