"""Tasks with a work area of their own, and the same with a plain worktree, in turn, on one repository.

`python -m benchmarks.isolation_side FOLDER FILES FILE_BYTES ROUNDS` makes the repository and prints, as JSON, `ours`
and `plain`: by step the samples, in seconds and for `disk` in MB, of the same rounds in the same order.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from benchmarks.isolation import DELIVER, DISK, KEEP, PREPARE, PROVE
from benchmarks.repository import ENV, edit, git, make, remove, size_of
from orchestrator.bridges.check_runner import CheckConfig, ConfinedChecks
from orchestrator.bridges.git import Git
from orchestrator.bridges.git_clone import Equipment
from orchestrator.bridges.git_commits import GitCommits
from orchestrator.bridges.isolation import AUTO, IsolatedWorkspace, IsolationRules
from orchestrator.bridges.workspace import InPlaceWorkspace
from orchestrator.core.attempt import WorkOrder
from orchestrator.core.events import TaskUid
from orchestrator.core.proof import CheckKind, CheckSpec, Proof
from orchestrator.core.task import Criterion, Priority, TaskSpec
from orchestrator.core.work import CommitWords
from orchestrator.engine.proof import Prover

CHECK = CheckSpec(CheckKind.COMMAND, ("true",))
SPEC = TaskSpec("hello", "fix", Priority.MEDIUM, "Hello", "Do it.", criteria=(Criterion("holds: `true`", check=CHECK),))
Samples = dict[str, list[float]]
T = TypeVar("T")


class Ours:
    """A task as the daemon does it, by its own bridges, without an agent."""

    def __init__(self, place: Path, source: Path) -> None:
        self._source, self._state, self._allowed = source, place / "root" / ".orchestrator", place
        tmp = self._state / "tmp"
        tmp.mkdir(parents=True)
        tools = Git(ENV["PATH"])
        rules = IsolationRules(AUTO, "orchestrator/{name}", Equipment("Orchestrator <orchestrator@localhost>"))
        in_place = InPlaceWorkspace(base_cwd=lambda: place, own=frozenset({self._state}))
        self._space = IsolatedWorkspace(in_place, state=self._state, git=tools, rules=lambda: rules)
        checks = ConfinedChecks(lambda: CheckConfig({"PATH": ENV["PATH"]}, str(tmp)))
        self._prover = Prover(runner=checks, checkouts=GitCommits(tools, tmp))

    async def task(self, turn: int, files: int) -> dict[str, float]:
        """Return what each step took."""
        uid = TaskUid(f"{turn:032x}")
        attempt = str(self._state / "attempts" / f"{uid}.1")
        order = WorkOrder(uid, 1, 1, "hello", "claude", "Do it.", str(self._source), "s", attempt, (), name=f"t{turn}")
        before = _written(self._source / ".git", self._state)
        prepare, area = await _timed(lambda: self._space.prepare(order, str(self._allowed), fresh=True))
        edit(Path(area.root), files, turn)

        async def kept() -> None:
            await self._space.keep(order)
            await self._space.changes(order)

        keep, _ = await _timed(kept)
        deliver, delivery = await _timed(lambda: self._space.deliver(order, CommitWords("Hello")))
        assert delivery is not None, "there is an area"
        disk = _written(self._source / ".git", self._state) - before
        prove, proofs = await _timed(lambda: self._prover.prove(order, SPEC, area, result=delivery.head))
        if not delivery.delivered or [one.verdict for one in proofs] != [Proof.HOLDS]:
            raise SystemExit(f"the task failed: {delivery.notes} {proofs}")
        remove(self._state / "work" / uid)
        return {PREPARE: prepare, KEEP: keep, DELIVER: deliver, PROVE: prove, DISK: disk / 1e6}


class Plain:
    """The same by hand: a worktree, a commit on its branch, and two more worktrees for the check."""

    def __init__(self, place: Path, source: Path) -> None:
        self._place, self._source = place / "plain", source
        self._place.mkdir()

    async def task(self, turn: int, files: int) -> dict[str, float]:
        """Return what each step took."""
        where = self._place / f"t{turn}"
        before = _written(self._source / ".git", self._place)

        async def prepared() -> None:
            git(self._source, "worktree", "add", "-q", "-b", f"plain/t{turn}", str(where), "main")

        async def committed() -> None:
            git(where, "add", "-A")
            git(where, "commit", "-q", "-m", "Hello")

        async def proven() -> None:
            for commit in ("main", f"plain/t{turn}"):
                there = self._place / "check"
                git(self._source, "worktree", "add", "-q", "--detach", str(there), commit)
                child = await asyncio.create_subprocess_exec("true", cwd=there)  # noqa: TID251 - the reference
                await child.wait()
                git(self._source, "worktree", "remove", "--force", str(there))

        prepare, _ = await _timed(prepared)
        edit(where, files, turn)
        deliver, _ = await _timed(committed)
        disk = _written(self._source / ".git", self._place) - before
        prove, _ = await _timed(proven)
        git(self._source, "worktree", "remove", "--force", str(where))
        return {PREPARE: prepare, DELIVER: deliver, PROVE: prove, DISK: disk / 1e6}


async def run(place: Path, files: int, file_bytes: int, rounds: int) -> dict[str, Samples]:
    """Return what is printed. The round before the first, which fills the caches, does not count."""
    place = Path(os.path.realpath(place))
    source = make(place / "repository", files, file_bytes)
    ways = {"ours": Ours(place, source), "plain": Plain(place, source)}
    found: dict[str, Samples] = {name: {} for name in ways}
    for turn in range(rounds + 1):
        for name in ways if turn % 2 else reversed(ways):
            for step, value in (await ways[name].task(turn, files)).items():
                if turn:
                    found[name].setdefault(step, []).append(value)
    return found


async def _timed(act: Callable[[], Awaitable[T]]) -> tuple[float, T]:
    """Return the seconds that *act* took, begun when all that was written before is on the disk, as after an agent."""
    os.sync()
    began = time.monotonic()
    done = await act()
    return time.monotonic() - began, done


def _written(*folders: Path) -> int:
    return sum(map(size_of, folders))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(Path(sys.argv[1]), *map(int, sys.argv[2:5])))))
