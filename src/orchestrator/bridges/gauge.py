"""Whether an attempt still does anything, and whether it uses more than it may: looked at while it runs.

Processes are counted; their memory is summed where no control group limits it. Where one limits the number of threads,
which stops a fork bomb at once, the kernel is asked whether it had to.
"""

import os
import resource

from orchestrator.bridges import proctable, tree
from orchestrator.bridges.leaf import Leaf
from orchestrator.bridges.order import Order

IDLE_SHARE = 0.005  # of one processor: what the timers of a program that waits for nothing may use
COUNT_EVERY_S = 2.0
PAGE, TICKS = resource.getpagesize(), os.sysconf("SC_CLK_TCK")


class Gauge:
    """Of one attempt. Call `breach` now and then with the time of a clock that never jumps."""

    def __init__(self, order: Order, leaf: Leaf | None, now: float) -> None:
        self.order, self.leaf = order, leaf
        held = leaf.controllers if leaf else set()
        self.counts = bool(order.max_processes)
        self.sums = bool(order.memory_bytes) and "memory" not in held
        self.sample_s = min(30.0, order.stall_s / 30)
        self.sampled = self.counted = self.busy = now
        self.output, self.cpu_s, self.threads = 0, 0.0, 0

    def breach(self, now: float) -> tuple[str, str] | None:
        """Return (reason, detail) when the attempt has to be ended, else None."""
        if self.leaf and self.leaf.refused():
            return self._too_many("the kernel refused it more")
        counting = (self.counts or self.sums) and self._is_due(now)
        sampling = self.order.stall_s > 0 and now - self.sampled >= self.sample_s
        if not counting and not sampling:
            return None
        seen = tree.look()
        mine = tree.below(os.getpid(), seen) | ((self.leaf.members() & set(seen)) if self.leaf else set())
        if counting and (found := self._count(now, seen, mine)):
            return found
        return self._sample(now, seen, mine) if sampling else None

    def _is_due(self, now: float) -> bool:
        """The number of all threads costs one read; when it has grown a lot, ours are looked at without delay."""
        fields = proctable.read_proc("/proc/loadavg").split()
        threads = int(fields[3].partition(b"/")[2]) if len(fields) > 3 else 0
        return now - self.counted >= COUNT_EVERY_S or threads > self.threads + max(16, self.order.max_processes // 4)

    def _count(self, now: float, seen: tree.Look, mine: set[int]) -> tuple[str, str] | None:
        fields = proctable.read_proc("/proc/loadavg").split()
        self.threads = int(fields[3].partition(b"/")[2]) if len(fields) > 3 else 0
        self.counted = now
        if self.counts and len(mine) > self.order.max_processes:
            return self._too_many(f"{len(mine)} at once")
        size = PAGE * sum(seen[pid].rss for pid in mine)
        if self.sums and size > self.order.memory_bytes:
            return "too_much_memory", f"memory limit: {size} bytes, {self.order.memory_bytes} allowed"
        return None

    def _too_many(self, how: str) -> tuple[str, str]:
        return "too_many_processes", f"{how}, {self.order.max_processes} processes allowed"

    def _sample(self, now: float, seen: tree.Look, mine: set[int]) -> tuple[str, str] | None:
        """What ends between two looks takes its use along: a sum that differs either way is a sign of life."""
        cpu_s = sum(seen[pid].cpu for pid in mine) / TICKS
        output = os.fstat(1).st_size + os.fstat(2).st_size
        if output != self.output or abs(cpu_s - self.cpu_s) > IDLE_SHARE * (now - self.sampled):
            self.busy = now
        self.sampled, self.output, self.cpu_s = now, output, cpu_s
        if now - self.busy < self.order.stall_s:
            return None
        return "stalled", f"no output and no work in any of its processes for {now - self.busy:.0f} s"
