"""The pool on real bridges: bounds, order, retries, holds, cancellation, stop."""

import asyncio
import errno
import json
from dataclasses import replace

import pytest
from tests.agents import FakeAgent
from tests.harness import until
from tests.rig import Engine, Open

from orchestrator.core.attempt import AgentReport, Failed, FailureKind, Interrupted, Outcome, Usage, WorkOrder
from orchestrator.core.errors import ConflictError
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Say
from orchestrator.core.retry import POLICIES
from orchestrator.core.task import Criterion, Priority
from orchestrator.engine.daemon import Signals


def _failed(kind: FailureKind, resets_at: float = 0.0) -> Outcome:
    return Failed(kind, f"it was {kind}", AgentReport(exit_code=1), resets_at)


async def test_a_task_ends_with_result_summary_events_and_its_file_archived(open_engine: Open) -> None:
    async with open_engine() as engine:
        task = await engine.add("one", criteria=(Criterion("it is done"),))
        await engine.run_until(lambda: engine.archived("one"), "the end of one")
        assert (await engine.task(task.uid)).state is State.SUCCEEDED
        found = json.loads((engine.root / "results" / "one_result.json").read_text())
        assert found["status"] == "succeeded"
        assert found["criteria"][0]["verdict"] == "unproven"
        assert (engine.root / "summaries" / "one_summary.txt").read_text().startswith("one: SUCCEEDED")
        assert (engine.root / "tasks" / "processed" / "one.task.md").read_bytes() == b"body of one"
        lines = [json.loads(line) for line in (engine.root / "logs" / "events.ndjson").read_text().splitlines()]
        assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))


async def test_never_more_attempts_at_once_than_slots(open_engine: Open) -> None:
    async with open_engine(slots=2) as engine:
        for number in range(6):
            await engine.add(f"t{number}")
        engine.agent.gates["t0"] = engine.agent.gates["t1"] = gate = asyncio.Event()

        def all_done() -> bool:
            if len(engine.agent.alive) == 2:
                gate.set()
            return all(engine.archived(f"t{number}") for number in range(6))

        await engine.run_until(all_done, "all six")
        assert engine.agent.most_at_once == 2


async def test_high_priority_starts_first_then_the_oldest(open_engine: Open) -> None:
    async with open_engine(slots=1) as engine:
        for task_id, priority in (
            ("low", Priority.LOW),
            ("m1", Priority.MEDIUM),
            ("m2", Priority.MEDIUM),
            ("hi", Priority.HIGH),
        ):
            await engine.add(task_id, priority=priority)
        await engine.run_until(lambda: engine.archived("low"), "the last one")
        assert [order.task_id for order in engine.agent.starts] == ["hi", "m1", "m2", "low"]


async def test_what_starts_next_is_told_first_however_much_older_work_waits(open_engine: Open) -> None:
    async with open_engine() as engine:
        for number in range(60):
            await engine.add(f"low{number}", priority=Priority.LOW)
        await engine.add("next", priority=Priority.HIGH)
        waiting = (await engine.service.status(limit=3)).waiting
        assert [task.spec.id for task in waiting] == ["next", "low0", "low1"]


async def test_a_transient_failure_is_tried_again_in_the_same_session(open_engine: Open) -> None:
    agent = FakeAgent({"t": [_failed(FailureKind.TRANSIENT), _failed(FailureKind.TRANSIENT)]})
    async with open_engine(agent) as engine:
        task = await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the third try")
        assert (await engine.task(task.uid)).tries == 3
        assert [order.resume for order in agent.starts] == [False, True, True]
        assert len({order.session_id for order in agent.starts}) == 1


async def test_a_failure_that_cannot_get_better_is_not_tried_again(open_engine: Open) -> None:
    agent = FakeAgent({"t": [_failed(FailureKind.MAX_TURNS)]})
    async with open_engine(agent) as engine:
        task = await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the end")
        ended = await engine.task(task.uid)
        assert (ended.state, ended.reason, len(agent.starts)) == (State.FAILED, "max_turns", 1)
        assert (engine.root / "tasks" / "failed" / "t.task.md").exists()


async def test_a_usage_limit_holds_every_task_and_costs_none_a_try(open_engine: Open) -> None:
    async with open_engine(slots=1) as engine:
        resets_at = engine.clock.now() + 0.5
        engine.agent._script["first"] = [_failed(FailureKind.USAGE_LIMIT, resets_at)]
        first = await engine.add("first", priority=Priority.HIGH, retries=0)
        second = await engine.add("second", retries=0)
        await engine.run_until(lambda: engine.archived("first") and engine.archived("second"), "both")
        assert [(await engine.task(task.uid)).tries for task in (first, second)] == [1, 1]
        assert [order.task_id for order in engine.agent.starts] == ["first", "second", "first"]
        assert await engine.store.pauses() == []


