"""A worker's request becomes a plan, or sentences on what is wrong with it; whatever comes, nothing is raised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.events import Json
from orchestrator.core.split_request import read_request
from orchestrator.core.subtask import plan_facts, read_plan

ROWS: list[Json] = [
    {"title": "Login  form", "prompt": "Make it.", "type": "fix", "target_files": ["a.py"], "criteria": ["it works"]},
    {"title": "Über-Test!", "prompt": "Test it.", "depends_on": ["login FORM"]},
    {"title": "über test?", "prompt": "Test it again."},
]


def test_sub_tasks_get_keys_from_their_titles_and_name_each_other_by_them() -> None:
    plan, faults = read_request({"why": "three parts", "tasks": ROWS}, default_type="look")
    assert faults == ()
    assert [(one.key, one.title, one.type) for one in plan.tasks] == [
        ("login_form", "Login form", "fix"),
        ("ber_test", "Über-Test!", "look"),
        ("ber_test_3", "über test?", "look"),
    ]
    assert plan.tasks[1].depends_on == ("login_form",)
    assert plan.summary == "three parts"
    assert read_plan(plan_facts(plan)) == (plan, ())


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        ({"tasks": ROWS}, "'why' has to say"),
        ({"tasks": ROWS, "why": "  "}, "'why' has to say"),
        ({"why": "x"}, "'tasks' has to be a list"),
        ({"why": "x", "tasks": "ab"}, "'tasks' has to be a list"),
        ({"why": "x", "tasks": ["a"]}, "'tasks' has to be a list"),
        ({"why": "x", "tasks": ROWS, "budget": 9}, "'budget' means nothing"),
        ({"why": "x", "tasks": [{"title": "a", "prompt": "b", "agent": "root"}]}, "'agent' means nothing"),
        ({"why": "x", "tasks": [{"title": "a", "prompt": "b", "cwd": "/"}]}, "'cwd' means nothing"),
        ({"why": "x", "tasks": [{"title": "a", "prompt": "b", "model": "opus"}]}, "'model' means nothing"),
        ({"why": "x", "tasks": [{"title": "a"}]}, "sub-task 1 has no prompt"),
        ({"why": "x", "tasks": [{"title": "?", "prompt": "b"}]}, "sub-task 1 has no title"),
        ({"why": "x", "tasks": [ROWS[0], ROWS[0]]}, "two sub-tasks have the title 'login form'"),
        ({"why": "x", "tasks": [{"title": "a", "prompt": "b" * 40_001}]}, "40,001 characters"),
        ({"why": "x", "tasks": [{"title": "a", "prompt": "b", "criteria": "c"}]}, "no list of texts"),
        ({"why": "x", "tasks": [{"title": "a", "prompt": "b", "depends_on": [1]}]}, "no list of texts"),
        ({"why": "x", "tasks": [{"title": "a", "prompt": "b", "type": 3}]}, "no text"),
    ],
)
def test_what_is_wrong_is_told_in_words(request_: dict[str, Json], word: str) -> None:
    assert word in "; ".join(read_request(request_, default_type="look")[1])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
rows = st.dictionaries(st.sampled_from(["title", "prompt", "type", "criteria", "depends_on", "x"]), json_values)


@given(st.dictionaries(st.sampled_from(["tasks", "why", "x"]), json_values | st.lists(rows, max_size=4)))
def test_whatever_comes_is_a_plan_that_reads_back_or_a_fault(request_: dict[str, Json]) -> None:
    plan, faults = read_request(request_, default_type="look")
    if not faults:
        assert read_plan(plan_facts(plan))[0] == plan
        assert len({one.key for one in plan.tasks}) == len(plan.tasks)
