"""Fail-points in short: each is reached, and some of what can happen there happens (all of it: sweep.py)."""

import shutil
from pathlib import Path

import pytest
from tests.under_fire.sweep import OF_COMMANDS, OF_MERGES, Case, play, sweep

from orchestrator.core.failpoint import POINTS

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="strays are found by /proc"),
    pytest.mark.skipif(shutil.which("git") is None, reason="git is missing: points of a clone are not reached"),
]

# One of each phase, and what is hardest there; every case of every point is for the long run.
SAMPLE = (
    Case("accept.stored", 1, "kill"),
    Case("store.written", 5, "kill"),
    Case("store.begun", 5, "busy"),
    Case("claim.renamed", 1, "kill"),
    Case("prepare.spawned", 2, "kill"),
    Case("supervisor.reaped", 2, "kill"),
    Case("supervisor.published", 5, "kill"),
    Case("area.cloned", 1, "kill"),
    Case("keep.fetched", 2, "kill"),
    Case("deliver.fetched", 1, "kill"),
    Case("finish.committed", 1, "kill"),
    Case("question.written", 1, "kill"),
    Case("answer.committed", 1, "kill"),
    Case("project.summary", 2, "enospc"),
    Case("project.appended", 2, "kill"),
    Case("files.temporary", 1, "eio"),
    Case("recover.taken", 1, "kill"),
    Case("notice.taken", 1, "kill"),
    Case("notice.sending", 1, "busy"),
    Case("hook.started", 2, "kill"),
    Case("hook.after", 1, "kill"),
)


@pytest.mark.timeout(200)
def test_every_point_is_reached_by_a_handful_of_tasks_after_a_crash(tmp_path: Path) -> None:
    told = play(tmp_path, Case("*", 0, ""))
    assert told.breaches == []
    assert POINTS.keys() - told.counts.keys() == OF_COMMANDS | OF_MERGES


@pytest.mark.timeout(400)
def test_whatever_happens_at_a_point_the_next_start_brings_everything_to_its_end(tmp_path: Path) -> None:
    done = sweep(SAMPLE, tmp_path, 2, say=False)
    assert {told.case: told.breaches for told in done if told.breaches} == {}
    assert [told.case for told in done if not told.fired] == []
