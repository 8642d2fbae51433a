"""How much one person may ask of a door: so many at once, so many in a time."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Allowance:
    """*most* requests within *within_s* seconds."""

    most: int
    within_s: float


@dataclass
class Buckets:
    """Counts what each person asked for. Not shared between processes, and forgotten when the daemon ends."""

    allowances: tuple[Allowance, ...]
    most_people: int = 1000
    _asked: dict[int, list[float]] = field(default_factory=dict)

    def wait_s(self, person: int, now: float) -> float:
        """Count one request at *now* (seconds, monotonic) and return 0.0; or return how long to wait, counting none."""
        longest = max(one.within_s for one in self.allowances)
        times = [ts for ts in self._asked.get(person, ()) if now - ts < longest]
        wait = 0.0
        for one in self.allowances:
            recent = [ts for ts in times if now - ts < one.within_s]
            if len(recent) >= one.most:
                wait = max(wait, recent[len(recent) - one.most] + one.within_s - now)
        if wait:
            self._asked[person] = times
            return wait
        if person not in self._asked and len(self._asked) >= self.most_people:
            del self._asked[next(iter(self._asked))]
        self._asked[person] = [*times, now]
        return 0.0
