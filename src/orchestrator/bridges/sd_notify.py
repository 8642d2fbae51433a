"""Telling the service manager how we are: ready, alive, stopping. systemd's datagrams, by the standard library alone.

Nothing here can fail: who was not started by a service manager speaks into nothing, and a manager that does not listen
keeps nobody from working.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

BEATS_PER_PERIOD = 3  # so that one which comes late costs nothing


def service_socket(environ: Mapping[str, str], pid: int) -> "ServiceSocket":
    """Return the socket that *environ* names; the watchdog counts only when it is meant for the process *pid*."""
    given = environ.get("WATCHDOG_USEC", "")
    meant = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    watchdog_s = int(given) / 1e6 if meant and given.isascii() and given.isdigit() else 0.0
    return ServiceSocket(environ.get("NOTIFY_SOCKET", ""), watchdog_s)


class ServiceSocket:
    """Holds the socket open that the manager listens on. *watchdog_s*: it wants to hear of us that often; 0: never."""

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self._watchdog_s = watchdog_s
        self._said = ""
        self._socket: socket.socket | None = None
        if address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """Everything is up: from now on the manager counts us as started, and watches."""
        self._say("READY=1", status)

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._say("STOPPING=1", status)

    def alive(self, status: str) -> None:
        """The event loop turns. *status* is one line for people, sent when it is another one than before."""
        self._say("WATCHDOG=1", status)

    async def beat(self, status: Callable[[], str]) -> None:
        """Say for ever, as often as is asked for, that the event loop turns; at once when nobody asks."""
        while self._socket is not None and self._watchdog_s > 0:
            self.alive(status())
            await asyncio.sleep(self._watchdog_s / BEATS_PER_PERIOD)

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, word: str, status: str) -> None:
        if self._socket is None:
            return
        line = " ".join(status.split())
        news = f"\nSTATUS={line}" if line and line != self._said else ""
        self._said = line or self._said
        with suppress(OSError):
            self._socket.sendto(f"{word}{news}".encode("utf-8", "replace"), self._address)
