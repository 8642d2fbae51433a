"""What a sub-task may have: nothing that its parent has not."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.criteria import placeless, read_check
from orchestrator.core.offspring import Offspring, Rights, child_id, offspring, ordinary_type
from orchestrator.core.proof import CheckKind, CheckSpec
from orchestrator.core.subtask import Plan, SubTask
from orchestrator.core.task import Criterion, Priority, TaskRules, TaskSpec, TaskType, id_key
from orchestrator.core.taskfile import parse_task_file
from orchestrator.core.text import NAME

TYPES: Mapping[str, TaskType] = {
    "analyze": TaskType("analyze", ("Read", "Grep", "Glob"), expects_changes=False, words=(r"\banalyze\b",)),
    "fix": TaskType("fix", ("Bash", "Read", "Edit", "Write"), expects_changes=True, words=(r"\bfix\b",)),
    "orchestrate": TaskType("orchestrate", ("Read",), expects_changes=False, plans=True, words=(r"\bsplit\b",)),
}
TEST = CheckSpec(CheckKind.COMMAND, ("pytest", "-q"))
PARENT = TaskSpec(
    id="app",
    type="orchestrate",
    priority=Priority.HIGH,
    title="Build the app",
    prompt="Build it.",
    criteria=(Criterion("the tests pass: `pytest -q`", check=TEST),),
    context="We use Python.",
    agent="claude",
    model="small",
    cwd="/base/app",
    timeout_s=600,
    max_turns=30,
    budget_usd=4.0,
    retries=1,
    if_unanswered="skip",
    answer_within_s=60.0,
    max_depth=2,
    max_children=5,
    tree_budget_usd=9.0,
    approve="plan",
)
RULES = TaskRules(TYPES, ("claude",), "/base", "/base")


def parts(*tasks: SubTask) -> Plan:
    return Plan(tasks)


def one(task: SubTask, rights: Rights | None = None, parent: TaskSpec = PARENT) -> Offspring:
    return offspring(parts(task, SubTask("other", "Other", "Do the rest.")), parent, rights or Rights(TYPES))[0]


def codes(child: Offspring) -> list[str]:
    return [notice.code for notice in child.spec.notices]


def test_a_sub_task_inherits_place_agent_model_limits_and_rules() -> None:
    child = one(SubTask("db", "The database", "Write db.py.", "fix", ("db.py",), ("exists: `db.py`",))).spec
    kept = "priority agent model cwd timeout_s max_turns retries if_unanswered answer_within_s max_depth max_children"
    for name in [*kept.split(), "tree_budget_usd", "approve"]:
        assert getattr(child, name) == getattr(PARENT, name), name
    assert (child.id, child.type, child.title, child.prompt) == ("app.db", "fix", "The database", "Write db.py.")
    assert child.target_files == ("db.py",)
    assert child.criteria == (Criterion("exists: `db.py`", check=CheckSpec(CheckKind.FILE_EXISTS, path="db.py")),)
    assert child.context == (
        'We use Python.\n\nThis task is one part of "Build the app". Other tasks do the rest:\n- Other'
    )


def test_dependencies_are_ids_of_siblings() -> None:
    made = offspring(
        parts(SubTask("a", "A", "Do a."), SubTask("b", "B", "Do b.", depends_on=("a",))), PARENT, Rights(TYPES)
    )
    assert [child.spec.depends_on for child in made] == [(), ("app.a",)]


@pytest.mark.parametrize(("left", "share"), [(3.0, 1.0), (None, 4.0), (0.0, 0.01), (1000.0, 4.0)])
def test_each_gets_an_equal_part_of_what_is_left_and_one_part_stays_with_the_parent(
    left: float | None, share: float
) -> None:
    made = offspring(
        parts(SubTask("a", "A", "Do a."), SubTask("b", "B", "Do b.")), PARENT, Rights(TYPES, budget_usd=left)
    )
    assert [child.spec.budget_usd for child in made] == [share, share]


@pytest.mark.parametrize(
    ("asked", "rights", "got", "told"),
    [
        ("fix", Rights(TYPES), "fix", []),
        ("FIX", Rights(TYPES), "fix", []),
        ("", Rights(TYPES), "fix", []),  # by its words
        ("deploy", Rights(TYPES), "fix", ["plan_type_changed"]),
        ("orchestrate", Rights(TYPES, may_plan=True), "orchestrate", []),
        ("orchestrate", Rights(TYPES), "fix", ["plan_type_changed"]),
    ],
)
def test_the_type_is_the_plans_choice_among_those_that_may_be(
    asked: str, rights: Rights, got: str, told: list[str]
) -> None:
    child = one(SubTask("a", "A", "Fix and split it.", asked), rights)
    assert (child.spec.type, codes(child)) == (got, told)


@pytest.mark.parametrize("asked", ["fix", "orchestrate", "", "none"])
def test_who_only_reads_splits_into_tasks_that_only_read(asked: str) -> None:
    reader = replace(PARENT, type="analyze")
    rights = Rights(TYPES, tools=frozenset(TYPES["analyze"].tools), may_plan=True)
    child = one(SubTask("a", "A", "Fix it.", asked), rights, reader)
    assert child.spec.type == "analyze"
    assert "plan_type_changed" in codes(child)


@pytest.mark.parametrize(
    ("text", "rights", "runs", "told"),
    [
        ("the tests pass: `pytest -q`", Rights(TYPES), True, []),  # the parent names the same
        ("- [ ] the tests pass: `pytest -q`", Rights(TYPES), True, []),
        ("it builds: `make all`", Rights(TYPES), False, ["plan_check_not_run"]),
        ("(optional) it builds: `make all`", Rights(TYPES), False, ["plan_check_not_run"]),
        ("output: `id` matches `root`", Rights(TYPES), False, ["plan_check_not_run"]),
        ("it builds: `make all`", Rights(TYPES, commands=True), True, []),
        ("it builds: `make | tee x`", Rights(TYPES, commands=True), False, ["plan_check_not_run"]),
        ("exists: `/etc/passwd`", Rights(TYPES), False, ["plan_check_not_run"]),
        ("(human) it looks right", Rights(TYPES), False, ["plan_check_not_run"]),
        ("contains: `a.py` `def a`", Rights(TYPES), True, []),
        ("it is nice", Rights(TYPES), False, []),
    ],
)
def test_a_command_that_no_person_wrote_stays_words(text: str, rights: Rights, runs: bool, told: list[str]) -> None:
    child = one(SubTask("a", "A", "Do it.", "fix", (), (text,)), rights)
    (criterion,) = child.spec.criteria
    assert ((criterion.check is not None), codes(child)) == (runs, told)
    assert read_check(criterion.text, placeless).check == criterion.check, "its text says the same"
    assert criterion.mandatory is not text.startswith("(optional)")


def test_the_stored_file_of_a_sub_task_says_the_same_task() -> None:
    child = one(SubTask("a", "A", "Do it.\n\nWell.", "fix", ("a.py",), ("it builds: `make`", "exists: `a.py`")))
    read = parse_task_file(child.body, file_name="a.task.md", rules=RULES)
    assert (read.id, read.type, read.prompt, read.target_files) == ("app.a", "fix", "Do it.\n\nWell.", ("a.py",))
    assert [criterion.check for criterion in read.criteria] == [criterion.check for criterion in child.spec.criteria]
    assert one(SubTask("a", "A", "**Context:**\nnone", "fix")).body, "one that no file can say has a body all the same"


@given(
    parent=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True).map(
        lambda name: name.rstrip("._-") or "a"
    ),
    other=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True).map(lambda name: name.rstrip("._-") or "a"),
    key=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,23}", fullmatch=True),
)
def test_the_id_of_a_sub_task_is_an_id_and_tells_its_parent(parent: str, other: str, key: str) -> None:
    made = child_id(parent, key)
    assert NAME.match(made)
    assert made.endswith(f".{key}")
    if id_key(parent) != id_key(other):
        assert made != child_id(other, key)


def test_the_type_of_a_request_that_is_not_split_after_all_never_plans() -> None:
    assert ordinary_type("Split and fix it", TYPES).value == "fix"
    assert ordinary_type("Split it", {"analyze": TYPES["analyze"]}, "analyze").value == "analyze"
    assert ordinary_type("Split it", {"orchestrate": TYPES["orchestrate"]}).value == "orchestrate"


@pytest.mark.parametrize(
    ("words", "default", "kind"),
    [
        ("Build s3\nBuild s3. It is a shop.", "analyze", "fix"),  # never one that only reads by mere default
        ("Build s3", "", "fix"),
        ("Build s3", "write", "write"),
        ("Look at s3", "analyze", "analyze"),  # its words only ask to look
        ("Analyze s3", "fix", "analyze"),
    ],
)
def test_what_is_done_as_one_changes_files_unless_its_words_say_otherwise(words: str, default: str, kind: str) -> None:
    types = {**TYPES, "write": replace(TYPES["fix"], words=())}
    guess = ordinary_type(words, types, default)
    assert guess.value == kind
    deep = SubTask("s3", words.splitlines()[0], words, "orchestrate")
    (child,) = offspring(Plan((deep,)), PARENT, Rights(types, default_type=default))
    assert child.spec.type == kind
    assert "asks for the type orchestrate" in child.notices[0].message
    assert f"it is done as {kind}" in child.notices[0].message


sub_tasks = st.builds(
    SubTask,
    key=st.just("a"),
    title=st.text(max_size=10),
    prompt=st.sampled_from(["Fix it.", "Analyze it.", "Split it."]),
    type=st.sampled_from([*TYPES, "", "none"]),
    criteria=st.lists(
        st.sampled_from(
            ["x: `make`", "the tests pass: `pytest -q`", "exists: `a`", "(human) y", "output: `id` matches `0`"]
        ),
        max_size=3,
    ).map(tuple),
)
rights = st.builds(
    Rights,
    types=st.just(TYPES),
    tools=st.none() | st.just(frozenset(TYPES["analyze"].tools)),
    may_plan=st.booleans(),
    commands=st.booleans(),
    budget_usd=st.none() | st.floats(0.5, 100),
)


@given(tasks=st.lists(sub_tasks, min_size=2, max_size=7), given_rights=rights)
def test_whatever_is_asked_for_no_sub_task_has_more_than_its_parent(tasks: list[SubTask], given_rights: Rights) -> None:
    named = tuple(replace(task, key=f"t{number}") for number, task in enumerate(tasks))
    parent = PARENT if given_rights.tools is None else replace(PARENT, type="analyze")
    made = [child.spec for child in offspring(Plan(named), parent, given_rights)]
    for spec in made:
        kind = TYPES[spec.type]
        assert given_rights.may_plan or not kind.plans
        assert given_rights.tools is None or (given_rights.tools.issuperset(kind.tools) and not kind.plans)
        commands = [one.check.argv for one in spec.criteria if one.check is not None and one.check.argv]
        assert given_rights.commands or set(commands) <= {TEST.argv}
        same = (spec.cwd, spec.agent, spec.model, spec.max_depth, spec.approve)
        assert same == (parent.cwd, parent.agent, parent.model, parent.max_depth, parent.approve)
    if given_rights.budget_usd is not None:
        assert sum(spec.budget_usd or 0.0 for spec in made) <= given_rights.budget_usd
