"""Writing and moving files: old or new, never half, never over something else."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.bridges import files
from orchestrator.bridges.files import ArtifactFiles, TargetFiles, atomic_write, create_new, fitted, rename_new
from orchestrator.bridges.inbox import TaskFolder
from orchestrator.bridges.settled import Lease, read_settled, take_lease
from orchestrator.core.errors import TaskFileError
from orchestrator.core.ports import FileBytes, NotReady

ODD_NAMES = ["x.task.md", "a\nb.task.md", "n" * 247 + ".task.md", os.fsdecode(b"\xff\xfe.task.md"), " .task.md"]


@pytest.fixture
def folder(tmp_path: Path) -> int:
    return os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)


def test_a_move_that_a_power_cut_left_half_done_is_brought_to_its_end(folder: int, tmp_path: Path) -> None:
    (tmp_path / "from").write_text("one file")
    os.link(tmp_path / "from", tmp_path / "to")
    rename_new(folder, "from", folder, "to")
    assert files.names_in(folder) == ["to"]
    os.link(tmp_path / "to", tmp_path / "kept")
    os.link(tmp_path / "to", tmp_path / "more")
    with pytest.raises(FileExistsError):
        rename_new(folder, "kept", folder, "to")
    assert sorted(files.names_in(folder)) == ["kept", "more", "to"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_the_system_allows_is_written_and_read_back(folder: int, name: str) -> None:
    atomic_write(folder, name, b"old")
    atomic_write(folder, name, b"new")
    assert files.read_regular(folder, name, limit=10) == b"new"
    assert files.names_in(folder) == [name]


def test_a_file_is_private_to_its_owner(folder: int, tmp_path: Path) -> None:
    atomic_write(folder, "x", b"secret")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(folder: int, tmp_path: Path) -> None:
    atomic_write(folder, "x", b"old")
    script = (
        "import os, resource, sys\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from orchestrator.bridges.files import atomic_write\n"
        "try:\n    atomic_write(os.open(sys.argv[1], os.O_RDONLY), 'x', b'n' * 5000)\n"
        "except OSError:\n    sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=_env(), check=False)
    assert done.returncode == 7
    assert files.names_in(folder) == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_creating_a_file_refuses_to_replace_one(folder: int) -> None:
    create_new(folder, "x", b"first")
    with pytest.raises(FileExistsError):
        create_new(folder, "x", b"second")
    assert files.read_regular(folder, "x", limit=10) == b"first"
    assert files.names_in(folder) == ["x"]


@pytest.mark.parametrize("way", ["kernel", "links"])
@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_move_never_replaces(folder: int, name: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "links":
        monkeypatch.setattr(files, "_renameat2", lambda: None)
    atomic_write(folder, "from", b"one")
    atomic_write(folder, name, b"two")
    with pytest.raises(FileExistsError):
        rename_new(folder, "from", folder, name)
    assert files.read_regular(folder, name, limit=10) == b"two"
    rename_new(folder, "from", folder, "elsewhere")
    assert files.names_in(folder) == sorted(["elsewhere", name])


def test_a_move_by_links_that_was_interrupted_is_brought_to_its_end(
    folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_renameat2", lambda: None)
    atomic_write(folder, "from", b"one")
    os.link("from", "to", src_dir_fd=folder, dst_dir_fd=folder)
    rename_new(folder, "from", folder, "to")
    assert files.names_in(folder) == ["to"]


def test_a_link_is_moved_itself_and_its_target_stays(folder: int, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"t")
    (tmp_path / "link").symlink_to("target")
    rename_new(folder, "link", folder, "moved")
    assert (tmp_path / "moved").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"t"


@pytest.mark.parametrize("stem", ["a" * 300, "é" * 200, "🙂" * 90])
def test_a_name_that_is_too_long_is_cut_between_characters(stem: str) -> None:
    name = fitted(stem, ".error.json")
    assert len(os.fsencode(name)) <= 255
    assert stem.startswith(name.removesuffix(".error.json"))


# Reading


def read(folder: int, name: str, *, limit: int = 1000, settled: bool = True) -> FileBytes | NotReady:
    return read_settled(folder, name, limit=limit, settled=lambda _: settled)


def test_a_file_is_read_with_its_facts(folder: int, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"body")
    os.link(tmp_path / "x", tmp_path / "y")
    found = read(folder, "x")
    assert isinstance(found, FileBytes)
    assert (found.body, found.links, found.entry.stamp.size) == (b"body", 2, 4)


def test_a_file_with_an_open_writer_is_not_read(folder: int, tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as writer:
        writer.write(b"half")
        writer.flush()
        assert read(folder, "x") == NotReady("open_writer", 0.1)
    assert isinstance(read(folder, "x"), FileBytes)


def test_a_writer_that_comes_while_we_read_waits_and_does_not_end_us(tmp_path: Path) -> None:
    """The breaking of a lease is signalled; the default signal would end the process that holds it."""
    script = (
        "import os, signal, sys, threading\n"
        "from orchestrator.bridges.settled import Lease, take_lease\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "assert take_lease(fd) is Lease.HELD\n"
        "print('held', flush=True)\n"
        "sys.stdin.readline()\n"
        "print('alive', flush=True)\n"
        "os.close(fd)\n"
        "sys.stdin.readline()\n"
    )
    path = tmp_path / "x"
    path.write_bytes(b"before")
    pipe = subprocess.PIPE
    holder = subprocess.Popen([sys.executable, "-c", script, str(path)], env=_env(), stdin=pipe, stdout=pipe)
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(BlockingIOError):
        os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # breaks the lease: the holder is signalled
    holder.stdin.write(b"\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == b"alive\n"
    os.close(os.open(path, os.O_WRONLY))  # blocks until the holder has let go
    holder.communicate(b"\n")
    assert holder.returncode == 0


def test_the_signal_of_a_broken_lease_is_one_that_is_ignored_by_default() -> None:
    assert signal.getsignal(signal.SIGURG) in (signal.SIG_DFL, signal.SIG_IGN)


def test_without_leases_a_file_has_to_settle(folder: int, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"body")
    pipe_end, other_end = os.pipe()
    assert take_lease(pipe_end) is Lease.UNKNOWN
    os.close(pipe_end)
    os.close(other_end)

    def none(_: int) -> Lease:
        return Lease.UNKNOWN

    waiting = read_settled(folder, "x", limit=10, settled=lambda _: False, lease=none)
    assert waiting == NotReady("settling", 0.1)
    assert isinstance(read_settled(folder, "x", limit=10, settled=lambda _: True, lease=none), FileBytes)


def test_a_file_that_is_too_large_is_refused_unread(folder: int, tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(TaskFileError, match="1099511627776 bytes") as caught:
        read(folder, "x")
    assert caught.value.reason == "file_too_large"


@pytest.mark.parametrize("target", ["/dev/zero", "x", "other", "/"])
def test_a_link_is_refused_without_looking_at_its_target(folder: int, tmp_path: Path, target: str) -> None:
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "x").symlink_to(target)
    with pytest.raises(TaskFileError) as caught:
        read(folder, "x")
    assert caught.value.reason == "not_regular"


def test_a_pipe_is_refused_without_waiting_for_a_writer(folder: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    with pytest.raises(TaskFileError) as caught:
        read(folder, "x")
    assert caught.value.reason == "not_regular"


def test_a_time_stamp_from_the_future_does_not_make_a_file_recent_for_ever(folder: int, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"body")
    os.utime(path, (1e10, 1e10))

    def recent() -> bool:
        found = read(folder, "x")
        assert isinstance(found, FileBytes)
        return found.recent

    deadline = time.monotonic() + 10
    while recent():
        assert time.monotonic() < deadline


def test_a_file_that_is_gone_is_no_error(folder: int) -> None:
    assert read(folder, "x") == NotReady("gone", 0.0)


# Artifacts


async def test_an_artifact_is_written_replaced_listed_and_removed(tmp_path: Path) -> None:
    artifacts = ArtifactFiles(tmp_path)
    assert await artifacts.read("results/a.json") is None
    await artifacts.write("results/a.json", b"1")
    await artifacts.write("results/a.json", b"2")
    await artifacts.write("results/b.json", b"3")
    assert await artifacts.names("results") == ["a.json", "b.json"]
    assert await artifacts.read("results/a.json") == b"2"
    assert await artifacts.remove("results/a.json")
    assert not await artifacts.remove("results/a.json")
    assert not await artifacts.exists("results/a.json")
    assert await artifacts.exists("results/b.json")


@pytest.mark.parametrize("path", ["../x", "/etc/x", "results/../../x", "", "a\0b"])
async def test_no_artifact_leaves_the_root(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="inside the root"):
        await ArtifactFiles(tmp_path).write(path, b"x")


async def test_no_artifact_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "results").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError):  # noqa: PT011 - ENOTDIR or ELOOP, as the system likes
        await ArtifactFiles(tmp_path / "root").write("results/x", b"x")
    assert list((tmp_path / "outside").iterdir()) == []


async def test_a_link_in_place_of_an_artifact_is_replaced_and_its_target_untouched(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "victim").write_bytes(b"v")
    (tmp_path / "results" / "x").symlink_to(tmp_path / "victim")
    await ArtifactFiles(tmp_path).write("results/x", b"new")
    assert (tmp_path / "victim").read_bytes() == b"v"
    assert (tmp_path / "results" / "x").read_bytes() == b"new"


async def test_targets_are_judged_by_their_real_place(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_bytes(b"")
    (root / "escape").symlink_to("/etc")
    (root / "loop").symlink_to("loop")
    names = ["src/a.py", "src/new.py", "escape/passwd", "loop", f"../{root.name}/src/a.py"]
    facts = await TargetFiles().look(names, base=str(root), allowed_root=str(root))
    assert [(fact.exists, fact.inside) for fact in facts] == [
        (True, True),
        (False, True),
        (True, False),
        (False, False),
        (True, True),
    ]


def _env() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}


@pytest.mark.parametrize("count", [1, files.MANY_NAMES])
@pytest.mark.parametrize("whole", [True, False])
def test_names_are_brought_to_the_disk_few_or_many_and_what_is_gone_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, whole: bool
) -> None:
    names = [f"{number}.task.md" for number in range(count)]
    for name in names:
        (tmp_path / name).write_bytes(b"body")
    synced: list[int] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(fd)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    if not whole:
        monkeypatch.setattr(files, "_from_libc", lambda _: None)
    with files.opened(files.open_folder(tmp_path)) as fd:
        files.sync_names(fd, [*names, "gone.task.md"])
    at_once = whole and count + 1 >= files.MANY_NAMES and sys.platform == "linux"
    assert len(synced) == (0 if at_once else count + 1)


async def test_a_file_is_read_only_when_the_disk_has_taken_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "x.task.md").write_bytes(b"body")
    inbox = TaskFolder(tmp_path, state=tmp_path / "s")

    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, "the disk is ill")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        assert await inbox.read(["x.task.md"], limit=99) == {"x.task.md": NotReady("disk_error", 5.0)}
    assert isinstance((await inbox.read(["x.task.md"], limit=99))["x.task.md"], FileBytes)
