"""Kills with the real CLI, in short; the long run is `python -m tests.under_fire.real_kills --kills 50`."""

import os
from pathlib import Path

import pytest
from tests.under_fire.kill_round import CHAOS
from tests.under_fire.real_kills import one_resumed, real_round

pytestmark = [
    pytest.mark.real_cli,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="strays are found by /proc"),
]


@pytest.mark.timeout(300)
def test_a_conversation_cut_by_the_death_of_the_daemon_is_taken_up_and_costs_no_try(tmp_path: Path) -> None:
    resumed, messages, result = one_resumed(tmp_path / "root")
    first, second = result["attempts"]
    assert first["session_id"] == second["session_id"]
    assert (resumed.attempts, resumed.tries) == (2, 1), "the interrupted attempt is not charged"
    assert result["status"] == "succeeded"
    asked_after_the_kill = messages[3:]  # three requests went out before it
    assert asked_after_the_kill[0] == resumed.messages > messages[2] > messages[0], "it holds the turns before the kill"


@pytest.mark.timeout(400)
def test_kills_among_real_agents_lose_nothing_and_leave_nothing(tmp_path: Path) -> None:
    seed = str(int.from_bytes(os.urandom(4), "big"))
    told = real_round(tmp_path, seed, CHAOS, kills=4, tasks=3)
    assert told.round.breaches == [], f"seed {seed}"
    assert told.round.daemon_kills == 4
