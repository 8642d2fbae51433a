"""The program as a whole: what a person sees when the system refuses."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.harness import environment, orchestrator


def test_what_the_system_refuses_is_one_message_and_exit_code_74(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "results").write_text("no folder")
    done = orchestrator(tmp_path, "validate-artifacts")
    assert done.returncode == 74
    assert "error[disk]: results: Not a directory" in done.stderr
    assert "Traceback" not in done.stderr


def _in_shell(root: Path, words: str, redirected: str, **env: str) -> "subprocess.CompletedProcess[str]":
    line = f"{shlex.quote(sys.executable)} -m orchestrator --root {shlex.quote(str(root))} {words} {redirected}"
    return subprocess.run(
        ["sh", "-c", line], env=environment(root) | env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("redirected", "code"),
    [
        (">&-", 0),  # nobody wants the answer
        (">&- 2>&- <&-", 0),
        ("2>&-", 0),
        (">/dev/full", 74),  # somebody wanted it and does not get it
        (">/dev/full 2>/dev/full", 74),
    ],
)
def test_a_closed_or_full_standard_stream_is_no_stack_trace(tmp_path: Path, redirected: str, code: int) -> None:
    (tmp_path / "tasks").mkdir()
    done = _in_shell(tmp_path, "status", redirected)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if "2>" not in redirected and code:
        assert done.stderr.startswith("error[disk]: standard output: No space left on device")


def test_a_terminal_without_our_letters_gets_others(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    words = f"retry {'日' * 3} || true; {shlex.quote(sys.executable)} -m orchestrator help"
    done = _in_shell(tmp_path, words, "", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).isascii()
    assert "Traceback" not in done.stderr
