"""Reads commits of our own repositories: clean folders of them to run checks in, and what changed between two."""

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bridges.again import again
from orchestrator.bridges.git import Git, GitError, names
from orchestrator.bridges.git_clone import copied
from orchestrator.bridges.scratch import CHECKOUT, Scratch, new_scratch
from orchestrator.core.errors import WorkAreaError
from orchestrator.core.failpoint import hit
from orchestrator.validation.integrity import ChangedFile

MAX_TEXT_BYTES = 512 << 10  # of one file that is looked into; a longer one counts as binary
MAX_TEXTS_BYTES = 32 << 20  # of all files of a change
TREE = "files"  # in the folder of a checkout
PATCH_BYTES = 1 << 20
_REGULAR, _LINK = "100", "120000"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Raw:
    """One line of `git diff --raw`: modes and objects on both sides, "" where there is none."""

    status: str
    path: str
    base_mode: str
    result_mode: str
    base: str
    result: str


class GitCommits:
    """Implements the ports `Checkouts` and `Commits`. Folders are made in *folder*, which is the daemon's own."""

    def __init__(self, git: Git, folder: Path, *, copied: Callable[[], Sequence[str]] = tuple) -> None:
        """*copied* are the paths that each checkout gets beside its files."""
        self._git = git
        self._folder = folder
        self._copied = copied

    @asynccontextmanager
    async def checkout(
        self, source: str, commit: str, *, base: str = "", restored: Sequence[str] = (), beside: str = ""
    ) -> AsyncIterator[str]:
        async def filled() -> Scratch:
            made = await asyncio.to_thread(new_scratch, self._folder, CHECKOUT)
            try:
                await self._fill(source, commit, base, restored, tree=made.path / TREE, index=made.path / "index")
                if beside:
                    await asyncio.to_thread(self._copy, Path(beside), made.path / TREE)
                hit("prove.checkout")
            except BaseException as error:
                await asyncio.to_thread(made.close)
                if not isinstance(error, GitError):
                    raise
                if error.shortage:
                    raise OSError(errno.ENOSPC, str(error), str(self._folder)) from None
                raise WorkAreaError(f"there is no clean checkout of {commit[:12]}: {error}") from None
            return made

        made = await again(f"a clean checkout of {commit[:12]}", filled)
        try:
            yield str(made.path / TREE)
        finally:
            await asyncio.to_thread(made.close)

    def _copy(self, beside: Path, tree: Path) -> None:
        for path in self._copied():
            if not os.path.lexists(tree / path) and (why := copied(beside / path, tree, path)):
                log.warning("%s was not copied into the checkout of a check: %s", path, why)

    async def _fill(
        self, source: str, commit: str, base: str, restored: Sequence[str], *, tree: Path, index: Path
    ) -> None:
        tree.mkdir(mode=0o700)
        await self._git.run("read-tree", commit, git_dir=source, index=str(index))
        if restored:
            there = names(await self._git.run("ls-files", "-z", git_dir=source, index=str(index)))
            wanted = frozenset(restored)
            gone = "0" * len(commit)
            lines = [f"0 {gone}\t{path}" for path in there if path in wanted]
            for line in names(await self._git.run("ls-tree", "-r", "-z", "--full-tree", base, git_dir=source)):
                facts, _, path = line.partition("\t")
                mode, kind, blob = facts.split(" ")
                if path in wanted and kind == "blob":
                    lines.append(f"{mode} {blob}\t{path}")
            entries = b"".join(os.fsencode(line) + b"\0" for line in lines)
            await self._git.run("update-index", "-z", "--index-info", git_dir=source, index=str(index), stdin=entries)
        where = {"git_dir": source, "work_tree": str(tree), "cwd": str(tree), "index": str(index)}
        await self._git.run("checkout-index", "-a", "-f", **where)  # type: ignore[arg-type]

    async def paths(self, git_dir: str, commit: str) -> Sequence[str]:
        try:
            return names(
                await self._git.run("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit, git_dir=git_dir)
            )
        except GitError as error:
            raise WorkAreaError(f"the files of {commit[:12]} cannot be listed: {error}") from None

    async def changed(self, git_dir: str, base: str, result: str) -> Sequence[ChangedFile]:
        words = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--no-ext-diff", base, result)
        try:
            raw = list(_raw(names(await self._git.run(*words, git_dir=git_dir))))
            texts = await self._texts(git_dir, raw)
        except GitError as error:
            raise WorkAreaError(f"the changes of {result[:12]} cannot be read: {error}") from None
        return [_file(one, texts) for one in raw]

    async def patch(self, git_dir: str, base: str, result: str) -> str:
        """Return the change as a patch, its first PATCH_BYTES. Raises WorkAreaError."""
        words = ("diff-tree", "-r", "-p", "--no-color", "--no-ext-diff", "--no-textconv", base, result)
        try:
            said = await self._git.run(*words, git_dir=git_dir)
        except GitError as error:
            raise WorkAreaError(f"the changes of {result[:12]} cannot be read: {error}") from None
        return said[:PATCH_BYTES].decode("utf-8", "replace")

    async def _texts(self, git_dir: str, raw: Sequence[_Raw]) -> Mapping[str, bytes]:
        """Return the contents of the objects that are small enough to be looked into."""
        sides = [(one.base_mode, one.base) for one in raw] + [(one.result_mode, one.result) for one in raw]
        wanted = dict.fromkeys(blob for mode, blob in sides if blob and (mode.startswith(_REGULAR) or mode == _LINK))
        asked = "".join(f"{blob}\n" for blob in wanted).encode()
        sizes = await self._git.run("cat-file", "--batch-check", git_dir=git_dir, stdin=asked)
        small, total = [], 0
        for line in sizes.decode("ascii", "replace").splitlines():
            blob, kind, size = (*line.split(" "), "0")[:3]
            if kind == "blob" and int(size) <= MAX_TEXT_BYTES and total + int(size) <= MAX_TEXTS_BYTES:
                small.append(blob)
                total += int(size)
        asked = "".join(f"{blob}\n" for blob in small).encode()
        return dict(_objects(await self._git.run("cat-file", "--batch", git_dir=git_dir, stdin=asked)))


def _raw(words: Sequence[str]) -> list[_Raw]:
    """Read `:mode mode object object status`, path, and so on. A submodule has no content here."""
    found = []
    for facts, path in zip(words[::2], words[1::2], strict=True):
        base_mode, result_mode, base, result, status = facts[1:].split(" ")
        sides = [
            (mode, blob) if set(blob) != {"0"} else ("", "")
            for mode, blob in ((base_mode, base), (result_mode, result))
        ]
        found.append(_Raw(status[0], path, sides[0][0], sides[1][0], sides[0][1], sides[1][1]))
    return found


def _objects(output: bytes) -> list[tuple[str, bytes]]:
    found, at = [], 0
    while at < len(output):
        end = output.index(b"\n", at)
        blob, _, size = output[at:end].decode("ascii").split(" ")
        content = output[end + 1 : end + 1 + int(size)]
        found.append((blob, content))
        at = end + 1 + int(size) + 1
    return found


def _file(one: _Raw, texts: Mapping[str, bytes]) -> ChangedFile:
    base, result = texts.get(one.base), texts.get(one.result)
    unread = (one.base and base is None) or (one.result and result is None)
    binary = bool(unread) or b"\0" in (base or b"") + (result or b"")
    shown = [None if binary or side is None else side.decode("utf-8", "replace") for side in (base, result)]
    return ChangedFile(
        one.path, one.status, shown[0], shown[1], binary=binary, base_mode=one.base_mode, result_mode=one.result_mode
    )
