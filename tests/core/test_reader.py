"""What the deterministic reader makes of free text."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.bad_inputs import BASE, ROOT, RULES

from orchestrator.core.reader import infer_paths, infer_priority, infer_title, infer_type
from orchestrator.core.task import TaskSpec, TaskType
from orchestrator.core.taskfile import parse_task_file

WINDOWS = replace(RULES, base_cwd=r"C:\Users\you\Projects", allowed_root=r"C:\Users\you")


def read(text: str) -> TaskSpec:
    return parse_task_file(text.encode(), file_name="my_task.task.md", rules=RULES)


@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        ("Fix the database connection timeout", "fix", "'Fix'"),
        ("Please REVIEW the fix", "code_review", "'REVIEW'"),
        ("Create a directory", "code-generation", "'Create'"),
        ("Summarise it", "summarize", "'Summarise'"),
        ("prefixed words are no words", "analyze", "default"),
        ("", "analyze", "default"),
    ],
)
def test_the_first_word_of_a_type_decides(text: str, kind: str, why: str) -> None:
    guess = infer_type(text, RULES)
    assert guess.value == kind
    assert why in guess.why


def test_the_words_of_the_types_are_configuration() -> None:
    rules = replace(RULES, types={"tidy": TaskType("tidy", (), True, ("sweep", "(broken"))}, default_type="gone")
    assert infer_type("please SWEEP", rules).value == "tidy"
    assert infer_type("a (broken pattern is a word", rules).why.startswith("the text says")
    assert infer_type("nothing", rules).value == "tidy"


@pytest.mark.parametrize(
    ("text", "priority"),
    [
        ("Fix it ASAP", "high"),
        ("URGENT: fix it", "high"),
        ("not urgent, fix it", "low"),
        ("when you have time", "low"),
        ("high-priority", "high"),
        ("fix it", "medium"),
    ],
)
def test_words_on_urgency_decide_the_priority(text: str, priority: str) -> None:
    assert infer_priority(text).value == priority


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("\n\n> **Fix** the bug\nmore", "Fix** the bug"),
        ("word " * 40, "word " * 15 + "word…"),
        ("\x1b[31mred", "red"),
        ("---\n***", "Untitled"),
    ],
)
def test_a_title_is_the_first_line_that_says_something(prompt: str, title: str) -> None:
    assert infer_title(prompt).value == title


@pytest.mark.parametrize(
    ("text", "cwd", "targets"),
    [
        ("Fix the timeout in /backend", f"{BASE}/backend", ()),
        ("Fix it in the `/backend/api`.", f"{BASE}/backend/api", ()),
        (f"Fix it in {ROOT}/other, please", f"{ROOT}/other", ()),
        ("Look at src/app.py, `lib/x.ts` and (README.md).", "", ("src/app.py", "lib/x.ts", "README.md")),
        ("In /backend fix app.py", f"{BASE}/backend", ("app.py",)),
        ("Fix /backend/app.py", "", (f"{BASE}/backend/app.py",)),
        ("Use Node.js 3.11, e.g. with https://host/a.py or a@b.py", "", ()),
        ("and/or either/or in short", "", ()),
        ("what is in ../x", "", ()),
    ],
)
def test_paths_in_the_text_become_folder_and_files(text: str, cwd: str, targets: tuple[str, ...]) -> None:
    spec = read(text)
    assert (spec.cwd, spec.target_files) == (cwd, targets)
    assert {inference.field for inference in spec.inferred} >= {
        *(["cwd"] if cwd else []),
        *(["target_files"] if targets else []),
    }


@pytest.mark.parametrize("path", ["/etc/nginx", "/tmp/x.py", "../../../x.py", r"C:\x", "~/x.py", "/home/them/a.py"])
def test_a_path_outside_the_root_is_reported_and_not_used(path: str) -> None:
    spec = read(f"Fix the thing in {path} now")
    assert (spec.cwd, spec.target_files) == ("", ())
    assert "inferred_path_ignored" in {notice.code for notice in spec.notices}


def test_windows_paths_are_found_under_a_windows_root() -> None:
    found = infer_paths(r"fix it in C:\Users\you\site and in D:\x", WINDOWS)
    assert found.cwd == r"C:\Users\you\site"
    assert infer_paths("fix it in /site", WINDOWS).cwd == r"C:\Users\you\Projects\site"
    assert infer_paths(r"fix it in D:\x", WINDOWS).notices


def test_what_the_author_wrote_is_never_replaced() -> None:
    spec = read("---\ntype: summarize\npriority: low\ncwd: app\nid: b\n---\n# T\nFix it in /backend ASAP: x.py\n")
    assert (spec.type, spec.priority, spec.cwd, spec.id, spec.title) == ("summarize", "low", f"{BASE}/app", "b", "T")
    assert [inference.field for inference in spec.inferred] == ["target_files"]


def test_a_labelled_prompt_under_front_matter_names_no_folder() -> None:
    spec = read("---\nid: a\n---\n\n**Prompt:**\nFix the thing in /backend, see x.py\n")
    assert (spec.cwd, spec.target_files) == ("", ())


@given(st.text(max_size=300))
def test_no_text_leads_outside_the_root(text: str) -> None:
    found = infer_paths(f"in {text}", RULES)
    assert found.cwd == "" or found.cwd == ROOT or found.cwd.startswith(f"{ROOT}/")
