"""Hints that a folder changed: soon where the system notifies, still there where it cannot."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.bridges.watch import FolderWatch, network_file_system

MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/export /mnt/nfs nfs4 rw 0 0
//host/share /mnt/my\\040share cifs rw 0 0
user@host: /home/me/remote fuse.sshfs rw 0 0
/dev/sdb1 /mnt/usb fuseblk rw 0 0
/dev/vdb /mnt/nfs/local xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/tasks", ""),
        ("/mnt/nfs/tasks", "nfs4"),
        ("/mnt/nfs", "nfs4"),
        ("/mnt/nfs2/tasks", ""),
        ("/mnt/nfs/local/tasks", ""),
        ("/mnt/my share/tasks", "cifs"),
        ("/home/me/remote/tasks", "fuse.sshfs"),
        ("/mnt/usb/tasks", ""),
    ],
)
def test_a_network_file_system_is_told_by_the_nearest_mount(path: str, kind: str) -> None:
    assert network_file_system(Path(path), MOUNTS) == kind


def test_a_system_without_a_list_of_mounts_has_no_network_file_systems() -> None:
    assert network_file_system(Path("/work"), "") == ""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "tasks"
    path.mkdir()
    return path


async def quiet(watch: FolderWatch) -> None:
    """Wait until nothing has been hinted at for a while: the watch stands, and earlier changes are told."""
    while await watch.wait(0.3):
        pass


async def hinted(watch: FolderWatch) -> bool:
    return await watch.wait(30)


async def test_a_file_renamed_into_the_folder_is_hinted_at(tasks: Path) -> None:
    async with FolderWatch(tasks) as watch:
        await quiet(watch)
        (tasks.parent / "x").write_bytes(b"x")
        (tasks.parent / "x").rename(tasks / "x.task.md")
        assert await hinted(watch)
        await quiet(watch)
        (tasks / "x.task.md").unlink()
        assert await hinted(watch)
        assert watch.polling() == ""


async def test_without_a_change_there_is_no_hint(tasks: Path) -> None:
    async with FolderWatch(tasks) as watch:
        await quiet(watch)
        assert not await watch.wait(1.2)


async def test_a_name_that_is_not_utf8_does_not_end_the_watch(tasks: Path) -> None:
    async with FolderWatch(tasks) as watch:
        for number in range(3):
            await quiet(watch)
            (tasks / os.fsdecode(b"\xff%d.task.md" % number)).write_bytes(b"x")
            assert await hinted(watch)
            await quiet(watch)
            (tasks / f"{number}.task.md").write_bytes(b"x")
            assert await hinted(watch)
        assert watch.polling() == ""


@pytest.mark.parametrize("how", ["deleted", "renamed"])
async def test_a_folder_that_is_made_again_is_watched_again(tasks: Path, how: str) -> None:
    async with FolderWatch(tasks) as watch:
        await quiet(watch)
        if how == "deleted":
            shutil.rmtree(tasks)
        else:
            tasks.rename(tasks.parent / "away")
        tasks.mkdir()
        assert await hinted(watch)
        while await watch.wait(2.5):
            pass
        (tasks / "x.task.md").write_bytes(b"x")
        assert await hinted(watch)


async def test_a_folder_that_is_missing_at_first_is_watched_when_it_appears(tmp_path: Path) -> None:
    async with FolderWatch(tmp_path / "tasks") as watch:
        await asyncio.sleep(0)
        (tmp_path / "tasks").mkdir()
        assert await hinted(watch)
        while await watch.wait(2.5):
            pass
        (tmp_path / "tasks" / "x.task.md").write_bytes(b"x")
        assert await hinted(watch)


async def test_on_a_network_file_system_it_polls_and_says_so(tasks: Path) -> None:
    async with FolderWatch(tasks, poll_s=0.02, mounts=f"server:/x {tasks} nfs4 rw 0 0\n") as watch:
        assert await hinted(watch)
        assert await hinted(watch)
        assert watch.polling() == "network_file_system: nfs4"


async def test_polling_can_be_forced(tasks: Path) -> None:
    async with FolderWatch(tasks, force_polling=True, poll_s=0.02) as watch:
        assert await hinted(watch)
        assert await hinted(watch)
        assert watch.polling() == "force_polling"


async def test_a_poll_is_never_later_than_asked_for(tasks: Path) -> None:
    async with FolderWatch(tasks, force_polling=True, poll_s=1000) as watch:
        assert not await watch.wait(0.01)


async def test_when_the_notifier_fails_it_polls_and_says_why(tasks: Path) -> None:
    async def exhausted(_: Path) -> AsyncIterator[object]:
        for problem in [OSError("OS file watch limit reached")]:
            raise ExceptionGroup("tasks", [problem])
        yield None

    async with FolderWatch(tasks, poll_s=0.02, notifications=exhausted) as watch:
        assert await hinted(watch)  # that the watch has begun
        assert await hinted(watch)
        assert watch.polling() == "notifications_unavailable: OS file watch limit reached"


def test_when_the_system_has_no_notifications_left_changes_are_still_found(tasks: Path) -> None:
    """In a user name space of its own, the limit of inotify instances is zero."""
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from orchestrator.bridges.watch import FolderWatch\n"
        "async def main():\n"
        "    async with FolderWatch(Path(sys.argv[1]), poll_s=0.05) as watch:\n"
        "        while not watch.polling():\n"
        "            await watch.wait(1)\n"
        "        print(await watch.wait(10), watch.polling())\n"
        "asyncio.run(main())\n"
    )
    shell = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
    inside = ["unshare", "--user", "--map-root-user"]
    tried = shutil.which("unshare") and subprocess.run([*inside, "true"], check=False, capture_output=True)
    if not tried or tried.returncode != 0:
        pytest.skip("user name spaces are not allowed here")
    env = {"PATH": os.defpath, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    arguments = [*inside, "sh", "-c", shell, "sh", sys.executable, "-c", script, str(tasks)]
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("True notifications_unavailable: "), done.stderr
