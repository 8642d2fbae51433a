"""The examination of what an attempt left: its checks on base and result, what its change did to them, the verdict."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Protocol

from orchestrator.core.attempt import Failed, FailureKind, Finished, WorkOrder
from orchestrator.core.errors import WorkAreaError
from orchestrator.core.evidence import Changes
from orchestrator.core.proof import CriterionProof, Finding, Proof, Suspicion
from orchestrator.core.task import TaskSpec, TaskType
from orchestrator.core.work import Area
from orchestrator.engine.digest import Digests
from orchestrator.engine.opinion import SecondOpinion, Spare
from orchestrator.engine.proof import Prover
from orchestrator.validation.checks import Verdict, judge
from orchestrator.validation.integrity import ChangedFile, findings, protected_paths, what_was_left
from orchestrator.validation.proof import checks_of

_WORSE = (Proof.PROVEN, Proof.HOLDS, Proof.UNPROVEN, Proof.HUMAN, Proof.FAILED)
_OPEN = frozenset({FailureKind.CHECK_FAILED, FailureKind.UNPROVEN})


async def unlimited() -> float:
    """Nothing bounds what an opinion may cost but its own setting."""
    return 0.0


class Commits(Protocol):
    """Reads commits of the daemon's own repositories. Raises WorkAreaError where one cannot be read."""

    async def paths(self, git_dir: str, commit: str) -> Sequence[str]:
        """Return the paths of all files of *commit*."""
        ...

    async def changed(self, git_dir: str, base: str, result: str) -> Sequence[ChangedFile]:
        """Return what is different in *result*, with the texts of both sides."""
        ...


class Examiner:
    """Draws the verdicts on ended attempts. Remembers which of them nobody may wait for."""

    def __init__(
        self, *, prover: Prover, commits: Commits, second: SecondOpinion | None = None, digests: Digests | None = None
    ) -> None:
        self._prover = prover
        self._commits = commits
        self._second = second
        self._digests = digests
        self._running: dict[str, asyncio.Task[Verdict]] = {}  # by the mark of the attempt
        self._hurried: set[str] = set()

    def hurry(self, order: WorkOrder) -> None:
        """Whoever stops or cancels does not wait for checks, which can be run again."""
        self._hurried.add(order.mark)
        if order.mark in self._running:
            self._running[order.mark].cancel()

    def leave(self, order: WorkOrder) -> None:
        """Nobody works on *order* any more."""
        self._hurried.discard(order.mark)

    def takes_long(self, spec: TaskSpec) -> bool:
        """Return whether a verdict on *spec* may take minutes: checks are to be run, or a model to be asked."""
        asks = self._second is not None and self._second.wanted(spec.criteria)
        return bool(checks_of(spec.criteria)) or asks or (self._digests is not None and self._digests.wanted)

    async def unpaid(self, order: WorkOrder) -> float:
        """Return what an opinion on *order* counts for, in US dollars, whose verdict nobody will draw."""
        return await self._second.unpaid(order) if self._second else 0.0

    async def verdict(
        self,
        spec: TaskSpec,
        task_type: TaskType,
        order: WorkOrder,
        outcome: Finished | Failed,
        changes: Changes,
        *,
        area: Area,
        head: str,
        spare: Spare = unlimited,
    ) -> Verdict | None:
        """Return the verdict, None when it was put off because of `hurry`; then nothing of it runs any more.

        *head* is the commit of what was left, "" where nothing was changed or nothing is kept. No check is run where
        the attempt has failed already. *spare* tells what may be spent on an opinion.
        """
        asked = (spec, task_type, order, outcome, changes, area, head)
        examining = asyncio.ensure_future(self._thought_over(*asked, spare))
        self._running[order.mark] = examining
        if order.mark in self._hurried and self.takes_long(spec):
            examining.cancel()
        try:
            return await examining
        except asyncio.CancelledError:
            if not examining.cancelled():
                raise
            return None
        finally:
            del self._running[order.mark]

    async def _thought_over(
        self,
        spec: TaskSpec,
        task_type: TaskType,
        order: WorkOrder,
        outcome: Finished | Failed,
        changes: Changes,
        area: Area,
        head: str,
        spare: Spare,
    ) -> Verdict:
        verdict = await self._examined(spec, task_type, order, outcome, changes, area, head)
        if self._second is not None:
            verdict = await self._second.on(verdict, order, outcome, area=area, head=head, spare=spare)
        if self._digests is not None:
            verdict = await self._digests.on(verdict, spec, order, outcome, area=area, head=head)
        return verdict

    async def _examined(
        self,
        spec: TaskSpec,
        task_type: TaskType,
        order: WorkOrder,
        outcome: Finished | Failed,
        changes: Changes,
        area: Area,
        head: str,
    ) -> Verdict:
        at_a_glance = judge(spec, task_type, outcome, changes)
        if isinstance(outcome, Failed) or (at_a_glance.failure and at_a_glance.failure.kind not in _OPEN):
            return at_a_glance
        changed, restored, unread = await self._looked_at(spec, area, head)
        found = [*changed, *what_was_left(outcome.report, root=area.root), *unread]
        proofs = await self._proofs(order, spec, area, head, found, restored)
        return judge(spec, task_type, outcome, changes, proofs, found)

    async def _looked_at(
        self, spec: TaskSpec, area: Area, head: str
    ) -> tuple[Sequence[Finding], Sequence[str], Sequence[Finding]]:
        """Return the findings in the change, the paths that checks get as on the base, and what could not be read."""
        if not (area.base and head):
            return (), (), ()
        checks, targets = checks_of(spec.criteria), _targets(spec, area)
        try:
            files = await self._commits.changed(area.git_dir, area.base, head)
            paths = await self._commits.paths(area.git_dir, area.base)
        except WorkAreaError as error:
            why = f"{error.message}: nobody knows what it did to its tests"
            return (), (), (Finding(Suspicion.TEST_WEAKENED, "", why),)
        found = await asyncio.to_thread(findings, files, checks=checks, targets=targets)
        protected = set(protected_paths(paths, checks, targets)) & {file.path for file in files}
        return found, sorted(protected), ()

    async def _proofs(
        self,
        order: WorkOrder,
        spec: TaskSpec,
        area: Area,
        head: str,
        found: Sequence[Finding],
        restored: Sequence[str],
    ) -> Sequence[CriterionProof]:
        """A check has to pass on the result as it is and, where it changed what checks it, with that as on the base."""
        as_it_is = await self._prover.prove(order, spec, area, result=head, findings=found)
        if not restored:
            return as_it_is
        guarded = await self._prover.prove(order, spec, area, result=head, findings=found, restored=restored)
        return [_worse(one, other) for one, other in zip(as_it_is, guarded, strict=True)]


def _worse(as_it_is: CriterionProof, guarded: CriterionProof) -> CriterionProof:
    if _WORSE.index(guarded.verdict) <= _WORSE.index(as_it_is.verdict):
        return as_it_is
    return replace(guarded, why=f"{guarded.why} (with the tests and checks as they were on the base)")


def _targets(spec: TaskSpec, area: Area) -> Sequence[str]:
    """Return the target files relative to the top of the repository."""
    inside, targets = PurePath(area.cwd).relative_to(area.root), area.targets or spec.target_files
    whole = [one for one in targets if PurePath(one).is_absolute()]
    paths = [os.path.relpath(inside / one, ".") for one in targets if one not in whole]
    tops = {one: area.root if PurePath(one).is_relative_to(area.root) else area.source for one in whole}
    paths += [os.path.relpath(one, tops[one]) for one in whole]
    return [path for path in paths if not path.startswith("..")]
