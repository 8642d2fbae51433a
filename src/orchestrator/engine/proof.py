"""Proving: runs the checks of a task on the commit it began from and on what came of it, and draws the verdicts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from orchestrator.core.attempt import WorkOrder
from orchestrator.core.errors import WorkAreaError
from orchestrator.core.events import TaskUid
from orchestrator.core.ports import Checkouts, CheckRunner
from orchestrator.core.proof import CheckRun, CheckSpec, CriterionProof, Finding
from orchestrator.core.task import TaskSpec
from orchestrator.core.work import Area
from orchestrator.validation.proof import Runs, checks_of, proofs_of

REMEMBERED = 256  # tasks whose runs on the base are kept for their next round

NO_BASE = "there is no commit that it began from, so nobody knows whether it did before"


@dataclass(slots=True)
class _Base:
    """What is known of one base commit for one task. The lock lets two who ask at once run it once."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    runs: dict[CheckSpec, CheckRun] = field(default_factory=dict)


class Prover:
    """Remembers the runs on a base until `forget`, or until the daemon ends: they are run again then, at no harm."""

    def __init__(self, *, runner: CheckRunner, checkouts: Checkouts) -> None:
        self._runner = runner
        self._checkouts = checkouts
        self._bases: dict[tuple[TaskUid, str], _Base] = {}

    async def prove(
        self,
        order: WorkOrder,
        spec: TaskSpec,
        area: Area,
        *,
        result: str,
        findings: Sequence[Finding] = (),
        restored: Sequence[str] = (),
    ) -> tuple[CriterionProof, ...]:
        """Return what is known of each criterion of *spec*, in order.

        *result* is the commit that came of the attempt, "" where nothing was changed; an area without a base is
        checked where it lies. *restored* are the paths that the checks get as they are on the base, relative to the top
        of the repository. Never raises for what a check or a checkout lacks: such a check gives no answer.
        """
        checks = checks_of(spec.criteria)
        if not checks:
            return proofs_of(spec.criteria, base={}, result={}, findings=findings)
        if not area.base:
            runs = await self._run(checks, area, "", in_place=True)
            return proofs_of(spec.criteria, base={}, result=runs, findings=findings, no_base=NO_BASE)
        before = await self.base_runs(order.uid, spec, area)
        after = before
        if result not in ("", area.base):
            after = await self._run(checks, area, result, restored=restored)
        return proofs_of(spec.criteria, base=before, result=after, findings=findings)

    async def base_runs(self, uid: TaskUid, spec: TaskSpec, area: Area) -> Runs:
        """Return how the checks of *spec* run on the base of *area*; one that gave an answer is run once for a task.

        May be called as soon as the area is ready, beside the agent.
        """
        base = self._base(uid, area.base)
        async with base.lock:
            missing = [check for check in checks_of(spec.criteria) if check not in base.runs]
            fresh = await self._run(missing, area, area.base) if missing else {}
            base.runs.update({check: run for check, run in fresh.items() if run.passed is not None})
            return {**base.runs, **fresh}

    def forget(self, uid: TaskUid) -> None:
        """Forget the runs of a task that has ended."""
        for key in [key for key in self._bases if key[0] == uid]:
            del self._bases[key]

    def _base(self, uid: TaskUid, commit: str) -> _Base:
        base = self._bases.pop((uid, commit), None) or _Base()
        self._bases[uid, commit] = base  # used last, forgotten last
        while len(self._bases) > REMEMBERED:
            del self._bases[next(iter(self._bases))]
        return base

    async def _run(
        self,
        checks: Sequence[CheckSpec],
        area: Area,
        commit: str,
        *,
        restored: Sequence[str] = (),
        in_place: bool = False,
    ) -> dict[CheckSpec, CheckRun]:
        inside = PurePath(area.cwd).relative_to(area.root).as_posix()
        inside = "" if inside == "." else inside
        try:
            async with self._folder(area, commit, restored) as folder:
                runs = await self._runner.run(checks, folder, inside=inside, commit=commit)
        except (OSError, WorkAreaError) as error:
            why = error.message if isinstance(error, WorkAreaError) else error.strerror or str(error)
            lost = CheckRun(passed=None, commit=commit, detail=f"there is no clean checkout of it: {why}")
            return dict.fromkeys(checks, lost)
        if in_place:
            runs = [replace(run, confinement=f"{run.confinement}, in the work area itself") for run in runs]
        return dict(zip(checks, runs, strict=True))

    @asynccontextmanager
    async def _folder(self, area: Area, commit: str, restored: Sequence[str]) -> AsyncIterator[str]:
        if not commit:
            yield area.root
            return
        checkout = self._checkouts.checkout(area.git_dir, commit, base=area.base, restored=restored, beside=area.source)
        async with checkout as folder:
            yield folder
