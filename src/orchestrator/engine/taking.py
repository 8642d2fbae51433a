"""Taking or leaving a result: what a person decides, and what is refused because it is not proven."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.errors import ConflictError, IllegalEventError, NotFoundError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.failpoint import hit
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Clock, Store
from orchestrator.core.proof import CriterionProof, Proof
from orchestrator.core.report_proof import unverified, why_unproven
from orchestrator.core.taking import Brought, Discarded, Merged, Merging, Prove, Pushed, Taking
from orchestrator.core.task import ACCEPTABLE, Task
from orchestrator.core.work import Area, CommitWords, Delivery, Isolation
from orchestrator.engine.labour import work_facts
from orchestrator.validation.result import iso

Row = Mapping[str, Any]
_SETTLED = (Proof.PROVEN.value, Proof.HOLDS.value)
BY_ITSELF = "configuration"  # who took a result that nobody had to take
_ANYWAY = "Look at `diff`, then `merge --unproven` takes it as it is."


class Results:
    """Results as a person takes or leaves them. *attempts_dir* is where the files of attempts lie."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        taking: Taking,
        attempts_dir: str,
        prove: Prove | None,
        alone: asyncio.Lock | None = None,
    ) -> None:
        """*alone* is held while a result is merged: all services of one process share it."""
        self._store = store
        self._clock = clock
        self._taking = taking
        self._attempts_dir = attempts_dir
        self._prove = prove
        self.alone = alone or asyncio.Lock()

    async def accept(self, task: Task, by: str) -> Task:
        """Call a task a success that failed only for want of a proof, and bring its branch. See the service."""
        if task.state is not State.FAILED or task.reason not in ACCEPTABLE:
            attempts = await self._store.attempts(task.uid)
            raise ConflictError(_not_to_accept(task), hint=_hint_instead(task, attempts[-1] if attempts else None))
        record = (await self._store.attempts(task.uid))[-1]
        delivery = await self._taking.deliver(task, _words(task, record), self._folder(task))
        now = self._clock.now()
        verdict: dict[str, Json] = {key: value for key, value in record.verdict.items() if key != "passed"}
        verdict["work"] = _delivered(verdict.get("work"), delivery)
        accepted: dict[str, Json] = {"by": by, "at": iso(now), "was": task.reason, "open": list(_open(record))}
        data: dict[str, Json] = {"detail": f"accepted by {by}", **verdict, "passed": True, "accepted": accepted}
        event = Event(EventKind.ACCEPTED, now, task.uid, task.attempt, task.epoch, data)
        try:
            return (await self._store.commit([event]))[0]
        except IllegalEventError:
            raise ConflictError(f"{task.spec.id} was accepted by somebody else this moment") from None

    async def patch(self, task: Task, *, stat: bool) -> bytes:
        """Return what the task changed, as a patch or as figures."""
        return await self._taking.patch(task, stat=stat)

    async def discard(self, task: Task, *, by: str) -> Discarded:
        """Delete the branch of a task."""
        gone = await self._taking.discard(task)
        hit("take.discarded")
        if gone.branch or task.reason in ACCEPTABLE:  # without a branch it is out of the way of reports at least
            await self._taken(task, "discard", by, branch=gone.branch, commit=gone.commit)
        return gone

    async def refused(self, task: Task, how: str, why: str) -> None:
        """Remember that the result of *task* was not taken by itself, and why."""
        await self._taken(task, how, BY_ITSELF, ok=False, detail=why[:1000])

    async def _taken(self, task: Task, how: str, by: str, *, ok: bool = True, **facts: str) -> None:
        data: dict[str, Json] = {"how": how, "by": by, "ok": ok, **facts}
        await self._store.commit([Event(EventKind.TAKEN, self._clock.now(), task.uid, data=data)])

    async def merge(self, task: Task, *, unproven: bool, by: str) -> Merged:
        """Bring a result into the branch that is checked out. See the service."""
        async with self.alone:  # of two at once the second finds that it is there
            return await self._merge(task, unproven=unproven, by=by)

    async def _merge(self, task: Task, *, unproven: bool, by: str) -> Merged:
        await self._require_branch(task, "merged")
        if not unproven and (why := not_proven((await self._store.attempts(task.uid))[-1])):
            raise ConflictError(f"{task.spec.id} is not proven: {why}", hint=_ANYWAY)
        merging = await self._taking.prepare(task)
        hit("take.prepared")
        proofs: Sequence[CriterionProof] = ()
        first = () if merging.is_there else [await self._first(one, task, unproven=unproven) for one in merging.first]
        if merging.rebased and not merging.is_there and not unproven:
            proofs = await self._proven_again(task, replace(merging, head=merging.own or merging.head))
        files = 0 if merging.is_there else await self._taking.forward(merging)
        hit("take.forwarded")
        if not merging.is_there or by == BY_ITSELF:  # who takes by itself remembers that it has, whatever it found
            for other in first:
                told = f"came with {task.spec.id}, which was built on it"
                await self._taken(other, "merge", by, branch=merging.branch, commit=merging.commit, detail=told)
            await self._taken(task, "merge", by, branch=merging.branch, commit=merging.commit)
        return Merged(merging, files, proofs)

    async def _first(self, brought: Brought, task: Task, *, unproven: bool) -> Task:
        """Return the task whose result comes along with that of *task*. Raises ConflictError where it must not."""
        other = await self._store.task(TaskUid(brought.uid))
        if other is None:
            raise ConflictError(f"{task.spec.id} was built on {brought.name}, of which nothing is known", hint=_ANYWAY)
        if unproven:
            return other
        records = await self._store.attempts(other.uid)
        if why := not_proven(records[-1]) if records else "it never ran":
            so = f"{task.spec.id} brings along {brought.name}, which it was built on and which is not proven: {why}"
            raise ConflictError(so, hint=_ANYWAY)
        if brought.merging.rebased and not brought.merging.is_there:
            await self._proven_again(other, brought.merging)
        return other

    async def push(self, task: Task, remote: str, *, by: str) -> Pushed:
        """Push the branch of a task."""
        await self._require_branch(task, "pushed")
        done = await self._taking.push(task, remote)
        await self._taken(task, "push", by, branch=done.branch, remote=done.remote)
        return done

    async def open_request(self, task: Task, remote: str, *, by: str) -> Pushed:
        """Open a pull request for the branch of a task, with its criteria and verdicts as its text."""
        await self._require_branch(task, "pushed")
        verdict = (await self._store.attempts(task.uid))[-1].verdict
        rows = _rows(verdict.get("criteria"))
        body = "\n".join(f"- [{row.get('verdict')}] {row.get('text')}" for row in rows) or task.spec.title
        if before := _began_with(verdict):
            body = f"{body}\n\nBuilt on the results of {', '.join(before)}, which are in its branch."
        done = await self._taking.open_request(task, remote, title=task.spec.title or task.spec.id, body=body)
        await self._taken(task, "pr", by, branch=done.branch, remote=done.remote, detail=done.said[:1000])
        return done

    async def _proven_again(self, task: Task, merging: Merging) -> Sequence[CriterionProof]:
        moved = f"{merging.branch} has moved on since {task.spec.id} began"
        if self._prove is None:
            raise ConflictError(f"{moved}, and nothing here can prove the result again on top of it", hint=_ANYWAY)
        proofs = await self._prove(task, merging)
        if still := [f"{one.text}: {one.why}" for one in proofs if one.mandatory and one.verdict not in _SETTLED]:
            raise ConflictError(f"{moved}, and on top of it is not proven: {'; '.join(still)[:1000]}", hint=_ANYWAY)
        return proofs

    async def _require_branch(self, task: Task, done: str) -> None:
        if task.state is State.SUCCEEDED:
            return
        hint = "`recover` brings back what it did." if task.attempt else "It has done nothing yet; `show` says why."
        if task.state is State.FAILED and task.reason in ACCEPTABLE:
            hint = "`accept` it first, after a look at `diff`."
        raise ConflictError(f"{task.spec.id} cannot be {done}: it is {_stands(task)}", hint=hint)

    def _folder(self, task: Task) -> str:
        return f"{self._attempts_dir}/{task.uid}.{task.attempt}"


