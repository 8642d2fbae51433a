"""Names of refs, and bringing commits of ours into the person's repository: never over anything that is not ours.

All refs of ours are hidden (`refs/orchestrator/`) but for the branch of a result. A git that was killed leaves a lock
beside a ref; nobody else writes ours, so it is taken away.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from orchestrator.bridges.area_facts import AreaFacts
from orchestrator.bridges.git import Git, GitError

HIDDEN = "refs/orchestrator"
_NOTHING = ""  # to git: the ref must not be there yet


def ref_part(name: str) -> str:
    """Return *name* as one part of a ref."""
    part = re.sub(r"[^A-Za-z0-9._-]+", "-", name).replace("..", "-").strip(".-")
    return (f"{part}-" if part.endswith(".lock") else part) or "task"


def base_ref(facts: AreaFacts) -> str:
    """Return the ref that keeps the base from being collected."""
    return f"{HIDDEN}/bases/{facts.uid}"


def join_ref(facts: AreaFacts) -> str:
    """Return the ref that keeps what the area of a task with sub-tasks began at."""
    return f"{HIDDEN}/joins/{facts.uid}"


def result_ref(facts: AreaFacts) -> str:
    return f"{HIDDEN}/results/{facts.uid}"


async def attempt_ref(git: Git, facts: AreaFacts, attempt: int) -> str:
    """Return the hidden ref for an attempt; another root may have used the plain name for a task of its own."""
    for kept in facts.kept.values():
        return f"{kept.ref.rpartition('/')[0]}/{attempt}"
    where = facts.source or facts.git_dir
    plain = f"{HIDDEN}/attempts/{ref_part(facts.name)}"
    said = os.fsdecode(await git.run("for-each-ref", "--format=%(contents:body)%00", f"{plain}/", cwd=where))
    foreign = any(one.strip() and f"Task-Uid: {facts.uid}" not in one for one in said.split("\0"))
    return f"{plain}.{facts.uid[-8:]}/{attempt}" if foreign else f"{plain}/{attempt}"


async def put_ref(git: Git, where: str, ref: str, commit: str, *old: str) -> None:
    """Set *ref* of the repository that *where* lies in, or is. Raises GitError."""
    await _unlocked(git, where, ref, ("update-ref", "--no-deref", ref, commit, *old))


async def drop_ref(git: Git, where: str, ref: str) -> None:
    await _unlocked(git, where, ref, ("update-ref", "--no-deref", "-d", ref))


async def bring(git: Git, facts: AreaFacts, commit: str, ref: str) -> None:
    """Bring *commit* of our repository into the person's, under the hidden *ref*. Raises GitError."""
    own = f"{HIDDEN}/brought/{facts.uid}/{ref.rpartition('/')[2]}"
    await put_ref(git, facts.git_dir, own, commit)
    if not facts.source:
        await put_ref(git, facts.git_dir, ref, commit)
        return
    # No setting of that repository may say what is run for it, where from it comes, or what else is set.
    words = ("fetch", "-q", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--refmap=")
    tip = f"--negotiation-tip={facts.base}"
    await git.run(*words, "--upload-pack=git-upload-pack", tip, facts.git_dir, own, cwd=facts.source)
    await put_ref(git, facts.source, ref, commit)


async def _unlocked(git: Git, where: str, ref: str, words: Sequence[str]) -> None:
    try:
        await git.run(*words, cwd=where)
    except GitError as error:
        if ".lock" not in str(error):
            raise
        common = await git.says("rev-parse", "--git-common-dir", cwd=where)
        with suppress(OSError):
            Path(where, common, f"{ref}.lock").unlink()
        await git.run(*words, cwd=where)


async def commit_at(git: Git, where: str, ref: str) -> str:
    """Return the commit that *ref* names, "" when there is none."""
    return await git.says("rev-parse", "-q", "--verify", f"{ref}^{{commit}}", cwd=where)


def branch_of(pattern: str, name: str, wanted: str = "") -> str:
    """Return the branch for a task: the one *wanted* by its file, else by the configured pattern, in which {name}
    stands for the task's name."""
    return wanted or pattern.replace("{name}", ref_part(name))


async def put_branch(git: Git, facts: AreaFacts, commit: str, wanted: str) -> str:
    """Make a branch at *commit* in the person's repository and return its name: one that is free, or was ours.

    Raises GitError when no name can be had.
    """
    mark = facts.uid[-8:]
    if facts.delivered and facts.branch and not await checked_out(git, facts.source, facts.branch):
        with suppress(GitError):
            await put_ref(git, facts.source, f"refs/heads/{facts.branch}", commit, facts.delivered)
            return facts.branch
    names = (wanted, f"{wanted}-{mark}", f"{wanted}-{mark}-{commit[:8]}", f"{wanted.replace('/', '-')}-{mark}")
    last: GitError | None = None
    for name in names:
        ref = f"refs/heads/{name}"
        if await commit_at(git, facts.source, ref) == commit:
            return name  # from before a crash
        try:
            await put_ref(git, facts.source, ref, commit, _NOTHING)
        except GitError as error:
            last = error
        else:
            return name
    assert last is not None
    raise last


async def checked_out(git: Git, where: str, branch: str) -> bool:
    """Return whether *branch* is checked out in any worktree of the repository."""
    said = await git.says("worktree", "list", "--porcelain", cwd=where)
    return f"branch refs/heads/{branch}" in said.split("\n")
