"""A scripted model: the Messages API on 127.0.0.1, so that a whole agent can be run without an account or a network.

The first part of the path selects a scenario: point ANTHROPIC_BASE_URL at `base_url(name)`. A script block in the
prompt wins over it (see kit/script.py). Nothing is remembered between requests except how often a fault was served
and a log for tests; any number of runs may share one server.

    python -m orchestrator.kit.model --port 8099     serve the named scenarios of kit/scenarios.py until Ctrl-C
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from orchestrator.core.events import Json
from orchestrator.kit import wire
from orchestrator.kit.scenarios import NAMED
from orchestrator.kit.script import Answer, Cut, CutAt, Fault, Hang, Refusal, Scenario, ScriptError, StreamError, choose
from orchestrator.kit.wire import Asked

HOST = "127.0.0.1"
_MAX_BODY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in. *turn* is the index played, -1 where none was; *credential* the kind that was sent."""

    scenario: str
    path: str
    turn: int
    played: str
    model: str
    stream: bool
    n_messages: int
    tools: tuple[str, ...]
    prompt: str
    credential: str


class ScriptedModel:
    """A running server. Use it as a context manager, `with` or `async with`; its threads end with it."""

    def __init__(self, scenarios: Mapping[str, Scenario] | None = None, *, port: int = 0) -> None:
        self._scenarios = dict(scenarios or {})
        self._port = port
        self._lock = threading.Lock()
        self._served: dict[tuple[str, str], int] = {}
        self._requests: list[Request] = []
        self._last: dict[str, Mapping[str, Json]] = {}
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._server = _Server((HOST, self._port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="scripted-model")
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and wait for all threads. Does nothing when not running."""
        if self._server is None or self._thread is None:
            return
        self._server.stopping.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on. Raises RuntimeError when it does not run."""
        if self._server is None:
            raise RuntimeError("the model is not running")
        return int(self._server.server_address[1])

    def base_url(self, name: str = "default") -> str:
        """Return the ANTHROPIC_BASE_URL under which scenario *name* is played."""
        return f"http://{HOST}:{self.port}/s/{name}"

    def play(self, name: str, scenario: Scenario) -> str:
        """Set scenario *name*, forget its counters, and return its base URL."""
        with self._lock:
            self._scenarios[name] = scenario
            self._served = {key: count for key, count in self._served.items() if key[0] != name}
        return self.base_url(name)

    def requests(self, name: str | None = None) -> tuple[Request, ...]:
        """Return the requests so far, in order; only those of scenario *name* when given."""
        with self._lock:
            return tuple(request for request in self._requests if name in (None, request.scenario))

    def last_body(self, name: str) -> Mapping[str, Json]:
        """Return the last complete request body of scenario *name*. Raises KeyError when there was none."""
        with self._lock:
            return self._last[name]

    def choose(self, name: str, asked: Asked) -> tuple[int, Answer | Fault]:
        """Return the turn to play now. Raises ScriptError for a scenario that nobody set."""
        with self._lock:
            scenario = asked.scenario or self._scenarios.get(name)
            if scenario is None and name != "default":
                raise ScriptError(f"no scenario is named {name!r}")
            return choose(scenario or Scenario(), asked.answered, lambda i, fault: self._spent(name, asked, i, fault))

    def _spent(self, name: str, asked: Asked, index: int, fault: Fault) -> bool:
        if fault.times == 0:
            return False
        slot = (name, fault.key or f"{asked.session}#{index}")
        self._served[slot] = self._served.get(slot, 0) + 1
        return self._served[slot] > fault.times

    def log(self, request: Request, body: Mapping[str, Json]) -> None:
        """Remember a request."""
        with self._lock:
            self._requests.append(request)
            if body:
                self._last[request.scenario] = body


def start_model(scenarios: Mapping[str, Scenario] | None = None, *, port: int = 0) -> ScriptedModel:
    """Return a running model; end it with `stop()`."""
    model = ScriptedModel(scenarios, port=port)
    model.start()
    return model


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = False

    def __init__(self, address: tuple[str, int], model: ScriptedModel) -> None:
        self.model = model
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request_thread(self, request: socket.socket | tuple[bytes, socket.socket], address: object) -> None:
        assert isinstance(request, socket.socket)
        with self._open_lock:
            self._open.add(request)
        try:
            super().process_request_thread(request, address)
        finally:
            with self._open_lock:
                self._open.discard(request)

    def close_connections(self) -> None:
        with self._open_lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that went away is no error of ours
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _GoneError(ConnectionError):
    """The script closes the connection here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing: tests and the demo own the terminal."""

    def do_GET(self) -> None:
        """Answer 404: nothing but messages is offered."""
        self._send_json(404, wire.error_body(404, f"no such path: {self.path}"))

    def do_HEAD(self) -> None:
        """Answer as for GET."""
        self.do_GET()

    def do_POST(self) -> None:
        """Play the turn that this request has reached."""
        name, path = _split(self.path)
        try:
            body = self._body()
            if path == "/v1/messages/count_tokens":
                self._send_json(200, {"input_tokens": max(1, len(json.dumps(body)) // 4)})
            elif path == "/v1/messages":
                self._play(name, body)
            else:
                self._send_json(404, wire.error_body(404, f"no such path: {self.path}"))
        except ScriptError as error:
            self._send_json(400, wire.error_body(400, f"script: {error}"))
        except OSError:  # the client went away, or the script closes the connection
            self.close_connection = True

    def _body(self) -> Mapping[str, Json]:
        size = int(self.headers.get("content-length") or 0)
        if not 0 <= size <= _MAX_BODY:
            raise ScriptError(f"a body of {size} bytes is not read")
        try:
            body: Json = json.loads(self.rfile.read(size) or b"{}")
        except ValueError:
            raise ScriptError("the body is not JSON") from None
        if not isinstance(body, Mapping):
            raise ScriptError("the body is not an object")
        return body

    def _play(self, name: str, body: Mapping[str, Json]) -> None:
        asked = wire.read_request(body)
        index, turn = self.server.model.choose(name, asked)
        self.server.model.log(_logged(name, self.path, index, turn, asked, self._credential()), body)
        match turn:
            case Answer():
                self._wait(turn.delay_s)
                self._answer(turn, asked, None)
            case Refusal():
                self._send_json(turn.status, wire.error_body(turn.status, turn.message, turn.error_type), turn.headers)
            case StreamError() if not asked.stream:
                status = wire.status_of(turn.error_type)
                self._send_json(status, wire.error_body(status, turn.message, turn.error_type))
            case StreamError():
                self._answer(Answer("half"), asked, turn)
            case Cut():
                self._answer(Answer(turn.text), asked, turn)
            case Hang():
                self._wait(None)
                raise _GoneError

    def _credential(self) -> str:
        if self.headers.get("x-api-key"):
            return "api_key"
        return "bearer" if self.headers.get("authorization") else "none"

    def _answer(self, answer: Answer, asked: Asked, fault: Cut | StreamError | None) -> None:
        whole = wire.message(answer, asked, wire.blocks_of(answer, asked))
        if isinstance(fault, Cut) and (fault.at is CutAt.HEADERS or not asked.stream):
            raise _GoneError
        if not asked.stream:
            self._send_json(200, whole, answer.headers)
            return
        self._send_head(200, "text/event-stream; charset=utf-8", answer.headers, ("transfer-encoding", "chunked"))
        for event in self._stream(answer, whole, fault):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _stream(self, answer: Answer, whole: Mapping[str, Json], fault: Cut | StreamError | None) -> Iterator[bytes]:
        cut = fault.at if isinstance(fault, Cut) else None
        yield from wire.opening(whole)
        if cut is CutAt.START:
            raise _GoneError
        content = whole["content"]
        assert isinstance(content, list)
        for index, block in enumerate(content):
            for step, event in enumerate(wire.block_events(index, block, answer.chunk_chars)):
                yield event
                if index == 0 and step == 1:  # half of the first block is out
                    if cut is CutAt.HALF:
                        raise _GoneError
                    if isinstance(fault, StreamError):
                        yield wire.error_event(fault.error_type, fault.message)
                        return
                    self._wait(answer.stall_s)
                self._wait(answer.pause_s)
        if cut is CutAt.BEFORE_STOP:
            raise _GoneError
        yield from wire.closing(whole)

    def _wait(self, seconds: float | None) -> None:
        """Wait, for ever when None. Raises _GoneError as soon as the client leaves or the server stops."""
        step_s, left = 0.1, seconds
        while left is None or left > 0:
            readable, _, _ = select.select([self.connection], [], [], step_s if left is None else min(step_s, left))
            if self.server.stopping.is_set() or (readable and not self.connection.recv(1, socket.MSG_PEEK)):
                raise _GoneError
            if readable:  # the client talks on while we are silent: do not spin
                self.server.stopping.wait(step_s)
            left = None if left is None else left - step_s

    def _send_json(self, status: int, body: Mapping[str, Json], headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self._send_head(status, "application/json", headers or {}, ("content-length", str(len(data))))
        if self.command != "HEAD":
            self.wfile.write(data)

    def _send_head(self, status: int, kind: str, headers: Mapping[str, str], framing: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("content-type", kind), framing, ("request-id", "req_scripted"), *headers.items()):
            self.send_header(name, value)
        self.end_headers()


def _split(path: str) -> tuple[str, str]:
    """Return (scenario, path of the API)."""
    plain = path.partition("?")[0]
    if not plain.startswith("/s/"):
        return "default", plain
    name, _, rest = plain[3:].partition("/")
    return name, f"/{rest}"


def _logged(name: str, path: str, index: int, turn: Answer | Fault, asked: Asked, credential: str) -> Request:
    return Request(
        scenario=name,
        path=path,
        turn=index,
        played=type(turn).__name__,
        model=asked.model,
        stream=asked.stream,
        n_messages=asked.n_messages,
        tools=asked.tools,
        prompt=asked.prompt,
        credential=credential,
    )


def main(argv: Sequence[str]) -> int:
    """Serve the named scenarios until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m orchestrator.kit.model", description="A scripted Messages API.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    options = parser.parse_args(argv)
    scenarios = {name: make() for name, make in NAMED.items()}
    try:
        model = start_model(scenarios, port=options.port)
    except OSError as error:
        sys.stderr.write(f"error: cannot listen on {HOST}:{options.port}: {error.strerror}\n")
        return 1
    with suppress(KeyboardInterrupt):
        names = ", ".join(sorted(scenarios))
        sys.stdout.write(f"export ANTHROPIC_BASE_URL={model.base_url('NAME')}\n  NAME is one of: {names}\n")
        sys.stdout.flush()
        threading.Event().wait()
    model.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