async def test_after_a_hold_another_task_probes_alone_before_the_others_follow(open_engine: Open) -> None:
    async with open_engine(slots=3) as engine:
        engine.agent._script["a"] = [_failed(FailureKind.AUTH, engine.clock.now() + 0.3)]
        await engine.add("a", priority=Priority.HIGH)
        await until_held(engine)
        engine.agent.gates["b"] = gate = asyncio.Event()
        for name in ("b", "c"):
            await engine.add(name)
        together: list[set[str]] = []

        def all_done() -> bool:
            if engine.agent.alive and not gate.is_set():
                together.append({order.task_id for order in engine.agent.starts[1:]})
                if len(together) > 20:  # looks during which the others could have started, and did not
                    gate.set()
            return all(engine.archived(name) for name in "abc")

        await engine.run_until(all_done, "all three")
        assert set().union(*together) == {"b"}
        assert sorted(order.task_id for order in engine.agent.starts) == ["a", "a", "b", "c"]


async def until_held(engine: Engine) -> None:
    """Run until the agent is held."""
    held = False

    async def look() -> None:
        nonlocal held
        while not held:
            held = bool(await engine.store.pauses())
            await asyncio.sleep(0.01)

    looking = asyncio.create_task(look())
    await engine.run_until(lambda: held, "the hold")
    await looking


async def test_a_queued_task_is_cancelled_at_once_and_its_file_kept(open_engine: Open) -> None:
    async with open_engine() as engine:
        task = await engine.add("t")
        assert (await engine.service.cancel("t")).state is State.CANCELLED
        await engine.run_until(lambda: engine.archived("t"), "the archive")
        assert engine.agent.starts == []
        assert (engine.root / "tasks" / "cancelled" / "t.task.md").read_bytes() == b"body of t"
        with pytest.raises(ConflictError):
            await engine.service.cancel(task.uid)


async def test_a_running_task_is_ended_when_it_is_cancelled(open_engine: Open) -> None:
    async with open_engine() as engine:
        engine.agent.gates["t"] = asyncio.Event()
        task = await engine.add("t")
        cancelled: list[object] = []

        def fact() -> bool:
            if engine.agent.alive and not cancelled:
                cancelled.append(asyncio.ensure_future(engine.service.cancel("t")))
            return engine.archived("t")

        report = AgentReport(agent_version="2.1.329", usage=Usage(turns=3))
        engine.agent.left[f"{task.uid}.1"] = Interrupted("ended from outside", report)
        await engine.run_until(fact, "the cancellation")
        assert (await engine.task(task.uid)).state is State.CANCELLED
        assert not engine.agent.alive
        (attempt,) = json.loads((engine.root / "results" / "t_result.json").read_text())["attempts"]
        assert (attempt["outcome"], attempt["detail"]) == ("interrupted", "cancelled")
        assert (attempt["agent_version"], attempt["usage"]["turns"]) == ("2.1.329", 3)


async def test_a_stop_costs_no_try_and_the_next_daemon_resumes_the_session(open_engine: Open) -> None:
    async with open_engine() as engine:
        engine.agent.gates["t"] = asyncio.Event()
        task = await engine.add("t", retries=0)
        await engine.run_until(lambda: engine.agent.alive, "the start")
        stopped = await engine.task(task.uid)
        assert (stopped.state, stopped.tries, stopped.attempt) == (State.QUEUED, 0, 1)
        session = engine.agent.starts[0].session_id
    async with open_engine() as engine:
        await engine.recover()
        await engine.run_until(lambda: engine.archived("t"), "the end")
        assert (await engine.task(task.uid)).state is State.SUCCEEDED
        assert [(order.session_id, order.resume, order.attempt) for order in engine.agent.starts] == [
            (session, True, 2)
        ]


async def test_a_stop_lets_running_attempts_finish_first(open_engine: Open) -> None:
    async with open_engine(drain_s=20.0) as engine:
        engine.agent.gates["t"] = gate = asyncio.Event()
        task = await engine.add("t")
        signals = Signals()
        running = asyncio.create_task(engine.daemon().run(signals, {}))
        await until(lambda: engine.agent.alive, what="the start")
        signals.stop()
        gate.set()
        await running
        assert (await engine.task(task.uid)).state is State.SUCCEEDED


