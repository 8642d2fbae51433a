"""What `doctor` finds out about folders and file systems, each fault once as a person would make it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bridges.findings import FAIL, MOUNTS, PASS, UID, WARN, by_name, levels

from orchestrator.bridges.probes_files import (
    case_finding,
    env_file_finding,
    exists_finding,
    filesystem_finding,
    folder_findings,
    inotify_finding,
    primitive_findings,
    space_finding,
    watch_finding,
)
from orchestrator.bridges.probes_files import clock_finding as file_clock_finding
from orchestrator.core.finding import Level

# --- folders and file systems ---


def test_good_folders_pass_and_stay_empty(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("tasks", "logs")}
    for path in folders.values():
        path.mkdir()
    assert set(levels(folder_findings(folders, uid=UID)).values()) == {PASS}
    assert not [entry for path in folders.values() for entry in path.iterdir()]


def _open_to_all(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def _a_file(path: Path) -> None:
    path.touch()


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "gone")


@pytest.mark.parametrize(
    ("make", "level", "said"),
    [
        (_open_to_all, FAIL, "can be written by everybody"),
        (_a_file, FAIL, "is not a folder"),
        (_dangling, PASS, "is made at the first start"),
    ],
)
def test_a_folder_that_cannot_serve_is_told(
    tmp_path: Path, make: Callable[[Path], None], level: Level, said: str
) -> None:
    make(tmp_path / "tasks")
    (finding,) = [one for one in folder_findings({"tasks": tmp_path / "tasks"}, uid=UID) if one.name == "tasks"]
    assert (finding.level, said in finding.message) == (level, True)


def test_a_folder_of_another_user_is_told_with_the_command(tmp_path: Path) -> None:
    finding = folder_findings({"tasks": tmp_path}, uid=UID + 1)[0]
    assert (finding.level, finding.fix) == (FAIL, f"sudo chown {UID + 1} {tmp_path}")


def test_a_folder_the_kernel_does_not_let_us_write_is_told() -> None:
    finding = folder_findings({"tasks": Path("/proc/self")}, uid=UID)[0]
    assert finding.level is FAIL
    assert "cannot be written" in finding.message


def test_a_state_folder_others_can_read_is_a_warning(tmp_path: Path) -> None:
    state = tmp_path / ".orchestrator"
    state.mkdir()
    state.chmod(0o755)
    assert folder_findings({"state": state}, uid=UID)[0].fix == f"chmod 700 {state}"


def test_folders_on_two_file_systems_fail(tmp_path: Path) -> None:
    findings = folder_findings({"tasks": tmp_path, "results": Path("/proc/self")}, uid=UID)
    assert by_name(findings, "one file system").level is FAIL


@pytest.mark.parametrize(
    ("path", "level", "said"),
    [
        ("/srv/orc", PASS, "ext4"),
        ("/mnt/share/orc", FAIL, "nfs4"),
        ("/mnt/sharepoint", PASS, "ext4"),
        ("/mnt/share/disk/orc", PASS, "xfs"),
        ("/mnt/my files/orc", WARN, "fuse.mergerfs"),
        ("/mnt/c/orc", FAIL, "9p"),
    ],
)
def test_the_mount_nearest_above_a_path_decides(path: str, level: Level, said: str) -> None:
    finding = filesystem_finding(Path(path), MOUNTS)
    assert (finding.level, said in finding.message) == (level, True)


def test_a_system_without_a_list_of_mounts_is_no_fault(tmp_path: Path) -> None:
    assert filesystem_finding(tmp_path, "").level is PASS


def test_too_little_space_fails_with_what_is_wanted(tmp_path: Path) -> None:
    assert space_finding(tmp_path, 1).level is PASS
    finding = space_finding(tmp_path, 2**62)
    assert (finding.level, "intake.min_free_bytes" in finding.message) == (FAIL, True)


def test_what_recovery_rests_on_is_tried_and_nothing_is_left(tmp_path: Path) -> None:
    findings = primitive_findings(tmp_path)
    assert levels(findings) == {"rename and fsync": PASS, "flock": PASS, "leases": PASS}
    assert list(tmp_path.iterdir()) == []


def test_a_missing_state_folder_is_not_made_by_looking(tmp_path: Path) -> None:
    assert primitive_findings(tmp_path / "gone")[0].level is PASS
    assert not (tmp_path / "gone").exists()


def test_case_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "A").touch()
    differ = not (tmp_path / "a").exists()
    (tmp_path / "A").unlink()
    assert ("differ" in case_finding(tmp_path).message) == differ
    assert list(tmp_path.iterdir()) == []


def test_files_dated_off_the_clock_are_a_warning(tmp_path: Path) -> None:
    assert file_clock_finding(tmp_path, time.time()).level is PASS
    assert file_clock_finding(tmp_path, time.time() - 60).level is WARN


@pytest.mark.parametrize(("watches", "level"), [("100", WARN), ("524288", PASS)])
def test_low_limits_for_watching_are_a_warning_with_the_command(tmp_path: Path, watches: str, level: Level) -> None:
    folder = tmp_path / "sys/fs/inotify"
    folder.mkdir(parents=True)
    (folder / "max_user_watches").write_text(watches + "\n")
    finding = inotify_finding(tmp_path)
    assert (finding.level, "sysctl" in finding.fix) == (level, level is WARN)


async def test_a_new_file_is_noticed_and_nothing_is_left(tmp_path: Path) -> None:
    assert (await watch_finding(tmp_path, timeout_s=20)).level is PASS
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_watched_is_a_warning_in_words(tmp_path: Path) -> None:
    finding = await watch_finding(tmp_path / "gone")
    assert (finding.level, "not tried" in finding.message) == (WARN, True)


@pytest.mark.parametrize(
    ("mode", "secret", "level"), [(0o644, True, WARN), (0o640, True, WARN), (0o600, True, PASS), (0o644, False, PASS)]
)
def test_a_secret_others_may_read_is_a_warning_with_the_command(
    tmp_path: Path, mode: int, secret: bool, level: Level
) -> None:
    path = tmp_path / ".env"
    path.touch()
    path.chmod(mode)
    finding = env_file_finding(path, holds_secret=secret)
    assert (finding.level, finding.fix) == (level, f"chmod 600 {path}" if level is WARN else "")


@pytest.mark.parametrize(("ours", "level"), [(True, PASS), (False, FAIL)])
def test_a_missing_folder_is_a_fault_only_when_the_user_chose_it(tmp_path: Path, ours: bool, level: Level) -> None:
    assert exists_finding("CLAUDE_BASE_CWD", tmp_path / "gone", made_by_us=ours).level is level
