"""The program as a whole: what a person sees when the system refuses."""

from pathlib import Path

from tests.harness import orchestrator


def test_what_the_system_refuses_is_one_message_and_exit_code_74(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "results").write_text("no folder")
    done = orchestrator(tmp_path, "validate-artifacts")
    assert done.returncode == 74
    assert "error[disk]: results: Not a directory" in done.stderr
    assert "Traceback" not in done.stderr
