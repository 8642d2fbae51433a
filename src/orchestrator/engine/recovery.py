"""At start, before anything else: take up what an earlier daemon left. Idempotent; a crash in it changes nothing."""

import asyncio
import logging

from orchestrator.core.errors import OrchestratorError, StoreError
from orchestrator.core.events import TaskUid
from orchestrator.core.failpoint import hit
from orchestrator.core.lifecycle import ACTIVE
from orchestrator.core.ports import Inbox, Store
from orchestrator.core.task import Task
from orchestrator.engine.executor import Executor
from orchestrator.engine.projector import Projector

log = logging.getLogger(__name__)

AT_ONCE = 16


async def recover(store: Store, executor: Executor, projector: Projector, inbox: Inbox, *, prove: bool = True) -> int:
    """Bring every attempt without an owner to its end, then the files up to date. Returns how many there were.

    Without *prove* checks, which may take long, are left to the pool; so are the tasks that are to be checked.

    Attempts come first: nothing of them is alive afterwards. Then files, so that no ended task's file is
    still in the inbox when it is read. Folders of `running/` that no task knows go back to the inbox.
    """
    orphans = await store.tasks(sorted(ACTIVE), limit=100_000)
    hit("recover.listed")
    gate = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for task in orphans:
            group.create_task(_take_up(executor, task, gate, prove=prove))
    await projector.catch_up()
    hit("recover.projected")
    await projector.restore()
    hit("recover.restored")

    async def known(uid: str) -> bool:
        return await store.task(TaskUid(uid)) is not None

    for path in await inbox.adopt_strays(known):
        log.warning("%s belonged to no task and is a task file again", path)
    return len(orphans)


async def _take_up(executor: Executor, task: Task, gate: asyncio.Semaphore, *, prove: bool) -> None:
    async with gate:
        try:
            await executor.recover(task, prove=prove)
            hit("recover.taken")
        except (OrchestratorError, OSError) as error:
            if isinstance(error, StoreError) and error.lasting:
                raise
            log.error("task %s is taken up later: %s", task.uid, error)  # noqa: TRY400 - expected, not a bug
        except Exception:
            log.exception("task %s is taken up later: a bug of ours, please report it", task.uid)
