"""Runs checks until a given time and no longer: what was not run or did not end by then has no answer.

What belongs to nobody's task yet must not take the evening: `check tasks/` runs many of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestrator.bridges.check_runner import CheckConfig, ConfinedChecks
from orchestrator.core.lint import never_run
from orchestrator.core.proof import CheckRun, CheckSpec

LEAST_S = 0.5  # with less time left nothing is begun


class TimedChecks:
    """Implements the port `CheckRunner`. *monotonic* in seconds; nothing is begun or goes on after *ends*."""

    def __init__(self, config: CheckConfig, *, monotonic: Callable[[], float], ends: float) -> None:
        self._config = config
        self._monotonic = monotonic
        self._ends = ends

    async def run(self, checks: Sequence[CheckSpec], folder: str, *, inside: str, commit: str) -> Sequence[CheckRun]:
        runs: list[CheckRun] = []
        setup = self._config.setup
        for check in checks:
            left = self._ends - self._monotonic()
            if left < LEAST_S and check.argv:
                runs.append(never_run("no time was left for it", commit))
                continue
            limit = min(self._config.timeout_s, left) if check.argv else self._config.timeout_s
            config = replace(self._config, timeout_s=limit, setup=setup if check.argv else ())
            (run,) = await ConfinedChecks(lambda config=config: config).run(  # type: ignore[misc]
                [check], folder, inside=inside, commit=commit
            )
            runs.append(self._told(run, limit))
            if check.argv and not run.detail.startswith("the set-up"):
                setup = ()  # once for a checkout
        return runs

    def _told(self, run: CheckRun, limit: float) -> CheckRun:
        """It was us who ended what was not given its own time: that is no answer of the check."""
        if limit < self._config.timeout_s and run.duration_s >= limit:
            return never_run(f"it did not end within the {limit:.0f} s that were left", run.commit)
        return run
