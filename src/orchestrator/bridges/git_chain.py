"""The results that a result was built on, in the order in which they are put on a branch, each as its own change.

A branch that has some of them already, as they are or as `merge` once put them on top of something, gets the others
alone. So the tasks of a chain can be merged in any order, and none of them is in the way of itself.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.bridges.area_facts import AreaFacts, AreaFolder
from orchestrator.bridges.git import Git, names
from orchestrator.bridges.git_merge import is_taken, merge, merges_ref, side_of, side_of_commit
from orchestrator.bridges.git_refs import HIDDEN, bring, commit_at
from orchestrator.bridges.git_snapshot import commit
from orchestrator.core.errors import ConflictError
from orchestrator.core.text import printable
from orchestrator.core.work import Base

ALONE = "Merge <merge@localhost>"


@dataclass(frozen=True, slots=True)
class Chain:
    """*steps* of a result, itself last. *facts* are those of its own area."""

    facts: AreaFacts
    steps: tuple["Step", ...]


@dataclass(frozen=True, slots=True)
class Step:
    """The change of one task: from what *facts* say it began with to commit *head*. *branch* is the one that was
    brought, "" for none. *whole*: *head* is its result, not what it had left when it split."""

    uid: str
    name: str
    head: str
    branch: str
    facts: AreaFacts | None
    whole: bool = True

    @property
    def ref(self) -> str:
        """Where it is kept what it became on top of something: one ref below for each something."""
        return merges_ref(self.uid, self.head, whole=self.whole)


def chain_of(work: Path, facts: AreaFacts) -> Chain:
    """Return what the result of *facts*, which was delivered, is made of. Raises OSError."""
    own = Base(facts.uid, facts.name, "", facts.source, facts.delivered, facts.branch)
    seen: set[tuple[str, str]] = set()
    return Chain(facts, tuple(_steps(work, own, seen)))


def _steps(work: Path, result: Base, seen: set[tuple[str, str]]) -> Iterator[Step]:
    if (result.uid, result.head) in seen:
        return
    seen.add((result.uid, result.head))
    facts = AreaFolder(work, result.uid).load()
    whole = facts is None or facts.delivered in ("", result.head)
    if facts is not None:
        # What it had left when it split is without what its sub-tasks did later.
        before = (*facts.bases, *facts.merged) if result.head == facts.delivered else facts.bases
        for one in before:
            yield from _steps(work, one, seen)
        whole = result.head == facts.delivered
    branch = facts.branch if facts is not None and whole else result.branch
    yield Step(result.uid, result.task_id, result.head, branch, facts, whole)


async def left_of(git: Git, chain: Chain, head: str) -> list[Step]:
    """Return the steps of *chain* that are not in the commit *head* yet."""
    facts = chain.facts
    return [step for step in chain.steps if not await is_taken(git, facts, step.uid, step.head, head)]


async def require_wanted(git: Git, facts: AreaFacts, before: Sequence[Step]) -> None:
    """Raise ConflictError where one of the steps *before* the result of *facts* was discarded."""
    for step in before:
        if step.branch and not await commit_at(git, facts.source, f"refs/heads/{step.branch}"):
            built = f"{facts.name} was built on the result of {printable(step.name)}"
            hint = f"Nothing was changed. Have it again first: git -C {facts.source} branch {step.branch} {step.head}"
            raise ConflictError(f"{built}, whose branch {step.branch} was discarded", hint=hint)


async def put_on_top(git: Git, facts: AreaFacts, step: Step, head: str, *, author: str) -> str:
    """Return the commit of the one change of *step* on *head*, brought to the person's repository; *head* itself where
    that has the same files. Raises ConflictError, naming the files, and GitError."""
    tree = await _tree_on_top(git, facts, step, head, await _began_with(git, facts, step, author=author))
    if tree == await git.says("rev-parse", f"{head}^{{tree}}", git_dir=facts.git_dir):
        return head
    message = os.fsdecode(await git.run("show", "-s", "--format=%B", step.head, git_dir=facts.git_dir))
    date = await git.says("show", "-s", "--format=%ad", "--date=raw", step.head, git_dir=facts.git_dir)
    said = await git.says("show", "-s", "--format=%an <%ae>", step.head, git_dir=facts.git_dir)
    made = await commit(git, facts, tree, message.rstrip("\n") + "\n", author=said, date=date, parent=head)
    await bring(git, facts, made, f"{step.ref}/{head[:12]}")
    return made


async def merged_whole(git: Git, facts: AreaFacts, head: str) -> str:
    """Return a commit that merges the result of *facts* with all it was built on into *head*, "" where they do not fit.

    Where two results before it did not fit, it alone has what was made of both.
    """
    sides = [side_of_commit(head, "your-branch"), replace(side_of_commit(facts.delivered, facts.name), name=facts.name)]
    author = await git.says("show", "-s", "--format=%an <%ae>", facts.delivered, git_dir=facts.git_dir)
    made = await merge(git, facts, sides, author=author)
    if made.conflicts:
        return ""
    await bring(git, facts, made.commit, f"{merges_ref(facts.uid, facts.delivered)}/{head[:12]}")
    return made.commit


async def built_on(git: Git, facts: AreaFacts) -> list[str]:
    """Return the branches of other results that have the result of *facts* in them, sorted; none once HEAD has it."""
    head = await commit_at(git, facts.source, "HEAD")
    if head and await is_taken(git, facts, facts.uid, facts.delivered, head):
        return []
    results = await git.run("for-each-ref", "--format=%(objectname)", f"{HIDDEN}/results/", cwd=facts.source)
    words = ("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", f"--contains={facts.delivered}")
    branches = os.fsdecode(await git.run(*words, "refs/heads/", cwd=facts.source)).splitlines()
    ours = frozenset(results.decode().split()) - {facts.delivered}
    return sorted(name for tip, _, name in (line.partition(" ") for line in branches) if tip in ours)


async def _began_with(git: Git, facts: AreaFacts, step: Step, *, author: str) -> str:
    """Return the commit that the change of *step* is measured from."""
    began = step.facts
    if began is None:
        return await git.says("rev-parse", f"{step.head}^1", git_dir=facts.git_dir)
    if not (began.merged and step.whole):
        return began.base
    sides = [side_of_commit(began.base, "the-repository"), *map(side_of, began.merged)]
    return (await merge(git, replace(began, git_dir=facts.git_dir), sides, author=author)).commit


async def _tree_on_top(git: Git, facts: AreaFacts, step: Step, head: str, began: str) -> str:
    """Return the tree of the one change of *step* on *head*.

    Their common ancestor is said to be what it began with: the branch may have lost that, and its change is none of
    ours.
    """

    async def alone(tree_of: str, parent: str = "") -> str:
        tree = await git.says("rev-parse", f"{tree_of}^{{tree}}", git_dir=facts.git_dir)
        given = {"author": ALONE, "date": "@0 +0000", "parent": parent}
        return await commit(git, facts, tree, "Only to be merged\n", **given)

    base = await alone(began)
    sides = (await alone(head, base), await alone(step.head, base))
    words = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages")
    tree, *conflicts = names(await git.run(*words, *sides, git_dir=facts.git_dir, ok=(0, 1)))
    if conflicts:
        shown = ", ".join(printable(path) for path in conflicts[:20])
        whose = "" if step.uid == facts.uid else f" (of {printable(step.name)}, which it was built on)"
        hint = f"Nothing was changed. Merge by hand: git -C {facts.source} cherry-pick {step.branch or step.head}"
        raise ConflictError(f"what both sides changed does not fit together{whose}: {shown}", hint=hint)
    return tree