def not_proven(record: AttemptRecord) -> str:
    """Return why a result must not be merged unseen, "" when it may. What a person has accepted is settled."""
    return why_unproven(record.verdict)


def _open(record: AttemptRecord) -> Sequence[str]:
    """Return what was not proven, each in a sentence."""
    verdict = record.verdict
    criteria = _rows(verdict.get("criteria"))
    failed = [f"{row.get('text')}: {row.get('why')}" for row in criteria if row.get("verdict") == Proof.FAILED.value]
    return [*failed, *unverified(criteria, (), _rows(verdict.get("findings")))]


def _delivered(work: Json, delivery: Delivery | None) -> Json:
    known: dict[str, Json] = dict(work) if isinstance(work, Mapping) else {}
    if delivery is None:
        return known
    found = work_facts(Area("", "", str(known.get("folder", "")), Isolation.CLONE), delivery)
    return {**found, **{key: known[key] for key in ("isolation", "folder", "notes") if key in known}}


def _words(task: Task, record: AttemptRecord) -> CommitWords:
    report = record.outcome.get("report")
    said: Row = report if isinstance(report, Mapping) else {}
    agent = f"{record.agent} {said.get('agent_version') or ''}".strip()
    model = str(said.get("model") or task.spec.model)
    trailers = (("Task-Id", task.spec.id), ("Task-Uid", task.uid), ("Agent", agent), ("Model", model))
    return CommitWords(task.spec.title or task.spec.id, (*trailers, ("Attempt", str(task.attempt))))


def _stands(task: Task) -> str:
    return f"{task.state.value} ({task.reason})" if task.reason else task.state.value


def _not_to_accept(task: Task) -> str:
    if task.state is State.SUCCEEDED:
        return f"{task.spec.id} has succeeded: there is nothing to accept"
    if task.state is State.FAILED:
        return f"{task.spec.id} failed as {task.reason}: that is no matter of proof"
    return f"{task.spec.id} cannot be accepted: it is {_stands(task)}"


def _hint_instead(task: Task, record: AttemptRecord | None) -> str:
    if task.state is State.SUCCEEDED:
        how = " --unproven" if record is not None and not_proven(record) else ""
        return f"`merge {task.uid[-8:]}{how}` brings it into your branch."
    if task.state is State.FAILED:
        return "`recover` brings back what it did; `retry` runs it again."
    return f"Only a task that failed as {' or '.join(sorted(ACCEPTABLE))} can be accepted."


def _began_with(verdict: Row) -> Sequence[str]:
    """Return the ids of the tasks whose results that of an attempt has in it."""
    work = verdict.get("work")
    merged = work.get("merged") if isinstance(work, Mapping) else ()
    return [str(one) for one in merged] if isinstance(merged, (list, tuple)) else []


def _rows(value: object) -> Sequence[Row]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, (list, tuple)) else []


def require(results: Results | None) -> Results:
    """Return *results*. Raises NotFoundError where no work areas are kept."""
    if results is None:
        raise NotFoundError("nothing is kept of work here")
    return results
