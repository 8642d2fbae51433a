"""Names by which sync tools, editors and downloads leave something that is no task."""

import pytest
from tests.data.sync_names import CONFLICTS, TASKS, TEMPORARY

from orchestrator.bridges.inbox import is_task_name
from orchestrator.core.sync_names import is_conflict, is_temporary


@pytest.mark.parametrize(("name", "who"), TEMPORARY)
def test_what_is_not_finished_is_no_task_and_not_worth_a_word(name: str, who: str) -> None:
    assert is_temporary(name), who
    assert not is_task_name(name), who
    assert not is_conflict(name, "task"), who


@pytest.mark.parametrize(("name", "who"), CONFLICTS)
def test_the_second_version_of_a_task_file_is_no_task_and_is_told_of(name: str, who: str) -> None:
    assert is_conflict(name, "task"), who
    assert not is_task_name(name), who


@pytest.mark.parametrize("name", TASKS)
def test_a_name_that_a_person_may_have_chosen_is_a_task(name: str) -> None:
    assert is_task_name(name)
    assert not is_conflict(name, "task")


@pytest.mark.parametrize("name", ["README.md", "notes.md", "x.tasks.md", "task.md", "a.taskmaster.md", "x.question.md"])
def test_other_files_are_nothing_at_all(name: str) -> None:
    assert not is_task_name(name)
    assert not is_conflict(name, "task")


def test_the_second_version_of_a_question_is_known_by_its_own_kind() -> None:
    assert is_conflict("t.question.sync-conflict-20261127-120000-ABCDEFG.md", "question")
    assert not is_conflict("t.question.md", "question")
