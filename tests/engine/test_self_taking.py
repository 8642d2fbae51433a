"""Results that are taken by themselves: once, in turn, proven ones only, over a crash; what is refused is told."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.bridges.git_rig import git, needs_git
from tests.engine.test_taking import Proving, moved
from tests.harness import until

from orchestrator.core.errors import StoreError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.proof import Proof
from orchestrator.engine import self_taking
from orchestrator.engine.bell import Bell
from orchestrator.engine.self_taking import SelfTaking, owed
from orchestrator.engine.taking import Results

pytestmark = needs_git


def event(kind: EventKind, **data: Json) -> Event:
    return Event(kind, 1.0, data=data)


@pytest.mark.parametrize(
    ("events", "left"),
    [
        ([event(EventKind.SUCCEEDED)], []),
        ([event(EventKind.SUCCEEDED, take=["merge", "push"])], ["merge", "push"]),
        ([event(EventKind.SUCCEEDED, take=["merge", "push"]), event(EventKind.TAKEN, how="merge", ok=True)], ["push"]),
        ([event(EventKind.SUCCEEDED, take=["merge"]), event(EventKind.TAKEN, how="merge", ok=False)], []),
        ([event(EventKind.SUCCEEDED, take=["merge"]), event(EventKind.TAKEN, how="discard", ok=True)], []),
    ],
)
def test_what_is_owed_is_said_by_the_events_alone(events: Sequence[Event], left: list[str]) -> None:
    assert owed(events) == left


def taken(results: Results) -> list[Event]:
    return [one for one in results._store._held.events if one.kind is EventKind.TAKEN]  # type: ignore[attr-defined]


async def run(results: Results, count: int) -> list[Event]:
    """Run the part until there are *count* events of taking, then another one from the beginning."""
    for _ in range(2):
        await run_once(results, count)
    return taken(results)


async def run_once(results: Results, count: int) -> None:
    bell, stopping, policy = Bell(), asyncio.Event(), SimpleNamespace(remote="origin")
    part = SelfTaking(store=results._store, bell=bell, results=results, policy=lambda: policy)  # type: ignore[arg-type,return-value]
    running = asyncio.create_task(part.run(stopping))
    await until(lambda: len(taken(results)) >= count and part._seen_seq is not None, what="what is taken by itself")
    stopping.set()
    bell.ring()
    await running


async def test_a_proven_result_is_merged_once_also_by_the_next_daemon(tmp_path: Path) -> None:
    top, _, results = await moved(tmp_path, Proving(Proof.HOLDS), take=["merge"])
    (one,) = await run(results, 1)
    assert one.data == {
        "how": "merge",
        "by": "configuration",
        "ok": True,
        "branch": "main",
        "commit": git(top, "rev-parse", "HEAD"),
    }
    assert (top / "hello.txt").read_text() == "hello\n"
    assert git(top, "log", "--format=%s") == "Say hello\nsecond\nfirst"


async def test_what_is_refused_is_told_once_and_changes_nothing(tmp_path: Path) -> None:
    top, _, results = await moved(tmp_path, Proving(Proof.FAILED), take=["merge", "push"])
    head = git(top, "rev-parse", "HEAD")
    merge, push = await run(results, 2)
    assert (merge.data["ok"], push.data["ok"]) == (False, False)
    assert "on top of it is not proven" in str(merge.data["detail"])
    assert "origin" in str(push.data["detail"])
    assert git(top, "rev-parse", "HEAD") == head


async def test_nothing_is_taken_that_ended_before_it_was_wanted(tmp_path: Path) -> None:
    top, _, results = await moved(tmp_path, Proving(Proof.HOLDS))
    assert await run(results, 0) == []
    assert not (top / "hello.txt").exists()


class BusyStore:
    """A store that refuses the first of each call of *names*, for now; then it is the store itself."""

    def __init__(self, store: object, *names: str) -> None:
        self._store, self._refuses = store, set(names)

    def __getattr__(self, name: str) -> object:
        if name not in self._refuses:
            return getattr(self._store, name)
        self._refuses.discard(name)

        async def refused(*_: object, **__: object) -> object:
            raise StoreError("somebody else keeps the database locked")

        return refused


@pytest.mark.parametrize("name", ["last_seq", "ended_last", "events_of", "commit"])
async def test_a_store_that_refuses_for_now_ends_nothing_and_is_no_refusal_of_the_merge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(self_taking, "LOOK_EVERY_S", 0.01)
    top, _, results = await moved(tmp_path, Proving(Proof.HOLDS), take=["merge"])
    results._store = BusyStore(results._store, name)  # type: ignore[assignment]
    (one,) = await run(results, 1)
    assert one.data["ok"] is True
    assert (top / "hello.txt").read_text() == "hello\n"
