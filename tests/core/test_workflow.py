"""The view of a task as a workflow: total over our table, and a history that ends where the task is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.attempt import FailureKind
from orchestrator.core.events import Event, EventKind, TaskUid
from orchestrator.core.lifecycle import NEXT, State
from orchestrator.core.workflow import (
    JUDGED,
    PASSES,
    PERCENT,
    RESTING,
    STRAIGHT,
    Workflow,
    history,
    progress_percent,
    word_of,
    workflow_facts,
)

OF_A_TASK = {kind for row in NEXT.values() for kind in row}
WORDS = {
    "pending", "processing", "nlp_parsing", "task_decomposition", "dependency_resolution", "agent_assignment",
    "pr_created", "validation_running", "validation_failed", "validation_passed", "merged", "failed", "cancelled",
}  # fmt: skip


def told(*kinds: EventKind | tuple[EventKind, dict[str, str]]) -> list[Event]:
    """Return events, a second apart from second 1 on, with a seq each."""
    pairs = [kind if isinstance(kind, tuple) else (kind, dict[str, str]()) for kind in kinds]
    return [Event(kind, float(n), TaskUid("u"), data=data, seq=n) for n, (kind, data) in enumerate(pairs, start=1)]


def words(events: list[Event]) -> list[str]:
    return [row.to_state.value for row in history(events)]


def test_the_words_are_those_of_the_contract() -> None:
    assert {word.value for word in Workflow} == WORDS


@pytest.mark.parametrize("state", State)
def test_every_state_rests_in_a_word(state: State) -> None:
    assert word_of(state) is RESTING[state]


@pytest.mark.parametrize("kind", sorted(OF_A_TASK))
def test_every_event_of_a_task_passes_through_a_word_or_is_known_to_lead_straight(kind: EventKind) -> None:
    assert (kind in PASSES) != (kind in STRAIGHT)


def test_no_table_knows_an_event_that_no_task_has() -> None:
    assert set(PASSES) | STRAIGHT == OF_A_TASK


@pytest.mark.parametrize("word", Workflow)
def test_every_word_is_so_many_percent_of_the_way(word: Workflow) -> None:
    assert 0 <= progress_percent(word) <= 100
    assert set(PERCENT) == set(Workflow)


def test_the_reasons_that_were_looked_at_are_kinds_of_failure() -> None:
    assert {kind.value for kind in FailureKind} >= JUDGED


@given(path=st.lists(st.integers(min_value=0, max_value=30), max_size=40), refused=st.booleans())
def test_whatever_happens_the_history_is_a_chain_that_ends_in_the_word_of_the_task(
    path: list[int], refused: bool
) -> None:
    state = State.REJECTED if refused else State.QUEUED
    kinds = [EventKind.RECEIVED, EventKind.REJECTED if refused else EventKind.PARSED]
    for choice in path:
        legal = sorted(set(NEXT[state]) - {EventKind.RECEIVED, EventKind.REJECTED})
        if not legal:
            break
        kinds.append(legal[choice % len(legal)])
        state = NEXT[state][kinds[-1]]
    events = told(*kinds)
    rows = history(events)
    assert [row.from_state for row in rows] == [None, *(row.to_state for row in rows[:-1])]
    assert rows[-1].to_state is word_of(state, events)
    assert all(row.from_state is not row.to_state for row in rows)


def test_a_success_that_is_merged_goes_through_the_words_in_this_order() -> None:
    events = told(
        EventKind.RECEIVED,
        EventKind.PARSED,
        (EventKind.STARTED, {"agent": "claude"}),
        EventKind.PROGRESS,
        EventKind.FINISHED,
        EventKind.VALIDATED,
        EventKind.SUCCEEDED,
        (EventKind.TAKEN, {"how": "pr"}),
        (EventKind.TAKEN, {"how": "merge"}),
    )
    assert words(events) == [
        "pending", "nlp_parsing", "pending", "agent_assignment", "processing", "validation_running",
        "validation_passed", "pr_created", "merged",
    ]  # fmt: skip
    assert history(events)[3].metadata == {"event": "claude_started", "seq": 3, "agent": "claude"}
    assert history(events)[-1].timestamp == 9.0


def test_a_taking_that_was_refused_changes_nothing() -> None:
    refused = told((EventKind.TAKEN, {"how": "merge", "ok": False}))  # type: ignore[dict-item]
    assert word_of(State.SUCCEEDED, refused) is Workflow.VALIDATION_PASSED


@pytest.mark.parametrize(("reason", "through"), [("check_failed", True), ("transient", False)])
def test_only_a_result_that_was_looked_at_has_failed_its_validation(reason: str, through: bool) -> None:
    kinds = (EventKind.RECEIVED, EventKind.STARTED, EventKind.FINISHED, EventKind.VALIDATED)
    events = told(*kinds, (EventKind.RETRY, {"reason": reason}))
    tail = ["validation_failed", "pending"] if through else ["pending"]
    assert words(events)[-len(tail) - 1 :] == ["validation_running", *tail]


def test_a_refused_file_has_failed_and_was_never_pending_again() -> None:
    assert words(told(EventKind.RECEIVED, (EventKind.REJECTED, {"reason": "empty_file"}))) == ["pending", "failed"]


def test_a_log_that_begins_in_the_middle_is_told_as_far_as_it_goes() -> None:
    assert words(told(EventKind.FINISHED, EventKind.SUCCEEDED)) == ["pending"]


def test_the_facts_are_rows_as_a_table_of_the_history_has_them() -> None:
    facts = workflow_facts("u", "fix_db", State.RUNNING, told(EventKind.RECEIVED, EventKind.STARTED))
    assert (facts["status"], facts["progress"], facts["state"]) == ("processing", 30, "running")
    rows = facts["history"]
    assert isinstance(rows, list)
    assert rows[0] == {
        "id": 1,
        "workflow_id": "u",
        "from_state": None,
        "to_state": "pending",
        "timestamp": 1.0,
        "metadata": {"event": "task_received", "seq": 1},
    }


def test_a_task_that_waits_for_others_and_splits_itself_is_told_so() -> None:
    kinds = (EventKind.RECEIVED, EventKind.PARSED, EventKind.BLOCKED, EventKind.UNBLOCKED, EventKind.STARTED)
    events = told(*kinds, EventKind.FINISHED, EventKind.SPLIT, EventKind.JOINED)
    assert words(events)[2:] == [
        "pending", "dependency_resolution", "pending", "agent_assignment", "processing", "validation_running",
        "task_decomposition", "dependency_resolution", "pending",
    ]  # fmt: skip
