"""A daemon that is used, killed and started again leaves nothing running and keeps nothing; a leak is noticed."""

import os
from pathlib import Path

import pytest
from tests.under_fire import soak
from tests.under_fire.process_figures import percentile, slope

EXECUTOR = min(32, (os.cpu_count() or 1) + 4)  # asyncio's own pool
THREADS = 1 + 2 + EXECUTOR + 4  # the loop, the store's two lanes, the pool, the folder's watch


@pytest.mark.timeout(300)
def test_after_kills_restarts_commands_and_reloads_nothing_is_left(tmp_path: Path) -> None:
    report = soak.run(tmp_path, 8.0, restart_s=3.0, warm_s=1.0)
    assert (report.broken, report.marked) == ([], [])
    assert report.before is not None
    assert report.after is not None
    assert report.after.descriptors <= report.before.descriptors
    assert report.threads_most <= THREADS
    assert report.kills + report.restarts >= 1
    assert report.tasks > soak.QUEUED


@pytest.mark.timeout(300)
def test_a_descriptor_lost_with_each_task_is_noticed(tmp_path: Path) -> None:
    report = soak.run(tmp_path, 4.0, restart_s=60.0, leak="descriptor", warm_s=1.0)
    assert "descriptors" in report.leaks


def test_a_slope_is_told_with_its_noise() -> None:
    rising = slope([0.0, 1.0, 2.0, 3.0, 4.0], [10.0, 12.1, 13.9, 16.0, 18.0])
    assert rising.per_hour == pytest.approx(2 * 3600, rel=0.05)
    assert rising.rises
    assert not slope([0.0, 1.0, 2.0, 3.0, 4.0], [10.0, 12.0, 9.0, 12.0, 10.0]).rises
    assert not slope([0.0, 1.0], [1.0, 2.0]).rises


def test_a_percentile_is_a_sample_by_nearest_rank() -> None:
    assert [percentile([3.0, 1.0, 2.0], share) for share in (0.0, 0.5, 0.99)] == [1.0, 2.0, 3.0]
