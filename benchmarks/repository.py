"""A repository to measure on: so many files of text, with a history, the same bytes at every call.

The text is base64 of random bytes: no file resembles another, and git cannot make much less of it than three quarters.
"""

import base64
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

COMMITS = 40
CHANGED = 4  # one file of so many is written anew over the whole history
IN_A_FOLDER = 50
_WHO = (("NAME", "A"), ("EMAIL", "a@b"))
ENV = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "A"), ("EMAIL", "a@b"))
    },
}


def git(where: Path, *words: str) -> str:
    """Run git as a person would. Returns what it printed."""
    return subprocess.run(
        ["git", *words], cwd=where, env=ENV, stdin=subprocess.DEVNULL, capture_output=True, check=True, text=True
    ).stdout


def make(path: Path, files: int, file_bytes: int) -> Path:
    """Make a repository with *files* files of *file_bytes* bytes each in its last commit, checked out."""
    path.mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    words = ("git", "-c", "core.compression=1", "fast-import", "--quiet", "--depth=0")
    with subprocess.Popen(words, cwd=path, env=ENV, stdin=subprocess.PIPE) as importer:
        assert importer.stdin is not None, "it is a pipe"
        for part in _stream(files, file_bytes):
            importer.stdin.write(part)
        importer.stdin.close()
    if importer.returncode:
        raise RuntimeError(f"git fast-import ended with {importer.returncode}")
    git(path, "reset", "-q", "--hard")
    return path


def edit(top: Path, files: int, turn: int) -> None:
    """Do what an agent might: change some files, write a new one, remove one."""
    chance = random.Random(turn)
    *changed, gone = chance.sample(range(files), min(files, 11))
    for number in changed:
        with (top / path_of(number)).open("a") as stream:
            stream.write(f"One more line, of turn {turn}.\n")
    (top / path_of(gone)).unlink()
    (top / f"new_{turn}.txt").write_text(f"A new file of turn {turn}.\n")


def path_of(number: int) -> str:
    return f"part_{number // IN_A_FOLDER:04}/file_{number:06}.txt"


def remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def size_of(path: Path) -> int:
    """Return how many bytes of the disk a folder takes."""
    return sum(one.lstat().st_blocks * 512 for one in path.rglob("*"))


def _stream(files: int, file_bytes: int) -> Iterator[bytes]:
    """Yield what fast-import reads: all files over the first half of the commits, changes to them in all."""
    chance = random.Random(files * file_bytes)
    steps = max(1, min(COMMITS // 2, files))
    for turn in range(COMMITS):
        new = range(files * turn // steps, files * (turn + 1) // steps) if turn < steps else range(0)
        there = files * min(turn, steps) // steps
        again = chance.sample(range(there), there // CHANGED // COMMITS) if turn else []
        words = f"Commit {turn + 1} of {COMMITS}"
        yield f"commit refs/heads/main\ncommitter A <a@b> {1_700_000_000 + turn * 86_400} +0000\n".encode()
        yield f"data {len(words)}\n{words}\n".encode()
        for number in (*new, *again):
            text = base64.encodebytes(chance.randbytes(file_bytes * 3 // 4))[: file_bytes - 1] + b"\n"
            yield f"M 100644 inline {path_of(number)}\ndata {len(text)}\n".encode() + text + b"\n"
