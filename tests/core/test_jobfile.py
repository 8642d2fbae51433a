"""Files of many tasks: read exactly, refused whole, with the place of what is wrong, and never by another error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.bad_inputs import RULES
from tests.fuzz_taskfile import essence

from orchestrator.core.errors import TaskFileError
from orchestrator.core.jobfile import JobPlan, is_job_file, job_name_of, paths_of, read_job_file, unknown_id
from orchestrator.core.reasons import TASK_FILE_REASONS
from orchestrator.core.taskfile import parse_task_file

SEED: dict[str, Any] = {
    "tasks": [
        {
            "id": "task-1",
            "name": "Create database schema",
            "description": "Tables for users",
            "prompt": "Write the schema.",
            "branch_name": "feature/schema",
            "dependencies": [],
        },
        {"id": "task-2", "name": "Add API endpoints", "dependencies": ["task-1"]},
        {"id": "task-3", "name": "Add frontend components", "dependencies": []},
    ]
}
DOCUMENTS = """---
name: the night
on_dependency: skip
max_workers: 2
---

=== task ===
---
id: one
type: fix
---
# The first

**Prompt:**
Do it.

**Success Criteria:**
- [ ] it is done

=== Task ===
---
id: two
depends_on: one
---
# The second

Do the rest.
"""


def read(data: bytes | str, name: str = "tasks.json") -> JobPlan:
    raw = data if isinstance(data, bytes) else data.encode()
    return read_job_file(raw, file_name=name, rules=RULES, limit_bytes=1 << 26)


def reason_of(data: bytes | str, name: str = "tasks.json") -> str:
    try:
        read(data, name)
    except TaskFileError as error:
        return error.reason
    return ""


def refused(data: object, name: str = "tasks.json") -> TaskFileError:
    with pytest.raises(TaskFileError) as caught:
        read(data if isinstance(data, str) else json.dumps(data, indent=1), name)
    return caught.value


def test_the_format_of_a_coding_team_is_read_as_it_is() -> None:
    plan = read(json.dumps(SEED, indent=2))
    one, two, three = (task.spec for task in plan.tasks)
    assert (plan.name, [task.spec.id for task in plan.tasks]) == ("tasks", ["task-1", "task-2", "task-3"])
    assert (one.title, one.prompt, one.context, one.branch) == (
        "Create database schema",
        "Write the schema.",
        "Tables for users",
        "feature/schema",
    )
    assert (two.prompt, two.depends_on, three.depends_on) == ("Add API endpoints", ("task-1",), ())
    assert [task.line for task in plan.tasks] == [3, 11, 18]


def test_all_that_a_task_file_can_say_can_be_said_in_json() -> None:
    more = {"priority": "high", "type": "fix", "timeout": 60, "retries": 0, "tags": ["a", "b"], "rerun": True}
    lists = {"target_files": ["src/a b.py"], "criteria": ["exists: `a.py`", "in words"], "context": "More."}
    task = {"id": "yes", "name": 'A "title": with\ttabs', "prompt": "Do it.", **more, **lists}
    (one,) = read(json.dumps({"tasks": [task]})).tasks
    assert (one.spec.id, one.spec.priority, one.spec.timeout_s, one.spec.tags) == ("yes", "high", 60, ("a", "b"))
    assert (one.spec.target_files, [each.text for each in one.spec.criteria]) == (
        ("src/a b.py",),
        ["exists: `a.py`", "in words"],
    )
    assert (one.spec.title, one.spec.rerun, one.spec.context) == ('A "title": with tabs', True, "More.")


def test_each_task_is_kept_as_the_task_file_that_it_would_have_been() -> None:
    for plan in (read(json.dumps(SEED)), read(DOCUMENTS, "x.job.md")):
        for task in plan.tasks:
            alone = parse_task_file(task.body, file_name="x.task.md", rules=RULES)
            assert essence(alone) in (essence(task.spec), essence(read_without_job(task.spec)))


def read_without_job(spec: Any) -> Any:
    from dataclasses import replace

    return replace(spec, job="")


def test_a_prompt_in_json_may_hold_what_would_begin_a_section_of_a_task_file() -> None:
    prompt = "Write this:\n\n**Context:**\n## Prompt\n---\nx"
    (one,) = read(json.dumps({"tasks": [{"id": "a", "name": "A", "prompt": prompt, "type": "fix"}]})).tasks
    assert (one.spec.prompt, one.spec.type) == (prompt, "fix")


def test_documents_are_read_each_as_its_own_task_file() -> None:
    plan = read(DOCUMENTS, "night.job.md")
    one, two = plan.tasks
    assert (plan.name, plan.on_dependency, plan.max_workers) == ("the night", "skip", 2)
    assert (one.spec.id, one.spec.title, len(one.spec.criteria), one.spec.job) == ("one", "The first", 1, "the night")
    assert (two.spec.prompt, two.spec.depends_on, two.line) == ("Do the rest.", ("one",), 21)
    assert read(DOCUMENTS.partition("\n\n")[2], "night.job.md").name == "night"


def test_the_longest_chain_that_hangs_on_a_task_is_its_path() -> None:
    tasks = [
        {"id": one, "name": one, "dependencies": on} for one, on in (("a", []), ("b", ["a"]), ("c", ["b"]), ("d", []))
    ]
    plan = read(json.dumps({"tasks": tasks}))
    assert paths_of(plan, lambda spec: 10.0 if spec.id == "c" else 1.0) == [12.0, 11.0, 10.0, 1.0]


CASES: list[tuple[object, str, str, int, str]] = [
    ("[]", "job_syntax", "it is no JSON object", 1, ""),
    ('{"tasks": [}', "job_syntax", "it is not valid JSON: Expecting value", 1, ""),
    ('{\n"tasks": [\n{"id": "a" "b"}]}', "job_syntax", "it is not valid JSON: Expecting ',' delimiter", 3, ""),
    ('{"tasks": []} x', "job_syntax", "it is not valid JSON: there is more behind its end", 1, ""),
    ('{"tasks": [],\n"tasks": []}', "job_syntax", "the key tasks stands there twice", 2, ""),
    ('{"tasks": [],\n"name": "x",\n"name": "y"}', "job_syntax", "the key name stands there twice", 3, ""),
    (
        '{"tasks": [\n{"id": "a", "name": "a"},\n{"id": "b", "id": "c"}]}',
        "job_syntax",
        "the key id stands twice in one task",
        3,
        "tasks[2].id",
    ),
    ({"tasks": [], "name": ""} | {"name": "x" * 99}, "job_field_invalid", f"`name` is {'x' * 60}", 3, "name"),
    ('{"name": "x"}', "job_syntax", "it has no key `tasks`", 0, ""),
    ({"tasks": {}}, "job_syntax", "`tasks` is no list", 2, "tasks"),
    ({"tasks": []}, "job_empty", "there is no task in it", 0, "tasks"),
    ({"tasks": ["a"]}, "job_syntax", "it is not valid JSON: a task is no object", 3, ""),
    ({"tasks": [], "nmae": "x"}, "job_unknown_key", "`nmae` is not a key; did you mean `name`?", 3, "nmae"),
    ({"tasks": [], "max_workers": -1}, "job_field_invalid", "`max_workers` is -1", 3, "max_workers"),
    ({"tasks": [], "on_dependency": "hope"}, "job_field_invalid", "`on_dependency` is hope", 3, "on_dependency"),
    ({"tasks": [{"name": "a"}]}, "job_field_invalid", "task 1: it has no id", 3, "tasks[1].id"),
    ({"tasks": [{"id": "a"}]}, "prompt_missing", "task 1 (a): the prompt is missing or empty", 3, "tasks[1].prompt"),
    ({"tasks": [{"id": "a", "prompt": 1}]}, "job_field_invalid", "task 1: `prompt` is no text", 3, "tasks[1].prompt"),
    (
        {"tasks": [{"id": "a", "x": {}}]},
        "job_field_invalid",
        "task 1: `x` is neither a text nor a number",
        3,
        "tasks[1].x",
    ),
    (
        {"tasks": [{"id": "a", "name": "a"}, {"id": "b", "name": "b", "priority": "urgent"}]},
        "priority_invalid",
        "task 2 (b): 'urgent' is not a priority",
        7,
        "tasks[2].priority",
    ),
    (
        {"tasks": [{"id": "a", "name": "a", "allowed_tools": "Bash"}]},
        "field_not_allowed",
        "task 1 (a): a task file may not set `allowed_tools`",
        3,
        "tasks[1].allowed_tools",
    ),
    (
        {"tasks": [{"id": "a", "name": "a"}, {"id": "A", "name": "b"}]},
        "job_duplicate_id",
        "task 2 has the id A, as task 1 has",
        7,
        "tasks[2].id",
    ),
    (
        {"tasks": [{"id": x, "name": x, "dependencies": [y]} for x, y in ("ab", "bc", "ca")]},
        "dependency_cycle",
        "it would wait for itself: a → b → c → a",
        3,
        "tasks[1].depends_on",
    ),
    (
        {"tasks": [{"id": "a", "name": "a", "schedule": "@daily"}]},
        "job_field_invalid",
        "task 1 (a) has a schedule, and a job is done once",
        3,
        "tasks[1].schedule",
    ),
]


@pytest.mark.parametrize(("data", "reason", "message", "line", "field"), CASES, ids=[case[2] for case in CASES])
def test_what_is_wrong_is_told_with_its_task_and_line(
    data: object, reason: str, message: str, line: int, field: str
) -> None:
    error = refused(data)
    assert (error.reason, error.message, error.line, error.field) == (reason, message, line, field)
    assert error.hint
    assert error.expected or reason in ("job_empty", "prompt_missing", "field_not_allowed")


@pytest.mark.parametrize(
    ("text", "reason", "line", "field"),
    [
        ("Just words.", "job_syntax", 0, ""),
        ("Words.\n=== task ===\nDo it.", "job_syntax", 1, ""),
        (DOCUMENTS.replace("max_workers: 2", "max_workers: some"), "job_field_invalid", 4, "max_workers"),
        (DOCUMENTS.replace("type: fix", "type: mend"), "type_invalid", 10, "tasks[1].type"),
        (DOCUMENTS.replace("depends_on: one", "depends_on: two"), "dependency_cycle", 23, "tasks[2].depends_on"),
        (
            DOCUMENTS.replace("id: two", "id: One").replace("depends_on: one\n", ""),
            "job_duplicate_id",
            21,
            "tasks[2].id",
        ),
        (DOCUMENTS + "=== task ===\n", "empty_file", 28, "tasks[3].file"),
        (DOCUMENTS.replace("id: two", "id: two\njob: other"), "job_field_invalid", 21, "tasks[2].job"),
    ],
)
def test_what_is_wrong_in_a_document_is_told_with_the_line_of_the_whole_file(
    text: str, reason: str, line: int, field: str
) -> None:
    error = refused(text, "x.job.md")
    assert (error.reason, error.line, error.field) == (reason, line, field)


def test_an_id_that_is_none_of_its_own_is_left_to_who_knows_the_others() -> None:
    plan = read(json.dumps({"tasks": [{"id": "task-1", "name": "a", "dependencies": ["tsk-1", "task-9"]}]}))
    assert plan.outside == {"tsk-1": 1, "task-9": 1}
    error = unknown_id(plan, "tsk-1", file_name="tasks.json")
    assert (error.message, error.hint) == (
        "task 1 (task-1) depends on tsk-1, and no task has this id",
        "Did you mean task-1?",
    )


@pytest.mark.parametrize(
    ("name", "is_one", "called"),
    [
        ("tasks.json", True, "tasks"),
        ("night.tasks.json", True, "night"),
        ("night.job.md", True, "night"),
        ("package.json", False, ""),
        (".job.md", False, ""),
        (".tasks.json.swp", False, ""),
        ("x.job (conflicted copy).md", False, ""),
        ("x.task.md", False, ""),
    ],
)
def test_a_job_file_is_known_by_its_name(name: str, is_one: bool, called: str) -> None:
    assert is_job_file(name) == is_one
    assert not is_one or job_name_of(name) == called


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["id", "name", "prompt", "description", "dependencies", "branch_name", "criteria", "type", "x-y"]
)
TASKS = st.lists(st.dictionaries(KEYS | st.text(max_size=8), JSON, max_size=6), max_size=4)


@given(TASKS, st.dictionaries(st.sampled_from(["name", "max_workers", "on_dependency", "x-z"]), JSON, max_size=3))
def test_no_json_raises_anything_else(tasks: list[Any], head: dict[str, Any]) -> None:
    assert reason_of(json.dumps({**head, "tasks": tasks})) in {"", *TASK_FILE_REASONS}


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.sampled_from(["tasks.json", "x.job.md"]))
def test_no_bytes_raise_anything_else(data: bytes, name: str) -> None:
    assert reason_of(data, name) in {"", *TASK_FILE_REASONS}


@given(st.text(max_size=60).filter(str.strip), st.text(max_size=60))
def test_every_prompt_and_name_is_kept(prompt: str, name: str) -> None:
    if "\0" in prompt + name:
        return
    text = json.dumps({"tasks": [{"id": "a", "name": name, "prompt": prompt, "type": "fix"}]})
    if reason := reason_of(text):
        assert reason in {"title_invalid", "encoding_invalid"}  # what a name or lone surrogates can be
        return
    assert read(text).tasks[0].spec.prompt.split() == prompt.split()
