"""The contract of the port Opinions, which everything that can be asked for one keeps."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.agents import FakeAgent
from tests.ollama_server import ollama_server

from orchestrator.bridges.ollama import OllamaConfig
from orchestrator.bridges.opinion_agent import AgentOpinions
from orchestrator.bridges.opinion_ollama import OllamaOpinions
from orchestrator.core.attempt import AgentReport, Failed, FailureKind, Finished, Outcome, Usage, WorkOrder
from orchestrator.core.events import TaskUid
from orchestrator.core.opinion import Question, View
from orchestrator.core.ports import Opinions

MET = json.dumps({"opinions": [{"number": 1, "view": "met", "why": "it says hello"}]})
SECRET = "sk-ant-aaaaaaaaaaaaaaaa"


def finished(answer: str, usd: float | None = 0.02) -> Finished:
    return Finished(AgentReport(answer, 0, Usage(1, 9, 9, 0, 0, usd, usd), model="claude-opus-5-5"))


def question(tmp_path: Path, **changes: object) -> Question:
    order = WorkOrder(TaskUid("b" * 32), 1, 1, "t", "claude", "P", "/w", "s", str(tmp_path / "attempt"), ("Bash",))
    asked = Question(order, ("it is friendly",), "Done.", f"+hello {SECRET}\n", 0.0)
    return replace(asked, **changes)  # type: ignore[arg-type]


def by_agent(tmp_path: Path, agent: FakeAgent) -> AgentOpinions:
    where = tmp_path / "opinion"
    return AgentOpinions(agent, folder=where, redact=hide, timeout_s=20, budget_usd=0.5)


def hide(text: str) -> str:
    return text.replace(SECRET, "[redacted]")


@pytest.fixture(params=["agent", "ollama"])
async def opinions(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opinions]:
    if request.param == "agent":
        yield by_agent(tmp_path, FakeAgent({"t": [finished(MET)]}))
        return
    pytest.importorskip("ollama", reason="the package `ollama` is not installed: python3 main.py setup llama")
    with ollama_server(MET) as server:
        yield OllamaOpinions(OllamaConfig(server.host), redact=hide, timeout_s=20)


async def test_it_gives_views_by_criterion_with_the_name_of_the_model(opinions: Opinions, tmp_path: Path) -> None:
    assert opinions.wanted
    said = await opinions.ask(question(tmp_path))
    assert said.problem == ""
    assert said.views == {0: (View.MET, "it says hello")}
    assert said.model in ("claude-opus-5-5", "qwen3:8b")


async def test_it_can_be_asked_about_very_much(opinions: Opinions, tmp_path: Path) -> None:
    said = await opinions.ask(question(tmp_path, answer="a" * 99_999, diff="d" * 2_000_000, criteria=("c" * 999,) * 40))
    assert said.views


async def test_what_was_never_begun_costs_nothing(opinions: Opinions, tmp_path: Path) -> None:
    assert await opinions.unpaid(question(tmp_path).order) == 0.0


# --- by the agent -----------------------------------------------------------------------------------------------------


async def test_the_agent_is_run_without_tools_in_an_empty_folder_and_bounded(tmp_path: Path) -> None:
    agent = FakeAgent({"t": [finished(MET)]})
    said = await by_agent(tmp_path, agent).ask(question(tmp_path, cap_usd=0.2))
    assert said.cost_usd == 0.02
    (order,) = agent.starts
    assert (order.tools, order.max_turns, order.timeout_s, order.budget_usd) == ((), 1, 20, 0.2)
    assert (order.cwd, order.work_root, order.read) == (str(tmp_path / "opinion"), "", ())
    assert list(Path(order.cwd).iterdir()) == []
    assert not order.resume
    assert order.mark == f"{'b' * 32}.1.opinion", "its processes must be told from those of the attempt"
    assert SECRET not in order.prompt


async def test_no_money_no_question(tmp_path: Path) -> None:
    agent = FakeAgent()
    for cap_usd in (None, 0.000001):
        said = await by_agent(tmp_path, agent).ask(question(tmp_path, cap_usd=cap_usd))
        assert (said.problem, said.cost_usd) == ("nothing is left of the budget for it", 0.0)
    assert agent.starts == []


@pytest.mark.parametrize(
    ("ended", "problem", "cost_usd"),
    [
        (Failed(FailureKind.USAGE_LIMIT, "resets at 5"), "the agent gave none (usage_limit: resets at 5)", 0.5),
        (finished("Looks fine!", 0.01), "the model claude-opus-5-5 answered with something else than", 0.01),
        (finished("", None), "the model claude-opus-5-5 answered with something else than", 0.5),
    ],
)
async def test_an_agent_that_gives_none_is_paid_all_the_same(
    tmp_path: Path, ended: Outcome, problem: str, cost_usd: float
) -> None:
    said = await by_agent(tmp_path, FakeAgent({"t": [ended]})).ask(question(tmp_path))
    assert said.problem.startswith(problem)
    assert said.cost_usd == cost_usd


async def test_a_later_daemon_uses_the_answer_that_was_there_and_asks_nobody_again(tmp_path: Path) -> None:
    agent = FakeAgent({"t": [finished(MET)]})
    await by_agent(tmp_path, agent).ask(question(tmp_path))
    again = await by_agent(tmp_path, agent).ask(question(tmp_path))
    assert (again.views, again.cost_usd) == ({0: (View.MET, "it says hello")}, 0.02)
    assert len(agent.starts) == 1
    assert await by_agent(tmp_path, agent).unpaid(question(tmp_path).order) == 0.02


async def test_an_opinion_that_a_crash_took_is_missing_and_counts_as_the_most_it_could_be(tmp_path: Path) -> None:
    agent = FakeAgent()
    agent.gates["t"] = asyncio.Event()
    asking = asyncio.create_task(by_agent(tmp_path, agent).ask(question(tmp_path, cap_usd=0.3)))
    while not agent.alive:
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    assert agent.alive == set()
    later = FakeAgent()  # knows nothing of it: the machine went down
    said = await by_agent(tmp_path, later).ask(question(tmp_path))
    assert (said.problem, said.cost_usd) == ("it was lost when the daemon ended", 0.3)
    assert later.starts == []
