"""The daemon under a service manager: what it says of itself, and how it is installed."""

import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.command_root import CommandRoot
from tests.harness import DEADLINE_S, wait_until


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    folder = tmp_path / "root"
    folder.mkdir()
    return CommandRoot(folder)


class Ear:
    """The socket of a service manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def words(self, word: str) -> list[str]:
        """Return all that was heard with *word* so far."""
        try:
            while True:
                self.heard.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return [text for text in self.heard if text.startswith(word)]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    made = Ear(tmp_path / "notify")
    yield made
    made.close()


def test_the_daemon_says_ready_after_recovery_then_that_it_lives_and_that_it_stops(root: CommandRoot, ear: Ear) -> None:
    root.drop("left", root.waiting_prompt())
    with root.daemon() as first:
        root.wait_event("progress", 2)
        first.kill()
    with root.daemon(NOTIFY_SOCKET=str(ear.path), WATCHDOG_USEC="300000") as running:
        wait_until(lambda: ear.words("READY=1"), what="READY")
        assert root.json("status")["daemon"]["pid"] == running.process.pid
        taken_up = [event for event in root.events() if event["event"] in ("interrupted", "claude_finished")]
        assert taken_up, "what the killed daemon left was taken up before"
        beats = len(ear.words("WATCHDOG=1"))
        wait_until(lambda: len(ear.words("WATCHDOG=1")) >= beats + 5, what="five more beats")
        wait_until(lambda: "WATCHDOG=1\nSTATUS=running 1" in ear.words("WATCHDOG=1"), what="the running task")
        assert ear.words("STOPPING=1") == []
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: ear.words("STOPPING=1"), what="STOPPING")
        stopping = len(ear.words("WATCHDOG=1"))
        wait_until(lambda: len(ear.words("WATCHDOG=1")) > stopping, what="a beat while it drains")
        root.open_gate()
        assert running.process.wait(DEADLINE_S) == 0
    assert ear.words("STOPPING=1") == ["STOPPING=1\nSTATUS=stopping, running 1"]
    assert len(ear.words("READY=1")) == 1


def test_a_daemon_that_cannot_start_is_never_ready(root: CommandRoot, ear: Ear) -> None:
    with root.daemon() as running:
        root.wait_event("daemon_started")
        root.call(code=75, NOTIFY_SOCKET=str(ear.path), WATCHDOG_USEC="300000")
        assert running.stop() == 0
    assert ear.words("READY=1") == []


def test_the_agent_does_not_learn_of_the_socket(root: CommandRoot, ear: Ear) -> None:
    with root.daemon(NOTIFY_SOCKET=str(ear.path)) as running:
        root.drop("t", root.waiting_prompt())
        root.wait_event("progress", 2)
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                told = environ.read_bytes()
            except OSError:
                continue
            assert b"ORCHESTRATOR_ATTEMPT=" not in told or str(ear.path).encode() not in told
        root.open_gate()
        root.wait("t")
        assert running.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the words are those of systemd")
def test_a_dry_run_shows_the_unit_of_this_root_and_writes_nothing(root: CommandRoot) -> None:
    (root.path / "tasks").mkdir()
    (root.path / ".env").write_text("MAX_CONCURRENT_TASKS=2\nLOG_LEVEL=INFO\n")
    told = root.json("service", "install", "--dry-run")
    assert (told["manager"], told["pid"]) == ("systemd", 0)
    assert f'ExecStart=:"{sys.executable}" ' in told["text"]
    assert f'"--root" "{root.path}"\n' in told["text"]
    assert "TimeoutStopSec=120\n" in told["text"]
    text = root.call("service", "install", "--dry-run", CLAUDE_TIMEOUT_SEC="100", LOG_LEVEL="INFO").stdout
    assert text.startswith(f"would write {told['file']}:\n")
    assert "would run: systemctl --user enable " in text
    assert "Set in this shell and unknown to the service: CLAUDE_TIMEOUT_SEC, ORCHESTRATOR_CLAUDE_COMMAND, " in text
    assert not Path(told["file"]).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the words are those of systemd")
def test_where_no_systemd_answers_the_command_says_what_to_do_instead(root: CommandRoot) -> None:
    (root.path / "tasks").mkdir()
    root.env |= {"PATH": str(root.path), "XDG_RUNTIME_DIR": str(root.path)}
    for action in ("install", "status"):
        done = root.call("service", action, code=1)
        assert done.stderr.startswith("error[service]: no systemd of this user answers (systemctl is not on PATH)\n")
        assert f"--root {root.path}" in done.stderr
    assert "is not installed: nothing to do." in root.call("service", "uninstall").stdout
    assert root.call("service", "status", "--root", str(root.path / "nowhere"), code=3).stderr.startswith("error[root]")
