"""The front matter: found, read, written, and never the end of the interpreter."""

import subprocess
import sys
from dataclasses import replace

import frontmatter
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.data.bad_inputs import CASES, RULES, BadInput

from orchestrator.core import frontmatter as reading
from orchestrator.core.errors import TaskFileError
from orchestrator.core.frontmatter import TaskFrontMatter, read_front_matter, split_front_matter
from orchestrator.core.source import source_of
from orchestrator.core.task import FileLimits
from orchestrator.core.taskfile import parse_task_file

NESTED = """
import sys
from orchestrator.core import frontmatter
from orchestrator.core.errors import TaskFileError
from orchestrator.core.source import source_of
from orchestrator.core.task import FileLimits
from orchestrator.core.taskfile import parse_task_file
from tests.data.bad_inputs import RULES
import yaml

count, opening, loader = int(sys.argv[1]), sys.argv[2], sys.argv[3]
text = "---\\nid: " + opening * count + "\\n---\\n\\nx\\n"
frontmatter.Loader = getattr(yaml, loader)
wide = FileLimits(file_bytes=10**8, front_matter_bytes=10**8, line_bytes=10**8)
source = source_of(text)
for read in (
    lambda: parse_task_file(text.encode(), file_name="x", rules=RULES),
    lambda: frontmatter.read_front_matter(source, frontmatter.split_front_matter(source, wide), wide),
):
    try:
        read()
    except TaskFileError as error:
        print(error.reason, end=" ")
"""


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize("opening", ["[", "{a: "])
@pytest.mark.parametrize("count", [30_000, 200_000, 500_000])
def test_nested_brackets_do_not_kill_the_interpreter(count: int, opening: str, loader: str) -> None:
    here = f"import sys; sys.path[:0] = {sys.path!r}\n"
    run = subprocess.run(
        [sys.executable, "-c", here + NESTED, str(count), opening, loader], capture_output=True, text=True, timeout=60
    )
    too_large = "file_too_large" if count * len(opening) > FileLimits().file_bytes else "front_matter_too_large"
    assert (run.returncode, run.stdout.split()) == (0, [too_large, "too_deep"]), run.stderr[-500:]


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of the YAML scanner in use: libyaml's, or Python's where that was not built."""
    name = str(request.param)
    monkeypatch.setattr(reading, "Loader", getattr(yaml, name))
    return name


YAML_ROWS = [case for case in CASES if 40 <= case.row <= 61 and isinstance(case.data, bytes) and case.reason]


@pytest.mark.parametrize("case", YAML_ROWS, ids=lambda case: case.name)
def test_both_yaml_scanners_refuse_the_same(case: BadInput, loader: str) -> None:
    with pytest.raises(TaskFileError) as caught:
        parse_task_file(case.content(), file_name=case.file_name, rules=replace(RULES, strict=case.strict))
    assert (caught.value.reason, case.line or caught.value.line) == (case.reason, caught.value.line)
    assert case.hint in caught.value.hint


def test_every_value_stays_the_text_that_was_written(loader: str) -> None:
    text = "---\na: 007\nb: no\nc: 12:30:45\nd: 2025-01-01\ne: [1e3, 0x1F]\nf: {g: ~}\n---\n"
    assert TaskFrontMatter().load(TaskFrontMatter().split(text)[0]) == {
        "a": "007",
        "b": "no",
        "c": "12:30:45",
        "d": "2025-01-01",
        "e": ["1e3", "0x1F"],
        "f": {"g": "~"},
    }


def test_every_key_and_value_knows_its_place_whatever_ends_the_lines(loader: str) -> None:
    source = source_of("\n---\r\nid: a\rtitle:   'é🚀'\n---\n")
    limits = FileLimits()
    entries = read_front_matter(source, split_front_matter(source, limits), limits)
    places = [(entry.key, entry.line, entry.column, entry.value.line, entry.value.column) for entry in entries]
    assert places == [("id", 3, 1, 3, 5), ("title", 4, 1, 4, 10)]


def test_a_line_separator_does_not_hide_a_key(loader: str) -> None:
    with pytest.raises(TaskFileError) as caught:
        TaskFrontMatter().load("title: a\u2028agent: b\n")
    assert caught.value.reason == "control_character"


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff---\nid: a\n---\nbody\n",
        "---\r\nid: a\r\n---\r\nbody\r\n",
        "---\nid: a\n...\nbody\n",
        "\n\n---\nid: a\n---\nbody",
    ],
)
def test_the_library_reads_by_our_handler_what_it_would_have_dropped(text: str) -> None:
    post = frontmatter.loads(text, handler=TaskFrontMatter())
    assert (post.metadata, post.content) == ({"id": "a"}, "body")


@pytest.mark.parametrize("text", ["---\nid: a\n", "---\n- a\n---\n", "---\nid: a\nid: b\n---\n"])
def test_the_library_raises_by_our_handler_where_it_would_have_dropped(text: str) -> None:
    with pytest.raises(TaskFileError):
        frontmatter.loads(text, handler=TaskFrontMatter())


def test_the_library_finds_no_front_matter_in_plain_text() -> None:
    assert not TaskFrontMatter().detect("text\n---\n")
    assert TaskFrontMatter().detect("---\nid: a\n---\n")
    assert frontmatter.loads("text\n", handler=TaskFrontMatter()).metadata == {}


@given(
    st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,9}", fullmatch=True), st.text(max_size=60), min_size=1, max_size=9)
)
def test_what_the_handler_writes_it_reads_back(metadata: dict[str, object]) -> None:
    handler = TaskFrontMatter()
    assert handler.load(handler.export(metadata) + "\n") == metadata
