"""Values to text: the same words at every door."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.render import (
    Table,
    active_rows,
    clock_time,
    duration,
    ended_rows,
    error_json,
    event_text,
    event_words,
    held_rows,
    hold_lines,
    money,
    refusal_text,
    short,
    spec_text,
    task_json,
    waiting_rows,
)
from orchestrator.core.errors import TaskFileError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.hours import HORIZON_S, QUIET, QUITTING
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Pause
from orchestrator.core.proof import CheckKind, CheckSpec
from orchestrator.core.task import Criterion, Inference, Notice, Priority, Task, TaskSpec

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC).timestamp()
SPEC = TaskSpec(id="fix_db", type="fix", priority=Priority.HIGH, title="Fix it", prompt="Do it.")
TASK = Task(TaskUid("0" * 24 + "abcdef12"), "fix_db", SPEC, "0" * 64, NOON)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0.0s"),
        (0, "0.0s"),
        (0.44, "0.4s"),
        (9.94, "9.9s"),
        (9.99, "10s"),
        (10.2, "10s"),
        (38.9, "38s"),
        (59.99, "59s"),
        (60, "1m00s"),
        (72, "1m12s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (8040, "2h14m"),
        (86_399, "23h59m"),
        (86_400, "1d0h"),
        (3 * 86_400 + 4 * 3600, "3d4h"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@given(st.floats(0, 86_400 * 90))
def test_a_duration_is_never_wider_than_its_column(seconds: float) -> None:
    assert len(duration(seconds)) <= 6


def test_time_of_day_is_told_in_the_zone_of_the_reader() -> None:
    assert clock_time(NOON, UTC) == "12:00:00"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "$0.0000"), (0.05, "$0.0500"), (3, "$3.0000"), (None, "unknown"), ("1", "unknown"), (True, "unknown")],
)
def test_an_unknown_cost_is_never_told_as_nothing(value: Json, words: str) -> None:
    assert money(value) == words


@given(st.text(st.characters(exclude_categories=())), st.integers(1, 200))
def test_short_text_is_one_printable_line_within_its_width(text: str, width: int) -> None:
    line = short(text, width)
    assert len(line) <= width
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or char in "\u2028\u2029\u202e" for char in line)


def test_every_column_begins_at_the_same_place_in_each_line() -> None:
    table = Table(("STATE", "TASK"), (("running", "a"), ("queued", "a_longer_name"), ("retry_wait", "b")))
    lines = table.plain().splitlines()
    assert lines[0].index("TASK") == lines[1].index("a") == lines[2].index("a_longer_name") == lines[3].index("b")
    assert all(line == line.rstrip() for line in lines)


def test_columns_do_not_jump_while_time_passes() -> None:
    tasks = [replace(TASK, state=State.RUNNING, attempt=1)]
    shown = [active_rows(tasks, {TASK.uid: NOON}, {TASK.uid: "started"}, NOON + s).plain() for s in (11, 48, 59)]
    assert len({line.splitlines()[0] for line in shown}) == 1


def test_a_waiting_task_says_what_it_waits_for() -> None:
    soon = replace(TASK, state=State.RETRY_WAIT, not_before=NOON + 38, reason="transient")
    behind = replace(TASK, uid=TaskUid("f" * 32))
    paused = replace(TASK, uid=TaskUid("e" * 32))
    rows = [replace(TASK, created_ts=NOON - 5), soon, behind, paused]
    table = waiting_rows(rows, NOON, {paused.uid: Pause("*", 0.0, "paused", "")}, {TASK.id_key: TASK.uid})
    assert [row[-1] for row in table.rows] == [
        "waits for a slot",
        "next try in 38s (transient)",
        "waits behind abcdef12, of the same id",
        "the queue is held",
    ]
    assert waiting_rows([TASK], NOON, runs=False).rows[0][-1] == "waits for the daemon"
    timed: dict[str, Pause] = {TASK.uid: Pause("claude", NOON + 60, "auth", "refused")}
    assert waiting_rows([TASK], NOON, timed).rows[0][-1] == f"waits for claude until {clock_time(NOON + 60)}"


@pytest.mark.parametrize(
    ("pause", "words"),
    [
        (
            Pause("*", 0.0, "paused", "paused by request"),
            "held: the queue until released (paused by request); release: python main.py resume",
        ),
        (
            Pause("claude", NOON + 52_800, "usage_limit", "used up"),
            "held: claude, resumes 02:40 (in 14h40m) (usage_limit: used up); earlier: python main.py resume claude",
        ),
        (
            Pause("claude", NOON + 86_400, "usage_limit", "used up"),
            "held: claude, resumes 2026-03-02 12:00 (in 1d0h) (usage_limit: used up);"
            " earlier: python main.py resume claude",
        ),
        (
            Pause("claude", NOON - 1, "auth", ""),
            "held: claude, until one task has tried it (auth: auth); earlier: python main.py resume claude",
        ),
        (
            Pause("claude", 0.0, "switched_off", "agents.claude.enabled is false"),
            "off: claude (agents.claude.enabled is false);"
            " on again: set agents.claude.enabled: true in config/orchestrator.yaml",
        ),
    ],
)
def test_a_pause_is_told_with_its_end_and_how_to_end_it(pause: Pause, words: str) -> None:
    assert hold_lines(pause, NOON, "python main.py", UTC)[0] == words


def test_a_wait_of_days_has_its_date_and_a_rest_without_an_end_is_said_to_have_none() -> None:
    days = Pause("*", NOON + HORIZON_S, QUITTING, "quitting time")
    assert clock_date(days.until) in waiting_rows([TASK], NOON, {TASK.uid: days}).rows[0][-1]
    for reason, endless in ((QUITTING, True), (QUIET, True), ("usage_limit", False)):
        (line, *_) = hold_lines(replace(days, reason=reason), NOON + 1, "python main.py", UTC)
        assert ("no end of it is in sight" in line) is endless
    assert "resumes" in hold_lines(replace(days, until=NOON + 86_400), NOON, "python main.py", UTC)[0]


def clock_date(ts: float) -> str:
    return datetime.fromtimestamp(ts, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def test_what_to_do_about_the_cause_of_a_hold_is_told_and_by_which_command() -> None:
    (_, hint) = hold_lines(Pause("claude", NOON + 60, "start_refused", "no"), NOON, "python main.py --root /r", UTC)
    assert hint == "      now: The agent refuses this configuration; `python main.py --root /r doctor` tells the fix."


def test_a_held_task_is_told_with_how_to_release_it() -> None:
    (row,) = held_rows([replace(TASK, state=State.HELD)], NOON + 60, "python main.py").rows
    assert row == ("held", "fix_db", "high", "1m00s", "release: python main.py resume abcdef12")


def test_an_ended_task_says_why_and_a_success_what_is_left_to_look_at() -> None:
    criteria = replace(SPEC, criteria=(Criterion("it works"),))
    good = replace(TASK, spec=criteria, state=State.SUCCEEDED, ended_ts=NOON - 60)
    two = replace(good, spec=replace(SPEC, criteria=(Criterion("a"), Criterion("b"))))
    bad = replace(TASK, state=State.FAILED, ended_ts=NOON - 60, reason="max_turns", detail="after 3 turns")
    assert [row[1:] for row in ended_rows([good, two, bad], NOON).rows] == [
        ("fix_db", "1m00s ago", "1 criterion unproven: please look"),
        ("fix_db", "1m00s ago", "2 criteria unproven: please look"),
        ("fix_db", "1m00s ago", "max_turns: after 3 turns"),
    ]


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        (EventKind.STARTED, {"agent": "claude"}, "started: attempt 2 on claude"),
        (EventKind.VALIDATED, {"passed": True}, "checked: believed"),
        (EventKind.VALIDATED, {"passed": False}, "checked: not believed"),
        (EventKind.FINISHED, {"exit_code": 0, "cost_usd": None}, "agent ended: exit code 0, cost unknown"),
        (EventKind.PROGRESS, {"what": "tool", "text": "Write\na.txt"}, "tool: Write a.txt"),
        (EventKind.FAILED, {"reason": "timeout", "detail": "300 s"}, "FAILED: timeout, 300 s"),
        (EventKind.ARTIFACTS_WRITTEN, {"path": "results/a_result.json"}, "result: results/a_result.json"),
        (EventKind.SUCCEEDED, {}, "SUCCEEDED"),
        (EventKind.DAEMON_STARTED, {"pid": 3}, "daemon started"),
        (EventKind.AGENT_HELD, {"agent": "*", "reason": "paused"}, "the queue held: paused"),
        (EventKind.AGENT_RELEASED, {"agent": "claude"}, "claude released"),
        (EventKind.HELD, {"detail": "held by request"}, "held: held by request"),
        (
            EventKind.LIMITED,
            {"reason": "auth", "detail": "refused", "not_before": NOON + 300, "hint": "Log in."},
            f"waits for the agent until {clock_time(NOON + 300)}: auth, refused - Log in.",
        ),
        (
            EventKind.AGENT_HELD,
            {"reason": "auth", "until": NOON + 300, "hint": "Log in."},
            f"agent held until {clock_time(NOON + 300)}: auth",
        ),
        (
            EventKind.RETRY,
            {"reason": "crash", "not_before": NOON + 9},
            f"will be tried again at {clock_time(NOON + 9)}: crash",
        ),
        (EventKind.DUPLICATE_ID, {"id": "a", "behind": "b"}, "waits until the other task with this id has ended"),
        (EventKind.CONFIG_INVALID, {"message": "1 setting is not valid"}, "config invalid: 1 setting is not valid"),
    ],
)
def test_an_event_is_told_in_a_few_words(kind: EventKind, data: dict[str, Json], words: str) -> None:
    assert event_words(Event(kind, NOON, TASK.uid, attempt=2, data=data)) == words


@given(st.sampled_from(EventKind), st.text(st.characters(exclude_categories=())))
def test_an_event_is_one_printable_line_whatever_it_holds(kind: EventKind, text: str) -> None:
    data: dict[str, Json] = dict.fromkeys(("reason", "detail", "path", "message", "what", "text", "agent"), text)
    line = event_text(Event(kind, NOON, TASK.uid, data=data), TASK, UTC)
    assert len(line) <= 200
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or char in "\u2028\u2029\u202e" for char in line)


def test_an_event_of_the_daemon_itself_names_no_task() -> None:
    assert (
        event_text(Event(EventKind.DAEMON_STOPPED, NOON), None, UTC) == "12:00:00  -                     daemon stopped"
    )


def test_what_was_read_is_told_with_what_was_guessed() -> None:
    spec = replace(
        SPEC,
        target_files=("a.py", "b.py"),
        criteria=(Criterion("x"),),
        inferred=(Inference("type", "fix", "the word fix"),),
        notices=(Notice("empty_field", "tags has no value", line=3),),
    )
    text = spec_text(spec)
    assert "targets   a.py, b.py" in text
    assert "criteria  1, all in words: they will be reported as unproven" in text
    assert "inferred  type = fix (the word fix)" in text
    assert "warning   line 3: tags has no value" in text
    assert "targets   none" in spec_text(SPEC)


def test_what_was_read_says_which_criteria_are_checked_and_how() -> None:
    criteria = (
        Criterion("tests pass: `pytest -q`", check=CheckSpec(CheckKind.COMMAND, argv=("pytest", "-q"))),
        Criterion("exists: `a`", check=CheckSpec(CheckKind.FILE_EXISTS, path="a"), mandatory=False),
        Criterion("(human) nice", check=CheckSpec(CheckKind.HUMAN)),
        Criterion("words"),
    )
    assert "\n".join(
        [
            "criteria  4, 2 with a check that the daemon runs",
            "          runs `pytest -q`",
            "          optional, checks exists: `a`",
            "          for a person to look at",
            "          in words",
        ]
    ) in spec_text(replace(SPEC, criteria=criteria))
    good = replace(TASK, spec=replace(SPEC, criteria=criteria), state=State.SUCCEEDED, ended_ts=NOON)
    assert ended_rows([good], NOON).rows[0][-1] == "2 criteria unproven: please look"
    assert ended_rows([replace(good, spec=replace(SPEC, criteria=criteria[:2]))], NOON).rows[0][-1] == ""


def test_a_check_that_goes_by_a_file_says_so_where_the_task_does_not_name_it() -> None:
    compares = Criterion("same", check=CheckSpec(CheckKind.COMMAND, argv=("diff", "out.txt", "want.txt")))
    looks = Criterion("has", check=CheckSpec(CheckKind.COMMAND, argv=("grep", "-q", "TWO", "a.txt")))
    told = spec_text(replace(SPEC, criteria=(compares, looks)))
    assert "goes by out.txt, want.txt: unproven if the task changes that" in told
    assert "a.txt:" not in told
    named = spec_text(replace(SPEC, criteria=(compares,), target_files=("out.txt",)))
    assert "goes by want.txt: unproven" in named
    quiet = Criterion("t", check=CheckSpec(CheckKind.COMMAND, argv=("pytest", "-q", "tests/test_a.py")))
    runs = Criterion("r", check=CheckSpec(CheckKind.COMMAND, argv=("python3", "app.py")))
    assert "goes by" not in spec_text(replace(SPEC, criteria=(quiet, runs)))
    assert "goes by app.py" in spec_text(replace(SPEC, criteria=(runs,), target_files=("lib.py",)))


def test_a_file_error_has_the_same_keys_as_the_json_beside_a_rejected_file() -> None:
    error = TaskFileError("type_invalid", "no such type", file="a.task.md", line=3, column=7, field="type", hint="h")
    assert error_json(error) == {
        "code": "type_invalid",
        "message": "no such type",
        "file": "a.task.md",
        "line": 3,
        "column": 7,
        "field": "type",
        "expected": "",
        "hint": "h",
        "excerpt": "",
    }


def test_a_task_as_json_survives_a_file_name_that_is_not_utf8() -> None:
    told = task_json(replace(TASK, file_name="caf\udce9.task.md"))
    assert json.loads(json.dumps(told, ensure_ascii=False).encode("utf-8"))["file_name"] == "caf\\udce9.task.md"


def test_an_ignored_file_is_named_and_a_refusal_says_where() -> None:
    ignored = Event(EventKind.FILE_IGNORED, NOON, data={"file": "UPPER.TASK.MD", "reason": "suffix_case"})
    assert event_words(ignored) == "file ignored: tasks/UPPER.TASK.MD, suffix_case"
    error: Json = {
        "message": "'x' is no type",
        "line": 3,
        "column": 7,
        "file": "a.task.md",
        "expected": "fix",
        "hint": "Do.",
    }
    refused = Event(EventKind.REJECTED, NOON, data={"reason": "type_invalid", "detail": "no type", "error": error})
    assert event_words(refused) == "REJECTED: line 3:7, type_invalid, no type"
    assert refusal_text(refused).splitlines() == [
        "file      a.task.md",
        "line      3",
        "column    7",
        "wrong     'x' is no type",
        "expected  fix",
        "to do     Do.",
    ]
