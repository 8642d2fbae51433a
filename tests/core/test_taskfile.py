"""The laws of the task file: total, exact, reversible, linear."""

import contextlib
import re
import sys
import time
import timeit
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.bad_inputs import CASES, RULES, TYPES
from tests.fuzz_taskfile import MAX_SEED_BYTES, broken_promise, essence

from orchestrator.core.errors import TaskFileError
from orchestrator.core.fields import clean_title
from orchestrator.core.fields_jobs import is_job_name
from orchestrator.core.reasons import TASK_FILE_REASONS
from orchestrator.core.task import Criterion, Inference, Priority, TaskSpec
from orchestrator.core.taskfile import parse_task_file, render_task_file
from orchestrator.core.text import NAME, is_reserved

EXAMPLE = """---
id: task_001
type: fix
priority: high
created: 2025-08-03T10:30:00Z
---

# Task Title

**Target Files:**
- /home/you/projects/file1.py
- src/file2.js

**Prompt:**
Detailed description of what is wanted.

**Success Criteria:**
- [ ] Specific outcome 1
- [x] Specific outcome 2

**Context:**
Additional background information.
"""


def read(text: str) -> TaskSpec:
    return parse_task_file(text.encode(), file_name="x.task.md", rules=RULES)


def test_the_documented_example_is_read_field_by_field() -> None:
    assert read(EXAMPLE) == TaskSpec(
        id="task_001",
        type="fix",
        priority=Priority.HIGH,
        title="Task Title",
        prompt="Detailed description of what is wanted.",
        created=datetime(2025, 8, 3, 10, 30, tzinfo=UTC),
        target_files=("/home/you/projects/file1.py", "src/file2.js"),
        criteria=(Criterion("Specific outcome 1", line=18), Criterion("Specific outcome 2", ticked=True, line=19)),
        context="Additional background information.",
    )


def test_the_documented_example_is_written_as_it_is_read() -> None:
    assert render_task_file(read(EXAMPLE)) == EXAMPLE


def test_every_optional_field_is_read() -> None:
    spec = read(
        "---\nid: a\ntype: fix\npriority: low\nagent: Demo\nmodel: claude-sonnet-4-5[1m]\ncwd: app\ntimeout: 60\n"
        "max-turns: 5\nbudget_usd: 1.5\nretries: 0\ntags: [one, two, one]\nrerun: yes\n---\n# T\n**Prompt:** x\n"
    )
    assert (spec.agent, spec.model, spec.cwd) == ("demo", "claude-sonnet-4-5[1m]", "/home/you/projects/app")
    assert (spec.timeout_s, spec.max_turns, spec.budget_usd, spec.retries) == (60, 5, 1.5, 0)
    assert (spec.tags, spec.rerun, spec.inferred, spec.notices) == (("one", "two"), True, (), ())


def test_what_was_left_out_is_inferred_and_said() -> None:
    spec = read("Fix it.")
    assert spec.inferred == (
        Inference("id", "x", "the name of the file"),
        Inference("type", "fix", "the text says 'Fix'"),
        Inference("priority", "medium", "no word on urgency was found"),
        Inference("title", "Fix it.", "the first line of the prompt"),
    )


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        ("- a.py\n* b.py\n+ c.py\n1. d.py\n2) e.py", ("a.py", "b.py", "c.py", "d.py", "e.py")),
        ("a.py, b.py\nc.py", ("a.py", "b.py", "c.py")),
        ("- `a b.py`: the one\n- my file.py - the other\n- [c](c.py)", ("a b.py", "my file.py", "c.py")),
        ("- None", ()),
        ("<!-- which\nfiles -->\n- a.py", ("a.py",)),
        ("```\na.py\n```", ("a.py",)),
        ("- ``a`b.py``", ("a`b.py",)),
    ],
)
def test_target_files_are_read_as_people_write_them(written: str, paths: tuple[str, ...]) -> None:
    assert read(f"**Target Files:**\n{written}\n\n**Prompt:**\nx\n").target_files == paths


