"""The figures as Markdown for people and as JSON for programs. Pure."""

from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.figures import Figure, Ratio, Series, number
from benchmarks.machine import Machine

_HEAD = """# Benchmarks

Written by `python -m benchmarks`; do not edit. Every figure stands beside references measured in the same run, in turn
with ours, on the same machine. Compare the ratios: absolute figures belong to this machine and hour.

![Medians of all benchmarks](benchmarks.svg)

"""
_SECTION = "\n## "


def markdown(figures: Sequence[Figure], machine: Machine, command: str) -> str:
    """Return docs/benchmarks.md."""
    return _HEAD + _facts(machine, command) + "".join(_table(figure) for figure in figures)


def with_added(document: str, figures: Sequence[Figure], machine: Machine, command: str) -> str:
    """Return *document* with the sections of *figures* in the place of those of the same title, or at its end.

    Each says that it is of another run than the rest.
    """
    head, *sections = document.split(_SECTION)
    by_title = {section.partition("\n")[0]: section for section in sections}
    alone = (
        f"Measured in a run of its own: {machine.date}, load average before it {machine.load_before:.2f}, `{command}`."
    )
    for figure in figures:
        title, _, rest = _table(figure).removeprefix(_SECTION).partition("\n\n")
        by_title[title] = f"{title}\n\n{alone}\n\n{rest}"
    return _SECTION.join([head.rstrip("\n") + "\n", *(one.rstrip("\n") + "\n" for one in by_title.values())])


def as_json(figures: Sequence[Figure], machine: Machine, command: str) -> dict[str, object]:
    """Return everything, each sample included."""
    return {
        "schema_version": 1,
        "command": command,
        "machine": asdict(machine),
        "figures": [asdict(figure) for figure in figures],
    }


def _facts(machine: Machine, command: str) -> str:
    facts = [
        ("Machine", f"{machine.cores} cores ({machine.processor}), {machine.memory_gb:g} GB, {machine.filesystem}"),
        ("System", f"{machine.kernel}, {machine.python}, SQLite {machine.sqlite}"),
        ("When", f"{machine.date}; load average before the first benchmark {machine.load_before:.2f}"),
        ("Command", f"`{command}`"),
    ]
    return "".join(f"- {name}: {value}\n" for name, value in facts)


def _table(figure: Figure) -> str:
    good = "lower is better" if figure.better == "lower" else "higher is better"
    rows = "".join(_row(figure, series) for series in figure.series)
    missing = "".join(f"| {one.label} | not measured: {one.why} | | | | |\n" for one in figure.absent)
    before, after = figure.others
    return (
        f"{_SECTION}{figure.title}\n\n{figure.how}\n\n"
        f"Other work took {before:.0%} of the cores just before and {after:.0%} just after.\n\n"
        f"| {figure.unit}, {good} | median | p99 | lowest to highest | samples | ours : reference |\n"
        f"|---|---:|---:|---:|---:|---|\n{rows}{missing}"
    )


def _row(figure: Figure, series: Series) -> str:
    name = f"**{series.label}**" if series.versus else series.label
    spread = f"{number(min(series.samples))} to {number(max(series.samples))}"
    ratios = ", ".join(_ratio(one) for one in figure.ratios(series))
    return (
        f"| {name} | {number(series.median)} | {number(series.p99)} | {spread} | {len(series.samples)} | {ratios} |\n"
    )


def _ratio(one: Ratio) -> str:
    spread = f" ({number(one.spread[0])} to {number(one.spread[1])})" if one.spread else ""
    return f"{number(one.value)}{spread} × {one.label}"
