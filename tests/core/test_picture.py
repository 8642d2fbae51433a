"""The picture of a job: one file, whole, harmless, small; nothing that failed is hidden in it."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from tests.core.measured_tasks import BEGAN, job, run, task

from orchestrator.core.analytics import analyse, edges_of
from orchestrator.core.lifecycle import State
from orchestrator.core.measures import Measured
from orchestrator.core.picture import picture
from orchestrator.core.picture_graph import layers_of

SVG = "{http://www.w3.org/2000/svg}"


def page(tasks: list[Measured], title: str = "Job backend") -> str:
    found = analyse(tasks, BEGAN + 1e6)
    return picture(title, found, tasks, edges_of(tasks))


def pictures(text: str) -> list[ET.Element]:
    """Every SVG of a page, read by a strict parser."""
    parts = re.findall(r"<svg .*?</svg>", text, re.DOTALL)
    return [ET.fromstring(part.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)) for part in parts]


def test_every_slot_has_a_row_and_every_attempt_a_bar_that_says_what_it_is() -> None:
    tasks = [task("a", run(0, 10)), task("b", run(0, 4)), task("c", run(4, 9, failure="timeout"), state=State.FAILED)]
    (time,) = pictures(page(tasks))
    texts = [one.text for one in time.iter(f"{SVG}text")]
    assert [text for text in texts if text and text.startswith("slot")] == ["slot 1", "slot 2"]
    titles = [one.text for one in time.iter(f"{SVG}title")]
    assert "c, attempt 1: 5.0 s, timeout; waited 4.0 s" in titles
    assert len(time.findall(f"{SVG}g")) == 3


def test_the_graph_has_a_box_for_each_task_and_a_line_for_each_dependency() -> None:
    tasks = [task("a", run(0, 1)), task("b", run(1, 2), needs=("a",)), task("c", run(2, 9), needs=("a", "b"))]
    _, graph = pictures(page(tasks))
    assert len(graph.findall(f"{SVG}g")) == 3
    lines = [one.get("class") for one in graph.findall(f"{SVG}path")]
    assert sorted(map(str, lines)) == ["edge", "edge path", "edge path"]


def test_without_dependencies_the_page_says_so() -> None:
    assert "No task waited for another one." in page([task("a", run(0, 1))])


def test_without_an_attempt_the_page_says_so() -> None:
    assert "No attempt has begun yet." in page([task("a", state=State.QUEUED)])


def test_each_picture_has_a_title_and_a_description_for_those_who_do_not_see_it() -> None:
    for svg in pictures(page(job(20, 3, layers=4))):
        assert svg.get("role") == "img"
        labels = str(svg.get("aria-labelledby")).split()
        assert [one.get("id") for one in list(svg)[:2]] == labels
        assert all(one.text for one in list(svg)[:2])


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", 'a" onload="x', "a&b", "\u202eevil\x1b[31m", "]]>", "x>y>3"]
)
def test_words_of_strangers_do_nothing_in_a_page(name: str) -> None:
    tasks = [replace(task("a", run(0, 10)), name=name, title=name), task("b", run(0, 9), needs=("a",), reason=name)]
    text = page(tasks, title=name)
    for word in ("<script", 'onload="', "\x1b", "\u202e"):
        assert word not in text
    assert len(pictures(text)) == 2


@pytest.mark.parametrize("tasks", [job(12, 3, layers=3), job(3000, 64, layers=9)], ids=["small", "large"])
def test_a_page_loads_nothing_and_forbids_itself_to(tasks: list[Measured]) -> None:
    text = page(tasks)
    assert "default-src 'none'" in text
    assert re.findall(r"(?:src|href|url|@import|http-equiv=.refresh)\s*[=(]", text) == []
    assert "<script" not in text
    assert "http:" not in text
    assert "https:" not in text


def test_a_page_has_colours_for_the_dark_and_for_paper_and_marks_failures_by_more_than_colour() -> None:
    text = page(job(3, 1))
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert re.search(r"\.bad \{[^}]*stroke-dasharray", text)


@pytest.mark.parametrize(("slots", "layers"), [(1, 1), (8, 30), (40, 5), (64, 500)])
def test_ten_thousand_tasks_are_drawn_together_in_a_small_page_that_says_so(slots: int, layers: int) -> None:
    text = page(job(10_000, slots, layers))
    assert len(text) < 150_000
    assert "10,000 attempts" in text
    assert "Drawn together" in text or "How many worked at once" in text
    assert layers == 1 or "10,000 tasks, drawn together as" in text
    assert pictures(text)


def test_one_failure_among_ten_thousand_is_seen() -> None:
    tasks = [task(f"t{n}", run(n, n + 1)) for n in range(9_999)]
    tasks.append(task("bad", run(5000, 5001, failure="timeout"), needs=("t1",), state=State.FAILED))
    time, graph = pictures(page(tasks))
    assert [one.get("class") for one in time.findall(f"{SVG}path")] == ["bad many", "ok many"]
    assert any("1 failed" in str(one.text) for one in graph.iter(f"{SVG}text"))


def test_no_box_lies_on_another_and_none_outside_the_picture() -> None:
    _, graph = pictures(page(job(120, 4, layers=8)))
    _, _, width, height = map(float, str(graph.get("viewBox")).split())
    boxes = [
        tuple(float(str(one.get(key))) for key in ("x", "y", "width", "height")) for one in graph.iter(f"{SVG}rect")
    ]
    assert len(boxes) == 120
    for n, (x, y, w, h) in enumerate(boxes):
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
        assert all(x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y for x2, y2, w2, h2 in boxes[:n])


def test_a_layer_is_one_more_than_the_last_that_was_waited_for() -> None:
    tasks = [task("a"), task("b", needs=("a",)), task("c", needs=("a", "b")), task("d")]
    assert layers_of(edges_of(tasks)) == {"a": 0, "b": 1, "c": 2, "d": 0}


def test_the_same_tasks_give_the_same_page() -> None:
    assert page(job(500, 3, layers=6)) == page(job(500, 3, layers=6))
