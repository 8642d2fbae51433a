"""Where attempts work: in a clone of their own where the folder lies in a git repository, else as configured.

What is decided for the first attempt of a task stays so for the task. A clone lies in `work/<uid>/repo` of the state
folder; what must be known of it after a crash is in `area.json` beside it, written before an agent starts there.
"""

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.bridges.again import again
from orchestrator.bridges.area_facts import AreaFacts, AreaFolder, made
from orchestrator.bridges.area_merge import (
    begun_with,
    in_place_notes,
    joined_with,
    not_yet_merged,
    shown,
    unresolved,
    unresolved_in,
)
from orchestrator.bridges.area_targets import placed, repository_of
from orchestrator.bridges.git import Git, GitError
from orchestrator.bridges.git_clone import Equipment, equip, make_clone, make_copy, make_own, own_repository
from orchestrator.bridges.git_keep import deliver, delivery_of, keep
from orchestrator.bridges.git_refs import base_ref, branch_of, put_ref
from orchestrator.bridges.git_snapshot import commit, take
from orchestrator.bridges.git_source import Source, UnfitError, find, has_repository, notes_of
from orchestrator.bridges.workspace import InPlaceWorkspace
from orchestrator.core.attempt import WorkOrder
from orchestrator.core.errors import WorkAreaError
from orchestrator.core.evidence import Changes
from orchestrator.core.failpoint import hit
from orchestrator.core.notes import NotesWanted, ProjectNote
from orchestrator.core.work import Area, Base, CommitWords, Delivery, Isolation

log = logging.getLogger(__name__)

KEEP_TRIES = 60  # where something is short, a second apart: a daemon that is to stop waits for it too
AUTO, CLONE, COPY, IN_PLACE = "auto", "clone", "copy", "in_place"


@dataclass(frozen=True, slots=True)
class IsolationRules:
    """As configured. *branch* has {name} in it, for the name of the task."""

    mode: str
    branch: str
    equipment: Equipment


