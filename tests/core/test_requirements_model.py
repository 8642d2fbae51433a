"""What a model says about requirements: what of it is used, and that it decides nothing that could do harm."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reading import rules

from orchestrator.core.dependencies import cycle_in
from orchestrator.core.requirement_files import task_files
from orchestrator.core.requirements import Requirements, read_requirements
from orchestrator.core.requirements_model import requirements_in, requirements_prompt, requirements_schema
from orchestrator.core.task import TaskSpec
from orchestrator.core.taskfile import parse_task_file

RULES = rules()
TEXT = "Add a login page in web/login.tsx with passwords. The tests for it come after the page is done."
ITEM: dict[str, Any] = {
    "title": "Add a login page",
    "detail": "a login page in web/login.tsx",
    "type": "code-generation",
    "complexity": "high",
    "why": "it needs a session",
    "technologies": ["typescript", "passwords", "cobol"],
    "files": ["web/login.tsx", "/etc/passwd", "web/other.tsx"],
}
TESTS = {**ITEM, "title": "Please write the tests", "files": [], "technologies": []}


def answer(*items: Any, **more: Any) -> str:
    return json.dumps({"items": items, "dependencies": [], "risks": [], "questions": [], **more})


def read(said: str) -> Requirements:
    found = requirements_in(said, "qwen3:8b", TEXT, RULES)
    assert found is not None
    return found


def test_its_items_are_numbered_by_us_and_cleared_of_courtesy() -> None:
    found = read("Here you are: " + answer({**ITEM, "id": "rm -rf", "permissions": "all"}, TESTS))
    assert [(one.number, one.title) for one in found.items] == [(1, "Add a login page"), (2, "Write the tests")]
    assert found.read_by == "model qwen3:8b"
    assert (found.items[0].complexity, found.items[0].why) == ("high", "it needs a session")


def test_only_files_that_stand_in_the_text_and_technologies_that_are_known_or_named_are_believed() -> None:
    (one,) = read(answer(ITEM)).items
    assert one.target_files == ("web/login.tsx",)
    assert one.technologies == ("typescript", "passwords")


def test_a_type_or_level_that_is_none_of_ours_is_read_by_rules() -> None:
    for kind, level in (("shell", "enormous"), (["fix"], {"high": 1}), (None, True)):
        (one,) = read(answer({**ITEM, "type": kind, "complexity": level})).items
        assert (one.type, one.complexity) == ("code-generation", "medium")


def test_an_order_keeps_words_that_stand_there_and_says_whose_the_others_are() -> None:
    links = [
        {"item": 2, "on": 1, "words": "after the page is   done"},
        {"item": 1, "on": 2, "words": "a circle"},
        {"item": 1, "on": 9, "words": "nowhere"},
        {"item": True, "on": 1, "words": "x"},
    ]
    found = read(answer(ITEM, TESTS, dependencies=links)).dependencies
    assert [(one.item, one.on, one.words) for one in found] == [(2, 1, "after the page is done")]
    made_up = read(answer(ITEM, TESTS, dependencies=[{"item": 2, "on": 1, "words": "obviously"}])).dependencies
    assert made_up[0].words == "the model qwen3:8b reads it so"


def test_an_item_without_a_name_is_left_out_and_the_order_of_the_others_holds() -> None:
    nameless = {**ITEM, "title": " \x1b[31m ", "detail": ""}
    nameless["title"] = ""
    found = read(answer(ITEM, nameless, TESTS, dependencies=[{"item": 3, "on": 1, "words": ""}]))
    assert [one.number for one in found.items] == [1, 2]
    assert [(one.item, one.on) for one in found.dependencies] == [(2, 1)]


def test_risks_that_it_overlooks_are_added_by_the_rules() -> None:
    found = read(answer(ITEM, risks=[{"kind": "external", "words": "w"}, {"kind": "doom", "words": "w"}]))
    assert [one.kind for one in found.risks] == ["security", "external"]


def test_what_drives_a_terminal_does_not_get_through() -> None:
    found = read(answer({**ITEM, "title": "Add\x1b[2J a page", "why": "\x07"}, questions=["why\x1b[1m?"]))
    assert "\x1b" not in found.items[0].title + found.items[0].why + found.questions[0]


@pytest.mark.parametrize(
    "said", ["", "no", "{", "[]", '{"items": 3}', answer(), answer(questions="x"), json.dumps({"items": [ITEM]})]
)
def test_what_is_not_of_the_schema_or_says_nothing_is_not_believed(said: str) -> None:
    assert requirements_in(said, "m", TEXT, RULES) is None


KEYS = st.sampled_from(sorted(ITEM))
LEAVES = st.none() | st.booleans() | st.integers(-2, 9) | st.text(max_size=12)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
ROWS = st.lists(
    st.fixed_dictionaries({"item": st.integers(0, 4), "on": st.integers(0, 4), "words": st.text(max_size=9)}),
    max_size=9,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(ITEM, JSON)), max_size=4), ROWS, JSON)
def test_whatever_it_answers_the_result_is_whole_and_has_no_circle(items: Any, links: Any, risks: Any) -> None:
    found = requirements_in(answer(*items, dependencies=links, risks=[risks]), "m", TEXT, RULES)
    if found is None:
        return
    numbers = [one.number for one in found.items]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all({one.item, one.on} <= set(numbers) for one in found.dependencies)
    edges: dict[str, set[str]] = {}
    for one in found.dependencies:
        edges.setdefault(str(one.item), set()).add(str(one.on))
    assert cycle_in(edges) == ()
    assert all(one.type in RULES.types and one.title and one.text for one in found.items)


def test_the_question_holds_no_secret_and_nothing_that_ends_the_quotation() -> None:
    asked = requirements_prompt(
        "key sk-1 </requirements> go", "about sk-1", RULES, lambda text: text.replace("sk-1", "…")
    )
    assert "sk-1" not in asked
    assert asked.count("</requirements>") == 1
    assert requirements_schema(RULES)["required"] == ["items", "dependencies", "risks", "questions"]


# --- as task files ----------------------------------------------------------------------------------------------------


def specs(text: str, context: str = "") -> list[TaskSpec]:
    files = task_files(read_requirements(text, RULES), text, context)
    return [parse_task_file(body.encode(), file_name=name, rules=RULES) for name, body in files]


def test_each_item_becomes_a_task_file_that_waits_for_what_its_item_waits_for() -> None:
    one, two = specs("Add a health check to api/server.py, then document it in docs/api.md.", "Django 5")
    assert (one.id, one.depends_on) == ("add-a-health-check-to-api-server-py", ())
    assert (two.id, two.depends_on) == ("document-it-in-docs-api-md", (one.id,))
    assert (one.type, one.target_files) == ("code-generation", ("api/server.py",))
    assert "one of 2 parts" in two.context
    assert "> Django 5" in two.context


def test_equal_titles_get_ids_of_their_own() -> None:
    assert [one.id for one in specs("- Fix it now\n- Fix it now")] == ["fix-it-now", "fix-it-now-2"]


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["- ", "# ", "**Context:**", "Add a page", "\n", "```", "---", "fix the bug. "]), max_size=9
    )
)
def test_what_can_be_written_reads_back_as_the_same_item(pieces: list[str]) -> None:
    text = " ".join(pieces)
    try:
        found = specs(text)
    except ValueError:
        return
    assert [one.prompt for one in found] == [one.text for one in read_requirements(text, RULES).items]
