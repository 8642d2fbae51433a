"""What a benchmark brings home: samples of the product and of its references, and what is said about them."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

ENOUGH_FOR_P99 = 100


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one contender. *versus* names the reference series to divide by, "" for a reference itself."""

    label: str
    samples: tuple[float, ...]
    versus: tuple[str, ...] = ()

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def p99(self) -> float | None:
        """The 99th percentile by nearest rank; None where there are too few samples to speak of one."""
        if len(self.samples) < ENOUGH_FOR_P99:
            return None
        return sorted(self.samples)[math.ceil(0.99 * len(self.samples)) - 1]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A series divided by its reference *label*. *spread* is the lowest and the highest of all pairs."""

    label: str
    value: float
    spread: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """A reference that could not be measured here, and why."""

    label: str
    why: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One table and one chart. *better* says in which direction it is good; *how* how it was measured."""

    key: str
    title: str
    unit: str
    better: Literal["lower", "higher"]
    how: str
    series: tuple[Series, ...]
    absent: tuple[Absent, ...] = ()
    others: tuple[float, float] = (0.0, 0.0)  # share of all cores, 0 to 1, that other work took just before and after
    paired: bool = False  # sample n of every series is of the same moment

    def ratios(self, series: Series) -> Sequence[Ratio]:
        """Return how *series* compares to those of its references that were measured.

        The median of *series* by that of the reference; where samples are paired the median of their ratios.
        """
        there = {one.label: one for one in self.series}
        found = [there[label] for label in series.versus if label in there and there[label].median]
        return [self._ratio(series, one) for one in found]

    def _ratio(self, series: Series, reference: Series) -> Ratio:
        if not self.paired:
            return Ratio(reference.label, series.median / reference.median)
        pairs = [ours / theirs for ours, theirs in zip(series.samples, reference.samples, strict=True)]
        return Ratio(reference.label, statistics.median(pairs), (min(pairs), max(pairs)))


def number(value: float | None) -> str:
    """Return *value* with three digits that mean something."""
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 or value == 0 else f"{value:.1e}"
