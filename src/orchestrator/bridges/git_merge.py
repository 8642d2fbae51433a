"""Merges results into one commit, in our own repository alone: without a checkout, and nothing of anybody's runs.

No hook, filter, merge driver or signature takes part: `git merge-tree` reads our own repository, which has no settings
and no attributes. The same sides in the same order make the same commit: its date is the latest of theirs.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator.bridges.area_facts import AreaFacts
from orchestrator.bridges.git import Git, GitError, names
from orchestrator.bridges.git_refs import HIDDEN, commit_at, put_ref, ref_part
from orchestrator.bridges.git_snapshot import commit
from orchestrator.core.text import printable
from orchestrator.core.work import Base
from orchestrator.validation.conflicts import LABEL, UNDECIDED, has_markers

OLDEST = (2, 38)  # the first whose merge-tree writes a tree; what only has to be moved on needs none of it
UNDECIDED_FILE = "MERGE_CONFLICTS.md"
_CONFLICT = re.compile(r"CONFLICT \((.+)\)\Z")
_TO_BE_MERGED = "Only to be merged\n"


@dataclass(frozen=True, slots=True)
class Side:
    """One commit that goes into a merge. *label* is how conflict markers call it; *name* is for the message."""

    commit: str
    label: str
    name: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """What git could not decide. *kind* is git's own word: contents, binary, modify/delete, rename/rename, ...; *words*
    are its sentence. *marked*: the file holds conflict markers; else git has taken a side, or both under two names."""

    path: str
    kind: str
    words: str
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Merged:
    """*commit* has all sides in it; it is one of them where that one holds the others. *parents* are those that do not
    lie in each other. *conflicts* by path; *unresolved* are the files somebody has to look into, *note* among them."""

    commit: str
    parents: tuple[str, ...]
    conflicts: tuple[Conflict, ...] = ()
    note: str = ""

    @property
    def unresolved(self) -> tuple[str, ...]:
        marked = tuple(one.path for one in self.conflicts if one.marked)
        return (*marked, self.note) if self.note else marked


def side_of(base: Base) -> Side:
    """Return the side that the result of a task is."""
    return Side(base.head, f"{LABEL}{ref_part(base.task_id)[:40]}-{base.uid[-8:]}", base.task_id)


def side_of_commit(commit: str, name: str) -> Side:
    """Return the side that a commit of nobody's is, such as the one a task would have begun from."""
    return Side(commit, f"{LABEL}{ref_part(name)}-{commit[:8]}", name)


async def merge(git: Git, facts: AreaFacts, sides: Sequence[Side], *, author: str) -> Merged:
    """Merge *sides*, of which there is one at least, in their order. Raises GitError.

    With conflicts the files of the commit hold markers; what cannot hold any is written down in a file of its own
    beside them (`MERGE_CONFLICTS.md`), which is to be deleted when it is decided.
    """
    left = await independent(git, facts.git_dir, sides)
    if len(left) == 1:
        return Merged(left[0].commit, (left[0].commit,))
    await _require_version(git)
    tree, conflicts = "", dict[str, Conflict]()
    so_far = left[0]
    date = await _latest(git, facts.git_dir, left)
    given = {"author": author, "date": date}
    for side in left[1:]:
        tree, found = await _two(git, facts, so_far, side)
        conflicts |= {one.path: one for one in found}
        made = await commit(git, facts, tree, _TO_BE_MERGED, parents=(so_far.commit, side.commit), **given)
        so_far = side_of_commit(made, "merged-before")
    known = await _marked(git, facts.git_dir, tree, list(conflicts.values()))
    note = ""
    if silent := [one for one in known if not one.marked]:
        tree, note = await _noted(git, facts.git_dir, tree, silent, left)
    parents = tuple(side.commit for side in left)
    message = f"Merge the results of {', '.join(printable(side.name) for side in left)}\n"
    made = await commit(git, facts, tree, message, parents=parents, **given)
    return Merged(made, parents, tuple(known), note)


async def independent(git: Git, git_dir: str, sides: Sequence[Side]) -> list[Side]:
    """Return those of *sides* that lie in no other one, each commit once, in their order. Raises GitError."""
    by_commit = {side.commit: side for side in reversed(sides)}
    if len(by_commit) == 1:
        return [sides[0]]
    said = await git.run("merge-base", "--independent", *by_commit, git_dir=git_dir)
    kept = frozenset(said.decode().split())
    return list({side.commit: by_commit[side.commit] for side in sides if side.commit in kept}.values())


async def is_within(git: Git, git_dir: str, one: str, other: str) -> bool:
    """Return whether commit *one* is *other*, or one that it came from."""
    return await git.says("merge-base", one, other, git_dir=git_dir) == one


def merges_ref(uid: str, head: str, *, whole: bool = True) -> str:
    """Return below which refs it is kept what the result *head* of a task became on top of branches. *whole*: it is the
    result, not what the task had left when it split."""
    return f"{HIDDEN}/merges/{uid}" if whole else f"{HIDDEN}/merges/{uid}.{head[:12]}"


async def is_taken(git: Git, facts: AreaFacts, uid: str, head: str, commit: str) -> bool:
    """Return whether *commit* has the result *head* of task *uid*, as it is or as `merge` once put it on top."""
    if await is_within(git, facts.git_dir, head, commit):
        return True
    places = (f"{merges_ref(uid, head, whole=whole)}/" for whole in (True, False))
    said = await git.run("for-each-ref", "--format=%(objectname)", *places, cwd=facts.source)
    for made in said.decode().split():
        if await is_within(git, facts.git_dir, made, commit):
            return True
    return False


