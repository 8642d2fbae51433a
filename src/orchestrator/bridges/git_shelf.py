"""What was kept of the work of tasks: brought back on request, and areas removed that nobody needs any more."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.bridges.area_facts import AreaFacts, AreaFolder, Kept
from orchestrator.bridges.git import Git, GitError
from orchestrator.bridges.git_clone import own_again
from orchestrator.bridges.git_keep import snapshot
from orchestrator.bridges.git_refs import base_ref, commit_at, drop_ref, join_ref, put_ref, ref_part
from orchestrator.bridges.git_snapshot import files_between, private_index, take
from orchestrator.bridges.git_source import require_there
from orchestrator.bridges.scratch import remove
from orchestrator.core.errors import ConflictError, NotFoundError, UsageError
from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import ACTIVE
from orchestrator.core.task import Task
from orchestrator.core.work import CleanedArea, Recovered


class GitShelf:
    """Implements the port `Shelf`. *owned* tells whether a daemon works on this root now."""

    def __init__(self, state: Path, git: Git, *, author: Callable[[], str], owned: Callable[[], bool]) -> None:
        self._work, self._repositories = state / "work", state / "git"
        self._git = git
        self._author = author
        self._owned = owned

    async def recover(self, task: Task, attempt: int, *, folder: str = "", branch: str = "") -> Recovered:
        area = AreaFolder(self._work, task.uid)
        facts = area.load()
        if facts is None:
            hint = "Where a task works in place, what it did lies in its folder."
            raise NotFoundError(f"nothing was kept of {task.spec.id}: it had no work area of its own", hint=hint)
        require_there(facts.source)
        try:
            number, kept = await self._kept(area, facts, task, attempt)
            git_dir = await own_again(self._git, facts)
            files = len(await files_between(self._git, git_dir, facts.base, kept.commit))
            found = Recovered(number, kept.ref, kept.commit, facts.source, files=files)
            if folder:
                await self._to_folder(area, git_dir, kept, Path(folder))
                return replace(found, folder=folder)
            if not facts.source:
                hint = "Name a new folder: --to DIR"
                raise UsageError(f"{task.spec.id} worked in a copy: there is no repository for a branch", hint=hint)
            branch = branch or f"recovered/{ref_part(facts.name)}-{number}"
            await self._to_branch(facts, kept, branch)
        except GitError as error:
            raise ConflictError(f"the work of {task.spec.id} cannot be brought back: {error}") from None
        return replace(found, branch=branch)

    async def _kept(self, area: AreaFolder, facts: AreaFacts, task: Task, attempt: int) -> tuple[int, Kept]:
        """Return what is kept of *attempt*; what a dead daemon has left is kept now, but not noted as an end."""
        last = max((int(number) for number in facts.kept), default=0)
        unkept = bool(facts.attempt) and area.is_there() and str(task.attempt) not in facts.kept
        number = attempt or (task.attempt if unkept else last)
        if unkept and number == task.attempt:
            if task.state in ACTIVE and self._owned():
                hint = f"`cancel` it first, or look at {area.repo}."
                raise ConflictError(f"{task.spec.id} runs: attempt {number} is not over", hint=hint)
            return number, await snapshot(self._git, area, facts, number, author=self._author())
        if str(number) not in facts.kept:
            there = ", ".join(sorted(facts.kept, key=int)) or "none"
            raise NotFoundError(f"nothing was kept of attempt {number} of {task.spec.id}", hint=f"Kept: {there}.")
        return number, facts.kept[str(number)]

    async def _to_folder(self, area: AreaFolder, git_dir: str, kept: Kept, target: Path) -> None:
        if target.is_symlink() or target.exists():
            raise ConflictError(f"{target} is there already", hint="Name a folder that is not there yet.")
        new = target.with_name(f".{target.name}.new")
        remove(new)
        new.mkdir(parents=True)
        with private_index(area, copied=False) as index:
            where = {"git_dir": git_dir, "work_tree": str(new), "cwd": str(new), "index": index}
            await self._git.run("read-tree", kept.tree, **where)  # type: ignore[arg-type]
            await self._git.run("checkout-index", "-a", "-f", **where)  # type: ignore[arg-type]
        new.rename(target)

    async def _to_branch(self, facts: AreaFacts, kept: Kept, branch: str) -> None:
        if await self._git.says("check-ref-format", "--branch", branch) != branch:
            raise UsageError(f"{branch!r} is no name for a branch")
        if await commit_at(self._git, facts.source, f"refs/heads/{branch}"):
            raise ConflictError(
                f"the branch {branch} is there already in {facts.source}", hint="Give another --branch."
            )
        await put_ref(self._git, facts.source, f"refs/heads/{branch}", kept.commit, "")

    async def uids(self) -> Sequence[TaskUid]:
        if not self._work.is_dir():
            return []
        found = [path for path in self._work.iterdir() if path.is_dir() and not path.is_symlink()]
        here = [path.name for path in sorted(found) if any(one.name != "area.json" for one in path.iterdir())]
        return [TaskUid(name) for name in here]

    async def clean(self, uid: TaskUid, *, dry_run: bool) -> CleanedArea:
        area = AreaFolder(self._work, uid)
        facts = area.load()
        size = _size_of(area.path)
        if facts is not None and (why := await self._still_needed(area, facts)):
            return CleanedArea(str(area.path), size, removed=False, why=why)
        if not dry_run:
            if facts is None:  # it was never whole: no agent has worked in it
                remove(area.path)
            else:
                await self._emptied(area, facts)
        return CleanedArea(str(area.path), size, removed=True)

    async def _emptied(self, area: AreaFolder, facts: AreaFacts) -> None:
        area.save(replace(facts, attempt=0, cleaned=True))
        for path in area.path.iterdir():
            if path.name != "area.json":
                remove(path)
        if facts.source and Path(facts.source).is_dir():
            if not facts.parents:  # else the result does not come from it, and `diff` still asks for it
                await drop_ref(self._git, facts.source, base_ref(facts))
            if facts.joined:
                await drop_ref(self._git, facts.source, join_ref(facts))

    async def _still_needed(self, area: AreaFolder, facts: AreaFacts) -> str:
        """Return why removing the area would lose something, "" if it would not."""
        if aside := [path.name for path in area.path.glob("unkept-*")]:
            return f"{', '.join(sorted(aside))} could not be kept when its attempt ended"
        if not facts.source:
            return "it is a copy of a folder: what was done there is nowhere else" if facts.kept else ""
        try:
            for number, kept in facts.kept.items():
                if await commit_at(self._git, facts.source, kept.ref) != kept.commit:
                    return f"{kept.ref}, which keeps attempt {number}, is not in {facts.source} any more"
            if not facts.attempt or not area.is_there():
                return ""
            taken = await take(self._git, area, facts)
            start = await self._git.says("rev-parse", f"{facts.start}^{{tree}}", git_dir=facts.git_dir)
        except (GitError, OSError) as error:
            return f"it cannot be told whether all of it is kept: {error}"
        if taken.tree in {start, *(kept.tree for kept in facts.kept.values())}:
            return ""
        return "files were changed there since the last attempt ended"

    async def tidy(self) -> None:
        """Remove repositories of ours that no area needs any more."""
        if self._owned():
            return  # a daemon may be making an area this moment
        needed = {facts.git_dir for uid in await self.uids() if (facts := AreaFolder(self._work, uid).load())}
        for path in self._repositories.glob("*.git*"):
            if str(path) not in needed:
                shutil.rmtree(path, ignore_errors=True)


def _size_of(path: Path) -> int:
    """Return how much of the disk a folder takes."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += Path(folder, name).lstat().st_blocks * 512
            except OSError:
                continue  # gone meanwhile
    return total
