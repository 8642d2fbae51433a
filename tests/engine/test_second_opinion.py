"""An opinion as the engine uses it: asked last, charged to the task, lost at most, and of no weight."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.agents import FakeAgent
from tests.harness import until
from tests.rig import Engine, Open

from orchestrator.bridges.opinion_agent import AgentOpinions
from orchestrator.core.attempt import AgentReport, Failed, FailureKind, Finished, Interrupted, Outcome, Usage, WorkOrder
from orchestrator.core.lifecycle import State
from orchestrator.core.opinion import Opinion, Question
from orchestrator.core.ports import Say
from orchestrator.core.task import Criterion
from orchestrator.engine.daemon import Signals

WORDS = (Criterion("it is friendly"),)
NOT_MET = json.dumps({"opinions": [{"number": 1, "view": "not_met", "why": "it says bye"}]})


def said(answer: str, usd: float) -> Finished:
    usage = Usage(1, 1, 1, 0, 0, usd, usd)
    return Finished(AgentReport(answer, 0, usage, model="m-1", tool_calls={"Read": 1}))


def night(*outcomes: Outcome) -> FakeAgent:
    """What the task's agent does, then what it says when it is asked for an opinion."""
    return FakeAgent({"t": outcomes})


def asked(agent: FakeAgent, root: Path) -> AgentOpinions:
    return AgentOpinions(agent, folder=root / "opinion", redact=str, timeout_s=20, budget_usd=0.5)


