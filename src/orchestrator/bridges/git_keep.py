"""Keeps what an attempt left, and makes the commit of a result. Every step is redoable: the same commits come of it."""

import os
import re
import time
from dataclasses import replace
from pathlib import Path

from orchestrator.bridges.area_facts import AreaFacts, AreaFolder, Kept
from orchestrator.bridges.git import Git, GitError
from orchestrator.bridges.git_refs import attempt_ref, bring, put_branch, result_ref
from orchestrator.bridges.git_snapshot import commit, files_between, take, without_filled_links
from orchestrator.core.failpoint import hit
from orchestrator.core.text import printable
from orchestrator.core.work import CommitWords, Delivery

PATCH = "changes.patch"
MAX_MESSAGES = 20_000  # characters of the agent's own commit messages
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


async def keep(git: Git, folder: AreaFolder, facts: AreaFacts, attempt: int, *, author: str) -> AreaFacts:
    """Keep the files of the area under the hidden ref of *attempt*, unless they are. Raises GitError and OSError."""
    if str(attempt) in facts.kept or not facts.attempt or not folder.is_there():
        return facts
    kept = await snapshot(git, folder, facts, attempt, author=author)
    return folder.save(facts.with_kept(attempt, kept))


async def snapshot(git: Git, folder: AreaFolder, facts: AreaFacts, attempt: int, *, author: str) -> Kept:
    """The same without remembering it."""
    taken = await take(git, folder, facts)
    words = f"What attempt {attempt} of {facts.name} left\n\nTask-Uid: {facts.uid}\nAttempt: {attempt}\n"
    date = f"{int(time.time())} +0000"
    given = {"author": author, "date": date, "parent": facts.base}
    made = await commit(git, facts, taken.tree, words, **given)
    hit("keep.snapshot")
    ref = await attempt_ref(git, facts, attempt)
    await bring(git, facts, made, ref)
    hit("keep.fetched")
    tree = await without_filled_links(git, folder, facts, taken.tree)
    result = await commit(git, facts, tree, words, **given) if tree != taken.tree else ""
    return Kept(ref, made, taken.tree, taken.notes, result)


async def delivery_of(git: Git, facts: AreaFacts, attempt: int, *, branch: str, attempt_dir: str = "") -> Delivery:
    """Return what is kept of *attempt*, as nobody has got it yet; with *attempt_dir* its patch is written there."""
    kept = facts.kept.get(str(attempt))
    if kept is None:
        return Delivery(facts.base, "", branch)
    files = await files_between(git, facts.git_dir, facts.base, kept.deliverable)
    patch = await _patch(git, facts, kept.deliverable, attempt_dir) if files and attempt_dir else ""
    head = kept.deliverable if files else ""
    return Delivery(facts.base, head, branch, files, patch=patch, kept=kept.ref, notes=kept.notes)


async def _patch(git: Git, facts: AreaFacts, head: str, attempt_dir: str) -> str:
    Path(attempt_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    path = str(Path(attempt_dir, PATCH))
    words = ("diff", "--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color", f"--output={path}")
    await git.run(*words, facts.base, head, git_dir=facts.git_dir)
    return path


async def deliver(
    git: Git,
    folder: AreaFolder,
    facts: AreaFacts,
    attempt: int,
    words: CommitWords,
    *,
    author: str,
    branch: str,
    attempt_dir: str,
) -> Delivery:
    """Make the commit of what was kept of *attempt* and bring it into the person's repository.

    Raises GitError and OSError.
    """
    kept = facts.kept.get(str(attempt))
    if kept is None:
        raise GitError(f"what attempt {attempt} left was not kept: {folder.repo} is gone")
    tree = await without_filled_links(git, folder, facts, kept.tree)
    if tree == await git.says("rev-parse", f"{facts.base}^{{tree}}", git_dir=facts.git_dir):
        return Delivery(facts.base, "", branch, kept=kept.ref, notes=kept.notes)
    date = await git.says("show", "-s", "--format=%cd", "--date=raw", kept.commit, git_dir=facts.git_dir)
    message = _message(words, await _said_by_agent(git, folder, facts))
    head = await commit(git, facts, tree, message, author=author, date=date, parents=facts.above)
    hit("deliver.committed")
    name = facts.branch
    if facts.delivered != head:
        await bring(git, facts, head, result_ref(facts))
        hit("deliver.fetched")
        name = await put_branch(git, facts, head, branch) if facts.source else ""
        folder.save(replace(facts, delivered=head, branch=name))
    files = await files_between(git, facts.git_dir, facts.base, head)
    patch = await _patch(git, facts, head, attempt_dir)
    return Delivery(
        facts.base, head, name, files, patch=patch, kept=kept.ref, delivered=bool(facts.source), notes=kept.notes
    )


def _message(words: CommitWords, said: str) -> str:
    subject = printable(words.subject).strip() or "The result of a task"
    trailers = "\n".join(f"{name}: {printable(value)}" for name, value in words.trailers if value)
    return "\n\n".join(part for part in (subject[:200], said, trailers) if part) + "\n"


async def _said_by_agent(git: Git, folder: AreaFolder, facts: AreaFacts) -> str:
    """Return the messages of the agent's own commits, oldest first, "" where there are none to be read.

    Their objects are read by our git; the agent's repository is none that a command runs in.
    """
    inside = folder.repo / ".git"
    if inside.is_symlink() or not inside.is_dir() or not (head := _head_of(inside)) or head == facts.start:
        return ""
    env = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(inside / "objects")}
    words = ("log", "--reverse", "--no-show-signature", "--no-mailmap", "--format=%B%x00", "--max-count=100")
    try:
        said = await git.run(*words, f"{facts.start}..{head}", git_dir=facts.git_dir, env=env, timeout_s=20)
    except GitError:
        return ""
    messages = [one.strip() for one in said.decode("utf-8", "replace").split("\0")]
    # Of what an agent wrote nothing may look like our own trailers.
    lines = [printable(line) for one in messages if one for line in (*one.splitlines(), "")]
    own = re.compile(r"(Task-Id|Task-Uid|Agent|Model|Attempt)\s*:", re.IGNORECASE)
    return "\n".join(f"> {line}" if own.match(line) else line for line in lines).strip()[:MAX_MESSAGES]


def _head_of(inside: Path) -> str:
    """Return the commit that HEAD of an agent's clone names, read as text; "" when it names none."""
    said = _text(inside / "HEAD")
    if said.startswith("ref: refs/heads/"):
        ref = said[5:]
        packed = (line.partition(" ") for line in _text(inside / "packed-refs", 1 << 22).split("\n"))
        loose = "" if ".." in ref.split("/") else _text(inside / ref)
        said = loose or next((commit for commit, _, name in packed if name == ref), "")
    return said if _COMMIT.fullmatch(said) else ""


def _text(path: Path, limit: int = 4096) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        with os.fdopen(fd, "rb") as stream:
            return stream.read(limit).decode("utf-8", "replace").strip()
    except OSError:
        return ""
