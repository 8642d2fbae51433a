"""File systems in image files: made, mounted, and copied as a power cut would leave them. For root on Linux."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.harness import wait_until

KINDS = ("ext4", "xfs", "btrfs")
SIZE = 512 << 20  # sparse: only what is written takes space; xfs refuses less than 300 MB
COPIES = 500
# Mounts that nobody else sees or keeps, and that go with the process: a sandbox started elsewhere copies what it sees.
ALONE = ("unshare", "--mount", "--propagation", "private")
_QUIET = {"ext4": ("-q", "-F"), "xfs": ("-q", "-f"), "btrfs": ("-q", "-f")}


def run(*words: str) -> str:
    """Run a program of the system and return what it prints. Raises OSError with its own words."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def why_not(kind: str, folder: Path) -> str:
    """Return why a file system of *kind* cannot be had in an image file here; "" if it can."""
    if os.geteuid() != 0:
        return "needs root, for loop devices and mounts"
    missing = [name for name in (f"mkfs.{kind}", "losetup", "mount", "umount", "unshare") if shutil.which(name) is None]
    if missing:
        return f"needs the program {missing[0]}"
    image = folder / f"probe.{kind}"
    try:
        make(image, kind)
        with mounted(image, folder / f"probe-{kind}"):
            return ""
    except OSError as error:
        return f"this machine mounts no {kind} image: {error}"
    finally:
        image.unlink(missing_ok=True)


def make(image: Path, kind: str) -> None:
    """Make a fresh file system in the new file *image*."""
    with open(image, "xb") as file:
        file.truncate(SIZE)
    run(f"mkfs.{kind}", *_QUIET[kind], str(image))


@contextmanager
def mounted(image: Path, point: Path) -> Iterator[str]:
    """Mount *image* at the folder *point* while the block runs. Yields the name of the loop device.

    However the block ends, the mount and the loop device are gone afterwards; nobody may be at home there any more.
    """
    point.mkdir(exist_ok=True)
    device = run("losetup", "--find", "--show", str(image))
    try:
        run("mount", device, str(point))
    finally:
        run("losetup", "--detach", device)  # in use, it goes by itself with the mount, even if we are killed
    try:
        yield Path(device).name
    finally:
        wait_until(lambda: _unmounted(point), what=f"{point} to be left", deadline_s=20)
        wait_until(lambda: not run("losetup", "--associated", str(image)), what=f"{device} to be let go")


def _unmounted(point: Path) -> bool:
    try:
        run("umount", str(point))
    except OSError:
        return not os.path.ismount(point)
    return True


def copy_as_cut(image: Path, device: str, target: Path) -> None:
    """Copy the file of a mounted image: everything its file system has handed to the device, and nothing it has not.

    The loop device writes into the page cache of *image*, from which we read, so nothing that was handed over is
    missing, flushed or not. The copy must be of one instant: if the device took a write meanwhile it is made anew.
    """
    for _ in range(COPIES):
        before = _written(device)
        target.unlink(missing_ok=True)
        run("cp", "--sparse=always", "--reflink=never", str(image), str(target))
        after = _written(device)
        if before == after and before[-1] == "0":
            return
    raise OSError(f"{device} was written to during each of {COPIES} copies")


def _written(device: str) -> Sequence[str]:
    """Return how many writes, written sectors, discards and flushes have ended, and how many requests are under way."""
    fields = Path(f"/sys/block/{device}/stat").read_text("ascii").split()
    return [*fields[4:7:2], *fields[11:12], *fields[15:16], fields[8]]
