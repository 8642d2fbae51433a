"""The command `service`: its words and its exit codes."""

from dataclasses import replace

import pytest
from tests.api.world import World

from orchestrator.core.service import ServiceState

RUNS = ServiceState(
    "orchestrator-r-1",
    "systemd",
    "/h/r.service",
    text="[Unit]\n",
    current=True,
    enabled=True,
    state="active",
    pid=4812,
    notes=("running 2",),
)


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        (RUNS, 0, "orchestrator-r-1 (systemd): active, pid 4812, starts with your login\nwritten to /h/r.service\n"),
        (replace(RUNS, state="failed", pid=0), 5, "orchestrator-r-1 (systemd): failed, starts with your login\n"),
        (replace(RUNS, enabled=False), 0, "active, pid 4812, does not start by itself\n"),
        (replace(RUNS, text=""), 4, "orchestrator-r-1 is not installed.\n"),
        (replace(RUNS, current=False), 0, "`service install` writes it again.\nrunning 2\n"),
    ],
)
async def test_status_says_how_it_stands_and_its_exit_code_too(state: ServiceState, code: int, words: str) -> None:
    world = World(service=state)
    told, text, _ = await world.call("service", "status")
    assert told == code
    assert words in text


async def test_what_is_installed_and_removed_is_told(world: World) -> None:
    world.service = replace(RUNS, commands=("systemctl --user enable x",))
    assert (await world.call("service", "install"))[:2] == (
        0,
        "orchestrator-r-1 (systemd): active, pid 4812, starts with your login\nwritten to /h/r.service\nrunning 2\n",
    )
    assert (await world.call("service", "uninstall"))[1] == "orchestrator-r-1 is removed.\n"
    world.service = replace(RUNS, commands=())
    assert (await world.call("service", "uninstall"))[1] == "orchestrator-r-1 is not installed: nothing to do.\n"
    assert world.asked == [("install", False), ("uninstall", False), ("uninstall", False)]


async def test_a_dry_run_shows_what_would_be_written_and_run_in_its_order(world: World) -> None:
    world.service = replace(RUNS, commands=("first", "second"))
    text = (await world.call("service", "install", "--dry-run"))[1]
    assert text.startswith("would write /h/r.service:\n\n[Unit]\n")
    assert text.endswith("would run: first\nwould run: second\nrunning 2\n")
    text = (await world.call("service", "uninstall", "--dry-run"))[1]
    assert text == "would run: first\nwould remove /h/r.service\nwould run: second\n"
    assert world.asked == [("install", True), ("uninstall", True)]


async def test_as_json_it_has_every_fact(world: World) -> None:
    world.service = RUNS
    told = await world.json("service", "status")
    assert (told["schema_version"], told["state"], told["pid"], told["notes"]) == (1, "active", 4812, ["running 2"])


@pytest.fixture
def world() -> World:
    return World()