@pytest.mark.parametrize(
    ("written", "texts"),
    [
        ("- [ ] a\n- [X] b\n- c\n* [x] d\n1. e", ["a", "b", "c", "d", "e"]),
        ("- [ ] a\n  goes on\n- [ ] b\n  - and this", ["a goes on", "b and this"]),
        ("- [ ] a\n  - [ ] b", ["a", "b"]),
        ("All tests pass.", ["All tests pass."]),
        ("- [ ]\n- [ ] a", ["a"]),
    ],
)
def test_success_criteria_are_read_as_people_write_them(written: str, texts: list[str]) -> None:
    spec = read(f"**Success Criteria:**\n{written}\n\n**Prompt:**\nx\n")
    assert [criterion.text for criterion in spec.criteria] == texts


def test_text_before_the_first_section_is_not_lost() -> None:
    spec = read("# T\nBy the way.\n\n**Prompt:**\nx\n\n**Context:**\ny\n")
    assert (spec.prompt, spec.context) == ("x", "By the way.\n\ny")
    assert [(notice.code, notice.line) for notice in spec.notices[1:]] == [("text_outside_sections", 2)]


def test_a_prompt_that_begins_like_a_section_is_written_behind_its_label() -> None:
    spec = read(" indented\n**Prompt:** **Prompt:** is the label\n")
    assert (spec.prompt, spec.context) == ("**Prompt:** is the label", " indented")
    assert essence(read(render_task_file(spec))) == essence(spec)


def test_the_local_zone_is_the_callers() -> None:
    spec = parse_task_file(b"---\ncreated: 2025-08-03 10:30\n---\nx", file_name="x", rules=RULES, utc_offset_minutes=90)
    assert spec.created is not None
    assert spec.created.isoformat() == "2025-08-03T10:30:00+01:30"


def test_an_error_says_what_where_why_and_what_to_do() -> None:
    with pytest.raises(TaskFileError) as caught:
        parse_task_file(b"---\nid: a\npriority: urgent\n---\nx", file_name="fix\n.task.md", rules=RULES)
    assert str(caught.value) == (
        "error[priority_invalid]: fix\\x0a.task.md:3:11: 'urgent' is not a priority\n"
        "  expected: one of high, medium, low\n"
        "  Write high, medium or low."
    )
    assert caught.value.excerpt == "priority: urgent"


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    assert broken_promise(data)[0] == ""


YAML_PIECES = [
    "id: ",
    "type: fix",
    "created: 2025-08-03",
    "tags: ",
    "timeout: 5",
    "\n",
    "\n---\n",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ": ",
    "'",
    '"',
    "\\",
    "&a ",
    "*a",
    "!t ",
    "|",
    "~",
    "# ",
    "\t",
    "  ",
    "? ",
    ",",
    "x",
    "**Prompt:**\n",
    "<<",
    "%Y",
    "é",
]
YAML_TEXT = st.lists(st.sampled_from(YAML_PIECES), max_size=40).map("".join)


@settings(max_examples=300)
@given(YAML_TEXT)
def test_no_text_shaped_like_yaml_raises_anything_else(text: str) -> None:
    assert broken_promise(f"---\n{text}\n---\n\nDo it.\n".encode())[0] == ""


SMALL = [data for case in CASES if len(data := case.content()) <= MAX_SEED_BYTES]


@given(st.sampled_from(SMALL), st.integers(0, MAX_SEED_BYTES), st.binary(max_size=6), st.integers(0, 40))
def test_no_mutation_of_a_bad_file_raises_anything_else(data: bytes, at: int, insert: bytes, cut: int) -> None:
    at %= len(data) + 1
    assert broken_promise(data[:at] + insert + data[at + cut :])[0] == ""


IDS = st.from_regex(NAME, fullmatch=True).filter(lambda text: not text.endswith(".") and not is_reserved(text))
LINES = st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=40)
WORDS = LINES.map(str.strip).filter(bool)
# a mark with nothing behind it is refused, not written
CRITERIA = WORDS.filter(lambda text: not re.fullmatch(r"(\((human|optional)\)\s*)+", text, re.IGNORECASE))
PARTS = st.from_regex(r"[A-Za-z0-9_` -]{1,12}", fullmatch=True).map(str.strip).filter(bool)
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
SPECIAL = st.sampled_from(
    ["**Context:**", "## Prompt", "```", "~~~~", "> x", "    y", "- [ ] z", "<!--", "-->", "---", "", "\t", "# T"]
)


