"""Figures as a document: it satisfies its schema, says null where nobody knows, and is the same each time."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.core.measured_tasks import BEGAN, job, run, task

from orchestrator.core.analytics import analyse
from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.measures import Measured
from orchestrator.core.report_analytics import analytics_text, money, span
from orchestrator.validation.analysis import Subject, build_analytics, job_pages
from orchestrator.validation.schema import analytics_problems, file_problems

JOB = Subject(job="backend")
UNTIL = BEGAN + 100_000


def told(tasks: list[Measured], subject: Subject = JOB) -> dict[str, Any]:
    return build_analytics(subject, analyse(tasks, UNTIL), tasks, UNTIL)


@pytest.mark.parametrize(
    "tasks",
    [
        [],
        [task("a", state=State.QUEUED)],
        [task("a", run(0, 0.0), state=State.RUNNING)],
        [task("a", run(0, 1, failure="timeout", outcome="failed", cost_usd=None), state=State.FAILED)],
        job(200, 4, layers=5),
    ],
    ids=["none", "queued", "running", "unknown", "many"],
)
def test_every_document_satisfies_the_schema(tasks: list[Measured]) -> None:
    assert analytics_problems(told(tasks)) == []
    assert analytics_problems(told(tasks, Subject(since=BEGAN))) == []


def test_the_schema_refuses_what_is_none() -> None:
    whole = told(job(3, 1))
    assert analytics_problems({**whole, "complete": False}) == ["complete: True was expected"]
    assert analytics_problems({**whole, "counts": {}})


def test_a_cost_that_nobody_knows_is_null_with_what_is_known_beside_it() -> None:
    cost = told([task("a", run(0, 1)), task("b", run(1, 2, cost_usd=None))])["resources"]["cost_usd"]
    assert cost == {"total": None, "known": 0.5, "attempts_unknown": 1}
    text = analytics_text(told([task("a", run(0, 1)), task("b", run(1, 2, cost_usd=None))]))
    assert "cost unknown: $0.5000 and what 1 attempt cost that nobody knows" in text
    text = analytics_text(told([task("a", run(0, 1, turns=3)), task("b", run(1, 2, turns=None))]))
    assert "(and those of 1 attempt that nobody knows) turns" in text


def test_a_share_of_nothing_is_null_and_no_zero() -> None:
    rates = told([task("a", state=State.QUEUED)])["rates"]
    assert rates == {"success": None, "proven_tasks": None, "proven_criteria": None, "tasks_per_hour": None}


def test_a_long_timeline_is_cut_and_says_by_how_much() -> None:
    found = told(job(2_100, 4))
    assert (len(found["timeline"]), found["timeline_left_out"]) == (2_000, 100)
    assert found["resources"]["attempts"] == 2_100


def test_the_pages_of_a_job_are_the_document_the_text_and_the_picture() -> None:
    pages = job_pages(JOB, job(30, 3, layers=4), UNTIL)
    assert sorted(pages) == ["analytics.json", "analytics.md", "picture.html"]
    assert file_problems(pages["analytics.json"]) == []
    assert json.loads(pages["analytics.json"])["subject"]["title"] == "Job backend"
    assert pages["analytics.md"].startswith(b"# Job backend\n")
    assert pages["picture.html"].endswith(b"</html>\n")
    assert pages == job_pages(JOB, job(30, 3, layers=4), UNTIL)


def test_a_lone_surrogate_in_a_name_ends_no_page() -> None:
    tasks = [replace(task("a", run(0, 1)), name="a\ud800", title="\ud800")]
    assert all(pages.decode() for pages in job_pages(JOB, tasks, UNTIL).values())


def test_the_text_gives_the_answer_first_and_names_the_bottleneck() -> None:
    tasks = [task("auth", run(0, 60)), task("api", run(60, 90), needs=("auth",)), task("docs", run(0, 30))]
    text = analytics_text(told(tasks))
    assert text.splitlines()[2] == "**3 tasks**: 3 succeeded. 3 ended, 0 of them proven."
    assert "parallel efficiency 67% = work_s / (wall_s * slots_used)" in text
    assert "critical path: 2 tasks that waited for one another, 1m30s of work, 100% of the time" in text
    assert "`auth` → `api`" in text


def test_a_long_path_is_told_by_its_ends() -> None:
    tasks = [task(f"t{n}", run(n, n + 1), needs=(f"t{n - 1}",)) for n in range(40)]
    line = next(line for line in analytics_text(told(tasks)).splitlines() if "→" in line)
    assert line.count("→") == 11
    assert line.endswith("… → `t39`")


def test_words_of_strangers_are_no_markup_and_no_column() -> None:
    name = "a|b`c\n# d\x1b[31m"
    tasks = [replace(task("a", run(0, 1), type="[x](y)", model="m|n"), name=name, uid=TaskUid("u"))]
    text = analytics_text(told(tasks, Subject(job="<b>|x")))
    assert "\x1b" not in text
    assert "\n# d" not in text
    assert r"\[x\](y)" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {8}


def test_nothing_measured_is_told_as_such() -> None:
    text = analytics_text(told([task("a", state=State.QUEUED)]))
    assert text.endswith("No attempt has begun: there is nothing to measure yet.\n")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (60, "1m00s"),
        (3599.6, "1h00m"),
        (90_000, "1d01h"),
        (None, "unknown"),
    ],
)
def test_a_span_is_told_in_two_units(seconds: float | None, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("one", "words"),
    [
        ({"known": 0.0, "attempts_unknown": 0}, "$0.0000"),
        ({"known": 1234.5, "attempts_unknown": 0}, "$1,234.50"),
        ({"known": 0.0, "attempts_unknown": 2}, "unknown: $0.0000 and what 2 attempts cost that nobody knows"),
        ({}, "unknown"),
    ],
)
def test_money_that_nobody_knows_is_not_nothing(one: Mapping[str, Any], words: str) -> None:
    assert money(one) == words
