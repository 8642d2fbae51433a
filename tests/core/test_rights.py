"""What a worker may split its task into is never above what it has itself, however deep and however often it asks."""

from dataclasses import replace
from math import inf
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.criteria import placeless, read_check
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.rights import Rights, left_usd, limits_words, refusals, rights_of, why_not_at_all, within
from orchestrator.core.split import SplitRules
from orchestrator.core.subtask import Plan, SubTask
from orchestrator.core.task import Criterion, Priority, Task, TaskSpec, TaskType

TOOLS = ("Read", "Grep", "Edit", "Write", "Bash")
TYPES = MappingProxyType(
    {
        "look": TaskType("look", ("Read",), expects_changes=False),
        "search": TaskType("search", ("Read", "Grep"), expects_changes=False),
        "fix": TaskType("fix", ("Read", "Grep", "Edit", "Write"), expects_changes=True),
        "build": TaskType("build", TOOLS, expects_changes=True),
        "orchestrate": TaskType("orchestrate", ("Read",), expects_changes=False, plans=True),
    }
)
OWN = "tests pass: `pytest -q`"
OTHER = "it is clean: `rm -rf build`"


def criterion(text: str) -> Criterion:
    return Criterion(text, check=read_check(text, placeless).check)


def task(n: int, kind: str = "fix", **given: object) -> Task:
    """Return task number *n*. What is given goes into the task where it has such a field, else into its spec."""
    own = {name: value for name, value in given.items() if name in ("parent", "root", "depth", "rerun_of", "attempt")}
    spec = TaskSpec(f"t{n}", kind, Priority.MEDIUM, f"Task {n}", "Do it.", cwd="/area")
    spec = replace(spec, **{name: value for name, value in given.items() if name not in own})  # type: ignore[arg-type]
    return replace(Task(TaskUid(f"{n:032x}"), f"t{n}", spec, "0" * 64, 1.0), **own)  # type: ignore[arg-type]


def plan(*kinds: str, criteria: tuple[str, ...] = ()) -> Plan:
    return Plan(tuple(SubTask(f"k{n}", f"Part {n}", "Do it.", kind, criteria=criteria) for n, kind in enumerate(kinds)))


def rights(one: Task, *others: Task, rules: SplitRules | None = None, left: float = inf) -> Rights:
    return rights_of(one, (one, *others), rules=rules or SplitRules(), types=TYPES, cwd="/area", left_usd=left)


def test_a_worker_has_what_its_type_and_the_rules_give_it() -> None:
    found = rights(task(1, "search"), rules=SplitRules(max_depth=2, max_children=5, max_tree=10))
    assert (found.levels, found.least, found.most, found.room) == (2, 2, 5, 9)
    assert found.types == {"look", "search"}
    assert refusals(plan("look", "search"), found) == ()


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (plan("look", "build"), "is of type build; it may be one of: fix, look, search"),
        (plan("look", "orchestrate"), "is of type orchestrate"),
        (plan("look", "unheard of"), "is of type unheard of"),
        (plan(*["look"] * 8), "8 sub-tasks are asked for, 7 may be"),
        (plan("look", "look", criteria=(OTHER,)), "names a command that is none of your own task's"),
        (plan("look", "look", criteria=("exists: `/etc/shadow`",)), "a criterion cannot be read"),
    ],
)
def test_what_is_above_its_own_is_refused_and_named(asked: Plan, word: str) -> None:
    assert word in "; ".join(refusals(asked, rights(task(1, criteria=(criterion(OWN),)))))


def test_a_command_that_a_person_wrote_may_be_passed_on() -> None:
    asked = plan("look", "look", criteria=(OWN, "exists: `a.txt`", "it reads well"))
    assert refusals(asked, rights(task(1, criteria=(criterion(OWN),)))) == ()
    assert refusals(asked, rights(task(1))) != ()


def test_no_more_is_split_at_the_bottom_when_the_tree_is_full_when_it_was_split_or_the_money_is_gone() -> None:
    root = task(1)
    below = task(2, parent=root.uid, root=root.uid, depth=1)
    again = task(3, parent=root.uid, root=root.uid, depth=1, rerun_of=below.uid)
    assert "depth" in why_not_at_all(rights(below, root, rules=SplitRules(max_depth=1)))
    assert "whole tree takes in 1 more" in why_not_at_all(rights(below, root, again, rules=SplitRules(max_tree=4)))
    assert why_not_at_all(rights(below, root, again, rules=SplitRules(max_tree=5))) == ""
    assert "decided before" in why_not_at_all(rights(root, below))
    assert "budget" in why_not_at_all(rights(root, left=0.0))
    assert "2 at least" in why_not_at_all(rights(task(1, max_children=1)))
    for found in (rights(root, below), rights(root, left=0.0)):
        assert refusals(plan("look", "look"), found)
        assert limits_words(found).startswith("Nothing more: ")


def test_what_a_task_above_says_of_depth_and_number_holds_for_all_below() -> None:
    root = task(1, max_depth=2, max_children=3)
    below = task(2, parent=root.uid, root=root.uid, depth=1, max_depth=9, max_children=7)
    found = rights(below, root)
    assert (found.levels, found.most) == (1, 3)


