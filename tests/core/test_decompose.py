"""Plans: what is read, what is refused and in which words, what is mended; and the laws that no plan gets around."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.decompose import Checked, PlanBounds, check_plan, checked
from orchestrator.core.dependencies import cycle_in
from orchestrator.core.events import Json
from orchestrator.core.paths import resolve
from orchestrator.core.subtask import (
    KEY_CHARS,
    MAX_ITEMS,
    Complexity,
    Plan,
    SubTask,
    plan_facts,
    plan_schema,
    read_plan,
)

BOUNDS = PlanBounds(base="/base/app", root="/base")


def sub_task(key: str, **changes: Json) -> Mapping[str, Json]:
    plain: dict[str, Json] = {
        "id": key,
        "title": f"Part {key}",
        "prompt": f"Do {key}.",
        "type": "fix",
        "target_files": [f"{key}.py"],
        "criteria": [f"exists: `{key}.py`"],
        "depends_on": [],
        "complexity": "low",
    }
    return plain | changes


def plan(*tasks: Json, **changes: Json) -> Mapping[str, Json]:
    return {"summary": "In parts.", "tasks": list(tasks), **changes}


def codes(found: Checked) -> set[str]:
    return {one.code for one in found.findings}


GOOD = plan(sub_task("a"), sub_task("b", depends_on=["a"]), sub_task("c", estimated_minutes=12))


def test_a_good_plan_is_taken_as_it_is() -> None:
    found = check_plan(GOOD, BOUNDS)
    assert (found.findings, found.why) == ((), "")
    assert found.plan is not None
    assert [task.key for task in found.plan.tasks] == ["a", "b", "c"]
    assert found.plan.edges == {"a": (), "b": ("a",), "c": ()}
    assert [task.minutes for task in found.plan.tasks] == [5.0, 5.0, 12.0]
    assert found.plan.tasks[0].complexity is Complexity.LOW


def test_a_request_that_is_one_piece_is_no_plan_and_says_why() -> None:
    found = check_plan({"summary": "Small.", "one_piece": "It is one line."}, BOUNDS)
    assert (found.plan, found.findings) == (None, ())
    assert found.why == "it was planned as one piece of work: It is one line."


REFUSED: Mapping[str, tuple[Json, str, str]] = {
    "no object": ([1, 2], "plan_shape", "the plan is no object but [1, 2]"),
    "nothing": ({}, "plan_too_small", "the plan has 0 sub-tasks, a split has 2 at least"),
    "one": (plan(sub_task("a")), "plan_too_small", "the plan has 1 sub-task, a split has 2 at least"),
    "eight": (
        plan(*(sub_task(f"t{n}") for n in range(8))),
        "plan_too_large",
        "the plan has 8 sub-tasks, 7 may be",
    ),
    "twice": (plan(sub_task("a"), sub_task("a")), "duplicate_sub_task", "two sub-tasks have the id a"),
    "unknown": (
        plan(sub_task("a", depends_on=["z"]), sub_task("b")),
        "unknown_dependency",
        "the sub-task a waits for z, which is not in the plan",
    ),
    "cycle": (
        plan(sub_task("a", depends_on=["c"]), sub_task("b", depends_on=["a"]), sub_task("c", depends_on=["b"])),
        "plan_cycle",
        "the sub-tasks wait for each other in a circle: a → c → b → a",
    ),
    "itself": (
        plan(sub_task("a", depends_on=["a"]), sub_task("b")),
        "plan_cycle",
        "the sub-tasks wait for each other in a circle: a → a",
    ),
    "no words": (
        plan(sub_task("a", prompt=" … "), sub_task("b")),
        "prompt_missing",
        "the sub-task a does not say what is to be done",
    ),
    "elsewhere": (
        plan(sub_task("a", target_files=["../../etc/passwd"]), sub_task("b")),
        "target_outside_root",
        "the target file ../../etc/passwd of the sub-task a does not lie under /base",
    ),
    "a strange id": (
        plan(sub_task("A b"), sub_task("b")),
        "sub_task_id_invalid",
        "the id A b of a sub-task is not 1 to 24 small letters, digits, - and _",
    ),
    "a strange key": (
        plan(sub_task("a", shell="rm"), sub_task("b")),
        "plan_shape",
        "sub-task 1 has a key `shell` that means nothing",
    ),
    "a number for words": (
        plan(sub_task("a", prompt=7), sub_task("b")),
        "plan_shape",
        "`prompt` of the sub-task a is no text but 7",
    ),
    "too many files": (
        plan(sub_task("a", target_files=[f"{n}.py" for n in range(MAX_ITEMS + 1)]), sub_task("b")),
        "plan_too_large",
        f"`target_files` of the sub-task a has {MAX_ITEMS + 1} entries, {MAX_ITEMS} may be",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_mended_refuses_the_plan_in_words(name: str) -> None:
    value, code, words = REFUSED[name]
    found = check_plan(value, BOUNDS)
    assert found.plan is None
    assert code in codes(found)
    assert words in found.why


def test_a_tree_that_is_nearly_full_takes_in_no_more_than_it_has_room_for() -> None:
    found = check_plan(GOOD, PlanBounds("/base/app", "/base", room=2))
    assert (found.plan, found.why) == (None, "the plan has 3 sub-tasks, and its tree takes in 2 more")


def test_two_sub_tasks_that_could_change_the_same_file_at_once_are_put_in_order_and_it_is_told() -> None:
    both = plan(sub_task("a", target_files=["src/db.py"]), sub_task("b", target_files=["./src/", "b.py"]))
    found = check_plan(both, BOUNDS)
    assert found.plan is not None
    assert found.plan.edges == {"a": (), "b": ("a",)}
    (told,) = found.findings
    assert (told.code, told.fatal) == ("targets_overlap", False)
    assert told.message == "the sub-tasks a and b both name src/db.py: b waits for a"


def test_two_sub_tasks_in_order_may_name_the_same_file() -> None:
    chain = plan(
        sub_task("a", target_files=["x.py"], depends_on=["b"]),
        sub_task("b", depends_on=["c"]),
        sub_task("c", target_files=["x.py"]),
    )
    found = check_plan(chain, BOUNDS)
    assert found.plan is not None
    assert found.findings == ()


def test_the_schema_asks_for_three_to_seven_sub_tasks_and_for_fewer_where_fewer_may_be() -> None:
    tasks: Any = plan_schema(("fix",), max_children=7)["properties"]
    assert (tasks["tasks"]["minItems"], tasks["tasks"]["maxItems"]) == (3, 7)
    few: Any = plan_schema(("fix",), max_children=2)["properties"]
    assert (few["tasks"]["minItems"], few["tasks"]["maxItems"]) == (2, 2)
    assert len(json.dumps(plan_schema(tuple(f"type{n}" for n in range(64)), max_children=7))) < 64 * 1024


# --- laws ------------------------------------------------------------------------------------------------------------

keys = st.text("abcdefgh-_1", min_size=1, max_size=3)
words = st.text(max_size=12)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words
anything: st.SearchStrategy[Json] = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=10
)
paths = st.sampled_from(
    ["x.py", "src", "src/a.py", "./x.py", "../app/x.py", "../../up", "/base/app/x.py", "/etc/x", "~"]
)
rows = st.fixed_dictionaries(
    {"id": keys, "prompt": st.sampled_from(["Do it.", "", "…"]) | words},
    optional={
        "title": words,
        "type": words,
        "target_files": st.lists(paths, max_size=3),
        "criteria": st.lists(words, max_size=2),
        "depends_on": st.lists(keys, max_size=3),
        "complexity": st.sampled_from(["low", "medium", "high", "none"]),
        "estimated_minutes": st.integers(-1, 90),
    },
)
plans = st.fixed_dictionaries({"tasks": st.lists(rows, max_size=10)}, optional={"summary": words, "one_piece": words})
keyed = st.integers(2, 9).flatmap(
    lambda count: st.tuples(
        *(
            st.builds(
                SubTask,
                key=st.just(f"t{n}"),
                title=st.just("T"),
                prompt=st.just("Do it."),
                target_files=st.lists(st.sampled_from(["x.py", "src", "src/a.py"]), max_size=2, unique=True).map(tuple),
                depends_on=st.lists(st.sampled_from([f"t{m}" for m in range(count)]), max_size=2, unique=True).map(
                    tuple
                ),
            )
            for n in range(count)
        )
    )
)
bounds = st.builds(
    PlanBounds,
    base=st.just("/base/app"),
    root=st.just("/base"),
    min_children=st.integers(1, 3),
    max_children=st.integers(2, 8),
    room=st.integers(0, 12),
)


def lawful(found: Checked, limits: PlanBounds) -> None:
    """Assert what holds of every plan that may run."""
    if found.plan is None:
        assert found.why
        return
    tasks = found.plan.tasks
    assert limits.min_children <= len(tasks) <= min(limits.max_children, limits.room)
    assert len({task.key for task in tasks}) == len(tasks)
    assert cycle_in(found.plan.edges) == ()
    assert set().union(*found.plan.edges.values()) <= found.plan.edges.keys()
    assert all(len(task.key) <= KEY_CHARS for task in tasks)
    assert all(any(char.isalnum() for char in task.prompt) for task in tasks)
    targets = [path for task in tasks for path in task.target_files]
    assert all(resolve(path, base=limits.base, root=limits.root) for path in targets)
    assert not any(one.fatal for one in found.findings)


@given(value=anything | plans, limits=bounds)
def test_whatever_an_agent_gives_nothing_is_raised_and_only_lawful_plans_may_run(
    value: Json, limits: PlanBounds
) -> None:
    lawful(check_plan(value, limits), limits)


@settings(max_examples=80)
@given(tasks=keyed, limits=bounds)
def test_no_plan_that_may_run_has_a_cycle_or_two_free_tasks_on_one_file(
    tasks: tuple[SubTask, ...], limits: PlanBounds
) -> None:
    found = checked(Plan(tasks), limits)
    lawful(found, limits)
    if found.plan is None:
        return
    again = checked(found.plan, limits)
    assert (again.plan, again.findings) == (found.plan, ()), "what was mended needs no second mending"
    before = {task.key: set(task.depends_on) for task in tasks}
    assert all(before[task.key] <= set(task.depends_on) for task in found.plan.tasks), "no order is taken away"


@given(tasks=keyed, summary=words)
def test_a_plan_comes_back_from_json_as_it_was(tasks: tuple[SubTask, ...], summary: str) -> None:
    whole = Plan(tasks, summary.replace("\0", "").strip())
    read, faults = read_plan(json.loads(json.dumps(plan_facts(whole))))
    assert (read, faults) == (whole, ())
