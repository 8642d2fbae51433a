"""A task waits for its next try, and somebody takes its claimed file away: it goes on from what is stored."""

import shutil
from pathlib import Path

from tests.e2e.command_root import script
from tests.harness import daemon, drop, environment, result, scripted_command, task_text, wait_until

FAILS_ONCE = script({"init": 0}, {"first_time": [{"exit": 3}]}, {"result": "Done."})


def test_a_task_whose_claimed_file_is_gone_is_tried_again_and_its_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "orchestrator.yaml").write_text("retries: {no_result: {first_delay_s: 1}}\n")
    running = tmp_path / "tasks" / "running"
    with daemon(tmp_path, environment(tmp_path, ORCHESTRATOR_CLAUDE_COMMAND=scripted_command())) as alive:
        drop(tmp_path, "one", task_text("one", FAILS_ONCE))
        log = tmp_path / "logs" / "events.ndjson"
        wait_until(lambda: log.exists() and '"event":"retry"' in log.read_text("ascii"), what="the first failure")
        (claimed,) = (path for path in running.iterdir() if path.is_dir())  # beside it may lie its status file
        shutil.rmtree(claimed)
        archived = tmp_path / "tasks" / "processed" / "one.task.md"
        wait_until(archived.exists, what="the end of the second try")
        assert archived.read_text() == task_text("one", FAILS_ONCE)
        assert alive.stop() == 0
    assert (result(tmp_path, "one")["status"], len(result(tmp_path, "one")["attempts"])) == ("succeeded", 2)
