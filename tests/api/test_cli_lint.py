"""The command `check` of a folder: what it asks for, what it prints, and how it ends."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.api.world import World

from orchestrator.core.errors import UsageError
from orchestrator.core.lint import LintReport, LintTask, Refused, Remark, Weight
from orchestrator.core.task import Priority, TaskSpec
from orchestrator.validation.schema import lint_problems

FAIL = Remark(Weight.FAIL, "type_invalid", "'nope' is not a type", "Write one of them.", "tasks/b.task.md", 3)
WARN = Remark(Weight.WARN, "held", "the queue is held", "python main.py resume")
NOTE = Remark(Weight.NOTE, "criterion_not_executable", "a criterion is in words", "", "tasks/a.task.md", 9)
TASK = LintTask("tasks/a.task.md", TaskSpec("a", "fix", Priority.MEDIUM, "T", "Do."), "/w")
CLEAN = replace(TASK, file="tasks/c.task.md")
REPORT = LintReport((TASK, CLEAN), (Refused("tasks/b.task.md", FAIL),), (WARN, FAIL, NOTE), 3, 1, 2.34)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    (tmp_path / "tasks").mkdir()
    monkeypatch.chdir(tmp_path)
    return World(lint=REPORT)


async def test_a_folder_is_linted_and_its_report_is_grouped_with_what_to_type(world: World) -> None:
    code, text, _ = await world.call("check", "tasks")
    assert (code, world.linted) == (1, [(("tasks",), True, 120.0)])
    assert text == (
        "all together\n"
        "  WARN  the queue is held\n"
        "        fix: python main.py resume\n"
        "\n"
        "tasks/b.task.md\n"
        "  FAIL  line 3: 'nope' is not a type\n"
        "        fix: Write one of them.\n"
        "\n"
        "tasks/a.task.md\n"
        "  NOTE  line 9: a criterion is in words\n"
        "\n"
        "3 tasks, 1 of them without a remark.\n"
        "Checks run on the base: 3, 1 not run, in 2.3s.\n"
        "failures: 1, warnings: 1\n"
    )


@pytest.mark.parametrize(
    ("remarks", "words", "code"),
    [((), (), 0), ((NOTE,), ("--strict",), 0), ((WARN,), (), 0), ((WARN,), ("--strict",), 1), ((FAIL,), (), 1)],
)
async def test_it_ends_like_the_doctor_and_with_strict_also_for_warnings(
    world: World, remarks: tuple[Remark, ...], words: tuple[str, ...], code: int
) -> None:
    world.lint = LintReport((TASK,), (), remarks)
    assert (await world.call("check", "tasks", *words))[0] == code


async def test_a_file_is_linted_only_where_that_is_asked_for(world: World) -> None:
    world.files["a.md"] = TASK.spec
    assert (await world.call("check", "a.md"))[1].startswith("a.md: ok\n")
    assert world.linted == []
    await world.call("check", "a.md", "--lint", "--no-run", "--seconds", "5")
    assert world.linted == [(("a.md",), False, 5.0)]


async def test_a_file_of_many_tasks_is_read_as_a_job(world: World) -> None:
    world.files["a"] = TASK.spec
    world.files["b"] = replace(TASK.spec, id="b", depends_on=("a",))
    code, text, _ = await world.call("check", "tasks.json")
    assert (code, text) == (0, "tasks.json: ok, a job of 2 tasks, called night\n  a: T\n  b (after a): T\n")
    (row,) = (await world.json("check", "night.job.md"))["files"]
    assert (row["ok"], row["job"], [one["id"] for one in row["tasks"]]) == (True, "night", ["a", "b"])


async def test_without_running_it_says_how_to_run(world: World) -> None:
    world.lint = LintReport((TASK,), (), ())
    text = (await world.call("check", "tasks", "--no-run"))[1]
    assert text.endswith("No check was run: leave out --no-run to see which pass already.\nNothing is in the way.\n")


async def test_an_option_of_the_lint_is_refused_where_nothing_is_linted(world: World) -> None:
    with pytest.raises(UsageError, match="belong to a folder"):
        await world.call("check", "a.md", "--strict")


async def test_its_document_satisfies_the_published_schema(world: World) -> None:
    told = await world.json("check", "tasks")
    assert lint_problems(told) == []
    assert told["counts"] == {"fail": 1, "warn": 1, "note": 1}
    assert told["remarks"][0] == {
        "file": None,
        "line": None,
        "level": "warn",
        "code": "held",
        "message": "the queue is held",
        "fix": "python main.py resume",
    }
    assert [(row["file"], row["ok"]) for row in told["files"]][-1] == ("tasks/b.task.md", False)
    assert lint_problems({**told, "kind": "x"}) != []