def test_the_budget_left_is_that_of_the_tree_and_of_the_task_without_the_attempt_that_runs() -> None:
    def record(n: int, number: int, cost: float | None, cap: float = 0.0) -> AttemptRecord:
        told: dict[str, Json] = {} if cost is None else {"kind": "finished", "report": {"usage": {"cost_usd": cost}}}
        return AttemptRecord(TaskUid(f"{n:032x}"), number, 1, "claude", "s", 1.0, 2.0, told, {}, cap)

    root = task(1, tree_budget_usd=10.0)
    own = task(2, parent=root.uid, root=root.uid, depth=1, attempt=2)
    attempts = [record(1, 1, 3.0), record(2, 1, 1.0), record(2, 2, None), record(3, 1, None, cap=2.0)]
    rules = SplitRules(tree_budget_usd=1.0)
    assert left_usd(own, root, attempts, rules=rules, own_usd=0.0) == 4.0
    assert left_usd(own, root, attempts, rules=rules, own_usd=2.5) == 1.5
    assert left_usd(own, task(1), attempts, rules=rules, own_usd=0.0) == 0.0
    assert left_usd(own, task(1), attempts, rules=SplitRules(), own_usd=0.0) == inf
    assert left_usd(own, root, [*attempts, record(3, 2, None)], rules=rules, own_usd=0.0) == 0.0


ALL = "sub-tasks of the types: fix, look, search."


@pytest.mark.parametrize(
    ("rules", "left", "words"),
    [
        (SplitRules(), inf, f"2 to 7 {ALL} They may split themselves, 2 levels deep. Budget left for all of"),
        (
            SplitRules(max_depth=2),
            1.5,
            "They may split once more themselves. Budget left for all of them together: $1.50",
        ),
        (SplitRules(max_depth=1, max_children=2), inf, f"2 {ALL} They may not split themselves."),
    ],
)
def test_the_limits_are_told_in_words(rules: SplitRules, left: float, words: str) -> None:
    assert words in limits_words(rights(task(1), rules=rules, left=left))


# --- never above ------------------------------------------------------------------------------------------------------

# Mostly what may be granted: a request that is refused for one reason proves nothing of the others.
kinds = st.sampled_from([*["look"] * 12, "search", "fix", "build", "orchestrate", "unheard of"])
said = st.sampled_from([*[()] * 12, (OWN,), (OTHER,), ("in words",)])
parts = st.lists(st.tuples(kinds, said), min_size=1, max_size=6)
bounds = st.none() | st.integers(1, 4)
every_rule = st.builds(
    SplitRules,
    max_depth=st.integers(1, 4),
    min_children=st.integers(1, 2),
    max_children=st.integers(2, 5),
    max_tree=st.integers(4, 20),
    tool=st.just(True),
)


def child_of(parent: Task, part: SubTask, n: int, bound: tuple[int | None, int | None]) -> Task:
    """Return the task that *part* becomes. Whatever bounds it may have of its own, they do not widen anything."""
    found = tuple(criterion(text) for text in part.criteria)
    depth, count = bound
    given: dict[str, object] = {"criteria": found, "max_depth": depth, "max_children": count}
    return task(n, part.type, parent=parent.uid, root=parent.lineage, depth=parent.depth + 1, **given)


@settings(max_examples=150, deadline=None)
@given(
    root_kind=st.sampled_from(["search", "fix", "build"]),
    root_bounds=st.tuples(bounds, bounds),
    rules=every_rule,
    asked=st.lists(
        st.tuples(st.integers(0, 6), parts, st.tuples(bounds, bounds), st.floats(0, 9)), min_size=4, max_size=12
    ),
)
def test_no_sequence_of_requests_gives_a_task_more_than_the_one_it_came_from(
    root_kind: str,
    root_bounds: tuple[int | None, int | None],
    rules: SplitRules,
    asked: list[tuple[int, list[tuple[str, tuple[str, ...]]], tuple[int | None, int | None], float]],
) -> None:
    depth, count = root_bounds
    root = task(0, root_kind, criteria=(criterion(OWN),), max_depth=depth, max_children=count)
    tree, left = [root], 100.0
    for who, wanted, bound, spent in asked:
        parent = tree[-1 - who % len(tree)]
        mine = rights(parent, *(one for one in tree if one is not parent), rules=rules, left=left)
        tasks = tuple(SubTask(f"k{n}", f"P{n}", "x", kind, criteria=said) for n, (kind, said) in enumerate(wanted))
        if len(tasks) < rules.min_children or refusals(Plan(tasks), mine):
            continue
        born = [child_of(parent, part, len(tree) + n, bound) for n, part in enumerate(tasks)]
        tree += born
        left = max(0.0, left - spent)
        for child in born:
            theirs = rights(child, *(one for one in tree if one is not child), rules=rules, left=left)
            assert within(theirs, mine), (theirs, mine)
            assert theirs.levels < mine.levels
            assert len(TYPES[child.spec.type].tools) <= len(TYPES[root_kind].tools)
        assert len(born) <= mine.most
    assert max(one.depth for one in tree) <= min(rules.max_depth, depth if depth is not None else 99)
    assert len(tree) <= max(rules.max_tree, 1)
    for parent in tree:
        assert sum(one.parent == parent.uid for one in tree) <= min(
            rules.max_children, count if count is not None else 99
        )
    commands = {one.check.argv for child in tree for one in child.spec.criteria if one.check is not None}
    assert commands <= {("pytest", "-q")}
