"""What the tests start warm is a process like any other."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests import warm
from tests.harness import daemon, environment, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every start is a cold one")


def started(root: Path) -> int:
    log = root / "logs" / "events.ndjson"
    return log.read_bytes().count(b'"daemon_started"') if log.exists() else 0


def test_a_warm_start_says_what_a_cold_one_says(tmp_path: Path) -> None:
    env = environment(tmp_path)
    for words in (("help",), ("--root", str(tmp_path), "status", "--json"), ("no-such-command",)):
        cold = subprocess.run(
            [sys.executable, "-m", "orchestrator", *words], env=env, capture_output=True, text=True, check=False
        )
        found = warm.run(words, env, 60)
        assert (found.returncode, found.stdout, found.stderr) == (cold.returncode, cold.stdout, cold.stderr)


def test_each_has_its_own_environment_and_ends_by_itself_or_by_signal(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    with daemon(tmp_path) as killed:
        assert isinstance(killed.process, warm.Forked)
        wait_until(lambda: started(tmp_path) == 1, what="the start")
        with pytest.raises(subprocess.TimeoutExpired):
            killed.process.wait(0.01)
        killed.kill()
        assert killed.process.poll() == -9
    with daemon(tmp_path) as stopped:
        wait_until(lambda: started(tmp_path) == 2, what="the start")
        assert stopped.stop() == 0
    refused = warm.run(("status",), environment(tmp_path, ORCHESTRATOR_ROOT=str(tmp_path / "nowhere")), 60)
    assert "nowhere" in refused.stderr


def test_what_the_interpreter_reads_at_its_start_gets_a_start_of_its_own(tmp_path: Path) -> None:
    env = environment(tmp_path, LC_ALL="C")
    process = warm.start(("help",), env, subprocess.DEVNULL, subprocess.DEVNULL)
    assert isinstance(process, subprocess.Popen)
    assert process.wait(60) == 0
