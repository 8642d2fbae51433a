"""Tasks in one repository that begin with the results of each other. Real git."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bridges.git_rig import ENV, WORDS, Rig, git, repository

from orchestrator.bridges.git_person import PersonsPrograms
from orchestrator.bridges.git_taking import GitTaking
from orchestrator.core.attempt import WorkOrder
from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.taking import Merging
from orchestrator.core.task import Task
from orchestrator.core.work import Area, Base, Delivery

UIDS = {name: TaskUid(f"{number:032x}") for number, name in enumerate(("auth", "data", "pay", "all", "top"), 1)}


class Tasks(Rig):
    """Tasks that begin with the results of each other in one repository."""

    def __init__(self, place: Path, **rules: Any) -> None:
        super().__init__(place, **rules)
        self.top = repository(place / "project", app__py="answer = 41\n", t="a\nb\nc\n")
        self.made: dict[str, Delivery] = {}

    async def begins(
        self,
        name: str,
        bases: Sequence[Base] = (),
        *,
        merges: Sequence[Base] = (),
        attempt: int = 1,
        fresh: bool = True,
        cwd: Path | None = None,
    ) -> tuple[WorkOrder, Area]:
        order = self.order(cwd or self.top, uid=UIDS[name], name=name, attempt=attempt)
        order = replace(order, bases=tuple(bases), merges=tuple(merges))
        return order, await self.space.prepare(order, str(self.place), fresh=fresh)

    async def does(self, name: str, files: dict[str, str], bases: Sequence[Base] = (), **more: Any) -> Base:
        """Let a task write *files* and be delivered. Returns its result."""
        order, area = await self.begins(name, bases, **more)
        return await self.ends(order, area, files)

    async def ends(self, order: WorkOrder, area: Area, files: dict[str, str]) -> Base:
        for path, text in files.items():
            (Path(area.root) / path).write_text(text)
        await self.space.keep(order)
        made = await self.space.deliver(order, WORDS)
        assert made is not None
        self.made[order.name] = made
        return Base(order.uid, order.name, order.name, str(self.top), made.head or made.base, made.branch)

    def files(self, what: str) -> list[str]:
        return git(self.top, "ls-tree", "-r", "--name-only", what).split("\n")

    def person_commits(self, path: str, text: str, *more: str) -> str:
        """Let the person commit a file. Returns their new HEAD."""
        (self.top / path).write_text(text)
        git(self.top, "add", path)
        git(self.top, "commit", "-q", "-m", path, *more)
        return git(self.top, "rev-parse", "HEAD")

    @property
    def taking(self) -> GitTaking:
        return GitTaking(self.state, self.git, rules=lambda: self.rules, person=PersonsPrograms(ENV))

    def done(self, name: str) -> Task:
        return self.task(self.order(self.top, uid=UIDS[name], name=name), State.SUCCEEDED)

    async def merged(self, name: str) -> Merging:
        """Merge the result of a task as a person would."""
        taking = self.taking
        merging = await taking.prepare(self.done(name))
        if not merging.is_there:
            await taking.forward(merging)
        return merging
