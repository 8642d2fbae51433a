"""What an earlier daemon left is taken up: nothing runs twice, nothing paid for is thrown away."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.agents import DONE, FakeAgent
from tests.fakes_of_proof import FolderCheckouts, NoCommits, ScriptedChecks
from tests.rig import Engine, Open

from orchestrator.core.attempt import AgentReport, Failed, FailureKind, Interrupted, Outcome
from orchestrator.core.codec import to_json
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.proof import CheckKind, CheckRun, CheckSpec
from orchestrator.core.question import QuestionRules
from orchestrator.core.task import Criterion, Task
from orchestrator.engine.examiner import Examiner
from orchestrator.engine.proof import Prover
from orchestrator.engine.recovery import recover


async def started(engine: Engine, task_id: str, **given: object) -> Task:
    """Return a task that an earlier daemon had started."""
    task = await engine.add(task_id, **given)  # type: ignore[arg-type]
    (task,) = await engine.store.commit([engine.executor.starting(task)])
    await engine.inbox.claim(task, await engine.store.body(task.uid))
    return task


async def happened(engine: Engine, task: Task, kind: EventKind, **data: Json) -> Task:
    event = Event(kind, engine.clock.now(), task.uid, task.attempt, task.epoch, data)
    return (await engine.store.commit([event]))[0]


def mark(task: Task) -> str:
    return f"{task.uid}.{task.attempt}"


async def test_an_agent_that_had_finished_is_believed_and_not_run_again(open_engine: Open) -> None:
    async with open_engine() as engine:
        task = await started(engine, "t", retries=0)
    agent = FakeAgent()
    agent.left[mark(task)] = DONE
    async with open_engine(agent) as engine:
        assert await engine.recover() == 1
        ended = await engine.task(task.uid)
        assert (ended.state, ended.tries, ended.attempt) == (State.SUCCEEDED, 1, 1)
        assert agent.starts == []
        assert json.loads((engine.root / "results" / "t_result.json").read_text())["answer"] == "All is done."
        assert engine.archived("t")
        assert await engine.recover() == 0


async def test_an_agent_that_had_failed_is_tried_again_as_its_failure_asks(open_engine: Open) -> None:
    async with open_engine() as engine:
        task = await started(engine, "t")
    agent = FakeAgent()
    agent.left[mark(task)] = Failed(FailureKind.TRANSIENT, "overloaded", AgentReport(exit_code=1))
    async with open_engine(agent) as engine:
        await engine.recover()
        waiting = await engine.task(task.uid)
        assert (waiting.state, waiting.reason, waiting.tries) == (State.RETRY_WAIT, "transient", 1)
        await engine.run_until(lambda: engine.archived("t"), "the second try")
        assert (await engine.task(task.uid)).tries == 2


@pytest.mark.parametrize("left", [None, Interrupted("stopped with the daemon")])
async def test_an_agent_that_left_nothing_costs_no_try_and_its_session_goes_on(
    open_engine: Open, left: Outcome | None
) -> None:
    async with open_engine() as engine:
        task = await started(engine, "t", retries=0)
    agent = FakeAgent()
    if left:
        agent.left[mark(task)] = left
    async with open_engine(agent) as engine:
        await engine.recover()
        queued = await engine.task(task.uid)
        assert (queued.state, queued.tries, queued.attempt, queued.reason) == (State.QUEUED, 0, 1, "interrupted")
        await engine.run_until(lambda: engine.archived("t"), "the end")
        assert [(order.resume, order.session_id, order.attempt) for order in agent.starts] == [
            (True, task.session_id, 2)
        ]
        assert (await engine.task(task.uid)).state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("left", "worked_s"),
    [
        (None, 30.0),  # its last sign of life
        (Interrupted("daemon_gone", AgentReport(duration_s=50.0)), 50.0),  # its supervisor knows
        (Interrupted("daemon_gone", AgentReport(duration_s=1.0)), 30.0),
        (replace(DONE, report=replace(DONE.report, duration_s=40.0)), 40.0),
    ],
)
async def test_an_attempt_did_not_work_while_no_daemon_was_there(
    open_engine: Open, left: Outcome | None, worked_s: float
) -> None:
    async with open_engine() as engine:
        task = await engine.add("t")
        began_ts = engine.clock.now() - 3600
        (task,) = await engine.store.commit([replace(engine.executor.starting(task), ts=began_ts)])
        said = Event(EventKind.PROGRESS, began_ts + 30, task.uid, task.attempt, task.epoch, {"text": "reads"})
        await engine.store.commit([said])
    agent = FakeAgent()
    if left:
        agent.left[mark(task)] = left
    async with open_engine(agent) as engine:
        await engine.recover()
        (record,) = await engine.store.attempts(task.uid)
        assert record.ended_ts - record.started_ts == pytest.approx(worked_s, abs=0.01)


async def test_an_outcome_that_was_stored_is_judged_and_never_run_again(open_engine: Open) -> None:
    async with open_engine() as engine:
        good, bad = await started(engine, "good"), await started(engine, "bad", retries=0)
        await happened(engine, good, EventKind.FINISHED, outcome=to_json(DONE))
        question = replace(DONE, report=replace(DONE.report, answer="Which database should I use?"))
        await happened(engine, bad, EventKind.FINISHED, outcome=to_json(question))
    async with open_engine(questions=QuestionRules("skip")) as engine:
        assert await engine.recover() == 2
        assert (await engine.task(good.uid)).state is State.SUCCEEDED
        failed = await engine.task(bad.uid)
        assert (failed.state, failed.reason) == (State.FAILED, "asked_a_question")
        assert engine.agent.starts == []


@pytest.mark.parametrize("left", [None, DONE])
async def test_a_cancellation_is_carried_out_whatever_the_agent_left(open_engine: Open, left: Outcome | None) -> None:
    async with open_engine() as engine:
        task = await started(engine, "t")
        await happened(engine, task, EventKind.CANCEL_REQUESTED)
    agent = FakeAgent()
    if left:
        agent.left[mark(task)] = left
    async with open_engine(agent) as engine:
        await engine.recover()
        assert (await engine.task(task.uid)).state is State.CANCELLED
        assert agent.starts == []
        assert (engine.root / "tasks" / "cancelled" / "t.task.md").exists()


async def test_a_task_that_never_survives_a_daemon_is_given_up_at_last(open_engine: Open) -> None:
    async with open_engine() as engine:
        task = await started(engine, "t")
    for survived in range(1, 4):
        async with open_engine(max_interruptions=3) as engine:
            await engine.recover()
            current = await engine.task(task.uid)
            if survived < 3:
                assert current.state is State.QUEUED
                await engine.store.commit([engine.executor.starting(current)])
    async with open_engine(max_interruptions=3) as engine:
        await engine.recover()
        current = await engine.task(task.uid)
        if current.state is State.QUEUED:
            await engine.store.commit([engine.executor.starting(current)])
            await engine.recover()
        ended = await engine.task(task.uid)
        assert (ended.state, ended.reason) == (State.FAILED, "interrupted_too_often")
        found = json.loads((engine.root / "results" / "t_result.json").read_text())
        assert "find out what ends it" in found["hint"]


async def test_a_type_that_was_removed_from_the_configuration_may_only_read(open_engine: Open) -> None:
    async with open_engine() as engine:
        running, queued = await started(engine, "running", type="fix"), await engine.add("queued", type="fix")
    agent = FakeAgent()
    agent.left[mark(running)] = DONE
    async with open_engine(agent, types={}) as engine:
        await engine.recover()
        await engine.run_until(lambda: engine.archived("queued"), "the queued one")
        assert {(await engine.task(task.uid)).state for task in (running, queued)} == {State.SUCCEEDED}
        assert [order.tools for order in agent.starts] == [("Read", "Grep", "Glob")]


async def test_results_that_were_lost_are_written_again_byte_for_byte(open_engine: Open) -> None:
    async with open_engine() as engine:
        tasks = [await engine.add(name) for name in ("lost", "cleaned", "kept")]
        await engine.run_until(lambda: all(engine.archived(task.name) for task in tasks), "all three")
        before = {path.name: path.read_bytes() for path in (engine.root / "results").iterdir()}
        summary = (engine.root / "summaries" / "lost_summary.txt").read_bytes()
        await engine.service.cleaned([tasks[1]])
        for name in ("lost", "cleaned"):
            (engine.root / "results" / f"{name}_result.json").unlink()
            (engine.root / "summaries" / f"{name}_summary.txt").unlink()
    async with open_engine() as engine:
        await engine.recover()
        del before["cleaned_result.json"]
        assert {path.name: path.read_bytes() for path in (engine.root / "results").iterdir()} == before
        assert (engine.root / "summaries" / "lost_summary.txt").read_bytes() == summary


class _SlowChecks(ScriptedChecks):
    """Checks that go on until *let_go*."""

    def __init__(self) -> None:
        super().__init__({})
        self.begun, self.let_go = asyncio.Event(), asyncio.Event()

    async def run(self, checks: Sequence[CheckSpec], folder: str, *, inside: str, commit: str) -> Sequence[CheckRun]:
        self.begun.set()
        await self.let_go.wait()
        return [CheckRun(passed=True, commit=commit) for _ in checks]


def checking(engine: Engine) -> _SlowChecks:
    """Let *engine* have checks that go on until they are let go."""
    slow = _SlowChecks()
    prover = Prover(runner=slow, checkouts=FolderCheckouts(engine.root / "commits"))
    engine.executor._examiner = Examiner(prover=prover, commits=NoCommits())
    return slow


TESTED = (Criterion("tests pass", check=CheckSpec(CheckKind.COMMAND, argv=("pytest",))),)


@pytest.mark.parametrize("state", [State.RUNNING, State.CHECKING])
async def test_checks_that_take_long_do_not_keep_the_next_start_from_taking_files(
    open_engine: Open, state: State
) -> None:
    async with open_engine() as engine:
        task = await started(engine, "t", criteria=TESTED)
        if state is State.CHECKING:
            task = await happened(engine, task, EventKind.FINISHED, outcome=to_json(DONE))
    agent = FakeAgent()
    agent.left[mark(task)] = DONE
    async with open_engine(agent) as engine:
        slow = checking(engine)
        assert await recover(engine.store, engine.executor, engine.projector, engine.inbox, prove=False) == 1
        assert (await engine.task(task.uid)).state is State.CHECKING
        assert not slow.begun.is_set()
        other = await engine.add("other")
        await engine.run_until(lambda: slow.begun.is_set() and engine.archived("other"), "another task's end meanwhile")
        assert (await engine.task(other.uid)).state is State.SUCCEEDED
        assert (await engine.task(task.uid)).state is State.CHECKING, "a stop does not wait for checks"
        slow.let_go.set()
        await engine.run_until(lambda: engine.archived("t"), "its verdict")
        assert (await engine.task(task.uid)).state is State.SUCCEEDED
        assert agent.starts == [next(order for order in agent.starts if order.task_id == "other")]


async def test_files_of_a_task_that_nobody_knows_become_task_files_again(open_engine: Open) -> None:
    async with open_engine() as engine:
        folder = engine.root / "tasks" / "running" / ("f" * 32)
        folder.mkdir(parents=True)
        (folder / "stray.task.md").write_text("# Stray\n")
        await engine.recover()
        assert (engine.root / "tasks" / "stray.task.md").read_text() == "# Stray\n"


async def test_an_agent_that_cannot_be_collected_does_not_keep_the_others_from_it(open_engine: Open) -> None:
    async with open_engine() as engine:
        lost = await started(engine, "lost", agent="gone")
        fine = await started(engine, "fine")
    agent = FakeAgent()
    agent.left[mark(fine)] = DONE
    async with open_engine(agent) as engine:
        await engine.recover()
        assert (await engine.task(fine.uid)).state is State.SUCCEEDED
        assert (await engine.task(lost.uid)).state is State.RUNNING