class IsolatedWorkspace:
    """Implements the port `Workspace`. *state* is the root's state folder, *own* what of the root is never copied."""

    def __init__(
        self,
        in_place: InPlaceWorkspace,
        *,
        state: Path,
        git: Git,
        rules: Callable[[], IsolationRules],
        own: frozenset[Path] = frozenset(),
    ) -> None:
        self._in_place = in_place
        self._work, self._repositories = state / "work", state / "git"
        self._git = git
        self._rules = rules
        self._own = own
        self._making = asyncio.Lock()  # of repositories of ours, which tasks share

    async def prepare(self, order: WorkOrder, allowed_root: str, *, fresh: bool) -> Area:
        folder = self._folder(order)
        try:
            facts = folder.load()
            if facts is None:
                return await self._first(folder, order, allowed_root, fresh=fresh)
            facts = await self._joined(folder, facts, order)
            left = facts.conflicts
            if fresh or not facts.attempt or not folder.is_there():
                facts = await self._anew(folder, facts, order)
            else:
                left = await unresolved_in(self._git, facts, facts.last_kept())
        except GitError as error:
            if error.shortage:
                raise OSError(errno.ENOSPC, str(error), str(folder.path)) from None
            raise WorkAreaError(f"the work area could not be made: {error}") from None
        hit("prepare.area")
        return replace(self._area(folder, facts, order), conflicts=tuple(map(shown, left)))

    async def area(self, order: WorkOrder) -> Area | None:
        folder = self._folder(order)
        facts = folder.load()
        return None if facts is None else self._area(folder, facts, order)

    async def changes(self, order: WorkOrder) -> Changes:
        facts = self._folder(order).load()
        if facts is None:
            return await self._in_place.changes(order)
        try:
            found = await delivery_of(self._git, facts, order.attempt, branch="")
            left = await unresolved_in(self._git, facts, facts.kept.get(str(order.attempt)))
        except GitError as error:
            return Changes(complete=False, detail=str(error))
        if not found.kept:
            return Changes(complete=False, detail="what the attempt left could not be taken down")
        paths = {kind: tuple(shown(one.path) for one in found.files if one.status in kind) for kind in ("A", "MT", "D")}
        told = unresolved(facts, left, self._folder(order).repo)
        return Changes(paths["A"], paths["MT"], paths["D"], own=True, unresolved=told)

    async def keep(self, order: WorkOrder) -> Delivery | None:
        folder = self._folder(order)
        facts = folder.load()
        if facts is None:
            return None
        branch = self._branch(facts, order)

        async def kept() -> Delivery:
            try:
                now = await keep(self._git, folder, facts, order.attempt, author=self._author())
                given = {"branch": now.branch or branch, "attempt_dir": order.attempt_dir}
                return await delivery_of(self._git, now, order.attempt, **given)
            except GitError as error:
                if error.shortage:
                    raise OSError(errno.ENOSPC, str(error), str(folder.path)) from None
                raise

        try:
            # What is not kept is not there to be checked: then good work would be done a second time.
            return await again(f"keeping the work of {order.mark}", kept, shortage_tries=KEEP_TRIES)
        except (GitError, OSError) as error:
            # Nothing is lost: the area stays, and is set aside before another one is made in its place.
            log.error("the work of %s could not be kept: %s", order.mark, error)  # noqa: TRY400 - expected, not a bug
            note = f"the work could not be kept and lies in {folder.repo}: {error}"
            return Delivery(facts.base, "", branch, notes=(note,))

    async def deliver(self, order: WorkOrder, words: CommitWords) -> Delivery | None:
        folder = self._folder(order)
        facts = folder.load()
        if facts is None:
            return None
        try:
            facts = await keep(self._git, folder, facts, order.attempt, author=self._author())
            return await deliver(
                self._git,
                folder,
                facts,
                order.attempt,
                words,
                author=self._author(),
                branch=branch_of(self._rules().branch, facts.name, order.branch),
                attempt_dir=order.attempt_dir,
            )
        except GitError as error:
            number = errno.ENOSPC if error.shortage else errno.EIO
            raise OSError(number, str(error), facts.source or str(folder.path)) from None

    async def notes(self, cwd: str, wanted: NotesWanted) -> Sequence[ProjectNote]:
        return await self._in_place.notes(cwd, wanted)

    def leave(self, order: WorkOrder) -> None:
        self._in_place.leave(order)

    async def _first(self, folder: AreaFolder, order: WorkOrder, allowed_root: str, *, fresh: bool) -> Area:
        cwd = await self._in_place.real(order.cwd, allowed_root)
        mode, note = self._rules().mode, ""
        if mode != IN_PLACE and not await self._in_place.worked_in(order):
            if mode == COPY:
                copied = await begun_with(self._git, self._copied(folder, order, cwd), order.bases, author="")
                return await self._filled(folder, copied, order)
            try:
                if (source := await self._source(order, cwd, allowed_root)) is not None:
                    return await self._filled(folder, await self._cloned(order, cwd, source), order)
                why = f"{cwd} lies in no git repository"
            except UnfitError as error:
                why = note = str(error)
            if mode == CLONE:
                hint = "isolation.mode: auto works in place where no clone is possible."
                raise WorkAreaError(f"isolation.mode is clone, but {why}", hint=hint)
        area = await self._in_place.prepare(replace(order, cwd=cwd), allowed_root, fresh=fresh)
        notes = (f"worked in place: {note}",) if note else ()
        return replace(area, notes=(*notes, *in_place_notes(area, (*order.bases, *order.merges))))

    async def _source(self, order: WorkOrder, cwd: str, allowed_root: str) -> Source | None:
        """Return the repository of the folder to work in, else that of the target files."""
        fence = os.path.realpath(allowed_root)
        if await asyncio.to_thread(has_repository, Path(cwd)):
            return await find(self._git, cwd, fence)
        return await repository_of(self._git, order.targets, cwd, fence)

    async def _cloned(self, order: WorkOrder, cwd: str, source: Source) -> AreaFacts:
        own = own_repository(self._repositories, source.git)
        async with self._making:
            given = {"object_format": source.object_format, "borrow": source.objects, "common": source.git}
            await make_own(self._git, own, **given)  # type: ignore[arg-type]
        facts = AreaFacts(
            order.uid,
            order.name or order.task_id,
            Isolation.CLONE,
            cwd,
            source.top,
            source.relative,
            str(own),
            source.head,
            0,
            settings=source.settings,
            read=source.objects,
        )
        # From here on nothing that the clone borrows is collected, whatever becomes of the person's branches.
        await put_ref(self._git, source.top, base_ref(facts), source.head)
        notes = await notes_of(self._git, source, str(own))
        if not Path(cwd).is_relative_to(source.top):
            notes = (f"{cwd} lies in no repository: worked in that of the target files, {source.top}", *notes)
        async with self._making:
            return await begun_with(self._git, replace(facts, notes=notes), order.bases, author=self._author())

    def _copied(self, folder: AreaFolder, order: WorkOrder, cwd: str) -> AreaFacts:
        own = str(folder.path / "own.git")
        return AreaFacts(order.uid, order.name or order.task_id, Isolation.COPY, cwd, "", "", own, "", 0)

    async def _filled(self, folder: AreaFolder, facts: AreaFacts, order: WorkOrder) -> Area:
        made(folder.path)
        if new := not_yet_merged(facts, order.merges):
            facts = await self._with_sub_tasks(facts, new)
        facts = await self._fill(folder, facts, order)
        hit("prepare.area")
        return self._area(folder, facts, order)

    async def _fill(self, folder: AreaFolder, facts: AreaFacts, order: WorkOrder) -> AreaFacts:
        """Make the area itself; what is remembered last is that it is whole."""
        rules = self._rules()
        if facts.isolation is Isolation.COPY:
            facts = await self._copy(folder, facts)
        else:
            links = await make_clone(
                self._git, folder, facts, branch=self._branch(facts, order), author=rules.equipment.author
            )
            facts = replace(facts, links=dict(links))
        hit("area.cloned")
        apart, notes = await equip(self._git, folder, facts, rules.equipment)
        notes = [*facts.notes, *(note for note in (*_link_note(facts), *notes) if note not in facts.notes)]
        facts = folder.save(replace(facts, attempt=order.attempt, apart=tuple(apart), notes=tuple(notes)))
        hit("area.recorded")
        return facts

    async def _copy(self, folder: AreaFolder, facts: AreaFacts) -> AreaFacts:
        if why := await self._git.unfit():
            raise WorkAreaError(f"isolation.mode is copy, but {why}", hint="What a task leaves is kept by git.")
        await asyncio.to_thread(make_copy, folder, Path(facts.asked_cwd), self._own)
        await make_own(self._git, Path(facts.git_dir), object_format="sha1", borrow=())
        folder.index.unlink(missing_ok=True)
        tree = (await take(self._git, folder, replace(facts, base=""))).tree
        said = "The folder as it was copied\n"
        base = await commit(self._git, facts, tree, said, author=self._author(), date="@0 +0000")
        await put_ref(self._git, facts.git_dir, base_ref(facts), base)
        return replace(facts, base=base)

    async def _anew(self, folder: AreaFolder, facts: AreaFacts, order: WorkOrder) -> AreaFacts:
        """Make the area again, from the same start; what is in it is kept before, or set aside if it cannot be."""
        facts = folder.save(replace(await self._put_by(folder, facts, order), attempt=0))
        return await self._fill(folder, facts, order)

    async def _joined(self, folder: AreaFolder, facts: AreaFacts, order: WorkOrder) -> AreaFacts:
        """Merge results of sub-tasks into what the task itself has left; the area is then to be made from that."""
        if not (new := not_yet_merged(facts, order.merges)):
            return facts
        facts = await self._put_by(folder, facts, order)
        return folder.save(replace(await self._with_sub_tasks(facts, new), attempt=0))

    async def _with_sub_tasks(self, facts: AreaFacts, new: Sequence[Base]) -> AreaFacts:
        async with self._making:
            return await joined_with(self._git, facts, new, author=self._author())

    async def _put_by(self, folder: AreaFolder, facts: AreaFacts, order: WorkOrder) -> AreaFacts:
        if facts.attempt and folder.is_there():
            try:
                facts = await keep(self._git, folder, facts, order.attempt - 1, author=self._author())
            except GitError as error:
                aside = folder.path / f"unkept-{order.attempt - 1}"
                log.error("%s is set aside as %s: %s", folder.repo, aside, error)  # noqa: TRY400 - expected, not a bug
                folder.repo.rename(aside)
        return facts

    def _folder(self, order: WorkOrder) -> AreaFolder:
        return AreaFolder(self._work, order.uid)

    def _area(self, folder: AreaFolder, facts: AreaFacts, order: WorkOrder) -> Area:
        area = folder.area(facts, self._branch(facts, order))
        return replace(area, targets=placed(order.targets, facts, folder.repo))

    def _branch(self, facts: AreaFacts, order: WorkOrder) -> str:
        if facts.isolation is Isolation.COPY:
            return ""
        return facts.branch or branch_of(self._rules().branch, facts.name, order.branch)

    def _author(self) -> str:
        return self._rules().equipment.author


def _link_note(facts: AreaFacts) -> tuple[str, ...]:
    if not facts.links:
        return ()
    named = ", ".join(sorted(facts.links)[:20])
    return (f"submodules are not filled: {named}; what is written there is kept, but no part of the result",)
