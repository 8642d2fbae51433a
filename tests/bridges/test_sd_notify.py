"""What the service manager hears: on a real datagram socket."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import until

from orchestrator.bridges.sd_notify import ServiceSocket, service_socket


class Manager:
    """A socket such as systemd listens on."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """Return everything heard so far."""
        try:
            while True:
                self.heard.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return self.heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    if request.param == "abstract" and not Path("/proc/net/unix").exists():
        pytest.skip("abstract sockets are Linux's alone")
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path}/notify")
    yield made
    made.close()


def test_each_word_is_one_datagram_and_the_status_is_told_when_it_changes(manager: Manager) -> None:
    ours = service_socket({"NOTIFY_SOCKET": manager.address}, 1)
    ours.ready("running 0")
    ours.alive("running 0")
    ours.alive("running\n2\ntasks")
    ours.stopping("stopping")
    ours.close()
    ours.alive("nobody hears this")
    assert manager.listen() == [
        "READY=1\nSTATUS=running 0",
        "WATCHDOG=1",
        "WATCHDOG=1\nSTATUS=running 2 tasks",
        "STOPPING=1\nSTATUS=stopping",
    ]


async def test_the_beat_goes_on_while_the_loop_turns_and_only_then(manager: Manager) -> None:
    ours = service_socket({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "60000"}, 1)
    beating = asyncio.create_task(ours.beat(lambda: ""))
    await until(lambda: len(manager.listen()) >= 3, what="three beats")
    beating.cancel()
    before = len(manager.listen())
    await asyncio.wait([beating])
    assert len(manager.listen()) == before
    ours.close()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "60000"},
        {"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": "60000"},
        {"NOTIFY_SOCKET": "/nowhere/notify"},
        {"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "60000", "WATCHDOG_PID": "2"},
        {"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "soon"},
    ],
)
async def test_where_nobody_listens_nothing_is_said_and_nothing_fails(environ: dict[str, str]) -> None:
    ours = service_socket(environ, 1)
    ours.ready("running 0")
    await asyncio.wait_for(ours.beat(str), 10)
    ours.stopping("stopping")
    ours.close()


async def test_a_manager_that_reads_nothing_keeps_nobody_from_working(manager: Manager) -> None:
    ours = ServiceSocket(manager.address)
    for number in range(5000):  # far more than its queue takes
        ours.alive(f"running {number}")
    ours.close()
    assert 0 < len(manager.listen()) < 5000
