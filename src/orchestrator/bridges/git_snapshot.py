"""Takes what lies in a work area as a commit, without ever trusting anything in it.

Git runs with our own repository and our own index; of the area it sees files. Repositories that an agent has made in it
are taken as the files they hold; the folders of submodules too, but in the commit of a result they stay submodules.
"""

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.bridges.area_facts import AreaFacts, AreaFolder
from orchestrator.bridges.git import Git, GitError, but, names
from orchestrator.bridges.scratch import INDEX, scratch
from orchestrator.core.text import printable
from orchestrator.core.work import FileChange

DEPTH = 8  # of repositories within repositories
NAMED = 10


@dataclass(frozen=True, slots=True)
class Snapshot:
    """*tree* of all files; *notes* say what is not in it."""

    tree: str
    notes: tuple[str, ...] = ()


@dataclass
class _Taking:
    git: Git
    repo: Path
    git_dir: str
    index: str
    apart: Sequence[str]
    settings: Sequence[str]
    notes: list[str] = field(default_factory=list)

    async def run(self, *words: str, **more: Any) -> bytes:
        given: dict[str, Any] = {
            "git_dir": self.git_dir,
            "work_tree": str(self.repo),
            "cwd": str(self.repo),
            "index": self.index,
            "config": self.settings,
        }
        return await self.git.run(*words, **(given | more))


@contextmanager
def private_index(folder: AreaFolder, *, copied: bool = True) -> Iterator[str]:
    """An index file of this call alone; begun from the one that was written when the area was made."""
    with scratch(folder.scratch, INDEX) as place:
        if copied and folder.index.is_file():
            shutil.copy2(folder.index, place / "index")  # with its times: by them git knows what it has to look into
        yield str(place / "index")


async def take(git: Git, folder: AreaFolder, facts: AreaFacts) -> Snapshot:
    """Return all files of the area, those that are ignored left out, as a tree in our repository. Raises GitError."""
    with private_index(folder) as index:
        taking = _Taking(git, folder.repo, facts.git_dir, index, facts.apart, facts.settings)
        if not Path(index).is_file() and facts.base:
            await taking.run("read-tree", facts.base)
        others = names(await taking.run("ls-files", "-z", "-o", "--exclude-standard"))
        apart = set(facts.apart)
        nested = [path[:-1] for path in others if path.endswith("/") and path[:-1] not in apart]
        filled = [path for path in facts.links if path not in apart and _is_filled(folder.repo / path)]
        left_out = [*apart, *nested, *facts.links]
        try:
            await taking.run("add", "-A", "--ignore-errors", "--", ":(top)", *map(but, left_out))
        except GitError as error:
            await _plainly(taking, left_out, error)
        if inner := [path for one in (*nested, *filled) for path in await _inner(taking, folder, one, DEPTH)]:
            data = b"".join(os.fsencode(path) + b"\0" for path in inner)
            await taking.run("update-index", "--add", "--replace", "-z", "--stdin", stdin=data)
        if nested:
            taking.notes.append(f"repositories within the work area were taken as plain files: {_named(nested)}")
        if filled:
            taking.notes.append(f"files in folders of submodules are kept, but no part of the result: {_named(filled)}")
        tree = (await taking.run("write-tree")).decode().strip()
        return Snapshot(tree, tuple(taking.notes))


async def without_filled_links(git: Git, folder: AreaFolder, facts: AreaFacts, tree: str) -> str:
    """Return *tree* with the submodules of the base as they are there."""
    if not facts.links:
        return tree
    with private_index(folder, copied=False) as index:
        where: dict[str, Any] = {"git_dir": facts.git_dir, "index": index}
        await git.run("read-tree", tree, **where)
        entries = "".join(f"160000 {commit}\t{path}\0" for path, commit in facts.links.items())
        await git.run("update-index", "-z", "--index-info", stdin=os.fsencode(entries), **where)
        return (await git.run("write-tree", **where)).decode().strip()


def _is_filled(path: Path) -> bool:
    try:
        return path.is_dir() and not path.is_symlink() and any(one.name != ".git" for one in path.iterdir())
    except OSError:
        return False


