"""Facts of the machine that a figure means nothing without. No names: neither of the host nor of its user."""

import os
import platform
import sqlite3
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.waiting import rest


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when. *load_before* is the one-minute load average before the first benchmark."""

    cores: int
    processor: str
    memory_gb: float
    kernel: str
    python: str
    sqlite: str
    filesystem: str
    date: str
    load_before: float


def look(folder: Path) -> Machine:
    """Return the facts; *folder* is where the benchmarks write."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=_field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        memory_gb=round(pages / 1e9, 1),
        kernel=f"{platform.system()} {platform.release().split('-')[0]}",
        python=f"{platform.python_implementation()} {sys.version.split()[0]}",
        sqlite=sqlite3.sqlite_version,
        filesystem=_filesystem(folder),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),  # noqa: TID251 - a report of the outside world
        load_before=load(),
    )


def load() -> float:
    """Return the one-minute load average."""
    return os.getloadavg()[0]


def busy_share(seconds: float) -> float:
    """Return which share of all cores, 0 to 1, works while we do nothing for so many *seconds*."""
    before = _ticks()
    rest(seconds)
    busy, total = (after - earlier for after, earlier in zip(_ticks(), before, strict=True))
    return busy / max(1, total)


def _ticks() -> tuple[int, int]:
    """Return (busy, all) clock ticks of the cores since the start of the system."""
    user, nice, system, idle, iowait, *others = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    busy = user + nice + system + sum(others)
    return busy, busy + idle + iowait


def memory_mb(pid: int) -> tuple[float, float]:
    """Return (RSS, PSS) of a process in MB; shared pages count in the second only by share."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    rss, pss = (int(_field(rollup, name).split()[0]) * 1024 / 1e6 for name in ("Rss", "Pss"))
    return rss, pss


def _field(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _filesystem(folder: Path) -> str:
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, found = line.split()[:3]
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, found
    return kind