async def _require_version(git: Git) -> None:
    said = await git.says("version")
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        have = f"git {found[0]}" if found else "this git"
        raise GitError(f"{have} cannot merge results, that needs git {'.'.join(map(str, OLDEST))}")


async def _latest(git: Git, git_dir: str, sides: Sequence[Side]) -> str:
    said = await git.run("show", "-s", "--format=%ct", *(side.commit for side in sides), git_dir=git_dir)
    return f"@{max(map(int, said.split()))} +0000"


async def _two(git: Git, facts: AreaFacts, one: Side, other: Side) -> tuple[str, list[Conflict]]:
    """Return the tree of both, and what did not fit together. The words of the markers are names of refs."""
    for side in (one, other):
        ref = f"refs/{side.label}"
        if await commit_at(git, facts.git_dir, ref) != side.commit:  # tasks that begin with the same share it
            await put_ref(git, facts.git_dir, ref, side.commit)
    words = ("merge-tree", "--write-tree", "-z", "--messages", "--allow-unrelated-histories", one.label, other.label)
    said = await git.run(*words, git_dir=facts.git_dir, ok=(0, 1))
    tree, _, rest = said.partition(b"\0")
    if rest.startswith(b"\0"):  # no line of an index: nothing is left to be decided
        return tree.decode(), []
    listed, _, messages = rest.partition(b"\0\0")
    return tree.decode(), conflicts_in(names(listed), [os.fsdecode(word) for word in messages.split(b"\0")])


def conflicts_in(listed: Sequence[str], messages: Sequence[str]) -> list[Conflict]:
    """Read what `merge-tree -z --messages` says: lines of an index, then for each message the number of its paths,
    these, its kind and its sentence."""
    found: dict[str, Conflict] = {}
    at = 0
    while at < len(messages) and messages[at].strip().isdigit():
        count = int(messages[at])
        paths, (kind, words) = messages[at + 1 : at + 1 + count], messages[at + 1 + count : at + 3 + count]
        at += 3 + count
        if (said := _CONFLICT.match(kind)) is None:
            continue
        for path in paths:
            # The first says most: "contents" follows after "binary" and "submodule ..." on the same path.
            found.setdefault(path, Conflict(path, said[1], " ".join(words.split())))
    unnamed = {line.partition("\t")[2] for line in listed} - set(found)
    return [*found.values(), *(Conflict(path, "contents", "both sides changed it") for path in sorted(unnamed))]


async def _marked(git: Git, git_dir: str, tree: str, conflicts: Sequence[Conflict]) -> list[Conflict]:
    """Return *conflicts*, sorted, each with whether its file in *tree* holds markers."""
    known = []
    for one in sorted(conflicts, key=lambda conflict: conflict.path):
        text = await text_at(git, git_dir, tree, one.path)
        known.append(replace(one, marked=has_markers(text)))
    return known


async def text_at(git: Git, git_dir: str, tree: str, path: str) -> str:
    """Return the file *path* of a tree or commit as text, "" where there is none."""
    try:
        said = await git.run("cat-file", "blob", f"{tree}:{path}", git_dir=git_dir)
    except GitError as error:
        if error.shortage or error.missing:
            raise
        return ""
    return said.decode("utf-8", "replace")


async def _noted(
    git: Git, git_dir: str, tree: str, silent: Sequence[Conflict], sides: Sequence[Side]
) -> tuple[str, str]:
    """Return *tree* with a file that names what nobody has decided, and the name of the file."""
    there = set(names(await git.run("ls-tree", "-z", "--name-only", tree, git_dir=git_dir)))
    stem, _, end = UNDECIDED_FILE.partition(".")
    free = (UNDECIDED_FILE, *(f"{stem}_{number}.{end}" for number in range(2, len(there) + 3)))
    name = next(one for one in free if one not in there)
    text = note_text(silent, sides)
    blob = (await git.run("hash-object", "-w", "--stdin", git_dir=git_dir, stdin=text.encode())).decode().strip()
    with TemporaryDirectory(prefix="orchestrator-") as folder:
        index = str(Path(folder, "index"))
        await git.run("read-tree", tree, git_dir=git_dir, index=index)
        await git.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", git_dir=git_dir, index=index)
        return (await git.run("write-tree", git_dir=git_dir, index=index)).decode().strip(), name


def note_text(silent: Sequence[Conflict], sides: Sequence[Side]) -> str:
    """Return what the file says of conflicts that no marker can stand for."""
    lines = [
        f"{'<' * 7} {UNDECIDED}",
        "These files could not be merged, and hold no conflict markers. Delete this file",
    ]
    lines += ["when each of them is as it is meant to be.", ""]
    lines += [f"- {printable(one.path)} ({one.kind}): {printable(one.words)}" for one in silent]
    lines += ["", "The sides, each can be looked at by `git show COMMIT:PATH`:", ""]
    lines += [f"- {printable(side.name)}: {side.commit} ({side.label})" for side in sides]
    return "".join(f"{line}\n" for line in (*lines, f"{'>' * 7} {UNDECIDED}"))
