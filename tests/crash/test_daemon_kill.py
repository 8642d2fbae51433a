"""The real daemon, killed again and again at random moments while it reads, runs, checks and writes."""

import os
import random
import threading
from collections import Counter
from pathlib import Path

import pytest
from tests.harness import (
    DaemonProcess,
    daemon,
    drop,
    environment,
    events,
    left_running,
    result,
    results,
    scripted_command,
    task_text,
    wait_until,
)

from orchestrator.bridges.root_lock import holder

TASKS = 40
KILLS = 12
ORPHAN = (
    '<<<SCRIPT {"steps": [{"init": 0}, {"orphan": {"ignore": true, "empty_env": false}}, {"hang": 0.2}, '
    '{"say": "Done."}, {"result": "Done."}]} SCRIPT>>>'
)


def _owner(root: Path) -> int:
    found = holder(root / ".orchestrator")
    return found.pid if found else 0


def _journalling(root: Path) -> dict[str, str]:
    (root / "config").mkdir()
    (root / "config" / "orchestrator.yaml").write_text("agents:\n  claude:\n    env: [SCRIPTED_JOURNAL]\n")
    return environment(
        root,
        ORCHESTRATOR_CLAUDE_COMMAND=scripted_command(),
        MAX_CONCURRENT_TASKS="4",
        SCRIPTED_JOURNAL=str(root / "journal"),
        LOG_LEVEL="WARNING",
    )


@pytest.mark.timeout(300)
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="strays are found by /proc")
def test_killed_at_random_moments_it_loses_nothing_overlaps_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    chance = random.Random(seed)
    env = _journalling(tmp_path)
    names = [f"t{number:02}" for number in range(TASKS)]
    waiting = list(names)
    moment = threading.Event()
    for _ in range(KILLS):
        running = DaemonProcess(tmp_path, env)
        try:
            for name in [waiting.pop() for _ in range(min(len(waiting), TASKS // KILLS + 1))]:
                drop(tmp_path, name, task_text(name, ORPHAN if chance.random() < 0.5 else "Say hello."))
            moment.wait(chance.uniform(0.2, 2.5))
        finally:
            running.kill()
            running.end()
    with daemon(tmp_path, env) as last:
        wait_until(
            lambda: len(list((tmp_path / "tasks" / "processed").glob("*.task.md"))) == TASKS,
            what=f"all results (seed {seed})",
            deadline_s=200,
        )
        wait_until(lambda: _owner(tmp_path) == last.process.pid, what="the last daemon to own the root")
        assert last.stop() == 0
    assert sorted(path.name.removesuffix("_result.json") for path in results(tmp_path)) == names, f"seed {seed}"
    assert {result(tmp_path, name)["status"] for name in names} == {"succeeded"}, f"seed {seed}"
    lines = events(tmp_path)
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1)), f"seed {seed}"
    ends = Counter(line["task_id"] for line in lines if line["event"] == "task_succeeded")
    assert ends == dict.fromkeys(names, 1), f"seed {seed}"
    journal = (tmp_path / "journal").read_text()
    assert "OVERLAP" not in journal, f"seed {seed}"
    assert left_running(tmp_path) == [], f"seed {seed}"