async def test_two_tasks_of_one_id_run_one_after_the_other(open_engine: Open) -> None:
    async with open_engine(slots=3) as engine:
        await engine.add("same")
        await engine.add("same")
        await engine.run_until(lambda: len(list((engine.root / "results").iterdir())) == 2, "both results")
        assert engine.agent.most_at_once == 1


async def test_a_bug_of_ours_ends_the_attempt_and_not_the_daemon(open_engine: Open) -> None:
    class Buggy(FakeAgent):
        async def run(self, order, say):  # type: ignore[no-untyped-def]
            raise ZeroDivisionError

    async with open_engine(Buggy()) as engine:
        task = await engine.add("t", retries=0)
        await engine.run_until(lambda: engine.archived("t"), "the end")
        ended = await engine.task(task.uid)
        assert (ended.state, ended.reason) == (State.FAILED, "agent_error")


async def test_an_error_of_ours_while_an_agent_runs_costs_no_run_that_ended_well(open_engine: Open) -> None:
    class Unheard(FakeAgent):
        async def run(self, order, say):  # type: ignore[no-untyped-def]
            await super().run(order, say)
            raise OSError(errno.EIO, "what it said could not be read on")

    async with open_engine(Unheard()) as engine:
        task = await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the end")
        ended = await engine.task(task.uid)
        assert (ended.state, ended.attempt) == (State.SUCCEEDED, 1)


async def test_retry_makes_a_new_run_and_keeps_the_old_result(open_engine: Open) -> None:
    agent = FakeAgent({"t": [_failed(FailureKind.BAD_REQUEST)]})
    async with open_engine(agent) as engine:
        old = await engine.add("t")
        await engine.run_until(lambda: engine.archived("t"), "the failure")
        before = (engine.root / "results" / "t_result.json").read_bytes()
        new = await engine.service.retry("t")
        assert new.uid != old.uid
        await engine.run_until(lambda: len(list((engine.root / "results").iterdir())) == 2, "the second result")
        assert (await engine.task(new.uid)).state is State.SUCCEEDED
        assert (engine.root / "results" / "t_result.json").read_bytes() == before
        assert (engine.root / "results" / f"t.{new.uid[-8:]}_result.json").exists()


async def test_a_file_that_cannot_be_written_holds_up_no_other_task(open_engine: Open) -> None:
    async with open_engine() as engine:
        (engine.root / "results" / "a_result.json").mkdir()
        await engine.add("a")
        await engine.run_until(lambda: engine.agent.starts and not engine.agent.alive, "the end of a")
        await engine.add("b")
        await engine.run_until(lambda: engine.archived("b"), "the files of b")
        events = [json.loads(line) for line in (engine.root / "logs" / "events.ndjson").read_text().splitlines()]
        assert {"a", "b"} <= {line.get("task_id") for line in events if line["event"] == "task_succeeded"}
        (engine.root / "results" / "a_result.json").rmdir()
        await engine.run_until(lambda: engine.archived("a"), "the files of a, once they can be written")


async def test_a_result_has_every_criterion_however_many_and_long(open_engine: Open) -> None:
    criteria = tuple(Criterion(f"{number} {'long ' * 200}") for number in range(150))
    async with open_engine() as engine:
        await engine.add("t", criteria=criteria)
        await engine.run_until(lambda: engine.archived("t"), "the result")
        found = json.loads((engine.root / "results" / "t_result.json").read_text())
        assert [row["text"] for row in found["criteria"]] == [criterion.text for criterion in criteria]


async def test_a_shorter_hold_does_not_replace_a_longer_one(open_engine: Open) -> None:
    async with open_engine(slots=2) as engine:
        late = engine.clock.now() + 60
        engine.agent._script["a"] = [_failed(FailureKind.USAGE_LIMIT, late)]
        engine.agent._script["b"] = [_failed(FailureKind.RATE_LIMITED)]
        engine.agent.gates["b"] = gate = asyncio.Event()
        await engine.add("a", priority=Priority.HIGH)
        b = await engine.add("b")

        def fact() -> bool:
            if len(engine.agent.starts) == 2 and len(engine.agent.alive) == 1:
                gate.set()
            return gate.is_set() and not engine.agent.alive

        await engine.run_until(fact, "both limits")
        assert (await engine.task(b.uid)).state is State.RETRY_WAIT
        assert [(pause.until, pause.reason) for pause in await engine.store.pauses()] == [(late, "usage_limit")]


