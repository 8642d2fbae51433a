"""The conformance suite of the port Agent: whatever runs attempts has to pass it."""

import asyncio
import uuid
from pathlib import Path
from typing import Protocol

from tests.harness import until

from orchestrator.core.attempt import AgentMessage, Failed, Finished, Interrupted, MessageKind, WorkOrder
from orchestrator.core.events import TaskUid
from orchestrator.core.ports import Agent

SESSION = "3b241101-e2bb-4255-8caf-4136c566a962"


class AgentWorld(Protocol):
    """One agent whose attempts can be told how to go, and the means to look behind it."""

    agent: Agent

    def ending_well(self, order: WorkOrder) -> WorkOrder:
        """Return *order* so that its attempt ends well."""
        ...

    def failing(self, order: WorkOrder) -> WorkOrder: ...

    def hanging(self, order: WorkOrder) -> WorkOrder:
        """Return *order* so that its attempt says something and then never ends."""
        ...

    def alive(self, order: WorkOrder) -> bool:
        """Return whether anything of the attempt is alive."""
        ...

    def next_daemon(self) -> Agent:
        """Return the agent as another daemon would open it."""
        ...


def new_order(tmp_path: Path, name: str = "t", attempt: int = 1) -> WorkOrder:
    """Return an order for an attempt that nobody else has."""
    uid = TaskUid(uuid.uuid4().hex)
    cwd = tmp_path / "work"
    cwd.mkdir(exist_ok=True)
    return WorkOrder(
        uid=uid,
        attempt=attempt,
        epoch=1,
        task_id=name,
        agent="claude",
        prompt="Do it.",
        cwd=str(cwd),
        session_id=str(uuid.uuid4()),
        attempt_dir=str(tmp_path / "attempts" / f"{uid}.{attempt}"),
        tools=("Read",),
        timeout_s=60,
    )


class Said:
    """A `say` that keeps everything."""

    def __init__(self) -> None:
        self.messages: list[AgentMessage] = []

    async def __call__(self, message: AgentMessage) -> None:
        self.messages.append(message)


class AgentContract:
    """Subclass it with a fixture `world` that gives an AgentWorld."""

    async def test_a_run_that_ends_well_is_finished_and_told_meanwhile(self, world: AgentWorld, tmp_path: Path) -> None:
        said = Said()
        order = world.ending_well(new_order(tmp_path))
        ended = await world.agent.run(order, said)
        assert isinstance(ended, Finished)
        assert ended.report.answer
        assert ended.report.exit_code == 0
        assert ended.report.session_id == order.session_id
        assert said.messages[0].kind is MessageKind.SESSION
        assert not world.alive(order)

    async def test_a_run_that_fails_says_how(self, world: AgentWorld, tmp_path: Path) -> None:
        order = world.failing(new_order(tmp_path))
        ended = await world.agent.run(order, Said())
        assert isinstance(ended, Failed)
        assert ended.detail
        assert not world.alive(order)

    async def test_a_later_daemon_is_told_the_same_outcome(self, world: AgentWorld, tmp_path: Path) -> None:
        for order in (world.ending_well(new_order(tmp_path, "good")), world.failing(new_order(tmp_path, "bad"))):
            ended = await world.agent.run(order, Said())
            assert await world.next_daemon().collect(order) == ended
            assert await world.next_daemon().collect(order) == ended, "asking changes nothing"

    async def test_an_attempt_that_never_was_left_nothing(self, world: AgentWorld, tmp_path: Path) -> None:
        found = await world.agent.collect(new_order(tmp_path))
        assert found is None or (isinstance(found, Interrupted) and found.report.usage.cost_usd == 0.0)

    async def test_a_cancelled_run_leaves_nothing_alive_and_says_afterwards_how_it_ended(
        self, world: AgentWorld, tmp_path: Path
    ) -> None:
        order, said = world.hanging(new_order(tmp_path)), Said()
        running = asyncio.create_task(world.agent.run(order, said))
        await until(lambda: said.messages, what="a word of the agent")
        assert world.alive(order)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        assert not world.alive(order)
        left = await world.next_daemon().collect(order)
        assert isinstance(left, Interrupted)
        assert not world.alive(order)

    async def test_several_at_once_do_not_disturb_each_other(self, world: AgentWorld, tmp_path: Path) -> None:
        hanging, heard = world.hanging(new_order(tmp_path, "hangs")), Said()
        running = asyncio.create_task(world.agent.run(hanging, heard))
        await until(lambda: heard.messages, what="a word of the first")
        orders = [world.ending_well(new_order(tmp_path, f"good{n}")) for n in range(3)]
        tasks = [asyncio.create_task(world.agent.run(order, Said())) for order in orders]
        bad = asyncio.create_task(world.agent.run(world.failing(new_order(tmp_path, "bad")), Said()))
        await asyncio.wait([*tasks, bad])
        for order, task in zip(orders, tasks, strict=True):
            ended = task.result()
            assert isinstance(ended, Finished)
            assert ended.report.session_id == order.session_id
        assert isinstance(bad.result(), Failed)
        assert world.alive(hanging)
        running.cancel()
        await asyncio.wait([running])
        assert not world.alive(hanging)

    async def test_what_the_listener_raises_ends_the_attempt_and_comes_through(
        self, world: AgentWorld, tmp_path: Path
    ) -> None:
        order = world.hanging(new_order(tmp_path))

        async def deaf(_: AgentMessage) -> None:
            raise LookupError("nobody listens")

        raised: BaseException | None = None
        try:
            await world.agent.run(order, deaf)
        except LookupError as error:
            raised = error
        assert str(raised) == "nobody listens"
        assert not world.alive(order)