def texts(lines: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(lines, min_size=1, max_size=8).map("\n".join).map(str.rstrip)


def specs(prompts: st.SearchStrategy[str], contexts: st.SearchStrategy[str]) -> st.SearchStrategy[TaskSpec]:
    return st.builds(
        TaskSpec,
        id=IDS,
        type=st.sampled_from(sorted(TYPES)),
        priority=st.sampled_from(Priority),
        title=WORDS.map(lambda text: clean_title(text, 0)[0]).filter(bool),
        prompt=prompts,
        created=st.none() | st.datetimes(timezones=ZONES),
        target_files=st.lists(PARTS, max_size=3).map(tuple),
        criteria=st.lists(st.builds(Criterion, text=CRITERIA, ticked=st.booleans()), max_size=3).map(tuple),
        context=contexts,
        agent=st.sampled_from(["", "claude", "demo"]),
        model=st.sampled_from(["", "claude-opus-4-1", "a/b:free", "007"]),
        cwd=st.sampled_from(["", "/home/you", "/home/you/a b"]),
        timeout_s=st.none() | st.integers(1, 86_400),
        max_turns=st.none() | st.integers(0, 10_000),
        budget_usd=st.none() | st.floats(1e-6, 1000),
        retries=st.none() | st.integers(0, 20),
        tags=st.lists(WORDS.filter(lambda text: text.isprintable()), max_size=3, unique=True).map(tuple),
        rerun=st.booleans(),
        if_unanswered=st.sampled_from(["", "wait", "skip"]) | WORDS.map(lambda text: f"default: {text}"),
        answer_within_s=st.none() | st.integers(0, 86_400).map(float),
        after=st.sampled_from(["", "22:00", "in 2h", "2026-11-28", "2026-11-28T22:00+01:00", "2026-11-28 22:00"]),
        schedule=st.sampled_from(["", "30 2 * * *", "*/5 8-18 * * mon-fri", "@daily", "0 0 L * *"]),
        timezone=st.sampled_from(["", "UTC", "Europe/Berlin", "Etc/GMT+5"]),
        deadline=st.sampled_from(["", "06:00", "in 1h30m"]),
        depends_on=st.lists(st.from_regex(r"dep[a-z0-9._-]{0,5}x", fullmatch=True), max_size=3, unique=True).map(tuple),
        on_dependency=st.sampled_from(["", "block", "skip", "run_anyway"]),
        job=st.just("") | WORDS.filter(is_job_name),
        branch=st.sampled_from(["", "feature/auth", "007", "a#b", "yes"]),
        max_depth=st.none() | st.integers(0, 16),
        max_children=st.none() | st.integers(0, 100),
        tree_budget_usd=st.none() | st.integers(1, 10_000).map(lambda cents: cents / 100),
        approve=st.sampled_from(["", "plan"]),
    )


@pytest.mark.parametrize(
    ("lines", "rule", "within_s"),
    [
        ("if_unanswered: WAIT", "wait", None),
        ("if-unanswered: skip\nanswer_within: 2h", "skip", 7200.0),
        ("if_unanswered: 'Default:   use the first one '\nanswer-within: 30 m", "default: use the first one", 1800.0),
        ("answer_within: 90", "", 90.0),
        ("answer_within: 1d", "", 86_400.0),
    ],
)
def test_a_task_says_what_follows_when_nobody_answers(lines: str, rule: str, within_s: float | None) -> None:
    spec = read(f"---\n{lines}\n---\n# T\n**Prompt:** x\n")
    assert (spec.if_unanswered, spec.answer_within_s) == (rule, within_s)


PLAIN = texts(st.from_regex(r"[a-z][a-z ,.:é🚀]{0,30}", fullmatch=True))


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(specs(PLAIN, st.just("") | PLAIN))
def test_every_ordinary_task_reads_back_as_it_was_written(spec: TaskSpec) -> None:
    assert essence(read(render_task_file(spec))) == spec


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(specs(texts(SPECIAL | LINES), texts(SPECIAL | LINES)))
def test_whatever_can_be_written_reads_back_as_it_was(spec: TaskSpec) -> None:
    try:
        text = render_task_file(spec)
    except ValueError:
        return  # said so, instead of writing something else
    assert essence(read(text)) == spec


@pytest.mark.parametrize("prompt", ["", " ", "x\n\n**Context:**\ny", "x\n## Prompt\ny", "\nx", "x\n"])
def test_a_task_that_no_file_can_say_is_not_written(prompt: str) -> None:
    with pytest.raises(ValueError, match="no task file"):
        render_task_file(replace(read(EXAMPLE), prompt=prompt))


BAITS: dict[str, Callable[[int], str]] = {
    "blanks": lambda size: " " * size + "x",
    "blanks between": lambda size: "a" + " " * size + "b",
    "list markers": lambda size: "- " * (size // 2) + "x",
    "dashes": lambda size: "-" * size + "x",
    "stars": lambda size: "*" * size + "x",
    "labels": lambda size: "**" + "Prompt:" * (size // 7),
    "fences": lambda size: "```\n~~~\n" * (size // 8),
    "ticks": lambda size: "`" * size + "x`",
    "comments": lambda size: "<!-- x\n" * (size // 7),
    "links": lambda size: "- " + "[" * size,
    "hashes": lambda size: "#" * size + " x",
    "escapes": lambda size: "# " + "\x1b[" * (size // 2),
    "lines": lambda size: "\n" * size + "x",
    "carriage returns": lambda size: "\r" * size + "x",
    "paths": lambda size: "in /" + "a/" * (size // 2),
    "words": lambda size: "fix " * (size // 4),
    "code spans": lambda size: "- [ ] a: " + "`a` " * (size // 4) + "`b`",
    "check forms": lambda size: "- [ ] exists: " + "`a` " * (size // 4),
    "runs of ticks": lambda size: "- [ ] json: " + " ".join("`" * n for n in range(1, int(size**0.5))),
    "commands": lambda size: "- [ ] a: `" + "'a\\'b\" " * (size // 7) + "`",
    "marks": lambda size: "- [ ] " + "(human) (optional) " * (size // 19),
    "dots": lambda size: "- [ ] a: `b`" + "." * size,
    "items": lambda size: "- [ ] a\n  b\n" * (min(size, 1600) // 12),
}
SECTIONS = ("", "**Prompt:**\n", "**Context:**\n", "**Success Criteria:**\n", "**Target Files:**\n", "---\nx-a: ")


def lines_run(work: Callable[[], object]) -> int:
    """Return how many lines of Python *work* runs through."""
    count = 0

    def trace(_: FrameType, event: str, __: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def bait_reader(bait: str, section: str, size: int) -> Callable[[], None]:
    data = f"{section}{BAITS[bait](size)}\n".encode()

    def work() -> None:
        with contextlib.suppress(TaskFileError):
            parse_task_file(data, file_name="x", rules=RULES)

    return work


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("bait", BAITS)
def test_the_work_grows_no_faster_than_the_file(bait: str, section: str) -> None:
    small, large = (lines_run(bait_reader(bait, section, size)) for size in (1_500, 6_000))
    assert large <= 5 * small + 500


@pytest.mark.parametrize("bait", BAITS)
def test_no_pattern_takes_longer_than_its_text_is_long(bait: str) -> None:
    def ratio(section: str) -> float:
        small, large = (
            min(timeit.repeat(bait_reader(bait, section, size), time.process_time, number=1, repeat=3))
            for size in (2_000, 32_000)
        )
        return large / max(small, 0.001)

    for section in SECTIONS:
        # Sixteen times the text: linear work is 16 times as long, quadratic work 256 times, in every round. A machine
        # that does something else meanwhile can spoil some rounds, never all.
        assert any(ratio(section) <= 64 for _ in range(10))


def test_every_reason_and_notice_has_words_for_people() -> None:
    for reason in TASK_FILE_REASONS.values():
        assert reason.meaning
        assert reason.hint.endswith(".")
