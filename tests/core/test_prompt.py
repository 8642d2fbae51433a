"""The pass-through prompt policy."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.events import Json
from orchestrator.core.notes import ProjectNote
from orchestrator.core.prompt import CONTINUE, continue_prompt_of, place_words, prompt_of, sent_back_prompt_of
from orchestrator.core.task import Criterion, Priority, TaskSpec
from orchestrator.core.work import Area, Isolation


def _spec(prompt: str, **given: object) -> TaskSpec:
    return TaskSpec(id="t", type="fix", priority=Priority.LOW, title="Title", prompt=prompt, **given)  # type: ignore[arg-type]


@given(st.text())
def test_a_prompt_alone_is_passed_on_word_for_word(prompt: str) -> None:
    assert prompt_of(_spec(prompt)) == prompt


@given(st.text())
def test_the_prompt_stands_first_and_unchanged(prompt: str) -> None:
    spec = _spec(prompt, target_files=("a.py",), context="old code", criteria=(Criterion("it works", ticked=True),))
    assert prompt_of(spec).startswith(prompt)


def test_target_files_criteria_and_context_follow_under_their_names() -> None:
    spec = _spec("Do it.", target_files=("a.py", "b.py"), context="old code", criteria=(Criterion("it works"),))
    assert prompt_of(spec) == (
        "Do it.\n\nTarget Files:\n- a.py\n- b.py\n\nSuccess Criteria:\n- it works\n\nContext:\nold code"
    )


def test_a_resumed_session_hears_the_whole_task_again() -> None:
    spec = _spec("Do it.", context="old code")
    assert continue_prompt_of(spec) == f"{CONTINUE}\n\n{prompt_of(spec)}"


def _row(verdict: str, tail: str = "", text: str = "tests pass: `pytest -q`") -> dict[str, Json]:
    run: dict[str, Json] = {"passed": False, "commit": "c", "exit_code": 1, "tail": tail}
    return {"text": text, "verdict": verdict, "why": "it fails on the result: exit code 1", "result": run}


def test_a_session_is_told_which_check_failed_and_what_it_printed_and_nothing_else() -> None:
    rows = [_row("proven", "all well"), _row("failed", "E  assert 1 == 2")]
    assert sent_back_prompt_of({"criteria": rows}) == (
        "The daemon has run the checks of the success criteria on your work. One fails:\n\n"
        "- tests pass: `pytest -q`\n"
        "  it fails on the result: exit code 1\n"
        "  The end of what it printed:\n\n"
        "```\nE  assert 1 == 2\n```"
    )


def test_where_no_check_failed_there_is_nothing_to_say() -> None:
    verdicts: list[dict[str, Json]] = [{}, {"criteria": "x"}, {"criteria": [1, _row("unproven"), _row("holds")]}]
    for verdict in verdicts:
        assert sent_back_prompt_of(verdict) == ""


def test_no_output_can_close_its_fence_and_many_checks_are_counted() -> None:
    told = sent_back_prompt_of({"criteria": [_row("failed", "a\n````\nb")]})
    assert "\n`````\na\n````\nb\n`````" in told
    many = sent_back_prompt_of({"criteria": [_row("failed", text=f"n{n}") for n in range(12)]})
    assert many.startswith("The daemon has run the checks of the success criteria on your work. These fail:\n\n- n0\n")
    assert "printed" not in many
    assert many.endswith("- n9\n  it fails on the result: exit code 1\n\nand 2 more")


def test_the_notes_of_the_project_follow_the_task_under_their_path_and_say_what_is_missing() -> None:
    notes = (
        ProjectNote("../CLAUDE.md", "Use tabs.\n", 10),
        ProjectNote("CLAUDE.md", "One.\n", 900, "cut: the first 5 of 900 bytes"),
        ProjectNote("AGENTS.md", "", 0, "not given: Permission denied"),
    )
    assert prompt_of(_spec("Do it.", context="old code"), notes) == (
        "Do it.\n\nContext:\nold code\n\nProject notes (../CLAUDE.md):\nUse tabs.\n\n"
        "Project notes (CLAUDE.md), cut: the first 5 of 900 bytes:\nOne.\n\n"
        "Project notes (AGENTS.md), not given: Permission denied"
    )


@given(st.text())
def test_no_text_of_a_project_comes_before_the_words_of_the_task(text: str) -> None:
    spec = _spec("Do it.", criteria=(Criterion("it works"),))
    assert prompt_of(spec, (ProjectNote("CLAUDE.md", text, len(text)),)).startswith(prompt_of(spec))


def test_an_agent_whose_task_names_the_folder_it_works_on_a_copy_of_is_told_where_it_works() -> None:
    area = Area("/areas/repo", "/areas/repo", "/home/me/app", Isolation.CLONE, "base")
    words = place_words(_spec("Fix /home/me/app/src."), area)
    assert words == "Work area: /areas/repo is your own clone of /home/me/app. Work there."
    assert prompt_of(_spec("Fix /home/me/app/src."), place=words) == f"Fix /home/me/app/src.\n\n{words}"
    assert place_words(_spec("Fix src.", context="see /home/me/app"), area) == words
    assert place_words(_spec("Fix src."), area) == ""
    assert place_words(_spec("Fix /a."), Area("/a", "/a", "/a", Isolation.IN_PLACE)) == ""
