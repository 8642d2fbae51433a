"""Hints that a folder may have changed. A hint is never believed and never needed: the scan alone finds everything.

The folder may be missing, exchanged, on a network, or hold a name that the notifier cannot decode; the system may
have no notifications left to give. In all these cases the watch goes on, by polling where it must, and says why.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

STEP_MS = 10  # the notifier gathers changes for two quiet steps
_LOOK_MS = 1000  # how often it is checked that the watched folder is still the one at the path
_RETRY_S = 1.0
_RECOVER_S = 60.0

_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smb2", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "davfs", "ncpfs"}
    | {"vboxsf", "vmhgfs", "drvfs", "lxfs", "prl_fs", "virtiofs"}  # folders of a host system
)

Notifications = Callable[[Path], AsyncIterator[object]]


def network_file_system(path: Path, mounts: str) -> str:
    """Return the type of the network or user-space file system that *path* (absolute, real) is on, "" for a local one.

    *mounts* is the text of /proc/self/mounts. There changes made by others are not notified.
    """
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        if len(point) >= len(best) and (path == Path(point) or path.is_relative_to(point)):
            best, kind = point, fields[2]
    return kind if kind in _NETWORK or kind.startswith("fuse.") else ""


class FolderWatch:
    """Implements the port `Watch` for the folder *path*; a context manager, which owns one task.

    *force_polling*: never ask for notifications. While polling, `wait` says True every *poll_s* seconds.
    *notifications* yields something whenever the folder has changed, and at least once a second.
    """

    def __init__(
        self,
        path: Path,
        *,
        force_polling: bool = False,
        poll_s: float = 2.0,
        mounts: str | None = None,
        notifications: Notifications | None = None,
    ) -> None:
        self._path = path
        self._poll_s = poll_s
        self._mounts = mounts
        self._notifications = notifications or _notified
        self._forced = force_polling
        self._why = "force_polling" if force_polling else ""
        self._hint = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if not self._forced:
            self._task = asyncio.create_task(self._follow(), name="folder-watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def polling(self) -> str:
        return self._why

    async def wait(self, timeout_s: float) -> bool:
        polls = self._why and self._poll_s < timeout_s
        try:
            async with asyncio.timeout(self._poll_s if polls else timeout_s):
                await self._hint.wait()
        except TimeoutError:
            return bool(polls)
        self._hint.clear()
        return True

    async def _follow(self) -> None:
        """Watch for ever. Whatever ends one round, the next begins with a hint: something may have been missed."""
        while True:
            pause_s = await self._one_round()
            self._hint.set()
            await asyncio.sleep(pause_s)

    async def _one_round(self) -> float:
        """Watch until that is no longer possible; returns the seconds to wait before the next round."""
        identity = _identity(self._path)
        if identity is None:
            return _RETRY_S
        if kind := network_file_system(self._path.resolve(), _mounts() if self._mounts is None else self._mounts):
            self._why = f"network_file_system: {kind}"
            return _RECOVER_S
        try:
            self._hint.set()  # whatever came before the watch stood
            async for changes in self._notifications(self._path):
                self._why = ""
                if changes:
                    self._hint.set()
                if _identity(self._path) != identity:
                    return 0.0
        except FileNotFoundError:
            return _RETRY_S  # gone in the moment we began
        except Exception as error:  # noqa: BLE001 - a library's internal errors, which it does not tell apart
            return self._after(error)
        return STEP_MS / 1000

    def _after(self, error: Exception) -> float:
        """Decide what an error of the notifier means; returns the seconds to wait before the next round."""
        inner: BaseException = error
        while isinstance(inner, BaseExceptionGroup):
            inner = inner.exceptions[0]
        text = str(inner)
        if "decode" in text:  # a name that is not UTF-8: it was a change, and the next may well be readable
            return STEP_MS / 1000
        self._why = f"notifications_unavailable: {text}"
        return _RECOVER_S


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _mounts() -> str:
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""  # no such list on this system; then nothing is known to be a network


async def _notified(path: Path) -> AsyncIterator[object]:
    import watchfiles  # here, since only the daemon needs it, and it is native code

    changes = watchfiles.awatch(
        os.fspath(path),
        watch_filter=None,
        debounce=STEP_MS,
        step=STEP_MS,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        recursive=False,
    )
    async for batch in changes:
        yield batch
        if any(kind is watchfiles.Change.deleted and Path(changed) == path for kind, changed in batch):
            return  # the folder itself: nothing more will come, even if one is made in its place
