"""Makes the runs of schedules when their times come, and ends what has passed its deadline.

A run and the event that tells of it are stored together, with the next time: so a crash neither loses a run nor makes
it twice. When something is due is asked of the store; nothing is remembered here.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from orchestrator.core.attempt import FailureKind
from orchestrator.core.errors import IllegalEventError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.lifecycle import ACTIVE, PENDING, State
from orchestrator.core.moment import is_relative, moment_of
from orchestrator.core.policy import RunPolicy
from orchestrator.core.ports import Clock, NewTask, Store
from orchestrator.core.schedule import Firing, Missed, fires, next_time
from orchestrator.core.task import Task
from orchestrator.core.zones import shown
from orchestrator.engine.bell import Bell
from orchestrator.engine.clockwatch import ClockWatch
from orchestrator.engine.patience import patiently
from orchestrator.engine.times import NEVER, run_of, zone_of

log = logging.getLogger(__name__)

LOOK_AT_LEAST_EVERY_S = 5.0
AT_ONCE = 200  # templates and tasks that one look acts on
LOOKED_BACK = 500  # events of a template
COALESCED, MISSED = "coalesced", "missed"  # why a time got no run of its own


@dataclass(frozen=True, slots=True)
class _Told:
    """What the events of a template say: the times that were acted on, and the run that was made last."""

    times: frozenset[float]
    run: TaskUid


class Scheduling:
    """A part of the daemon, run until it is told to stop."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        bell: Bell,
        policy: Callable[[], RunPolicy],
        clockwatch: ClockWatch | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._bell = bell
        self._policy = policy
        self._clockwatch = clockwatch
        self._clock_was_set = False
        if clockwatch is not None:
            clockwatch.on_jump.append(self._notice)

    def _notice(self) -> None:
        self._clock_was_set = True
        self._bell.ring()

    async def run(self, stopping: asyncio.Event) -> None:
        """Act on what is due until *stopping*. Raises StoreError when nothing can be stored ever again."""
        while not stopping.is_set():
            seen = self._bell.count
            wait_s = await patiently(self._clock, self.look)
            ring = asyncio.ensure_future(self._bell.wait(seen, wait_s))
            stop = asyncio.ensure_future(stopping.wait())
            try:
                await asyncio.wait({ring, stop}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ring.cancel()
                stop.cancel()

    async def look(self) -> float:
        """Act on all that is due now. Returns the seconds after which to look again, unless something happens."""
        if self._clockwatch is not None:
            await self._clockwatch.look()  # before anything comes by a clock that was set a moment ago
        if self._clock_was_set:
            self._clock_was_set = False
            await self._reckon_again()
        now = self._clock.now()
        if 0.0 < await self._store.next_due() <= now:
            await self._expire(now)
            await self._fire(now)
        wait_s = await self._store.next_due() - now
        return min(LOOK_AT_LEAST_EVERY_S, wait_s) if wait_s > 0 else LOOK_AT_LEAST_EVERY_S

    async def _expire(self, now: float) -> None:
        """End what waits beyond its deadline; what runs has its time cut to it."""
        for task in await self._store.overdue(now, limit=AT_ONCE):
            if task.state in ACTIVE:
                continue
            before = f"; the last try: {task.reason}" if task.attempt and task.reason else ""
            done = "done" if task.attempt else "started"
            detail = f"its deadline, {shown(task.deadline_ts, zone_of(task.spec))}, came before it was {done}{before}"
            data: dict[str, Json] = {"reason": FailureKind.DEADLINE.value, "detail": detail}
            with suppress(IllegalEventError):  # it moved on this very moment
                await self._store.commit([_event(EventKind.FAILED, task, now, data)])
                self._bell.ring()

    async def _fire(self, now: float) -> None:
        for template in await self._store.due(now, limit=AT_ONCE):
            with suppress(IllegalEventError):  # edited, held or removed this very moment
                await self._fire_one(template, now)
                self._bell.ring()

    async def _fire_one(self, template: Task, now: float) -> None:
        spec, rules = template.spec, self._policy().schedules
        told = await self._told(template)
        words = (spec.schedule, zone_of(spec))
        firing = fires(*words, due=template.not_before, now=now, rules=rules, done=told.times)
        waits = rules.missed is not Missed.RUN_ALL and await self._waits_still(told.run)
        runs = [] if waits or not firing.run else await self._runs(template, firing.run, now)
        uid = runs[-1].task.uid if runs else told.run
        data = _facts(firing, runs, waiting=uid if waits else "")
        data |= {"run": uid, "not_before": firing.next or NEVER}
        await self._store.fire(_event(EventKind.FIRED, template, now, data), runs)
        if firing.passed_over:
            log.info("%s: %d times of its schedule passed and get no run", spec.id, firing.passed_over)

    async def _runs(self, template: Task, times: Sequence[float], now: float) -> Sequence[NewTask]:
        body = await self._store.body(template.uid)
        made = []
        for time in times:
            new = Task(self._clock.new_uid(), "", template.spec, template.sha256, now)
            made.append(run_of(template, body, time, task=new, now=now))
        return made

    async def _told(self, template: Task) -> _Told:
        events = await self._store.events_of(template.uid, limit=LOOKED_BACK)
        fired = [event.data for event in events if event.kind is EventKind.FIRED]
        times = frozenset(time for data in fired for time in _numbers(data.get("times")))
        return _Told(times, TaskUid(str(fired[-1].get("run", ""))) if fired else TaskUid(""))

    async def _waits_still(self, uid: TaskUid) -> bool:
        """Return whether the former run has neither ended nor is at work: a second one would do the same."""
        run = await self._store.task(uid) if uid else None
        return run is not None and run.state in PENDING

    async def _reckon_again(self) -> None:
        """The clock was set: templates wait for their next time by it as it is now, but for none that came already."""
        now = self._clock.now()
        for template in await self._store.tasks([State.SCHEDULED], limit=1_000_000):
            if template.not_before <= now:
                continue  # due: the same look decides on it
            told, spec, zone = await self._told(template), template.spec, zone_of(template.spec)
            begins = now
            if spec.after and not told.times:
                if is_relative(spec.after):
                    continue
                begins = max(now, moment_of(spec.after, now=now, zone=zone) - 1)
            first = next_time(spec.schedule, zone, begins, but=told.times) or NEVER
            if first != template.not_before:
                data: dict[str, Json] = {"not_before": first, "reason": "clock_jumped"}
                with suppress(IllegalEventError):
                    await self._store.commit([_event(EventKind.RESCHEDULED, template, now, data)])


def _facts(firing: Firing, runs: Sequence[NewTask], *, waiting: str) -> dict[str, Json]:
    """Return what schedule_fired says: the times acted on, the runs made, and why there is none or how many there were
    that got none."""
    made: dict[str, Json] = {
        "times": list(firing.run),
        "runs": [new.task.uid for new in runs],
        "passed_over": firing.passed_over,
        "late_s": round(firing.late_s, 1),
    }
    if not firing.run:
        return made | {"reason": MISSED, "detail": f"{_times(firing.passed_over)} passed and got no run"}
    if waiting:
        return made | {"reason": COALESCED, "detail": f"the run before, {waiting[-8:]}, waits still: no second one"}
    names = ", ".join(new.task.name for new in runs)
    over = f"; {_times(firing.passed_over)} before it got no run" if firing.passed_over else ""
    return made | {"detail": f"{names}{over}"}


def _times(number: int) -> str:
    return "1 time" if number == 1 else f"{number} times"


def _numbers(value: Json) -> list[float]:
    found = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [float(one) for one in found if isinstance(one, (int, float)) and not isinstance(one, bool)]


def _event(kind: EventKind, task: Task, now: float, data: dict[str, Json]) -> Event:
    return Event(kind, now, task.uid, task.attempt, task.epoch, data)
