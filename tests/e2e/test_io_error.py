"""The disk does not keep what was written: the daemon stops with 74, nothing is lost, and the next one goes on."""

import json
from pathlib import Path

import pytest
from tests.e2e.command_root import CommandRoot
from tests.harness import DEADLINE_S, left_running, result

NAMES = ("one", "two", "three")


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("store.written:4", "SQLITE_IOERR"),
        ("files.sync:1", "error[disk]: a file could not be synced: Input/output error"),
        ("files.sync:6", "error[store]: a file could not be synced: Input/output error"),
        ("files.folder:9", "error[store]: a folder could not be synced: Input/output error"),
    ],
)
def test_an_io_error_where_something_is_to_last_ends_the_daemon_with_74_and_loses_nothing(
    tmp_path: Path, point: str, words: str
) -> None:
    root = CommandRoot(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "orchestrator.yaml").write_text("retries: {shortage: {first_delay_s: 1, cap_s: 1}}\n")
    counted = tmp_path / "reached"
    counted.mkdir()
    with root.daemon(ORCHESTRATOR_FAILPOINT=f"{point}:eio:{counted}") as running:
        for name in NAMES:
            root.drop(name)
        assert running.process.wait(DEADLINE_S) == 74
    said = (tmp_path / "daemon.out").read_text()
    assert words in said
    assert left_running(tmp_path) == []
    with root.daemon() as running:
        root.drop("after")
        root.wait(*NAMES, "after")
        assert running.stop() == 0
    assert [result(tmp_path, name)["status"] for name in (*NAMES, "after")] == ["succeeded"] * 4
    assert [task["tries"] for task in root.json("status")["ended"]] == [1, 1, 1, 1]
    lines = [json.loads(line) for line in (tmp_path / "logs/events.ndjson").read_bytes().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert [line["event"] for line in lines].count("task_succeeded") == 4
