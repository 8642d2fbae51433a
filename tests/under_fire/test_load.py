"""Many files at once: none is lost, none is doubled, whatever the daemon was doing when they came."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.harness import environment, wait_until
from tests.under_fire import load
from tests.under_fire.load_root import BAD, LoadRoot

FILES = 2000
WATCHER = Path(__file__).with_name("naive_watcher.py")


@pytest.mark.timeout(300)
def test_a_frozen_daemon_takes_in_every_file_it_was_never_notified_of(tmp_path: Path) -> None:
    report = load.run(tmp_path, FILES, "sigstopped", idle_s=0, probes=0)
    assert report.broken == []
    assert (report.lost, report.doubled, report.wrong_bytes) == (0, 0, 0)
    assert report.high_starts_next


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["running", "stopped"])
def test_bad_files_between_good_ones_cost_only_themselves(tmp_path: Path, mode: str) -> None:
    report = load.run(tmp_path, len(BAD), mode, poison=True, idle_s=0, probes=0)
    assert report.broken == []
    assert report.bad_refused + report.bad_accepted == len(BAD)
    assert report.bad_refused > 0.9 * len(BAD)  # a few are only bad under other rules than the default ones


def test_a_watcher_that_trusts_its_notifications_loses_files_to_the_same_freeze(tmp_path: Path) -> None:
    root = LoadRoot(tmp_path / "root")
    names = root.prepare(200, poison=False)
    heard = tmp_path / "heard"
    argv = [sys.executable, str(WATCHER), str(root.root / "tasks"), str(heard)]
    watcher = subprocess.Popen(argv, env=environment(tmp_path), stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: heard.exists() and "ready" in heard.read_text(), what="the watcher")
        os.kill(watcher.pid, signal.SIGSTOP)
        root.make_noise()
        root.move_in(names)
        os.kill(watcher.pid, signal.SIGCONT)
        wait_until(lambda: "noise" in heard.read_text(), what="what it was notified of")
        wait_until(lambda: heard.read_text().rstrip().endswith("ready"), what="the end of what it was notified of")
    finally:
        watcher.kill()
        watcher.wait()
    assert len(set(names) - set(heard.read_text().split())) > 100


def test_a_file_without_a_row_or_with_other_bytes_is_reported(tmp_path: Path) -> None:
    report = load.run(tmp_path, 5, "running", idle_s=0, probes=0)
    assert report.broken == []
    root = LoadRoot(tmp_path / "root")
    root.digests = {"never.task.md": "0" * 64, "task_000001.task.md": "0" * 64}
    load.check_truth(root, report)
    assert (report.lost, report.wrong_bytes, len(report.broken)) == (1, 1, 2)