async def _inner(taking: _Taking, folder: AreaFolder, below: str, depth: int) -> list[str]:
    """Return the files of a repository inside the area, as paths of the area; what it ignores itself is left out."""
    if depth == 0:
        taking.notes.append(f"{below} lies too deep in repositories within repositories and was not kept")
        return []
    found: list[str] = []
    with private_index(folder, copied=False) as index:
        where = {"work_tree": str(taking.repo / below), "cwd": str(taking.repo / below), "index": index}
        listed = names(await taking.run("ls-files", "-z", "-o", "--exclude-standard", **where))
    for path in listed:
        if path.endswith("/"):
            found += await _inner(taking, folder, f"{below}/{path[:-1]}", depth - 1)
        else:
            found.append(f"{below}/{path}")
    return found


async def _plainly(taking: _Taking, left_out: Sequence[str], why: GitError) -> None:
    """Take what `git add` did not, byte for byte: attributes in the area may ask for what git cannot do."""
    listed = await taking.run("ls-files", "-z", "-o", "-m", "-d", "--exclude-standard")
    lines: list[str] = []
    lost: list[str] = []
    for path in dict.fromkeys(names(listed)):
        if path.endswith("/") or any(path == one or path.startswith(f"{one}/") for one in left_out):
            continue
        try:
            line = await _plain_line(taking, path)
        except (OSError, GitError):
            lost.append(path)
            continue
        if any(part.lower() == ".git" for part in path.split("/")):
            lost.append(path)
        else:
            lines.append(line)
    if lines:
        await taking.run("update-index", "-z", "--index-info", stdin=os.fsencode("".join(f"{one}\0" for one in lines)))
        taking.notes.append(f"{len(lines)} files were taken byte for byte, without conversion: {why}")
    if lost:
        taking.notes.append(f"could not be read and is not kept: {_named(lost)}")


async def _plain_line(taking: _Taking, path: str) -> str:
    """Return the line of the index for what *path* is now. Raises OSError and GitError."""
    full = taking.repo / path
    if full.parent.resolve() != taking.repo.resolve() / Path(path).parent:
        return f"0 {'0' * 40}\t{path}"  # beyond a link: what was there is gone
    try:
        found = full.lstat()
    except FileNotFoundError:
        return f"0 {'0' * 40}\t{path}"
    if stat.S_ISLNK(found.st_mode):
        data = os.fsencode(full.readlink())
        said = await taking.run("hash-object", "-w", "--no-filters", "--stdin", stdin=data)
        return f"120000 {said.decode().strip()}\t{path}"
    if not stat.S_ISREG(found.st_mode):
        raise OSError("no regular file")
    said = await taking.run("hash-object", "-w", "--no-filters", "--", path)
    return f"{'100755' if found.st_mode & 0o100 else '100644'} {said.decode().strip()}\t{path}"


async def commit(
    git: Git,
    facts: AreaFacts,
    tree: str,
    message: str,
    *,
    author: str,
    date: str,
    parent: str = "",
    parents: Sequence[str] = (),
) -> str:
    """Make a commit of *tree* in our repository and return its name. *date* is as git writes it: seconds and zone.

    It has *parent*, or all *parents* where there are several.
    """
    name, _, address = author.partition("<")
    who = {"NAME": name.strip(), "EMAIL": address.rstrip("> "), "DATE": date}
    env = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
    above = parents or ((parent,) if parent else ())
    words = ("commit-tree", tree, *(word for one in above for word in ("-p", one)), "-F", "-")
    said = await git.run(*words, git_dir=facts.git_dir, env=env, stdin=message.encode("utf-8", "replace"))
    return said.decode().strip()


async def files_between(git: Git, git_dir: str, base: str, head: str) -> tuple[FileChange, ...]:
    """Return the files that differ, sorted by path; a renamed file is one that went and one that came."""
    words = ("diff-tree", "-r", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--raw", "--numstat")
    said = await git.run(*words, base, head, git_dir=git_dir)
    letters: dict[str, str] = {}
    counts: dict[str, tuple[int | None, int | None]] = {}
    fields = iter(said.split(b"\0"))
    for one in fields:
        if one.startswith(b":"):
            letters[os.fsdecode(next(fields))] = one.split(b" ")[4][:1].decode()
        elif one:
            added, removed, path = one.split(b"\t", 2)
            counts[os.fsdecode(path)] = (_count(added), _count(removed))
    return tuple(FileChange(path, letters[path], *counts.get(path, (None, None))) for path in sorted(letters))


def _count(word: bytes) -> int | None:
    return None if word == b"-" else int(word)


def _named(paths: Sequence[str]) -> str:
    shown = ", ".join(printable(path) for path in sorted(paths)[:NAMED])
    return shown if len(paths) <= NAMED else f"{shown} and {len(paths) - NAMED} more"
