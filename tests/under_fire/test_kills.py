"""kill -9 at random moments, in short; the long run is `python -m tests.under_fire.kills --kills 1000`."""

import os
from pathlib import Path

import pytest
from tests.under_fire.kill_round import CALM, CHAOS, Plan, Round
from tests.under_fire.kill_subjects import Naive, Product

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="strays are found by /proc")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", [CALM, CHAOS])
def test_killed_at_random_moments_it_loses_nothing_repeats_nothing_and_leaves_nothing(
    tmp_path: Path, mode: str
) -> None:
    seed = str(int.from_bytes(os.urandom(4), "big"))
    figures = Round(tmp_path / "root", Product(), Plan(seed, kills=6, tasks=14, mode=mode)).run()
    assert figures.breaches == [], f"seed {seed}"
    assert (figures.daemon_kills, figures.tasks) == (6, 14)
    assert figures.recovery_s, "no daemon lived long enough to be ready"


@pytest.mark.timeout(300)
def test_the_same_harness_finds_the_control_guilty(tmp_path: Path) -> None:
    figures = Round(tmp_path / "root", Naive(), Plan("1", kills=6, tasks=14, drain_s=5.0)).run()
    told = "\n".join(figures.breaches)
    assert "G6" in told, "it leaves processes behind"
    assert "G12" in told, "it tears its event log"
    assert "completed more than once" in told, "it repeats finished work"
    assert figures.orphans_left > 0
