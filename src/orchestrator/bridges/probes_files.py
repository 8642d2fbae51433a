"""Looks at folders and file systems for `doctor`: tries what the program relies on instead of guessing.

A probe reports; it does not raise for anything the file system may do, and it leaves nothing behind.
"""

import asyncio
import errno
import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from orchestrator.core.finding import Finding, failed, passed, warned

FOLDERS = "folders"
DISK = "file system"
WATCHING = "watching"
# Their changes are not announced to other machines, and SQLite's shared memory does not reach across them.
_NETWORK = frozenset(
    {"9p", "afs", "ceph", "cifs", "drvfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "prl_fs", "vboxsf", "vmhgfs", "fuse.vmhgfs-fuse"}
)
_FEW_INODES = 10_000
_FEW_WATCHES = 8192


def folder_findings(folders: Mapping[str, Path], *, uid: int) -> tuple[Finding, ...]:
    """Report on each folder (by its name for people): there, a folder, ours, writable, closed to others; then
    whether all are on one file system, which renaming between them needs."""
    findings = [_folder(name, path, uid) for name, path in folders.items()]
    devices = {path.stat().st_dev for path in folders.values() if path.is_dir()}
    if len(devices) > 1:
        fix = "Keep tasks, results, summaries, logs and .orchestrator on one disk; no links to other disks."
        findings.append(failed(FOLDERS, "one file system", "the folders are on different file systems", fix))
    elif devices:
        findings.append(passed(FOLDERS, "one file system", "all folders are on one file system"))
    return tuple(findings)


def _folder(name: str, path: Path, uid: int) -> Finding:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return exists_finding(name, path, made_by_us=path.parent.is_dir())
    except OSError as error:
        return failed(FOLDERS, name, f"{path}: {error.strerror}", f"ls -ld {path}")
    if not stat.S_ISDIR(facts.st_mode):
        return failed(FOLDERS, name, f"{path} is not a folder", f"Move it away, then: mkdir -p {path}")
    if facts.st_uid != uid:
        return failed(FOLDERS, name, f"{path} belongs to another user ({facts.st_uid})", f"sudo chown {uid} {path}")
    if reason := _not_writable(path):
        return failed(FOLDERS, name, f"{path} cannot be written: {reason}", f"chmod u+rwx {path}")
    if facts.st_mode & stat.S_IWOTH:
        return failed(FOLDERS, name, f"{path} can be written by everybody", f"chmod o-w {path}")
    if path.name == ".orchestrator" and facts.st_mode & 0o077:
        return warned(FOLDERS, name, f"{path} can be read by others; it holds prompts and answers", f"chmod 700 {path}")
    return passed(FOLDERS, name, f"{path} is writable")


def _not_writable(path: Path) -> str:
    """Return why no file can be made in *path*, "" when one can. Tried, because access rights alone do not tell."""
    try:
        with tempfile.TemporaryFile(dir=path):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def exists_finding(name: str, path: Path, *, made_by_us: bool) -> Finding:
    """Report on a folder the user chose."""
    if path.is_dir():
        return passed(FOLDERS, name, f"{path} exists")
    if made_by_us and not path.exists():
        return passed(FOLDERS, name, f"{path} is made at the first start")
    return failed(FOLDERS, name, f"{path} is not an existing folder", f"Correct {name} or: mkdir -p {path}")


def filesystem_finding(path: Path, mounts: str) -> Finding:
    """Report on the kind of file system under *path*. *mounts* is the text of /proc/self/mountinfo, "" if none."""
    kind = _filesystem(path.resolve(), mounts)
    if not kind:
        return passed(DISK, "kind", "not known on this system")
    if kind in _NETWORK:
        message = f"{kind}: a network or shared file system; locks and the database are not safe there"
        fix = "Move the root to a local disk; at the very least set intake.force_polling: true"
        return failed(DISK, "kind", message, fix)
    if kind.startswith("fuse"):
        message = f"{kind}: may announce no changes and honour no locks"
        return warned(DISK, "kind", message, "Set intake.force_polling: true, or move the root to a local disk.")
    return passed(DISK, "kind", f"{kind}, local")


def _filesystem(path: Path, mounts: str) -> str:
    """Return the type of the last mount whose point is the longest one above *path*."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        if len(fields) < 5 or not right:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        if path.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), right.split()[0]
    return kind


def space_finding(path: Path, min_free_bytes: int) -> Finding:
    """Report on free bytes and inodes under *path*."""
    try:
        facts = os.statvfs(path)
    except OSError as error:
        return warned(DISK, "space", f"{path}: {error.strerror}", f"mkdir -p {path}")
    free = facts.f_bavail * facts.f_frsize
    said = f"{free / 2**30:.1f} GiB free"
    if free < min_free_bytes:
        wanted = f"{min_free_bytes / 2**30:.1f} GiB (intake.min_free_bytes)"
        return failed(DISK, "space", f"{said}, less than {wanted}: nothing new is accepted", f"df -h {path}")
    if facts.f_files and facts.f_favail < _FEW_INODES:
        return warned(DISK, "space", f"{said}, but only {facts.f_favail} inodes", f"df -i {path}")
    return passed(DISK, "space", said)


def primitive_findings(state: Path) -> tuple[Finding, ...]:
    """Try in the state folder what every promise about lost work rests on: rename, fsync, flock, leases."""
    if not state.is_dir():
        return (passed(DISK, "primitives", f"not tried: {state} is made at the first start"),)
    trials: Mapping[str, Callable[[Path], None]] = {"rename and fsync": _try_rename, "flock": _try_flock}
    with tempfile.TemporaryDirectory(dir=state, prefix="probe-") as name:
        folder = Path(name)
        return (*(_tried(what, trial, folder) for what, trial in trials.items()), _lease(folder))


def _tried(what: str, trial: Callable[[Path], None], folder: Path) -> Finding:
    try:
        trial(folder)
    except OSError as error:
        return failed(DISK, what, f"does not work here: {error.strerror or error}", "Move the root to a local disk.")
    return passed(DISK, what, "works")


def _try_rename(folder: Path) -> None:
    source, target = folder / "new", folder / "old"
    target.write_bytes(b"before")
    with source.open("wb") as file:
        file.write(b"after")
        file.flush()
        os.fsync(file.fileno())
    source.replace(target)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if target.read_bytes() != b"after":
        raise OSError(errno.EIO, "a renamed file does not hold what was written")


def _try_flock(folder: Path) -> None:
    path = folder / "lock"
    with path.open("w") as first, path.open("w") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
    raise OSError(errno.ENOLCK, "the same lock was given twice")


def _lease(folder: Path) -> Finding:
    """Leases tell whether somebody still writes a task file; without them it is waited for to stay unchanged."""
    path = folder / "lease"
    path.touch()
    if not hasattr(fcntl, "F_SETLEASE"):
        return passed(DISK, "leases", "not on this system; files are read once they stay unchanged")
    with path.open("rb") as reader:
        try:
            with path.open("ab"):
                refused = not _leased(reader.fileno())
            granted = _leased(reader.fileno())
        except OSError as error:
            return passed(DISK, "leases", f"not here ({error.strerror}); files are read once they stay unchanged")
    works = refused and granted
    return passed(DISK, "leases", "work" if works else "not honoured; files are read once they stay unchanged")


def _leased(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def case_finding(folder: Path) -> Finding:
    """Report whether `A` and `a` are two files in *folder*."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix="probe-case-") as file:
            other = Path(file.name).with_name(Path(file.name).name.swapcase())
            same = other.exists()
    except OSError as error:
        return warned(DISK, "case", f"not tried: {error.strerror}", f"ls -ld {folder}")
    return passed(DISK, "case", "upper and lower case are the same" if same else "upper and lower case differ")


def clock_finding(folder: Path, now: float) -> Finding:
    """Compare *now*, seconds since the epoch, with the time the file system gives to a new file."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix="probe-clock-") as file:
            skew = os.fstat(file.fileno()).st_mtime - now
    except OSError as error:
        return warned(DISK, "clock", f"not tried: {error.strerror}", f"ls -ld {folder}")
    if abs(skew) > 5:
        message = f"files are dated {skew:+.0f} s off the clock of this machine"
        return warned(DISK, "clock", message, "Set the clock (timedatectl), or move the root to a local disk.")
    return passed(DISK, "clock", "the clock and the file system agree")


def inotify_finding(proc: Path) -> Finding:
    """Report on the kernel's limits for watching. *proc* is /proc."""
    limits = {}
    for name in ("max_user_watches", "max_user_instances"):
        with suppress(OSError, ValueError):
            limits[name] = int((proc / "sys/fs/inotify" / name).read_text("ascii"))
    if not limits:
        return passed(WATCHING, "limits", "none known on this system")
    said = ", ".join(f"{name.removeprefix('max_user_')} {value}" for name, value in limits.items())
    if limits.get("max_user_watches", _FEW_WATCHES) < _FEW_WATCHES or limits.get("max_user_instances", 128) < 16:
        fix = "sudo sysctl fs.inotify.max_user_watches=65536 fs.inotify.max_user_instances=128"
        return warned(WATCHING, "limits", f"{said}: changes may go unnoticed until the next complete look", fix)
    return passed(WATCHING, "limits", said)


async def watch_finding(folder: Path, *, timeout_s: float = 3.0) -> Finding:
    """Make a file in a new folder under *folder* and wait for the news of it."""
    from watchfiles import awatch  # here, since only this needs it, and it is native code

    stop = asyncio.Event()
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix="probe-watch-") as name:
            async with asyncio.timeout(timeout_s):
                watcher = awatch(name, debounce=50, step=10, rust_timeout=50, yield_on_timeout=True, stop_event=stop)
                numbers: Iterator[int] = iter(range(10_000))
                async for changes in watcher:
                    if changes:
                        stop.set()
                        await watcher.aclose()
                        return passed(WATCHING, "live", "a new file is noticed at once")
                    (Path(name) / f"{next(numbers)}").touch()
    except TimeoutError:
        pass
    except OSError as error:
        return warned(WATCHING, "live", f"not tried: {error.strerror or error}", f"mkdir -p {folder}")
    finally:
        stop.set()
    message = f"a new file in {folder} is not announced; it is found at the next complete look"
    return warned(WATCHING, "live", message, "Set intake.force_polling: true")


def env_file_finding(path: Path, *, holds_secret: bool) -> Finding:
    """Report on who may read `.env`."""
    group, name = "configuration", ".env"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return passed(group, name, "none; the environment and config/orchestrator.yaml count")
    except OSError as error:
        return failed(group, name, f"{path}: {error.strerror}", f"ls -l {path}")
    if holds_secret and mode & 0o077:
        return warned(
            group, name, f"{path} holds a secret and others may read it (mode {mode:04o})", f"chmod 600 {path}"
        )
    return passed(group, name, f"{path}, mode {mode:04o}")
