"""The agents: Claude Code's bridge on real processes, and the fake one that the engine is tested with."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.agents import DONE, FakeAgent
from tests.harness import PROGRAM
from tests.ports.agent_contract import AgentContract, AgentWorld

from orchestrator.bridges.claude import ClaudeAgent
from orchestrator.bridges.claude_command import ClaudeConfig
from orchestrator.bridges.process import marked_pids
from orchestrator.core.attempt import AgentReport, Failed, FailureKind, WorkOrder
from orchestrator.core.ports import Agent


class ClaudeWorld:
    """Claude Code's bridge with the scripted program in the place of the CLI."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.agent: Agent = self._open()

    def ending_well(self, order: WorkOrder) -> WorkOrder:
        return self._scripted(order, {"init": 0}, {"say": "I begin."}, {"result": "All is done."})

    def failing(self, order: WorkOrder) -> WorkOrder:
        return self._scripted(order, {"init": 0}, {"error": "the scripted failure"})

    def hanging(self, order: WorkOrder) -> WorkOrder:
        return self._scripted(order, {"init": 0}, {"say": "I hang."}, {"child": 0}, {"hang": 0})

    def alive(self, order: WorkOrder) -> bool:
        return bool(marked_pids(order.mark))

    def next_daemon(self) -> Agent:
        return self._open()

    def _open(self) -> ClaudeAgent:
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(self._home)}
        command = (sys.executable, "-I", "-S", str(PROGRAM))
        config = ClaudeConfig(environ=environ, command=command, grace_s=0.5)
        return ClaudeAgent(config, lambda: "11111111-2222-4333-8444-555555555555")

    def _scripted(self, order: WorkOrder, *steps: Mapping[str, object]) -> WorkOrder:
        return replace(order, prompt=f"<<<SCRIPT {json.dumps({'steps': steps})} SCRIPT>>>")


class FakeWorld:
    """The fake agent. Its sessions are the orders' own."""

    def __init__(self) -> None:
        self._fake = FakeAgent()
        self.agent: Agent = self._fake

    def ending_well(self, order: WorkOrder) -> WorkOrder:
        done = replace(DONE, report=replace(DONE.report, session_id=order.session_id))
        self._fake._script[order.task_id] = [done]
        return order

    def failing(self, order: WorkOrder) -> WorkOrder:
        self._fake._script[order.task_id] = [Failed(FailureKind.CRASH, "it fell over", AgentReport(exit_code=1))]
        return order

    def hanging(self, order: WorkOrder) -> WorkOrder:
        self._fake.gates[order.task_id] = asyncio.Event()
        return order

    def alive(self, order: WorkOrder) -> bool:
        return order.mark in self._fake.alive

    def next_daemon(self) -> Agent:
        return self._fake


class TestClaudeAgent(AgentContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> AgentWorld:
        return ClaudeWorld(tmp_path / "home")


class TestFakeAgent(AgentContract):
    @pytest.fixture
    def world(self) -> AgentWorld:
        return FakeWorld()