def result(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((engine.root / "results" / "t_result.json").read_text())
    return found


class GatedAgent(FakeAgent):
    """One that works, and never comes to an end when it is asked for an opinion."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__({"t": [outcome]})

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        if not order.tools:
            self.gates["t"] = asyncio.Event()
        return await super().run(order, say)


class BrokenOpinions:
    """Implements the port `Opinions` with a bug."""

    wanted = True

    async def ask(self, question: Question) -> Opinion:
        raise KeyError(question.criteria[0])

    async def unpaid(self, _order: object) -> float:
        return 0.0


async def test_an_opinion_against_it_changes_no_verdict_and_is_shown_as_what_it_is(
    open_engine: Open, tmp_path: Path
) -> None:
    agent = night(said("All is done.", 0.1), said(NOT_MET, 0.02))
    async with open_engine(agent, opinions=asked(agent, tmp_path)) as engine:
        task = await engine.add("t", criteria=WORDS)
        await engine.run_until(lambda: engine.archived("t"), "the end")
        assert (await engine.task(task.uid)).state is State.SUCCEEDED
    found = result(engine)
    (row,) = found["criteria"]
    words = "opinion of the model m-1, no evidence: not met: it says bye"
    assert (row["verdict"], row["opinion"]) == ("unproven", words)
    assert found["opinion"] == {"by": "agent", "model": "m-1", "problem": "", "cost_usd": 0.02}
    assert found["usage"]["cost_usd"] == 0.12
    assert f"      {words}\n" in (engine.root / "summaries" / "t_summary.txt").read_text()


async def test_an_opinion_gets_what_is_left_of_the_budget_of_its_task(open_engine: Open, tmp_path: Path) -> None:
    agent = night(said("All is done.", 0.1), said(NOT_MET, 0.02))
    async with open_engine(agent, opinions=asked(agent, tmp_path)) as engine:
        await engine.add("t", criteria=WORDS, budget_usd=0.15)
        await engine.run_until(lambda: engine.archived("t"), "the end")
    assert [order.budget_usd for order in agent.starts] == pytest.approx([0.15, 0.05])


async def test_where_the_budget_is_used_up_nobody_is_asked(open_engine: Open, tmp_path: Path) -> None:
    agent = night(said("All is done.", 0.1))
    async with open_engine(agent, opinions=asked(agent, tmp_path)) as engine:
        await engine.add("t", criteria=WORDS, budget_usd=0.1)
        await engine.run_until(lambda: engine.archived("t"), "the end")
    (row,) = result(engine)["criteria"]
    assert row["opinion"] == "no opinion: nothing is left of the budget for it"
    assert len(agent.starts) == 1


@pytest.mark.parametrize(
    ("outcomes", "criteria"),
    [
        ([Failed(FailureKind.BAD_REQUEST, "400")], WORDS),  # it failed: an opinion would tell nothing
        ([said("All is done.", 0.1)], ()),
    ],
)
async def test_nobody_is_asked_for_nothing(
    open_engine: Open, tmp_path: Path, outcomes: Sequence[Outcome], criteria: Sequence[Criterion]
) -> None:
    agent = night(*outcomes)
    async with open_engine(agent, opinions=asked(agent, tmp_path)) as engine:
        await engine.add("t", criteria=tuple(criteria), retries=0)
        await engine.run_until(lambda: engine.archived("t"), "the end")
    assert len(agent.starts) == 1
    assert result(engine)["opinion"] is None


async def test_a_bug_in_asking_costs_the_opinion_and_not_the_verdict(open_engine: Open) -> None:
    async with open_engine(opinions=BrokenOpinions()) as engine:
        task = await engine.add("t", criteria=WORDS)
        await engine.run_until(lambda: engine.archived("t"), "the end")
        assert (await engine.task(task.uid)).state is State.SUCCEEDED
    (row,) = result(engine)["criteria"]
    assert row["opinion"] == "no opinion: a bug of ours, please report it: KeyError"


async def in_the_opinion(engine: Engine) -> None:
    """Run until the agent is asked for its opinion, which it never gives, and stop the daemon there."""
    agent, signals = engine.agent, Signals()
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.daemon().run(signals, {}))
        await until(lambda: len(agent.starts) == 2, what="the question", deadline_s=20)
        signals.stop()
        signals.stop()


@pytest.mark.parametrize("left", [None, Interrupted("the daemon ended"), said(NOT_MET, 0.02)])
async def test_an_opinion_that_a_stop_cut_off_is_asked_for_only_once(
    open_engine: Open, tmp_path: Path, left: Outcome | None
) -> None:
    agent = GatedAgent(said("All is done.", 0.1))
    async with open_engine(agent, opinions=asked(agent, tmp_path)) as engine:
        task = await engine.add("t", criteria=WORDS)
        await in_the_opinion(engine)
        assert (await engine.task(task.uid)).state is State.CHECKING
        assert agent.alive == set()
    later = FakeAgent()
    if left is not None:
        later.left[f"{task.uid}.1.opinion"] = left
    async with open_engine(later, opinions=asked(later, tmp_path)) as engine:
        await engine.recover()
        assert (await engine.task(task.uid)).state is State.SUCCEEDED
        found = result(engine)
    assert later.starts == []
    (row,) = found["criteria"]
    whole = isinstance(left, Finished)
    assert row["opinion"].startswith("opinion of the model m-1" if whole else "no opinion: it was lost when the daemon")
    assert found["usage"]["cost_usd"] == pytest.approx(0.12 if whole else 0.6)


async def test_cancelling_ends_the_question_and_counts_what_it_may_have_cost(open_engine: Open, tmp_path: Path) -> None:
    agent = GatedAgent(said("All is done.", 0.1))
    async with open_engine(agent, opinions=asked(agent, tmp_path)) as engine:
        task = await engine.add("t", criteria=WORDS)
        signals = Signals()
        async with asyncio.TaskGroup() as group:
            group.create_task(engine.daemon().run(signals, {}))
            await until(lambda: len(agent.starts) == 2, what="the question", deadline_s=20)
            await engine.service.cancel(task.uid)
            await until(lambda: engine.archived("t"), what="the end", deadline_s=20)
            signals.stop()
        assert (await engine.task(task.uid)).state is State.CANCELLED
        assert agent.alive == set()
    assert result(engine)["usage"]["cost_usd"] == pytest.approx(0.6)
