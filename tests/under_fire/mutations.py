"""Ways to be careless with the disk, put into a real daemon from outside: the harness must notice each of them.

`python tests/under_fire/mutations.py NAME words…` is the daemon's command line with that carelessness; NAME "none" is
the product as it is. BOOT_ID in the environment stands for the boot id of the machine, which a power cut changes.
"""

import os
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

NONE = "none"
NOTHING_SYNCED = "nothing_synced"
FILES_UNSYNCED = "files_unsynced"
FOLDERS_UNSYNCED = "folders_unsynced"
STORE_UNSYNCED = "store_unsynced"
MUTATIONS = {
    NOTHING_SYNCED: "no fsync of files or folders, synchronous=OFF",
    FILES_UNSYNCED: "no fsync of files",
    FOLDERS_UNSYNCED: "no fsync of folders",
    STORE_UNSYNCED: "synchronous=NORMAL, and claimed files without a row are not given back",
}


def apply(name: str) -> None:
    """Make this process careless in the way of *name*."""
    if name in (NOTHING_SYNCED, FILES_UNSYNCED, FOLDERS_UNSYNCED):
        _patch_fsync(files=name == FOLDERS_UNSYNCED, folders=name == FILES_UNSYNCED)
    if name == NOTHING_SYNCED:
        _patch_store("synchronous=OFF")
    if name in (NOTHING_SYNCED, FILES_UNSYNCED):
        _patch_supervisor()
    if name == STORE_UNSYNCED:
        _patch_store("synchronous=NORMAL")
        _no_reconciliation()


def _patch_fsync(*, files: bool, folders: bool) -> None:
    real = os.fsync

    def fsync(fd: int) -> None:
        if folders if stat.S_ISDIR(os.fstat(fd).st_mode) else files:
            real(fd)

    _set(os, "fsync", fsync)


def _patch_store(pragma: str) -> None:
    from orchestrator.bridges import sqlite_file

    before: Sequence[str] = sqlite_file._PRAGMAS
    assert "synchronous=FULL" in before, "the store says elsewhere now how it syncs"
    _set(sqlite_file, "_PRAGMAS", tuple(pragma if one == "synchronous=FULL" else one for one in before))


def _patch_supervisor() -> None:
    from orchestrator.bridges import claude

    real: Callable[..., object] = claude.Launch  # type: ignore[attr-defined]  # looked up there by its user
    _set(claude, "Launch", lambda **given: real(**{**given, "durable": False}))


def _boot_as_told(boot_id: str) -> None:
    from orchestrator.bridges import proctable

    _set(proctable, "boot_id", lambda: boot_id)


def _no_reconciliation() -> None:
    from orchestrator.bridges.inbox import TaskFolder

    async def adopt_strays(_self: TaskFolder, _known: object) -> Sequence[str]:
        return []

    _set(TaskFolder, "adopt_strays", adopt_strays)


def _set(where: object, name: str, value: object) -> None:
    assert hasattr(where, name), f"{name} is gone: this mutation mutates nothing"
    setattr(where, name, value)


def main(words: Sequence[str]) -> int:
    from orchestrator.app import main as orchestrator

    if boot_id := os.environ.get("BOOT_ID"):
        _boot_as_told(boot_id)
    apply(words[0])
    return orchestrator(words[1:])


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    sys.exit(main(sys.argv[1:]))
