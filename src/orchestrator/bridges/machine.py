"""Looks at what this machine has of what an attempt may have lacked: space, memory, descriptors."""

import asyncio
import os
import re
import resource
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.attempt import FailureKind

SPARE_DESCRIPTORS = 64


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be there: bytes free on the disk of *folder*, and bytes of memory. 0: no matter."""

    folder: Path
    disk_bytes: int
    memory_bytes: int


class ThisMachine:
    """Implements the port `Machine`. *needs* is asked again each time: a changed setting counts at once."""

    def __init__(self, needs: Callable[[], Needs], *, meminfo: Path = Path("/proc/meminfo")) -> None:
        self._needs = needs
        self._meminfo = meminfo

    async def lacks(self, kind: str) -> str:
        return await asyncio.to_thread(self._lacks, kind)

    def _lacks(self, kind: str) -> str:
        needs = self._needs()
        looks = [self._memory(needs.memory_bytes)]
        if kind == FailureKind.SHORTAGE:
            looks += [_disk(needs.folder, needs.disk_bytes), _descriptors()]
        return next((look for look in looks if look), "")

    def _memory(self, least: int) -> str:
        if not least:
            return ""
        try:
            found = re.search(r"^MemAvailable:\s+(\d+) kB$", self._meminfo.read_text("ascii"), re.MULTILINE)
        except OSError:
            found = None
        if found is None:
            return "this system does not tell how much memory is free"
        free = int(found[1]) * 1024
        return "" if free >= least else f"memory: {free >> 20} MiB of {least >> 20} MiB are free"


def _disk(folder: Path, least: int) -> str:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return f"the disk cannot be looked at: {error.strerror or error}"
    return "" if free >= least else f"disk: {free >> 20} MiB of {least >> 20} MiB are free"


def _descriptors() -> str:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number
    except OSError:
        return ""  # then what is short of them is told by the next try
    return "" if limit == resource.RLIM_INFINITY or limit - used >= SPARE_DESCRIPTORS else "file descriptors are short"
