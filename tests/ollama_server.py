"""An Ollama server on loopback that behaves like the real one, as far as we ask it: what it says is up to a test."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERSION = "0.16.2"
Say = Callable[[Mapping[str, Any]], str]


class OllamaServer:
    """What it is to do, and what it was asked. *models* are name to size of context; the last one is the newest.

    *fault* is one of "", hang, torn (the connection ends within the answer), garbage (no JSON), error (500), endless.
    """

    def __init__(self, say: Say | str = "{}", models: Mapping[str, int] | None = None) -> None:
        self.say: Say = say if callable(say) else lambda _: say
        self.models = dict({"nomic-embed-text:latest": 2048, "qwen3:8b": 40960} if models is None else models)
        self.fault = ""
        self.asked: list[Mapping[str, Any]] = []
        self.loaded: dict[str, int] = {}
        self.stopping = threading.Event()
        self.host = ""

    @property
    def prompts(self) -> Sequence[str]:
        """What the chats were about."""
        return [str(body["messages"][-1]["content"]) for body in self.asked]

    def tags(self) -> list[Mapping[str, Any]]:
        return [
            {
                "name": name,
                "model": name,
                "modified_at": f"2026-11-{day:02}T10:00:00.123456789+01:00",
                "size": 5_000_000_000,
                "digest": f"{day:064x}",
                "details": {"family": "nomic-bert" if "embed" in name else "qwen3", "format": "gguf"},
            }
            for day, name in enumerate(self.models, 1)
        ]

    def running(self) -> list[Mapping[str, Any]]:
        rows = [row for row in self.tags() if row["name"] in self.loaded]
        return [{**row, "size_vram": 0, "context_length": self.loaded[row["name"]]} for row in rows]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Listener"

    def log_message(self, *_: object) -> None:
        """Say nothing on the terminal of the tests."""

    def do_GET(self) -> None:
        state = self.server.state
        answers: dict[str, Any] = {
            "/api/version": {"version": VERSION},
            "/api/tags": {"models": state.tags()},
            "/api/ps": {"models": state.running()},
        }
        if self.path == "/":
            self._answer(200, b"Ollama is running", "text/plain")
        elif self.path in answers:
            self._json(200, answers[self.path])
        else:
            self._answer(404, b"404 page not found", "text/plain")

    def do_POST(self) -> None:
        state = self.server.state
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        name = str(body.get("model", ""))
        if name not in state.models and f"{name}:latest" not in state.models:
            self._json(404, {"error": f"model '{name}' not found"})
        elif self.path == "/api/show":
            info = {"general.architecture": "qwen3", "qwen3.context_length": state.models[name]}
            self._json(200, {"capabilities": ["completion", "tools"], "model_info": info, "details": {}})
        elif self.path == "/api/chat":
            state.asked.append(body)
            state.loaded[name] = body.get("options", {}).get("num_ctx", 4096)
            self._chat(state, body)
        else:
            self._answer(404, b"404 page not found", "text/plain")

    def _chat(self, state: OllamaServer, body: Mapping[str, Any]) -> None:
        if state.fault == "hang":
            state.stopping.wait(60)
            return
        if state.fault == "error":
            self._json(500, {"error": "llama runner process has terminated: exit status 2"})
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):
            self._stream(state, body)

    def _stream(self, state: OllamaServer, body: Mapping[str, Any]) -> None:
        text = state.say(body)
        if state.fault == "garbage":
            self.wfile.write(b"<html>a proxy's login page</html>\n")
            return
        if state.fault == "torn":
            self.wfile.write(b'{"model":"qwen3:8b","message":{"role":"assi')
            return
        while state.fault == "endless" and not state.stopping.is_set():
            self._piece(body, "x" * 4096)
        for at in range(0, len(text), 40):
            self._piece(body, text[at : at + 40])
        self._piece(body, "", done=True)

    def _piece(self, body: Mapping[str, Any], text: str, *, done: bool = False) -> None:
        row = {
            "model": body["model"],
            "created_at": "2026-11-27T10:00:00.1Z",
            "message": {"role": "assistant", "content": text},
            "done": done,
            **({"done_reason": "stop", "eval_count": 7} if done else {}),
        }
        self.wfile.write(json.dumps(row).encode() + b"\n")

    def _json(self, status: int, value: object) -> None:
        self._answer(status, json.dumps(value).encode(), "application/json; charset=utf-8")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Listener(ThreadingHTTPServer):
    daemon_threads = False
    state: OllamaServer


@contextmanager
def ollama_server(say: Say | str = "{}", models: Mapping[str, int] | None = None) -> Iterator[OllamaServer]:
    """Run one on a free port."""
    listener = _Listener(("127.0.0.1", 0), _Handler)
    listener.state = state = OllamaServer(say, models)
    state.host = f"http://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,), name="ollama")
    thread.start()
    try:
        yield state
    finally:
        state.stopping.set()
        listener.shutdown()
        listener.server_close()
        thread.join()