async def test_work_done_before_an_interruption_counts_for_the_task(open_engine: Open) -> None:
    wrote = AgentReport(tool_calls={"Write": 1}, files_changed=("made.txt",))

    class Worker(FakeAgent):
        async def run(self, order, say):  # type: ignore[no-untyped-def]
            if order.attempt == 1:
                (engine.root / "work" / "made.txt").write_text("x")
            return await super().run(order, say)

        async def collect(self, order):  # type: ignore[no-untyped-def]
            await super().collect(order)
            return Interrupted("the daemon ended", wrote)

    async with open_engine(Worker()) as engine:
        engine.agent.gates["t"] = asyncio.Event()
        task = await engine.add("t", type="fix")
        await engine.run_until(lambda: engine.agent.alive, "the start")
        engine.agent.gates["t"].set()
        await engine.run_until(lambda: engine.archived("t"), "the end")
        ended = await engine.task(task.uid)
        assert (ended.state, ended.reason, ended.attempt) == (State.SUCCEEDED, "", 2)


class StaysTheFourthTime(FakeAgent):
    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        if order.attempt == 4:
            self.gates[order.task_id] = asyncio.Event()
        return await super().run(order, say)


async def test_holds_are_no_interruptions(open_engine: Open) -> None:
    agent = StaysTheFourthTime({"t": [_failed(FailureKind.AUTH, 1.0)] * 3})
    async with open_engine(agent, max_interruptions=3) as engine:
        task = await engine.add("t")
        await engine.run_until(lambda: len(agent.starts) == 4 and agent.alive, "the run after three holds")
        assert (await engine.task(task.uid)).state is State.QUEUED


async def test_a_task_that_alone_is_refused_does_not_hold_the_others_for_ever(open_engine: Open) -> None:
    agent = FakeAgent({"poison": [_failed(FailureKind.START_REFUSED)] * 1000})
    quick = {**POLICIES, FailureKind.START_REFUSED: replace(POLICIES[FailureKind.START_REFUSED], first_delay_s=0.02)}
    async with open_engine(agent, slots=1, retries=quick) as engine:
        poison = await engine.add("poison", priority=Priority.HIGH)

        async def feed() -> None:
            number = 0
            while True:  # the others go on coming in: each time one of them shows that the agent works
                await engine.add(f"good{number}")
                await until(lambda: engine.archived(f"good{number}"), what="a good task")  # noqa: B023
                number += 1

        feeder = asyncio.create_task(feed())
        await engine.run_until(lambda: engine.archived("poison"), "the end of the poisonous one")
        feeder.cancel()
        ended = await engine.task(poison.uid)
        assert (ended.state, ended.reason, ended.tries) == (State.FAILED, "start_refused", 3)


async def test_an_agent_that_refuses_everybody_costs_nobody_more_than_one_try(open_engine: Open) -> None:
    refused = [_failed(FailureKind.START_REFUSED)] * 2
    agent = FakeAgent({"a": list(refused), "b": list(refused)})
    quick = {**POLICIES, FailureKind.START_REFUSED: replace(POLICIES[FailureKind.START_REFUSED], first_delay_s=0.02)}
    async with open_engine(agent, slots=1, retries=quick) as engine:
        tasks = [await engine.add("a"), await engine.add("b")]
        await engine.run_until(lambda: engine.archived("a") and engine.archived("b"), "both, once it works")
        ended = [await engine.task(task.uid) for task in tasks]
        assert [task.state for task in ended] == [State.SUCCEEDED, State.SUCCEEDED]
        assert all(task.tries <= 2 for task in ended)


async def test_a_job_runs_no_more_tasks_at_once_than_it_says_and_others_pass_it(open_engine: Open) -> None:
    job = Job("a" * 32, "night", 1.0, "test", max_workers=1)
    async with open_engine(slots=3) as engine:
        await engine.store.accept([], [job])
        for number in range(3):
            await engine.add(f"t{number}", job_uid=job.uid)
        await engine.add("lone")
        engine.agent.gates["t0"] = gate = asyncio.Event()
        together: list[list[str]] = []

        def fact() -> bool:
            if engine.archived("lone"):
                together.append(sorted(order.task_id for order in engine.agent.starts))
                gate.set()
            return all(engine.archived(f"t{number}") for number in range(3))

        await engine.run_until(fact, "the whole job")
        assert together[0] == ["lone", "t0"]
