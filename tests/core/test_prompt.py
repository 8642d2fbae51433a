"""The pass-through prompt policy."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.prompt import CONTINUE, continue_prompt_of, prompt_of
from orchestrator.core.task import Criterion, Priority, TaskSpec


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
