"""What a task file says of its times: where it is wrong, in its own words."""

import pytest
from tests.data.bad_inputs import RULES

from orchestrator.core.errors import TaskFileError
from orchestrator.core.taskfile import parse_task_file


def refusal(*lines: str) -> TaskFileError:
    text = "\n".join(["---", "id: a", *lines, "---", "Do it."])
    with pytest.raises(TaskFileError) as caught:
        parse_task_file(text.encode(), file_name="nightly.task.md", rules=RULES)
    return caught.value


@pytest.mark.parametrize(
    ("line", "reason", "expected"),
    [
        ("after: tonight", "after_invalid", "22:00 (the next time it is that late)"),
        ("after: in 900d", "after_invalid", "at most 366 days ahead"),
        ("after: 2026-02-30", "after_invalid", "a day that there is"),
        ("schedule: every night", "schedule_invalid", "minute, hour, day, month and weekday"),
        ("schedule: 61 2 * * *", "schedule_invalid", "the minute is no such one"),
        ("schedule: '@reboot'", "schedule_invalid", "one of @yearly"),
        ("timezone: Europe/Berln", "timezone_invalid", "did you mean Europe/Berlin?"),
        ("deadline: soon", "deadline_invalid", "2026-11-28T22:00"),
    ],
)
def test_a_time_that_cannot_be_read_is_refused_with_its_line_and_what_was_expected(
    line: str, reason: str, expected: str
) -> None:
    error = refusal(line)
    assert (error.reason, error.line, error.field) == (reason, 3, line.partition(":")[0])
    assert error.excerpt == line
    assert expected in error.expected
    assert error.hint


def test_the_whole_refusal_says_what_to_write_instead() -> None:
    assert str(refusal("schedule: 30 2 * *")) == (
        "error[schedule_invalid]: nightly.task.md:3:11: `schedule`: '30 2 * *' is no schedule\n"
        "  expected: minute, hour, day, month and weekday such as `30 2 * * mon-fri`, or one of @hourly, @daily, "
        "@weekly, …\n"
        "  Write five fields like `30 2 * * mon-fri`, or @daily; docs/schedules.md has more."
    )


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (("schedule: '@daily'", "deadline: 2026-12-01"), "a schedule makes many runs"),
        (("after: 2026-12-01T10:00", "deadline: 2026-12-01T10:00"), "no later than the time before which"),
        (("timezone: UTC", "after: 2026-12-01T10:00", "deadline: 2026-12-01T10:30+01:00"), "no later than"),
    ],
)
def test_a_deadline_that_cannot_be_kept_is_refused(lines: tuple[str, ...], says: str) -> None:
    error = refusal(*lines)
    assert (error.reason, error.field, error.line) == ("deadline_invalid", "deadline", 2 + len(lines))
    assert says in error.message


def test_a_deadline_on_the_day_itself_is_the_end_of_that_day() -> None:
    text = b"---\nafter: 2026-12-01T10:00\ndeadline: 2026-12-01\n---\nDo it."
    assert parse_task_file(text, file_name="a.task.md", rules=RULES).deadline == "2026-12-01"


@pytest.mark.parametrize("field", ["after", "schedule", "timezone", "deadline"])
def test_a_time_without_a_value_is_as_if_it_were_not_written(field: str) -> None:
    spec = parse_task_file(f"---\n{field}:\n---\nDo it.".encode(), file_name="a.task.md", rules=RULES)
    assert getattr(spec, field) == ""
    assert "empty_field" in [notice.code for notice in spec.notices]
