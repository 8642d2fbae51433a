"""What a start knows of those before it; and what an interrupted write left is removed, nothing else."""

from pathlib import Path

import pytest

from orchestrator.bridges.leftovers import remove_temporaries
from orchestrator.bridges.start_journal import JOURNAL, Start, StartJournal


def begin(state: Path, now: float, boot: str = "b", **given: bool) -> tuple[StartJournal, Start]:
    journal = StartJournal(state, boot_id=boot)
    return journal, journal.begin(now, window_s=60, **given)


def test_starts_without_a_clean_stop_add_up_within_the_window(tmp_path: Path) -> None:
    counted = [begin(tmp_path, now)[1].recent for now in (0.0, 10.0, 20.0, 61.0, 200.0)]
    assert counted == [1, 2, 3, 3, 1]


def test_a_clean_stop_makes_them_forgotten(tmp_path: Path) -> None:
    begin(tmp_path, 0.0)
    journal, _ = begin(tmp_path, 1.0)
    journal.stopped(17)
    journal, start = begin(tmp_path, 2.0)
    assert start == Start(clean=True, verified_seq=17, rebooted=False, recent=1)
    journal.verified(20)
    assert begin(tmp_path, 3.0)[1] == Start(clean=False, verified_seq=20, rebooted=False, recent=2)


def test_who_does_not_stay_is_not_counted_but_may_end_uncleanly(tmp_path: Path) -> None:
    begin(tmp_path, 0.0)
    assert begin(tmp_path, 1.0, counts=False)[1].recent == 1
    assert begin(tmp_path, 2.0)[1] == Start(clean=False, verified_seq=0, rebooted=False, recent=2)


def test_a_machine_that_started_anew_is_noticed(tmp_path: Path) -> None:
    assert not begin(tmp_path, 0.0, "one")[1].rebooted
    assert begin(tmp_path, 1.0, "two")[1].rebooted
    assert not begin(tmp_path, 2.0, "two")[1].rebooted


def test_starts_in_the_future_do_not_count(tmp_path: Path) -> None:
    for now in (1000.0, 1001.0, 1002.0):
        begin(tmp_path, now)
    assert begin(tmp_path, 5.0)[1].recent == 1, "the clock was set back"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"starts": 3, "verified_seq": "x", "boot": 4}'])
def test_a_journal_that_cannot_be_read_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / JOURNAL).write_text(text)
    assert begin(tmp_path, 0.0)[1] == Start(clean=False, verified_seq=0, rebooted=False, recent=1)


def test_only_temporary_files_of_our_own_are_removed(tmp_path: Path) -> None:
    ours = ["results/.tmp-0123456789abcdef", "tasks/running/u/.tmp-fedcba9876543210", ".orchestrator/.tmp-" + "0" * 16]
    others = ["results/.tmp-mine", "results/x.tmp", "tasks/.tmp-0123456789abcdef", "summaries/.tmp-0123456789ABCDEF"]
    for name in (*ours, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / ".tmp-0123456789abcdef").mkdir()
    assert sorted(remove_temporaries(tmp_path)) == sorted(ours)
    assert all((tmp_path / name).exists() for name in others)
    assert remove_temporaries(tmp_path) == []
