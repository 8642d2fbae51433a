"""Brings results into the person's repository, and takes them out of it again: implements the port `Taking`.

All that can be done beside it is done in our own repository, with nothing of theirs running. Only the last step of a
merge, a push and `gh` run as the person would have typed them: with their hooks, settings and credentials.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from orchestrator.bridges.area_facts import AreaFacts, AreaFolder
from orchestrator.bridges.git import Git, GitError
from orchestrator.bridges.git_chain import (
    Step,
    built_on,
    chain_of,
    left_of,
    merged_whole,
    put_on_top,
    require_wanted,
)
from orchestrator.bridges.git_clone import own_again
from orchestrator.bridges.git_dirty import in_the_way
from orchestrator.bridges.git_keep import deliver
from orchestrator.bridges.git_merge import is_within
from orchestrator.bridges.git_person import PersonsPrograms
from orchestrator.bridges.git_refs import branch_of, checked_out, commit_at, result_ref
from orchestrator.bridges.git_snapshot import files_between
from orchestrator.bridges.git_source import require_there
from orchestrator.bridges.isolation import IsolationRules
from orchestrator.core.errors import ConflictError, NotFoundError
from orchestrator.core.taking import Brought, Discarded, Merging, Pushed
from orchestrator.core.task import Task
from orchestrator.core.work import CommitWords, Delivery

_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")
_UNDER_WAY: Mapping[str, str] = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}
T = TypeVar("T")


class GitTaking:
    """*state* is the root's state folder, *person* how the person's own programs are run."""

    def __init__(self, state: Path, git: Git, *, rules: Callable[[], IsolationRules], person: PersonsPrograms) -> None:
        self._work = state / "work"
        self._git = git
        self._rules = rules
        self._person = person

    async def deliver(self, task: Task, words: CommitWords, attempt_dir: str) -> Delivery | None:
        folder = AreaFolder(self._work, task.uid)
        facts = folder.load()
        if facts is None:
            return None

        async def delivered() -> Delivery:
            await own_again(self._git, facts)
            rules = self._rules()
            branch = branch_of(rules.branch, facts.name, task.spec.branch)
            given = {"author": rules.equipment.author, "branch": branch, "attempt_dir": attempt_dir}
            return await deliver(self._git, folder, facts, task.attempt, words, **given)

        return await _told(task, "brought in", delivered())

    async def patch(self, task: Task, *, stat: bool) -> bytes:
        facts = self._facts(task)

        async def shown() -> bytes:
            git_dir = await own_again(self._git, facts)
            words = (*_PLAIN, "--stat=100") if stat else (*_PLAIN, "--binary", "--full-index")
            return await self._git.run("diff", *words, facts.base, _what_came(task, facts), git_dir=git_dir)

        return await _told(task, "shown", shown())

    async def discard(self, task: Task) -> Discarded:
        facts = self._facts(task)
        if not facts.branch or not facts.source:
            kept = facts.kept[max(facts.kept, key=int)] if facts.kept else None
            return Discarded(facts.source, "", kept.ref if kept else "", kept.commit if kept else "")

        async def discarded() -> Discarded:
            ref = f"refs/heads/{facts.branch}"
            at = await commit_at(self._git, facts.source, ref)
            if not at:
                hint = f"Its work stays as {result_ref(facts)}."
                raise ConflictError(f"the branch {facts.branch} is not in {facts.source} any more", hint=hint)
            if at != facts.delivered:
                hint = f"Somebody works on it. `git branch -D {facts.branch}` deletes it nevertheless."
                raise ConflictError(f"the branch {facts.branch} was brought otherwise: it is at {at[:10]}", hint=hint)
            if await checked_out(self._git, facts.source, facts.branch):
                raise ConflictError(
                    f"the branch {facts.branch} is checked out in {facts.source}", hint="Switch to another one first."
                )
            await own_again(self._git, facts)
            within = await built_on(self._git, facts)
            await self._git.run("update-ref", "--no-deref", "-d", ref, at, cwd=facts.source)
            return Discarded(facts.source, facts.branch, result_ref(facts), at, tuple(within))

        return await _told(task, "discarded", discarded())

    async def prepare(self, task: Task) -> Merging:
        facts = self._brought(task)
        return await _told(task, "merged", self._prepared(facts))

    async def _prepared(self, facts: AreaFacts) -> Merging:
        branch, head = await self._where(facts.source)
        git_dir = await own_again(self._git, facts)
        there = Merging(facts.source, branch, head, head, rebased=False, git_dir=git_dir)
        left = await left_of(self._git, await asyncio.to_thread(chain_of, self._work, facts), head)
        if not left or left[-1].uid != facts.uid:
            return there
        await require_wanted(self._git, facts, left[:-1])
        if await is_within(self._git, git_dir, head, facts.delivered):
            with_it = tuple(Brought(step.uid, step.name, there) for step in left[:-1])
            return replace(there, commit=facts.delivered, first=with_it)
        try:
            return await self._one_by_one(facts, there, left)
        except ConflictError as error:
            if len(left) > 1 and (whole := await merged_whole(self._git, facts, head)):
                with_it = tuple(Brought(step.uid, step.name, there) for step in left[:-1])
                return replace(there, commit=whole, rebased=True, first=with_it)
            raise await self._with_a_way_out(facts, error) from None

    async def _one_by_one(self, facts: AreaFacts, there: Merging, left: Sequence[Step]) -> Merging:
        """Put each of *left* on top of the one before."""
        first: list[Brought] = []
        at = there.head
        for step in left:
            made = await put_on_top(self._git, facts, step, at, author=self._rules().equipment.author)
            first.append(Brought(step.uid, step.name, replace(there, head=at, commit=made, rebased=True)))
            at = made
        return replace(there, commit=at, rebased=True, first=tuple(first[:-1]), own=first[-1].merging.head)

    async def _with_a_way_out(self, facts: AreaFacts, error: ConflictError) -> ConflictError:
        """Return *error* with the branches that have the result already, together with what stands in its way."""
        others = await built_on(self._git, facts)
        if not others:
            return error
        return ConflictError(
            error.message, hint=f"{error.hint} Or merge what was built on it: {', '.join(others[:10])}"
        )

    async def _where(self, source: str) -> tuple[str, str]:
        """Return the branch that is checked out and its commit. Raises ConflictError where nothing can be merged to."""
        inside = Path(source, await self._git.says("rev-parse", "--git-dir", cwd=source))
        if busy := next((word for name, word in _UNDER_WAY.items() if (inside / name).exists()), ""):
            raise ConflictError(f"a {busy} is under way in {source}", hint=f"Finish or abort it: git {busy} --abort")
        branch = (await self._git.says("symbolic-ref", "-q", "HEAD", cwd=source)).removeprefix("refs/heads/")
        if not branch:
            raise ConflictError(
                f"HEAD is detached in {source}", hint="Switch to the branch that is to have the result."
            )
        head = await commit_at(self._git, source, "HEAD")
        if not head:
            raise ConflictError(f"the branch {branch} of {source} has no commit")
        return branch, head

    async def forward(self, merging: Merging) -> int:
        return await _told(None, "merged", self._forwarded(merging))

    async def _forwarded(self, merging: Merging) -> int:
        touched = await files_between(self._git, merging.git_dir, merging.head, merging.commit)
        if lying := await in_the_way(self._git, merging.source, merging.git_dir, merging.head, touched):
            shown = ", ".join(lying[:20]) + (f" and {len(lying) - 20} more" if len(lying) > 20 else "")
            hint = "Commit, stash or move them first. Nothing was changed."
            raise ConflictError(f"the checkout {merging.source} has changes of yours where it goes: {shown}", hint=hint)
        if await self._where(merging.source) != (merging.branch, merging.head):
            raise ConflictError(f"{merging.source} has moved on this moment", hint="Nothing was changed: try again.")
        await self._person.git(merging.source, "merge", "--ff-only", "--no-edit", merging.commit)
        return len(touched)

    async def push(self, task: Task, remote: str) -> Pushed:
        facts = self._brought(task)
        return await _told(task, "pushed", self._pushed(facts, remote))

    async def _pushed(self, facts: AreaFacts, remote: str) -> Pushed:
        there = (await self._git.says("remote", cwd=facts.source)).split("\n")
        if remote not in there or remote.startswith("-"):
            known = ", ".join(name for name in there if name)
            hint = f"There is: {known}. Give --remote." if known else "`git remote add` names one."
            raise ConflictError(f"{facts.source} has no remote {remote!r}", hint=hint)
        ref = f"refs/heads/{facts.branch}"
        if not await commit_at(self._git, facts.source, ref):
            raise ConflictError(f"the branch {facts.branch} is not in {facts.source} any more")
        said = await self._person.git(facts.source, "push", remote, f"{ref}:{ref}")
        return Pushed(facts.source, facts.branch, remote, said)

    async def open_request(self, task: Task, remote: str, *, title: str, body: str) -> Pushed:
        facts = self._brought(task)
        self._person.require_gh()  # before anything is pushed
        await self.push(task, remote)
        words = ("pr", "create", "--head", facts.branch, "--title", title, "--body", body)
        said = await _told(task, "proposed", self._person.gh(facts.source, *words))
        found = re.findall(r"https?://\S+", said)
        return Pushed(facts.source, facts.branch, remote, found[-1] if found else said)

    def _facts(self, task: Task) -> AreaFacts:
        facts = AreaFolder(self._work, task.uid).load()
        if facts is None:
            hint = "Where a task works in place, what it did lies in its folder."
            raise NotFoundError(f"{task.spec.id} had no work area of its own", hint=hint)
        require_there(facts.source)
        return facts

    def _brought(self, task: Task) -> AreaFacts:
        facts = self._facts(task)
        if not facts.source:
            raise ConflictError(f"{task.spec.id} worked in a copy: there is no repository to bring it to")
        if not facts.delivered:
            raise ConflictError(f"{task.spec.id} has changed nothing that could be merged")
        return facts


def _what_came(task: Task, facts: AreaFacts) -> str:
    """Return the commit of the result, else of what was kept last. Raises NotFoundError."""
    if facts.delivered:
        return facts.delivered
    if not facts.kept:
        raise NotFoundError(f"nothing is kept of {task.spec.id} yet", hint="`show` tells where it stands.")
    return facts.kept[max(facts.kept, key=int)].commit


async def _told(task: Task | None, done: str, work: Awaitable[T]) -> T:
    try:
        return await work
    except (GitError, OSError) as error:
        name = "the result" if task is None else task.spec.id
        raise ConflictError(f"{name} cannot be {done}: {error}", hint="Nothing was changed.") from None
