"""The control: a task daemon as it is written in an afternoon. The kill harness must find fault with it.

It remembers in memory what it has seen, talks to the agent by pipes, writes its results in place and archives at
the end. Every line of it is plausible; under kill -9 it repeats work, leaves processes behind and tears its files.

    python tests/under_fire/naive_daemon.py ROOT
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

SLOTS = 4
TRIES = 2
PATIENCE_S = 3.0


class NaiveDaemon:
    """Runs the task files of one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen: set[str] = set()
        self.seq = 0
        self.lock = threading.Lock()
        for name in ("tasks/processed", "tasks/failed", "results", "logs"):
            (root / name).mkdir(parents=True, exist_ok=True)
        self.log = open(root / "logs" / "events.ndjson", "a")  # noqa: SIM115 - open for life

    def run(self) -> None:
        pool = ThreadPoolExecutor(SLOTS)
        while True:
            for path in sorted((self.root / "tasks").glob("*.task.md")):
                if path.name not in self.seen:
                    self.seen.add(path.name)
                    pool.submit(self.process, path)
            threading.Event().wait(0.1)

    def process(self, path: Path) -> None:
        text = path.read_text()
        found = re.search(r"^id: (\S+)$", text, re.MULTILINE)
        if found is None:
            self.event(path.name, "task_rejected")
            shutil.move(path, self.root / "tasks" / "failed")
            return
        task_id = found[1]
        self.event(task_id, "task_received")
        status, attempt = "failed", 0
        while status == "failed" and attempt < TRIES:
            attempt += 1
            self.event(task_id, "claude_started")
            status = self.agent(task_id, attempt, text)
        result = {"task_id": task_id, "status": status, "attempt": attempt, "prompt": text}
        with open(self.root / "results" / f"{task_id}_result.json", "w") as stream:
            json.dump(result, stream, indent=2)
        self.event(task_id, f"task_{status}")
        shutil.move(path, self.root / "tasks" / ("processed" if status == "succeeded" else "failed"))

    def agent(self, task_id: str, attempt: int, text: str) -> str:
        command = shlex.split(os.environ["ORCHESTRATOR_CLAUDE_COMMAND"])
        env = {**os.environ, "ORCHESTRATOR_ATTEMPT": f"{task_id}.{attempt}"}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        try:
            output, _ = process.communicate(text, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return "failed"
        return "succeeded" if process.returncode == 0 and '"is_error":false' in output else "failed"

    def event(self, task_id: str, name: str) -> None:
        with self.lock:
            self.seq += 1
            line = {"seq": self.seq, "ts": datetime.now(UTC).isoformat(), "event": name, "task_id": task_id, "data": {}}
            self.log.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    NaiveDaemon(Path(sys.argv[1])).run()
