"""Which of the files that were read become tasks, and tied to what: one question to the store for all of a batch."""

from collections.abc import Sequence

from orchestrator.core.errors import TaskFileError
from orchestrator.core.job import Job
from orchestrator.core.ports import Clock, FileBytes, NewTask, Store
from orchestrator.core.task import Task, TaskSpec, id_key
from orchestrator.engine import admission
from orchestrator.engine.ties import Tie, Ties, tied

DOOR = "folder"
Read = tuple[FileBytes, TaskSpec | TaskFileError]
Decided = tuple[FileBytes, NewTask | TaskFileError]


class Admitting:
    """Decides on a batch in order; each task has to respect those before it."""

    def __init__(self, store: Store, clock: Clock, ties: Ties) -> None:
        self._store = store
        self._clock = clock
        self._ties = ties

    async def decide(self, fresh: Sequence[Read]) -> tuple[Sequence[Decided], Sequence[Job]]:
        """Return each of *fresh* as the task it becomes or the reason why it becomes none, and the jobs to be made."""
        good = [(read, spec) for read, spec in fresh if isinstance(spec, TaskSpec)]
        digests = {read.entry.file_name: admission.digest(read.body) for read, _ in good}
        found = await self._store.namesakes([(spec.id, digests[read.entry.file_name]) for read, spec in good])
        ties, jobs = await self._ties.of([spec for _, spec in good], door=DOOR)
        names = [read.entry.file_name for read, _ in good]
        stored = dict(zip(names, found, strict=True))
        tie_of = dict(zip(names, ties, strict=True))
        newest: dict[str, Task] = {}  # of this batch, by the key of its id
        decided: list[Decided] = []
        for read, spec in fresh:
            if isinstance(spec, TaskFileError):
                decided.append((read, spec))
            else:
                name = read.entry.file_name
                decided.append((read, self._admit(read, tie_of[name], digests[name], stored[name], newest)))
        wanted = {one.task.job for _, one in decided if isinstance(one, NewTask)}
        return decided, [job for job in jobs if job.uid in wanted]

    def _admit(
        self,
        read: FileBytes,
        tie: Tie | TaskFileError,
        sha256: str,
        stored: Sequence[Task],
        newest: dict[str, Task],
    ) -> NewTask | TaskFileError:
        if isinstance(tie, TaskFileError):
            return admission.with_place(tie, read)
        spec = tie.spec
        others = [newest[id_key(spec.id)], *stored] if id_key(spec.id) in newest else stored
        try:
            behind = admission.among(spec, sha256, others)
        except TaskFileError as error:
            return error
        new = admission.accepted(spec, read, sha256, uid=self._clock.new_uid(), ts=self._clock.now(), behind=behind)
        newest[id_key(spec.id)] = new.task
        return tied(new, tie)
