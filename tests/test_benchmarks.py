"""The benchmarks are no test of speed; but they have to work, and to say what they measured."""

import json
import platform
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from benchmarks import durability, isolation, jobs
from benchmarks.__main__ import Sizes, main
from benchmarks.document import markdown, with_added
from benchmarks.figures import Figure, Ratio, Series
from benchmarks.machine import look

TINY = Sizes(
    latency_samples=2,
    bursts=((5, 1),),
    slots=(2,),
    tasks=4,
    task_rounds=1,
    backlog=(3, 6),
    launches=1,
    rest_s=0.05,
    durability=durability.Sizes(files=5, tasks=2, rounds=1, attempts=2),
    isolation=(isolation.Size(files=12, file_bytes=4096, rounds=1),),
    jobs=jobs.Size(tasks=150, depth=2, rounds=1),
    patience_s=0.0,
)
PRICES = ["durability-acceptance", "durability-tasks", "durability-attempt"]
ISOLATION = ["isolation-0.0492MB", "isolation-disk"]
PLANS = ["plan-job", "plan-job-memory", "plan-tree", "plan-tree-memory"]
JOBS = [*PLANS, "figures-job", "figures-job-memory", "forecast-job"]
KEYS = ["latency", "acceptance-5", "throughput-2", *PRICES, *ISOLATION, *JOBS, "memory-rss", "memory-pss", "start-up"]


@pytest.mark.timeout(300)
def test_one_command_measures_everything_and_writes_document_chart_and_samples(tmp_path: Path) -> None:
    samples = tmp_path / "samples.json"
    assert main(["--no-install", "--dir", str(tmp_path), "--out", str(tmp_path), "--json", str(samples)], TINY) == 0

    figures = json.loads(samples.read_text())["figures"]
    assert [figure["key"] for figure in figures] == KEYS
    for figure in figures:
        ours, *others = figure["series"]
        assert ours["label"].startswith("orchestrator")
        assert all(value > 0 for series in (ours, *others) for value in series["samples"])
        assert others
        assert {"label", "why"} == {key for absent in figure["absent"] for key in absent} or not figure["absent"]

    document = (tmp_path / "benchmarks.md").read_text()
    assert all(f"## {figure['title']}\n" in document for figure in figures)
    assert "not measured: not installed in this run" in document
    assert platform.node() not in document

    chart = ET.fromstring((tmp_path / "benchmarks.svg").read_text())
    bars = chart.findall("{http://www.w3.org/2000/svg}rect")
    assert len(bars) == sum(len(figure["series"]) for figure in figures)


def test_a_percentile_is_given_only_where_there_are_samples_enough_for_it() -> None:
    values = tuple(float(n) for n in range(1, 201))
    assert Series("many", values).p99 == 198.0
    assert Series("few", values[:99]).p99 is None


def test_a_ratio_divides_the_median_of_ours_by_that_of_the_reference() -> None:
    ours = Series("ours", (2.0, 4.0, 90.0), ("theirs", "never measured"))
    figure = Figure("key", "Title", "s", "lower", "how", (ours, Series("theirs", (8.0,))))
    assert figure.ratios(ours) == [Ratio("theirs", 0.5)]


def test_where_samples_are_paired_the_ratio_is_that_of_the_pairs_with_its_spread() -> None:
    ours = Series("ours", (2.0, 30.0, 9.0), ("theirs",))
    figure = Figure("key", "Title", "s", "lower", "how", (ours, Series("theirs", (1.0, 10.0, 9.0))), paired=True)
    assert figure.ratios(ours) == [Ratio("theirs", 2.0, (1.0, 3.0))]


def test_figures_of_a_later_run_take_their_place_in_the_document_and_say_so(tmp_path: Path) -> None:
    def figure(title: str, value: float) -> Figure:
        return Figure(title, title, "s", "lower", "How.", (Series("ours", (value,)),))

    machine = look(tmp_path)
    whole = markdown([figure("One", 1.0), figure("Two", 2.0)], machine, "all")
    assert with_added(whole, [], machine, "none") == whole
    added = with_added(whole, [figure("One", 7.0), figure("Three", 3.0)], machine, "a part")
    assert [line for line in added.split("\n") if line.startswith("## ")] == ["## One", "## Two", "## Three"]
    assert ("| ours | 7 |" in added, "| ours | 1 |" in added, "| ours | 2 |" in added) == (True, False, True)
    assert added.count("Measured in a run of its own") == 2
