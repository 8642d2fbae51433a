"""The pool played through on paper: when does the last task of a batch end? Pure, and fast: all tasks are numbers."""

import heapq
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

Windows = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Pool:
    """What a batch runs on. *places* narrows single agents; *held* keeps one from starting anything until a time.

    Nothing starts in *rests*, and in *stops* nothing runs either: what does is interrupted, and goes on afterwards.
    Both are spans of seconds since the epoch, in order and apart from one another.
    """

    slots: int
    begins: float
    places: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, float] = field(default_factory=dict)
    rests: Windows = ()
    stops: Windows = ()

    def opens(self, ts: float) -> float:
        """Return the first time, not before *ts*, at which something may start."""
        before = -1.0
        while ts != before:
            before = ts
            ts = _after(self.stops, _after(self.rests, ts))
        return ts

    def ends(self, ts: float, seconds: float) -> float:
        """Return when work of so many *seconds* has ended that begins at *ts*."""
        for begins, ends in self.stops[bisect_right(self.stops, (ts, inf)) :]:
            if ts + seconds <= begins:
                break
            seconds, ts = seconds - (begins - ts), ends
        return ts + seconds


def _after(windows: Windows, ts: float) -> float:
    """Return the end of the window that *ts* lies in, else *ts*."""
    n = bisect_right(windows, (ts, inf)) - 1
    return windows[n][1] if n >= 0 and ts < windows[n][1] else ts


@dataclass(frozen=True, slots=True)
class Shape:
    """A batch as numbers: task n is the n-th to be started of all that may. *waits* counts what each comes after,
    *followers* are those that come after it, *agents* numbers into *names*, *locks* what it holds alone."""

    source: Sequence[int]
    waits: Sequence[int]
    followers: Sequence[Sequence[int]]
    agents: Sequence[int]
    names: Sequence[str]
    places: Sequence[int]
    locks: Sequence[Sequence[str]]

    @staticmethod
    def of(
        order: Sequence[int],
        needs: Sequence[Sequence[int]],
        agents: Sequence[str],
        locks: Sequence[Sequence[str]],
        pool: Pool,
    ) -> "Shape":
        """Return the shape of tasks that are given by their numbers in a batch; *order* is that of their starts."""
        place = {n: at for at, n in enumerate(order)}
        followers: list[list[int]] = [[] for _ in order]
        for n, each in enumerate(needs):
            for need in each:
                followers[place[need]].append(place[n])
        names = sorted(set(agents))
        number = {name: at for at, name in enumerate(names)}
        return Shape(
            source=order,
            waits=[len(needs[n]) for n in order],
            followers=followers,
            agents=[number[agents[n]] for n in order],
            names=names,
            places=[pool.places.get(name, 0) or pool.slots for name in names],
            locks=[tuple(dict.fromkeys(locks[n])) for n in order],
        )


def simulate(shape: Shape, seconds: Sequence[float], pool: Pool) -> float:
    """Return how many seconds after its begin the batch has ended, task n of it taking ``seconds[n]``.

    A task starts when what it comes after has ended, a slot and a place of its agent are free, nobody holds its locks
    and something may start at all. Of those that may, the first in order does. Tasks of a circle never start.
    """
    return _Play(shape, [seconds[n] for n in shape.source], pool).run()


class _Play:
    """One round, open while it is played."""

    def __init__(self, shape: Shape, seconds: Sequence[float], pool: Pool) -> None:
        self._shape, self._seconds, self._pool = shape, seconds, pool
        self._waits = list(shape.waits)
        self._places = list(shape.places)
        self._free = pool.slots
        self._now = pool.begins
        self._held = [pool.held.get(name, 0.0) for name in shape.names]
        self._ready: list[list[int]] = [[] for _ in shape.names]
        self._running: list[tuple[float, int]] = []
        self._locked: set[str] = set()
        self._behind: dict[str, list[int]] = defaultdict(list)
        for n, waits in enumerate(shape.waits):
            if not waits:
                self._ready[shape.agents[n]].append(n)  # in order, and so a heap

    def run(self) -> float:
        last = self._now
        while True:
            wake = self._start()
            if self._running and self._running[0][0] <= wake:
                self._now, done = heapq.heappop(self._running)
                last = self._now
                self._end(done)
            elif wake < inf:
                self._now = wake
            else:
                return last - self._pool.begins

    def _start(self) -> float:
        """Start what may start now. Returns when something may start though nothing ends; infinity: never."""
        if not self._free or not any(self._ready):
            return inf
        opens = self._pool.opens(self._now)
        if opens > self._now:
            return opens
        while self._free and (agent := self._next()) >= 0:
            n = heapq.heappop(self._ready[agent])
            if locked := next((lock for lock in self._shape.locks[n] if lock in self._locked), ""):
                self._behind[locked].append(n)
                continue
            self._locked.update(self._shape.locks[n])
            self._free -= 1
            self._places[agent] -= 1
            heapq.heappush(self._running, (self._pool.ends(self._now, self._seconds[n]), n))
        later = [held for held, ready in zip(self._held, self._ready, strict=True) if ready and held > self._now]
        return min(later, default=inf) if self._free else inf

    def _next(self) -> int:
        """Return the agent of the task that starts next, -1 for none."""
        best, found = -1, -1
        for agent, ready in enumerate(self._ready):
            if ready and self._places[agent] and self._held[agent] <= self._now and (found < 0 or ready[0] < best):
                best, found = ready[0], agent
        return found

    def _end(self, n: int) -> None:
        agent = self._shape.agents[n]
        self._free += 1
        self._places[agent] += 1
        for lock in self._shape.locks[n]:
            self._locked.discard(lock)
            for waiting in self._behind.pop(lock, ()):
                heapq.heappush(self._ready[self._shape.agents[waiting]], waiting)
        for follower in self._shape.followers[n]:
            self._waits[follower] -= 1
            if not self._waits[follower]:
                heapq.heappush(self._ready[self._shape.agents[follower]], follower)
