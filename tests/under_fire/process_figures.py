"""What the system says of one process, and what is made of a row of such readings."""

import math
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a process: memory in MB, counts, and seconds of processor time since its start."""

    rss_mb: float
    peak_mb: float
    threads: int
    descriptors: int
    cpu_s: float


def look(pid: int) -> Reading:
    """Return how *pid* stands. Raises OSError when it is gone."""
    facts = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    cpu = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Reading(
        rss_mb=_mb(facts.get("VmRSS", "0")),
        peak_mb=_mb(facts.get("VmHWM", "0")),
        threads=int(facts["Threads"]),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),
        cpu_s=(int(cpu[11]) + int(cpu[12])) * _TICK_S,
    )


def _mb(field: str) -> float:
    return int(field.split()[0]) * 1024 / 1e6


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the sample by nearest rank that *share* (0 to 1) of all do not exceed; 0.0 of no samples."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through readings, by least squares: its rise in one hour, and the standard error of that."""

    per_hour: float
    error: float
    samples: int

    @property
    def rises(self) -> bool:
        """Whether the rise is beyond what chance explains: four standard errors."""
        return self.samples > 2 and self.per_hour > 4 * self.error and self.per_hour > 0


def slope(seconds: Sequence[float], values: Sequence[float]) -> Slope:
    """Return the slope of *values* over *seconds*; of fewer than three readings nothing is said."""
    if len(values) < 3 or len(set(seconds)) < 2:
        return Slope(0.0, 0.0, len(values))
    line = statistics.linear_regression(seconds, values)
    rest = [value - line.intercept - line.slope * at for at, value in zip(seconds, values, strict=True)]
    middle = statistics.fmean(seconds)
    spread = sum((at - middle) ** 2 for at in seconds)
    error = math.sqrt(sum(one * one for one in rest) / (len(values) - 2) / spread)
    return Slope(line.slope * 3600, error * 3600, len(values))
