"""How many more tasks of each job may run now, where a job bounds them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.core.job import Job
from orchestrator.core.ports import Store
from orchestrator.core.task import Task


class JobPlaces:
    """Asks the store once for each job: its bound never changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Job | None] = {}

    async def full(self, running: Iterable[Task]) -> Sequence[str]:
        """Return the jobs of *running* of which nothing more may be started."""
        tasks = list(running)
        return [uid for uid, places in (await self.left(tasks, tasks)).items() if places < 1]

    async def left(self, running: Iterable[Task], of: Iterable[Task]) -> Mapping[str, int]:
        """Return how many more may be started of each bounded job that a task of *of* belongs to."""
        runs = Counter(task.job for task in running)
        jobs = [await self._job(uid) for uid in dict.fromkeys(task.job for task in of) if uid]
        return {job.uid: job.max_workers - runs[job.uid] for job in jobs if job is not None and job.max_workers}

    async def _job(self, uid: str) -> Job | None:
        if uid not in self._known:
            self._known[uid] = next((job for job in await self._store.job(uid) if job.uid == uid), None)
        return self._known[uid]
