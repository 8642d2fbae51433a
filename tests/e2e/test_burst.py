"""Five hundred files at once, and a daemon killed half way through a burst: every result once, none lost."""

from collections import Counter
from pathlib import Path

import pytest
from tests.harness import (
    DaemonProcess,
    daemon,
    drop,
    environment,
    events,
    result,
    results,
    scripted_command,
    task_text,
    wait_until,
)

FILES = 500
FILES_OVER_A_KILL = 200  # a thousand kills among many more tasks: python -m tests.under_fire.kills --kills 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "orchestrator.yaml").write_text("agents:\n  claude:\n    env: [SCRIPTED_JOURNAL]\n")
    return tmp_path


def _environment(root: Path) -> dict[str, str]:
    return environment(
        root,
        ORCHESTRATOR_CLAUDE_COMMAND=scripted_command(),
        MAX_CONCURRENT_TASKS="8",
        SCRIPTED_JOURNAL=str(root / "journal"),
        LOG_LEVEL="WARNING",
    )


def _journal(root: Path) -> list[list[str]]:
    path = root / "journal"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def _all_archived(root: Path, files: int) -> bool:
    return len(list((root / "tasks" / "processed").glob("*.task.md"))) == files and len(results(root)) == files


def _check_everything(root: Path, files: int) -> None:
    names = [path.name.removesuffix("_result.json") for path in results(root)]
    assert sorted(names) == sorted(f"task_{n:03}" for n in range(files))
    assert {result(root, name)["status"] for name in names} == {"succeeded"}
    assert not list((root / "tasks").glob("*.task.md"))
    assert len(list((root / "summaries").iterdir())) == files
    lines = events(root)
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    ended = Counter(line["task_id"] for line in lines if line["event"] == "task_succeeded")
    assert set(ended.values()) == {1}
    assert len(ended) == files


@pytest.mark.timeout(300)
def test_a_burst_of_files_gives_as_many_results_each_once(root: Path) -> None:
    with daemon(root, _environment(root)) as running:
        for n in range(FILES):
            drop(root, f"task_{n:03}", task_text(f"task_{n:03}"))
        wait_until(lambda: _all_archived(root, FILES), what=f"{FILES} results", deadline_s=240)
        assert running.stop() == 0
    _check_everything(root, FILES)
    starts = Counter(uid for word, uid, _ in _journal(root) if word == "start")
    assert len(starts) == FILES
    assert set(starts.values()) == {1}


@pytest.mark.timeout(300)
def test_a_daemon_killed_half_way_loses_nothing_and_ends_nothing_twice(root: Path) -> None:
    env = _environment(root)
    first = DaemonProcess(root, env)
    try:
        for n in range(FILES_OVER_A_KILL):
            drop(root, f"task_{n:03}", task_text(f"task_{n:03}"))
        wait_until(lambda: len(results(root)) >= FILES_OVER_A_KILL // 2, what="half of the results", deadline_s=240)
    finally:
        first.kill()
        first.end()
    with daemon(root, env) as second:
        wait_until(lambda: _all_archived(root, FILES_OVER_A_KILL), what=f"{FILES_OVER_A_KILL} results", deadline_s=240)
        assert second.stop() == 0
    _check_everything(root, FILES_OVER_A_KILL)
    journal = _journal(root)
    assert not [line for line in journal if line[0] == "OVERLAP"]
    assert len({uid for word, uid, _ in journal if word == "start"}) == FILES_OVER_A_KILL
