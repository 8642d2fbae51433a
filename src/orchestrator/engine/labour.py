"""The work of an attempt as files: where it is done, that it is kept however it ends, and what is told of it."""

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from orchestrator.core.attempt import Failed, FailureKind, Finished, WorkOrder
from orchestrator.core.events import Json
from orchestrator.core.evidence import Changes
from orchestrator.core.failpoint import hit
from orchestrator.core.notes import NotesWanted, ProjectNote
from orchestrator.core.ports import Clock, Workspace
from orchestrator.core.shortage import is_shortage
from orchestrator.core.task import Task
from orchestrator.core.work import Area, CommitWords, Delivery, Isolation

log = logging.getLogger(__name__)

AGAIN_S = 3.0
TRIES, SHORTAGE_TRIES = 3, 200
MAX_FILES = 200  # that are named in an event and so in a result; the patch has all
Facts = Mapping[str, Json]


class Labour:
    """What the executor asks of the work area. Holds the areas of running attempts only to tell of them."""

    def __init__(self, workspace: Workspace, allowed_root: Callable[[], str], clock: Clock) -> None:
        self._clock = clock
        self._workspace = workspace
        self._allowed_root = allowed_root
        self._areas: dict[str, Area] = {}

    async def begin(self, order: WorkOrder) -> WorkOrder:
        """Return *order* with its work area, which is ready. Raises WorkAreaError and OSError."""
        area = await self._workspace.prepare(order, self._allowed_root(), fresh=not order.resume)
        self._areas[order.mark] = area
        return replace(order, cwd=area.cwd, work_root=area.root, read=area.read)

    async def notes(self, cwd: str, wanted: NotesWanted) -> Sequence[ProjectNote]:
        """Return what the project tells every agent."""
        return await self._workspace.notes(cwd, wanted)

    async def kept(self, order: WorkOrder) -> Facts:
        """Keep what the attempt left, whatever its end, and return the facts of it for people and results."""
        try:
            delivery = await self._workspace.keep(order)
        except OSError as error:
            log.error("the work of %s could not be kept: %s", order.mark, error)  # noqa: TRY400 - expected, not a bug
            delivery = Delivery("", "", "", notes=(f"the work could not be kept: {error}",))
        hit("finish.kept")
        return await self._facts(order, delivery)

    async def changes(self, order: WorkOrder) -> Changes:
        """Return what changed since the task began."""
        try:
            return await self._workspace.changes(order)
        except OSError as error:
            return Changes(complete=False, detail=f"the work area could not be read: {error.strerror or error}")

    async def deliver(self, task: Task, order: WorkOrder, outcome: Finished | Failed) -> tuple[Facts, Failed | None]:
        """Make the result a commit and bring it to the person. Returns the facts of it, and why it could not be."""
        words = CommitWords(
            task.spec.title or task.spec.id,
            (
                ("Task-Id", task.spec.id),
                ("Task-Uid", task.uid),
                ("Agent", f"{order.agent} {outcome.report.agent_version}".strip()),
                ("Model", outcome.report.model or order.model),
                ("Attempt", str(order.attempt)),
            ),
        )
        for tried in itertools.count(1):
            try:
                return await self._facts(order, await self._workspace.deliver(order, words)), None
            except OSError as error:
                if tried < (SHORTAGE_TRIES if is_shortage(error) else TRIES):
                    log.warning("the result of %s is brought in again: %s", order.mark, error)
                    await self._clock.sleep(AGAIN_S)  # the agent was paid for: that is not to be lost for a full disk
                    continue
                where = error.filename or "its place"
                detail = f"the result could not be brought into {where}: {error.strerror or error}"
                return await self.kept(order), Failed(FailureKind.NOT_DELIVERED, detail, outcome.report)
        raise AssertionError("counting never ends")

    def leave(self, order: WorkOrder) -> None:
        """Nobody works there for *order* any more."""
        self._areas.pop(order.mark, None)
        self._workspace.leave(order)

    async def _facts(self, order: WorkOrder, delivery: Delivery | None) -> Facts:
        """Return the part `work` of a result; {} when there was no work area."""
        area = self._areas.get(order.mark) or await self._area_of(order)
        if area is None:
            return {"isolation": Isolation.IN_PLACE.value, "notes": []}
        return work_facts(area, delivery)

    async def area(self, order: WorkOrder) -> Area:
        """Return where *order* is or was worked on; after a restart in a place without a clone, as far as is known."""
        plain = Area(cwd=order.cwd, root=order.cwd, source=order.cwd, isolation=Isolation.IN_PLACE)
        return self._areas.get(order.mark) or await self._area_of(order) or plain

    async def _area_of(self, order: WorkOrder) -> Area | None:
        try:
            return await self._workspace.area(order)
        except OSError:
            return None


def work_facts(area: Area, delivery: Delivery | None) -> Facts:
    """Return where was worked and what came of it, as JSON: at most MAX_FILES files are named, all are counted."""
    plain: dict[str, Json] = {"isolation": area.isolation.value, "folder": area.source, "notes": list(area.notes)}
    if delivery is None:
        return plain
    files: list[Json] = [
        {"path": one.path, "status": one.status, "added": one.added, "removed": one.removed}
        for one in delivery.files[:MAX_FILES]
    ]
    return plain | {
        "notes": [*area.notes, *delivery.notes],
        "merged": list(area.merged),
        "base": delivery.base or area.base,
        "head": delivery.head,
        "branch": delivery.branch,
        "delivered": delivery.delivered,
        "kept": delivery.kept,
        "patch": delivery.patch,
        "files": files,
        "files_changed": len(delivery.files),
        "insertions": sum(one.added or 0 for one in delivery.files),
        "deletions": sum(one.removed or 0 for one in delivery.files),
    }
