"""What a process that died in the middle leaves: temporary files of our own naming, never seen under their real name by
anybody, and the folders of a moment (scratch.py)."""

import asyncio
import logging
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from orchestrator.bridges.files import TEMPORARY, look, open_folder, opened
from orchestrator.bridges.scratch import clear_scratch

log = logging.getLogger(__name__)

_OURS = re.compile(re.escape(TEMPORARY) + "[0-9a-f]{16}")
# Where only the owner of the root writes. In tasks/ itself other commands do: there the inbox removes what is old.
_FOLDERS = ("results", "summaries", "logs", ".orchestrator", ".orchestrator/rejects", "tasks/processed")
_MORE = ("tasks/failed", "tasks/cancelled", "tasks/running")


async def remove_leftovers(root: Path, state: Path) -> None:
    """Remove all of it. Only the owner of *root* may; *state* is its state folder."""
    for path in await asyncio.to_thread(remove_temporaries, root):
        log.info("%s was left by an interrupted write and is removed", path)
    for folder in await clear_scratch(state / "tmp"):
        log.info("%s was left by a process that is gone and is removed", folder)


def remove_temporaries(root: Path) -> list[str]:
    """Remove them from every folder of *root* that only its owner, the caller, writes to. Returns their paths."""
    removed: list[str] = []
    for name in (*_FOLDERS, *_MORE):
        removed += [f"{name}/{one}" for one in _removed(root / name)]
    with suppress(OSError):
        for claimed in sorted((root / "tasks" / "running").iterdir()):
            removed += [f"tasks/running/{claimed.name}/{one}" for one in _removed(claimed)]
    return removed


def _removed(folder: Path) -> list[str]:
    gone: list[str] = []
    with suppress(OSError), opened(open_folder(folder)) as fd:
        for name in sorted(name for name in os.listdir(fd) if _OURS.fullmatch(name)):  # noqa: PTH208 - of a descriptor
            if stat.S_ISREG(look(fd, name).st_mode):
                os.unlink(name, dir_fd=fd)
                gone.append(name)
    return gone
