"""The program's own log: one record one line, nothing secret, nothing for other eyes, never full."""

import io
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.bridges.log_setup import FILE_NAME, LogSetup, OneLineFormatter, one_line
from orchestrator.core.redact import Redactor

SECRET = "canary-4711-secret"
logger = logging.getLogger("orchestrator.test")


@pytest.fixture
def stderr() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(tmp_path: Path, stderr: io.StringIO) -> Iterator[LogSetup]:
    with LogSetup(tmp_path, redact=Redactor([SECRET]).text, stderr=stderr) as setup:
        yield setup


def lines(folder: Path) -> list[str]:
    return (folder / FILE_NAME).read_text("utf-8").splitlines()


@pytest.mark.parametrize(
    "evil", ["a\nb", "a\r\nERROR root: forged", "a\x1b[2Jb", "a\u2028b", "a\x00b", "a\u202eb", "a\x85b"]
)
def test_a_record_is_one_line_whatever_it_holds(log: LogSetup, tmp_path: Path, stderr: io.StringIO, evil: str) -> None:
    logger.warning("task %s ended", evil)
    for (line,) in (lines(tmp_path), stderr.getvalue().splitlines()):
        assert evil not in line
        assert line.endswith(f"task {one_line(evil)} ended")


def test_a_traceback_is_part_of_the_same_line(log: LogSetup, tmp_path: Path, stderr: io.StringIO) -> None:
    try:
        raise ValueError(f"refused https://host/{SECRET}\nsecond line")
    except ValueError:
        logger.exception("it broke")
    for (line,) in (lines(tmp_path), stderr.getvalue().splitlines()):
        assert "Traceback" in line
        assert "ValueError: refused https://host/[redacted]\\nsecond line" in line


def test_no_secret_reaches_file_or_screen_by_message_argument_or_traceback(
    log: LogSetup, tmp_path: Path, stderr: io.StringIO
) -> None:
    logger.error("plain %s", SECRET)
    logger.error(f"formatted {SECRET}", stack_info=True)
    try:
        raise RuntimeError(SECRET)
    except RuntimeError:
        logger.exception("with %r", {"token": SECRET})
    assert SECRET not in (tmp_path / FILE_NAME).read_text("utf-8") + stderr.getvalue()
    assert len(lines(tmp_path)) == 3


def test_the_record_is_left_as_it_was_for_the_next_handler() -> None:
    error = ValueError("x")
    record = logging.LogRecord("n", logging.ERROR, "f", 1, "two\nlines", None, (ValueError, error, None))
    assert OneLineFormatter("%(message)s", str).format(record) == "two\\nlines\\nValueError: x"
    assert (record.getMessage(), record.exc_text) == ("two\nlines", None)


def test_a_line_in_the_file_begins_with_its_time_in_utc(log: LogSetup, tmp_path: Path) -> None:
    logger.info("hello")
    (line,) = lines(tmp_path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO orchestrator\.test: hello", line)


def test_the_files_are_rotated_kept_to_their_number_and_closed_to_others(tmp_path: Path, stderr: io.StringIO) -> None:
    with LogSetup(tmp_path, redact=str, stderr=stderr, file_bytes=4096, file_count=3):
        for number in range(400):
            logger.info("record %04d %s", number, "x" * 60)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [FILE_NAME, *(f"{FILE_NAME}.{number}" for number in (1, 2, 3))]
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.stat().st_size <= 4096
    assert "record 0399" in lines(tmp_path)[-1]


def test_a_file_others_could_read_is_closed_to_them(tmp_path: Path, stderr: io.StringIO) -> None:
    (tmp_path / FILE_NAME).touch(mode=0o644)
    with LogSetup(tmp_path, redact=str, stderr=stderr):
        assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["httpx", "httpcore", "telegram", "telegram.ext", "httpcore.http11"])
def test_libraries_that_log_addresses_are_heard_from_warnings_on(log: LogSetup, tmp_path: Path, name: str) -> None:
    logging.getLogger(name).info("GET https://host/bot")
    logging.getLogger(name).warning("trouble")
    (line,) = lines(tmp_path)
    assert line.endswith(f"WARNING {name}: trouble")


def test_the_level_can_be_changed_while_running(log: LogSetup, tmp_path: Path) -> None:
    logger.debug("unheard")
    log.set_level("DEBUG")
    logger.debug("heard")
    assert [line.split(": ")[1] for line in lines(tmp_path)] == ["heard"]


def test_a_disk_that_refuses_the_file_does_not_disturb_the_caller(tmp_path: Path, stderr: io.StringIO) -> None:
    (tmp_path / FILE_NAME).symlink_to("/dev/full")
    with LogSetup(tmp_path, redact=str, stderr=stderr, file_bytes=10**9):
        logger.error("still said")
    assert stderr.getvalue() == "ERROR orchestrator.test: still said\n"


def test_closing_leaves_logging_as_it_was(tmp_path: Path, stderr: io.StringIO) -> None:
    root = logging.getLogger()
    before = root.level, list(root.handlers), logging.getLogger("httpx").level
    with LogSetup(tmp_path, redact=str, stderr=stderr, level="DEBUG"):
        assert root.level == logging.DEBUG
    assert (root.level, list(root.handlers), logging.getLogger("httpx").level) == before


def log_elsewhere(folder: Path, statement: str) -> tuple[int, str]:
    """Run *statement* in a program of its own that logs to *folder*; return its exit code and standard error."""
    program = (
        "import logging, os, pathlib, sys\n"
        "from orchestrator.bridges.log_setup import LogSetup\n"
        f"with LogSetup(pathlib.Path(sys.argv[1]), redact=str, stderr=sys.stderr): {statement}\n"
        "sys.exit('rich' in sys.modules)\n"
    )
    argv = [sys.executable, "-c", program, str(folder)]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stderr


def test_rich_is_not_imported_where_nobody_looks(tmp_path: Path) -> None:
    assert log_elsewhere(tmp_path, "logging.warning('seen')") == (0, "WARNING root: seen\n")


def test_text_that_is_not_unicode_costs_nothing(tmp_path: Path) -> None:
    done = log_elsewhere(tmp_path, r"logging.warning('file %s', os.fsdecode(b'caf\xe9.task.md'))")
    assert done == (0, "WARNING root: file caf\\udce9.task.md\n")
    assert lines(tmp_path)[0].endswith(r"file caf\udce9.task.md")


def test_a_terminal_is_served_by_rich_without_control_characters_of_the_record(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        with (
            open(theirs, "w", encoding="utf-8", closefd=False) as terminal,
            LogSetup(tmp_path, redact=Redactor([SECRET]).text, stderr=terminal),
        ):
            logger.warning("[bold]%s[/bold] \x1b]0;title\x07", SECRET)
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "\x1b]0" not in shown
    assert "\x07" not in shown
    assert "WARNING" in shown
    assert SECRET not in shown
