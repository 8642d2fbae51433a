"""Puts together what examines the result of an attempt: checks as confined as the machine allows, commits to read."""

import os
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from orchestrator import language
from orchestrator.bridges.area_facts import AreaFolder
from orchestrator.bridges.check_runner import CheckConfig, ConfinedChecks
from orchestrator.bridges.container import Container
from orchestrator.bridges.git_commits import GitCommits
from orchestrator.bridges.opinion_agent import AgentOpinions, begun
from orchestrator.bridges.opinion_ollama import OllamaOpinions
from orchestrator.configuration import Configuration
from orchestrator.core.attempt import WorkOrder
from orchestrator.core.opinion import Opinion, Question
from orchestrator.core.ports import Agent
from orchestrator.core.proof import CheckRun, CheckSpec, CriterionProof
from orchestrator.core.taking import Merging, Prove
from orchestrator.core.task import Task
from orchestrator.core.work import Area, Isolation
from orchestrator.engine.digest import Digests
from orchestrator.engine.examiner import Examiner
from orchestrator.engine.opinion import SecondOpinion
from orchestrator.engine.proof import Prover


class LiveChecks:
    """Runs checks as configured at the start of each: a changed setting counts from the next one on."""

    def __init__(self, configuration: Configuration, container: Callable[[], Awaitable[Container]]) -> None:
        self._configuration = configuration
        self._container = container

    async def run(self, checks: Sequence[CheckSpec], folder: str, *, inside: str, commit: str) -> Sequence[CheckRun]:
        config = checks_in(await self._container(), self._configuration)
        return await ConfinedChecks(lambda: config).run(checks, folder, inside=inside, commit=commit)


def checks_in(container: Container, configuration: Configuration) -> CheckConfig:
    """Return how the checks of criteria are run where *container* is what the machine offers."""
    path = configuration.environ.get("PATH", os.defpath)
    needed = ("unshare", "setpriv") if os.geteuid() == 0 else ()
    usable = bool(container.words) and all(shutil.which(program, path=path) for program in needed)
    return configuration.checks(bwrap=container.words[0] if usable else "", cgroups=container.cgroups)


def commits(configuration: Configuration) -> GitCommits:
    """Return what reads the commits of this root, and makes the checkouts for checks."""
    folder = Path(configuration.settings.paths.state) / "tmp"
    return GitCommits(configuration.git(), folder, copied=lambda: configuration.settings.isolation.copy_)


def prover(configuration: Configuration, container: Callable[[], Awaitable[Container]]) -> Prover:
    """Return what runs the checks of this root."""
    return Prover(runner=LiveChecks(configuration, container), checkouts=commits(configuration))


def prove_again(configuration: Configuration, container: Callable[[], Awaitable[Container]]) -> Prove:
    """Return what proves a result on top of a base that has moved, with the checks as they were on it."""

    async def prove(task: Task, merging: Merging) -> Sequence[CriterionProof]:
        facts = AreaFolder(Path(configuration.settings.paths.state) / "work", task.uid).load()
        inside = str(Path("/merged", facts.relative if facts else ""))
        area = Area(inside, "/merged", merging.source, Isolation.CLONE, merging.head, git_dir=merging.git_dir)
        order = WorkOrder(task.uid, task.attempt, task.epoch, task.spec.id, "", "", inside, "", "", ())
        return await prover(configuration, container).prove(order, task.spec, area, result=merging.commit)

    return prove


def examiner(
    configuration: Configuration, container: Callable[[], Awaitable[Container]], agents: Mapping[str, Agent]
) -> Examiner:
    """Return what draws the verdicts of this root. *agents* are asked for opinions, each about its own work."""
    read = commits(configuration)
    second = SecondOpinion(LiveOpinions(configuration, agents), read)
    digests = Digests(language.summarizer(configuration), read)
    return Examiner(prover=prover(configuration, container), commits=read, second=second, digests=digests)


class LiveOpinions:
    """Asks as configured at each question. What was begun under another setting is brought to its end all the same."""

    def __init__(self, configuration: Configuration, agents: Mapping[str, Agent]) -> None:
        self._configuration = configuration
        self._agents = agents

    @property
    def wanted(self) -> bool:
        return self._configuration.settings.proof.opinion != "none"

    async def ask(self, question: Question) -> Opinion:
        if self._configuration.settings.proof.opinion == "ollama" and begun(question.order) is None:
            return await self._by_ollama().ask(question)
        return await self._by_agent(question.order).ask(question)

    async def unpaid(self, order: WorkOrder) -> float:
        return await self._by_agent(order).unpaid(order)

    def _by_agent(self, order: WorkOrder) -> AgentOpinions:
        proof = self._configuration.settings.proof
        return AgentOpinions(
            self._agents[order.agent],
            folder=Path(self._configuration.settings.paths.state) / "opinion",
            redact=self._configuration.redactor.text,
            timeout_s=proof.opinion_timeout_s,
            budget_usd=proof.opinion_budget_usd,
            model=proof.opinion_model,
        )

    def _by_ollama(self) -> OllamaOpinions:
        settings = self._configuration.settings
        return OllamaOpinions(
            self._configuration.ollama(),
            redact=self._configuration.redactor.text,
            timeout_s=settings.proof.opinion_timeout_s,
        )
