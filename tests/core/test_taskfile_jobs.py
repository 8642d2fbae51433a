"""What a task file says of its job, of the tasks it waits for, and of what may come of it by a split."""

import pytest
from tests.core.test_taskfile import read

from orchestrator.core.fields_jobs import is_branch


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("depends_on: one", (("one",), "", "", "")),
        ("dependencies: one, Two ,one,", (("one", "Two"), "", "", "")),
        ("depends-on:\n  - one\n  - two\non_dependency: Run-Anyway", (("one", "two"), "run_anyway", "", "")),
        ("depends_on: [one]\njob: the night\nbranch_name: feature/auth", (("one",), "", "the night", "feature/auth")),
    ],
)
def test_a_task_says_what_it_depends_on_and_belongs_to(lines: str, said: object) -> None:
    spec = read(f"---\n{lines}\n---\n# T\n**Prompt:** x\n")
    assert (spec.depends_on, spec.on_dependency, spec.job, spec.branch) == said


def test_a_task_says_what_may_come_of_it_by_a_split() -> None:
    spec = read("---\nmax_recursion_depth: 2\nmax_children: 4\ntree_budget_usd: $3.50\napprove: Plan\n---\n# T\nx\n")
    assert (spec.max_depth, spec.max_children, spec.tree_budget_usd, spec.approve) == (2, 4, 3.5, "plan")


@pytest.mark.parametrize("name", ["a", "feature/auth", "007", "a#b", "x.y", "ü/é", "a@b"])
def test_what_git_takes_for_a_branch_is_one(name: str) -> None:
    assert is_branch(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "a b", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock"),
        *("a.", "@", "HEAD", "-a", "refs/heads/a", "a@{b", "a\x7f", "x" * 201),
    ],
)
def test_what_git_takes_for_no_branch_is_none(name: str) -> None:
    assert not is_branch(name)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("after: 22:00", ("22:00", "", "", "")),
        ("after: '2026-11-28T22:00'\ndeadline: 2026-11-29", ("2026-11-28T22:00", "", "", "2026-11-29")),
        ("after: in  2 h", ("in 2 h", "", "", "")),
        ("Schedule: 30  2 * * mon-fri\ntime-zone: x", ("", "30 2 * * mon-fri", "", "")),
        ("schedule: '@Daily'\ntimezone: Europe/Berlin\ndeadline: 06:00", ("", "@daily", "Europe/Berlin", "06:00")),
    ],
)
def test_a_task_says_when_it_is_to_run(lines: str, said: tuple[str, str, str, str]) -> None:
    spec = read(f"---\n{lines}\n---\n# T\n**Prompt:** x\n")
    assert (spec.after, spec.schedule, spec.timezone, spec.deadline) == said


@pytest.mark.parametrize(
    ("lines", "line"), [("job: night\nschedule: '@daily'", 2), ("job: night", 0), ("schedule: '@daily'", 0)]
)
def test_a_job_beside_a_schedule_is_told_to_have_no_effect(lines: str, line: int) -> None:
    notices = [one for one in read(f"---\n{lines}\n---\n# T\nx\n").notices if one.field == "job"]
    assert [(one.code, one.line) for one in notices] == ([("job_of_schedule", line)] if line else [])
