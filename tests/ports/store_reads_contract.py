"""What every Store promises to who reads. A subclass gives the fixture `store`, an empty and open one."""

from dataclasses import replace

import pytest
from tests.ports.sample_tasks import DONE, K, event, go, new, uids

from orchestrator.core.errors import IllegalEventError
from orchestrator.core.events import Event, Json, TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Pause, Store
from orchestrator.core.task import FileStamp, Label, Priority

HELD = Pause("claude", 100.0, "usage_limit", "resets at 15:45")


class StoreReadsContract:
    """Run over every implementation by test_store.py."""

    # ready

    async def test_a_task_that_another_agent_has_taken_over_waits_for_that_one_only(self, store: Store) -> None:
        one, _ = await store.accept([new(1, agent="claude"), new(2, agent="claude")])
        one = await go(store, one, K.STARTED, K.FINISHED, K.VALIDATED)
        (moved,) = await store.commit([event(K.RETRY, one, reason="crash", to_agent="local")])
        assert (moved.agent, moved.on_agent, moved.spec.agent) == ("local", "local", "claude")
        assert (moved.session_id, moved.session_cost_usd) == ("", 0.0)
        assert await store.task(one.uid) == moved
        assert uids(await store.ready(5.0, limit=9, agents=["claude"])) == [1]
        assert uids(await store.ready(5.0, limit=9, agents=["local"])) == [2]
        again = await go(store, moved, K.STARTED)
        assert [record.agent for record in await store.attempts(one.uid)] == ["claude", "local"]
        assert again.agent == "local"

    async def test_ready_is_by_priority_then_age(self, store: Store) -> None:
        order = [Priority.LOW, Priority.MEDIUM, Priority.HIGH, Priority.MEDIUM, Priority.HIGH]
        await store.accept([new(n, priority=priority, agent=f"a{n % 2}") for n, priority in enumerate(order)])
        assert uids(await store.ready(5.0, limit=9)) == [2, 4, 1, 3, 0]
        assert uids(await store.ready(5.0, limit=2)) == [2, 4]
        assert await store.ready(5.0, limit=0) == []

    async def test_only_waiting_tasks_are_ready(self, store: Store) -> None:
        tasks = await store.accept([new(n) for n in range(5)])
        await go(store, tasks[0], K.STARTED)
        await go(store, tasks[1], *DONE)
        await go(store, tasks[2], K.CANCELLED)
        await go(store, tasks[3], K.STARTED, K.LIMITED)
        assert uids(await store.ready(5.0, limit=9)) == [3, 4]

    async def test_a_task_is_not_ready_before_its_time(self, store: Store) -> None:
        await store.accept([new(1, not_before=50.0), new(2)])
        assert uids(await store.ready(49.9, limit=9)) == [2]
        assert uids(await store.ready(50.0, limit=9)) == [1, 2]

    async def test_tasks_of_one_id_wait_for_each_other_in_order_of_acceptance(self, store: Store) -> None:
        one, two, _ = await store.accept(
            [new(1, task_id="same"), new(2, task_id="SAME", priority=Priority.HIGH), new(3)]
        )
        assert uids(await store.ready(5.0, limit=9)) == [1, 3]
        running = await go(store, one, K.STARTED)
        assert uids(await store.ready(5.0, limit=9)) == [3]
        await go(store, running, K.FINISHED, K.FAILED)
        assert uids(await store.ready(5.0, limit=9)) == [2, 3]
        assert (await store.ready(5.0, limit=1))[0].uid == two.uid

    async def test_a_task_waiting_for_its_time_keeps_its_place_before_its_namesakes(self, store: Store) -> None:
        await store.accept([new(1, task_id="same", not_before=50.0), new(2, task_id="same")])
        assert await store.ready(5.0, limit=9) == []

    async def test_a_held_task_is_not_ready_and_keeps_its_place_before_its_namesakes(self, store: Store) -> None:
        one, _, third = await store.accept([new(1, task_id="same"), new(2, task_id="same"), new(3)])
        held = await go(store, one, K.HELD)
        await go(store, third, K.STARTED, K.LIMITED, K.HELD)
        assert await store.ready(5.0, limit=9) == []
        await go(store, held, K.RELEASED)
        assert uids(await store.ready(5.0, limit=9)) == [1]

    async def test_a_released_task_waits_for_no_time(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        running = await go(store, task, K.STARTED)
        (waits,) = await store.commit([event(K.LIMITED, running, not_before=50.0, reason="usage_limit")])
        assert await store.next_wake(5.0) == 50.0
        released = await go(store, waits, K.RELEASED)
        assert (released.state, released.reason, await store.next_wake(5.0)) == (State.QUEUED, "usage_limit", 0.0)
        assert uids(await store.ready(5.0, limit=9)) == [1]

    async def test_tasks_of_held_agents_are_not_ready(self, store: Store) -> None:
        await store.accept([new(1, agent="claude"), new(2), new(3, agent="codex")])
        assert uids(await store.ready(5.0, limit=9, agents=["claude"])) == [2, 3]
        assert uids(await store.ready(5.0, limit=9, agents=["claude", ""])) == [3]
        assert uids(await store.ready(5.0, limit=9, agents=[])) == [1, 2, 3]

    async def test_next_wake_is_the_earliest_time_to_come(self, store: Store) -> None:
        assert await store.next_wake(0.0) == 0.0
        tasks = await store.accept([new(1, not_before=50.0), new(2, not_before=20.0), new(3)])
        assert [await store.next_wake(now) for now in (0.0, 20.0, 50.0)] == [20.0, 50.0, 0.0]
        await go(store, tasks[1], K.CANCELLED)
        assert await store.next_wake(0.0) == 50.0

    # lists

    async def test_find_takes_uid_prefix_id_name_and_file_name(self, store: Store) -> None:
        one, two = await store.accept([new(1, name="Report"), new(0xABC00000, name="other")])
        for key in (one.uid, "id_1", "ID_1", "report", "task_1.task.md"):
            assert await store.find(key) == [one]
        assert await store.find(two.uid[:17]) == [two]
        assert two in await store.find(two.uid[-8:])
        assert await store.find("0000") == [two, one]
        for key in ("", "000", "nothing", "%", "_____"):
            assert await store.find(key) == []

    async def test_find_takes_the_last_eight_digits_of_a_uid_as_messages_show_them(self, store: Store) -> None:
        one, two = await store.accept([new(0x1234ABCD), new(0xABC00000)])
        assert await store.find(one.uid[-8:]) == [one]
        assert await store.find(two.uid[-8:]) == [two]
        assert await store.find(one.uid[-7:]) == []

    async def test_find_returns_the_newest_first(self, store: Store) -> None:
        tasks = await store.accept([new(n, task_id="same") for n in range(3)])
        assert await store.find("same") == list(reversed(tasks))

    async def test_namesakes_are_the_newest_two_that_are_open_and_the_newest_that_succeeded_with_these_bytes(
        self, store: Store
    ) -> None:
        same = await store.accept([new(n, task_id="Same" if n % 2 else "same") for n in range(6)])
        others = await store.accept([new(7), new(8, task_id="same_too"), new(9, task_id="same", rejected=True)])
        for done in same[:2]:
            await go(store, done, *DONE)
        asked = [("SAME", same[0].sha256), ("same", same[1].sha256), ("same", "f" * 64), ("never", same[0].sha256)]
        found = await store.namesakes([*asked, ("id_7", others[0].sha256)])
        assert [uids(tasks) for tasks in found] == [[5, 4, 0], [5, 4, 1], [5, 4], [], [7]]
        assert found[0][0] == same[5]
        assert await store.namesakes([]) == []

    async def test_a_namesake_at_work_or_held_is_open(self, store: Store) -> None:
        tasks = await store.accept([new(n, task_id="same") for n in range(3)])
        await go(store, tasks[2], K.HELD)
        await go(store, tasks[1], K.CANCELLED)
        await go(store, tasks[0], K.STARTED)
        assert [uids(found) for found in await store.namesakes([("same", "")])] == [[2, 0]]

    async def test_labels_say_how_tasks_are_called(self, store: Store) -> None:
        one, two = await store.accept([new(1, name="Report"), new(2, rejected=True)])
        assert await store.labels([one.uid, TaskUid("f" * 32), two.uid]) == {
            one.uid: Label("id_1", "Report"),
            two.uid: Label("id_2", ""),
        }

    async def test_tasks_are_listed_by_state_and_age(self, store: Store) -> None:
        tasks = await store.accept([new(n) for n in range(4)])
        await go(store, tasks[1], K.CANCELLED)
        await go(store, tasks[2], K.STARTED)
        both = [State.QUEUED, State.CANCELLED]
        assert uids(await store.tasks(both, limit=9)) == [0, 1, 3]
        assert uids(await store.tasks([*both, State.QUEUED], limit=2, newest_first=True)) == [3, 1]
        assert await store.tasks([], limit=9) == []

    async def test_counts_name_every_state(self, store: Store) -> None:
        tasks = await store.accept([new(n) for n in range(3)])
        await go(store, tasks[0], K.STARTED)
        assert await store.counts() == {**dict.fromkeys(State, 0), State.QUEUED: 2, State.RUNNING: 1}

    async def test_waiting_files_are_those_of_waiting_and_held_tasks(self, store: Store) -> None:
        tasks = await store.accept([new(1), new(2, file_name=""), new(3), new(4), new(5)])
        await go(store, tasks[4], K.HELD)
        await go(store, tasks[2], K.STARTED)
        await go(store, tasks[3], K.STARTED, K.LIMITED)
        found = sorted(await store.waiting_files())
        assert found == [
            ("task_1.task.md", FileStamp(1, 1, 1), tasks[0].uid, tasks[0].order),
            ("task_4.task.md", FileStamp(4, 4, 4), tasks[3].uid, tasks[3].order),
            ("task_5.task.md", FileStamp(5, 5, 5), tasks[4].uid, tasks[4].order),
        ]

    async def test_unprojected_are_ended_tasks_whose_files_are_not_all_in_place(self, store: Store) -> None:
        tasks = await store.accept([new(1), new(2), new(3, file_name=""), new(4), new(5, rejected=True)])
        for task in tasks[:3]:
            await go(store, task, *DONE)
        assert uids(await store.unprojected(limit=9)) == [1, 2, 3, 5]
        assert uids(await store.unprojected(limit=1)) == [1]
        await go(store, (await store.find(tasks[0].uid))[0], K.ARTIFACTS_WRITTEN)
        await go(store, (await store.find(tasks[1].uid))[0], K.ARTIFACTS_CLEANED, K.ARCHIVED)
        await go(store, (await store.find(tasks[2].uid))[0], K.ARTIFACTS_WRITTEN, K.ARCHIVED)
        await go(store, tasks[4], K.ARCHIVED)
        assert uids(await store.unprojected(limit=9)) == [1]

    async def test_ended_tasks_come_in_pieces_without_what_was_asked(self, store: Store) -> None:
        tasks = await store.accept([new(n) for n in range(1, 5)] + [new(5, rejected=True)])
        await go(store, tasks[0], *DONE, ts=10.0)
        await go(store, await go(store, tasks[2], *DONE, ts=20.0), K.ARTIFACTS_WRITTEN, K.ARTIFACTS_CLEANED, ts=20.0)
        await go(store, tasks[3], K.STARTED, ts=20.0)
        first = await store.ended(limit=2)
        rest = await store.ended(after=first[-1].order, limit=2)
        assert [(one.order, one.uid, one.name) for one in (*first, *rest)] == [
            (task.order, task.uid, task.name) for task in (tasks[0], tasks[2], tasks[4])
        ]
        assert [(one.ended_ts, one.artifacts, one.cleaned) for one in first] == [
            (10.0, False, False),
            (20.0, True, True),
        ]
        assert [one.uid for one in await store.ended(before_ts=20.0, limit=9)] == [tasks[0].uid, tasks[4].uid]

    async def test_what_ended_last_comes_first_whenever_it_was_accepted(self, store: Store) -> None:
        tasks = await store.accept([new(n) for n in range(1, 5)])
        for task, ts in ((tasks[2], 10.0), (tasks[0], 20.0), (tasks[1], 20.0)):
            await go(store, task, *DONE, ts=ts)
        assert uids(await store.ended_last(limit=9)) == [2, 1, 3]
        assert uids(await store.ended_last(limit=1)) == [2]

    # events

    async def test_events_are_read_from_where_one_left_off(self, store: Store) -> None:
        await store.accept([new(n) for n in range(3)])
        assert [e.seq for e in await store.events_after(2, limit=3)] == [3, 4, 5]
        assert await store.events_after(6, limit=3) == []

    async def test_the_last_events_of_a_task_come_oldest_first(self, store: Store) -> None:
        (task, _) = await store.accept([new(1), new(2)])
        await go(store, task, K.STARTED)
        assert [e.kind for e in await store.events_of(task.uid, limit=2)] == [K.PARSED, K.STARTED]
        assert await store.events_of(task.uid, limit=0) == []
        assert await store.events_of(TaskUid(""), limit=9) == []

    async def test_the_data_of_an_event_comes_back_as_it_was(self, store: Store) -> None:
        data: dict[str, Json] = {"text": "\udce9\x00€", "n": 2**70, "f": 0.1, "deep": {"l": [None, True, {}]}}
        await store.commit([Event(K.WARNING, 1.25, data=data)])
        assert [e.data for e in await store.events_after(0, limit=1)] == [data]

    async def test_data_that_is_too_large_is_cut_and_says_so(self, store: Store) -> None:
        await store.commit([Event(K.WARNING, 1.0, data={"text": "x" * 10**6, "code": 7})])
        (kept,) = await store.events_after(0, limit=1)
        assert (kept.data["code"], kept.data["truncated"]) == (7, True)

    async def test_the_verdict_can_be_read_from_the_events(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        checking = await go(store, task, K.STARTED, K.FINISHED)
        await store.commit([event(K.VALIDATED, checking, verdict="passed")])
        assert (await store.events_of(task.uid, limit=1))[0].data == {"verdict": "passed"}

    # changed

    async def test_every_write_is_seen_once(self, store: Store) -> None:
        await store.changed()
        assert not await store.changed()
        (task,) = await store.accept([new(1)])
        assert await store.changed()
        assert not await store.changed()
        await go(store, task, K.STARTED)
        assert await store.changed()
        await store.pause(HELD, Event(K.AGENT_HELD, 1.0))
        assert await store.changed()
        assert not await store.changed()

    async def test_who_has_not_looked_yet_has_something_to_see(self, store: Store) -> None:
        assert await store.changed()

    # pauses

    async def test_an_agent_is_held_and_released_with_the_event(self, store: Store) -> None:
        await store.pause(HELD, Event(K.AGENT_HELD, 1.0, data={"agent": "claude"}))
        everything = Pause("*", 0.0, "person", "")
        await store.pause(everything, Event(K.AGENT_HELD, 2.0))
        assert await store.pauses() == [everything, HELD]
        await store.release("claude", Event(K.AGENT_RELEASED, 3.0))
        assert await store.pauses() == [everything]
        assert [e.kind for e in await store.events_after(0, limit=9)] == [K.AGENT_HELD, K.AGENT_HELD, K.AGENT_RELEASED]

    async def test_a_hold_is_made_longer_and_never_shorter(self, store: Store) -> None:
        for ts, until, stays in (
            (1.0, 100.0, 100.0),
            (2.0, 200.0, 200.0),
            (3.0, 150.0, 200.0),
            (4.0, 0.0, 0.0),
            (5.0, 9e9, 0.0),
        ):
            await store.pause(replace(HELD, until=until), Event(K.AGENT_HELD, ts))
            assert await store.pauses() == [replace(HELD, until=stays)]
        assert [event.ts for event in await store.events_after(0, limit=9)] == [1.0, 2.0, 4.0]

    async def test_a_hold_whose_event_is_refused_is_no_hold(self, store: Store) -> None:
        (task,) = await store.accept([new(1)])
        with pytest.raises(IllegalEventError):
            await store.pause(HELD, event(K.FINISHED, task))
        assert await store.pauses() == []
