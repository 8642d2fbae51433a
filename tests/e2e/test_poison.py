"""A file whose reading kills the daemon: it is refused by the third one, and harms nobody else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.harness import DEADLINE_S, environment, scripted_command, task_text, wait_until

KILLING = """
import os, signal, sys
import orchestrator.compose as compose

def parse(data, file_name, rules, *, whole=compose.parse_task_file):
    if b"POISON" in data:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(data, file_name=file_name, rules=rules)

compose.parse_task_file = lambda data, *, file_name, rules: parse(data, file_name, rules)
from orchestrator.app import main
sys.exit(main(sys.argv[1:]))
"""


def start(root: Path, env: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start a daemon whose parser kills the process over one kind of file."""
    return subprocess.Popen(
        [sys.executable, "-c", KILLING, "--root", str(root)],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_file_that_kills_who_reads_it_is_refused_by_the_third_daemon_and_the_others_run(tmp_path: Path) -> None:
    env = environment(tmp_path, ORCHESTRATOR_CLAUDE_COMMAND=scripted_command())
    (tmp_path / "tasks").mkdir()
    names = ["a_good", "b_bad", "c_good"]
    for number, name in enumerate(names):  # read in this order, in one batch: only the guilty one is blamed
        path = tmp_path / "tasks" / f"{name}.task.md"
        path.write_text(task_text(name, "POISON" if name == "b_bad" else "Say hello."))
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    for _ in range(2):
        assert start(tmp_path, env).wait(DEADLINE_S) == -signal.SIGKILL
        assert (tmp_path / "tasks" / "b_bad.task.md").exists()
    third = start(tmp_path, env)
    try:
        wait_until(lambda: len(list((tmp_path / "tasks" / "processed").glob("*.task.md"))) == 2, what="both good tasks")
        refused = tmp_path / "tasks" / "failed" / "b_bad.task.md"
        wait_until(refused.exists, what="the refusal")
        assert refused.read_text() == task_text("b_bad", "POISON")
        assert "ended the daemon 2 times" in refused.with_name("b_bad.task.md.error.json").read_text()
        assert third.poll() is None
        again = tmp_path / "tasks" / "b_bad.task.md"
        again.write_text(task_text("b_bad", "Say hello."))  # the corrected file is another one
        wait_until(lambda: (tmp_path / "results" / "b_bad_result.json").exists(), what="the corrected file's result")
        third.terminate()
        assert third.wait(DEADLINE_S) == 0
    finally:
        if third.poll() is None:
            third.kill()
            third.wait()
