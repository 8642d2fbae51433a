"""A real HTTP server on loopback that behaves as badly as it is told to."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Act = Callable[["_Handler"], None]


def answers(status: int, body: bytes = b"", **headers: str) -> Act:
    """Answer with *status*; an underscore in the name of a header is a dash."""

    def act(handler: "_Handler") -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return act


def hangs(handler: "_Handler") -> None:
    """Take the request and say nothing until the server ends."""
    handler.far.ended.wait()
    handler.close_connection = True


def cuts(handler: "_Handler") -> None:
    """Take the request and close the connection without a word."""
    handler.close_connection = True
    handler.connection.close()


def babbles(handler: "_Handler") -> None:
    """Answer, and not in HTTP."""
    handler.connection.sendall(b"hello, this is no HTTP\r\n\r\n")
    handler.close_connection = True


def trickles(handler: "_Handler") -> None:
    """Send a byte of a header now and then, for ever."""
    handler.connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not handler.far.ended.wait(0.05):
        handler.connection.sendall(b"x")


@dataclass
class FarSide:
    """What came, and how the next ones are answered; 204 when nothing is said."""

    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    always: Act = field(default_factory=lambda: answers(204))
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def far(self) -> FarSide:
        assert isinstance(self.server, _Server)
        return self.server.far

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        with self.far.lock:
            self.far.asked.append(Asked(self.path, dict(self.headers), body))
            act = self.far.acts.pop(0) if self.far.acts else self.far.always
        try:
            act(self)
        except OSError:
            self.close_connection = True

    def do_PUT(self) -> None:  # how ntfy takes a document
        self.do_POST()

    def log_message(self, *_: object) -> None:
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, far: FarSide, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.far = far

    def handle_error(self, *_: object) -> None:
        """A client that went away is no error of the test."""


@contextmanager
def far_side(far: FarSide | None = None, port: int = 0) -> Iterator[FarSide]:
    """Serve on 127.0.0.1 while the block runs."""
    far = far or FarSide()
    server = _Server(far, port)
    far.address = f"http://127.0.0.1:{server.server_address[1]}"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    serving.start()
    try:
        yield far
    finally:
        far.ended.set()
        server.shutdown()
        server.server_close()
        serving.join()
