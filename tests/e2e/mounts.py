"""Small file systems of a test's own, where this user may mount them."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(path: Path, *words: str) -> Iterator[Path]:
    """Mount something at *path* with the arguments *words* of mount(8); skips where that is not allowed."""
    path.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *words, str(path)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this user may not mount a file system: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path: Path, *, leave: int = 0) -> Path:
    """Write a file into the folder *path* until only *leave* bytes are free. Returns it, to be removed."""
    ballast = path / "ballast"
    facts = os.statvfs(path)
    with ballast.open("ab", buffering=0) as stream:
        rest = facts.f_bavail * facts.f_frsize - leave
        while rest > 0:
            try:
                rest -= stream.write(b"\0" * min(rest, 65536))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                break
    return ballast
