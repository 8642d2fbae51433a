"""Each command as a process of its own, on a root with a daemon or without."""

import contextlib
import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.command_root import BROKEN, GOOD, TRACE, CommandRoot, script
from tests.harness import orchestrator, result, task_text, wait_until


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    return CommandRoot(tmp_path)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> CommandRoot:
    """A root where two tasks were done, one failed, one was refused and two wait. For tests that only look."""
    root = CommandRoot(tmp_path_factory.mktemp("past"))
    (root.path / "tasks").mkdir()
    (root.path / "tasks" / "refused.task.md").write_text("---\nid: refused\ntype: nonsense\n---\n\n**Prompt:**\nDo.\n")
    root.run_to_end(good=GOOD, fine=GOOD, broken=BROKEN)
    for name in ("good", "fine"):
        root.call("retry", name)
    return root


def test_status_without_a_daemon_says_how_to_start_it(past: CommandRoot) -> None:
    text = past.call("status").stdout
    assert text.startswith(
        "orchestrator  not running    slots 0/3    queued 2    succeeded 2    failed 1    rejected 1\n"
    )
    assert "\nclaude    2.1.329 (" in text
    assert text.endswith(f"why it failed: {past.command} show broken\nstart it: {past.command}\n")
    told = past.json("status")
    assert (told["root"], told["daemon"]) == (str(past.path), None)
    assert {task["id"]: task["state"] for task in told["ended"]} == {
        "good": "succeeded",
        "fine": "succeeded",
        "broken": "failed",
        "refused": "rejected",
    }


def test_show_tells_the_ended_the_waiting_and_the_refused(past: CommandRoot) -> None:
    assert past.call("show", "broken").stdout.startswith("broken: FAILED - agent_error\n")
    assert past.json("show", "broken") == result(past.path, "broken")
    refused = past.call("show", "refused").stdout
    assert refused.startswith("refused: rejected - type_invalid\n")
    assert "priority" not in refused
    waiting = past.json("status")["waiting"]
    assert past.call("show", waiting[0]["uid"][-8:]).stdout.startswith(f"{waiting[0]['name']}: queued\n")


def test_show_of_nothing_known_and_of_too_much(past: CommandRoot) -> None:
    done = past.call("show", "nobody", code=4)
    assert (done.stdout, done.stderr) == (
        "",
        f"error[not_found]: no task is called 'nobody'\n  `{past.command} status` lists the tasks.\n",
    )
    assert json.loads(past.call("show", "nobody", "--json", code=4).stdout)["error"]["code"] == "not_found"
    common = past.json("status")["waiting"][0]["uid"][:4]  # the century: all uids begin so
    done = past.call("show", common, code=2)
    assert "error[ambiguous]" in done.stderr
    assert "Give more of the uid." in done.stderr


def test_an_ended_or_refused_task_is_not_cancelled_and_a_refused_one_not_retried(past: CommandRoot) -> None:
    assert "has already ended: failed" in past.call("cancel", "broken", code=6).stderr
    assert "has already ended: rejected" in past.call("cancel", "refused", code=6).stderr
    assert "move it back to tasks/" in past.call("retry", "refused", code=6).stderr
    queued = past.json("status")["waiting"][0]["uid"]
    assert "has not ended" in past.call("retry", queued, code=6).stderr


def test_events_as_json_are_the_lines_of_the_event_log(past: CommandRoot) -> None:
    lines = (past.path / "logs" / "events.ndjson").read_text("ascii").splitlines()
    told = past.call("tail-events", "--json", "--lines", "1000").stdout.splitlines()
    assert told[: len(lines)] == lines
    assert [json.loads(line)["seq"] for line in told] == list(range(1, len(told) + 1))
    assert past.call("tail-events", "--json", "--lines", "3").stdout.splitlines() == told[-3:]
    mine = past.call("tail-events", "--json", "--task", "broken", "--lines", "100").stdout.splitlines()
    assert mine == [line for line in told if json.loads(line).get("task_id") == "broken"]
    assert len(mine) > 5
    text = past.call("tail-events", "--task", "broken").stdout
    assert "FAILED: agent_error" in text
    assert "good" not in text


def test_artifacts_are_validated_and_the_damaged_one_is_named(past: CommandRoot) -> None:
    assert past.call("validate-artifacts").stdout == "4 result files, 0 not valid.\n"
    path = past.path / "results" / "good_result.json"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[: len(whole) // 2])
        text = past.call("validate-artifacts", code=1).stdout
        assert text.startswith("results/good_result.json: it is not JSON")
        assert "4 result files, 1 not valid.\nDelete what is not valid" in text
        files = past.json("validate-artifacts", code=1)["files"]
        assert [(row["file"], row["ok"]) for row in files] == [
            ("results/broken_result.json", True),
            ("results/fine_result.json", True),
            ("results/good_result.json", False),
            *((row["file"], True) for row in files if row["file"].startswith("results/report-")),
        ]
    finally:
        path.write_bytes(whole)


def test_colour_is_for_a_terminal_that_wants_it(past: CommandRoot) -> None:
    assert "\x1b" in _on_terminal(past, TERM="xterm-256color")
    assert "\x1b" not in _on_terminal(past, TERM="xterm-256color", NO_COLOR="1")
    assert "\x1b" not in _on_terminal(past, TERM="dumb")
    assert "\x1b" not in past.call("status", TERM="xterm-256color").stdout


def _on_terminal(root: CommandRoot, **env: str) -> str:
    """Return what `show` prints on a pseudo-terminal."""
    master, slave = pty.openpty()
    argv = [sys.executable, "-m", "orchestrator", "--root", str(root.path), "show", "broken"]
    try:
        done = subprocess.Popen(argv, env=root.env | env, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        pieces = list(_pieces(master))
        assert done.wait(30) == 0
    finally:
        os.close(master)
    text = b"".join(pieces).decode()
    assert "broken" in text
    return text


def _pieces(master: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(master, 65_536)
        except OSError:  # the other side is closed
            return
        if not piece:
            return
        yield piece


def test_a_reader_that_goes_away_is_no_error(past: CommandRoot) -> None:
    argv = [sys.executable, "-m", "orchestrator", "--root", str(past.path), "tail-events", "--follow", "--lines", "1"]
    running = subprocess.Popen(argv, env=past.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    assert running.stdout.readline()
    running.stdout.close()
    queued = past.json("status")["waiting"][-1]["uid"]
    past.call("cancel", queued)
    past.call("retry", queued)
    assert running.wait(30) == 0
    assert running.stderr is not None
    assert running.stderr.read() == b""
    running.stderr.close()


def test_check_reads_without_running(root: CommandRoot) -> None:
    good, bad = root.path / "good.md", root.path / "bad.md"
    good.write_text(task_text("good"))
    bad.write_text(task_text("bad", task_type="nonsense"))
    assert root.call("check", str(good)).stdout.startswith(f"{good}: ok\n  id        good\n")
    done = root.call("check", str(good), str(bad), code=1)
    assert "error[type_invalid]" in done.stdout
    assert "bad.md:3" in done.stdout
    assert "1 of 2 files are tasks." in done.stdout
    told = root.json("check", str(good), str(bad), code=1)["files"]
    assert [row["ok"] for row in told] == [True, False]
    assert told[1]["error"]["line"] == 3
    assert "there is no file" in root.call("check", str(root.path / "none.md"), code=4).stderr
    assert "error[usage]" in root.call("check", str(root.path), code=2).stderr
    assert not root.archived("good")


def test_a_context_that_names_no_file_is_a_mistake_and_words_are_words(root: CommandRoot) -> None:
    said = root.call("parse", "Add tests", "--context", "docs/gone.md", code=2).stderr
    assert "there is no file docs/gone.md to take the context from" in said
    root.call("parse", "Add tests", "--context", "docs/gone.md is old")


def test_a_sample_is_a_valid_task_and_never_overwrites(root: CommandRoot) -> None:
    text = root.call("create-sample", "--name", "hello").stdout
    assert text == f"wrote tasks/hello.task.md\nrun it: {root.command}\n"
    path = root.path / "tasks" / "hello.task.md"
    before = path.read_bytes()
    assert root.call("check", str(path)).stdout.startswith(f"{path}: ok\n")
    assert "error[conflict]" in root.call("create-sample", "--name", "hello", code=6).stderr
    assert path.read_bytes() == before


def test_tasks_put_away_are_not_run_and_a_dry_run_touches_nothing(root: CommandRoot) -> None:
    root.drop("one")
    (root.path / "tasks" / "bad.task.md").write_text("---\ntype: [\n---\n")
    told = root.json("clean", "tasks", "--dry-run")
    assert told["dry_run"] is True
    assert told["paths"] == ["tasks/bad.task.md", "tasks/one.task.md"]
    assert sorted(path.name for path in (root.path / "tasks").glob("*.md")) == ["bad.task.md", "one.task.md"]
    text = root.call("clean", "tasks").stdout
    assert "archived without running: tasks/one.task.md\n" in text
    assert root.archived("one", "processed")
    assert root.call("clean", "tasks").stdout == "0 files.\n"
    assert not (root.path / "results" / "journal").exists()


def test_cleaned_artifacts_are_not_written_again(root: CommandRoot) -> None:
    root.run_to_end(one=GOOD, two=GOOD)
    age = "UPDATE task SET ended_ts = ended_ts - 5 * 86400"
    assert root.json("clean", "artifacts", "--days", "2")["paths"] == []
    subprocess.run(
        [sys.executable, "-c", f"import sqlite3; c = sqlite3.connect('.orchestrator/orchestrator.db'); "
         f"c.execute({age!r}); c.commit(); c.close()"],
        cwd=root.path,
        check=True,
    )  # fmt: skip
    would = root.json("clean", "artifacts", "--days", "2", "--dry-run")["paths"]
    assert (root.path / "results" / "one_result.json").exists()
    for path in (root.path / "results").glob("report-*"):
        path.rename(path.with_name(re.sub(r"-[0-9]{8}T", "-20200101T", path.name)))
    done = root.json("clean", "artifacts", "--days", "2")["paths"]
    assert sorted(one for one in done if "/report-" not in one) == sorted(would)
    assert len(would) == 6, "results, summaries and attempts of two tasks"
    assert sorted(one.rpartition(".")[2] for one in done if "/report-" in one) == ["json", "md"]
    with root.daemon() as running:
        root.wait_event("daemon_started", 2)
        assert running.stop() == 0
    assert list((root.path / "results").iterdir()) == []
    assert list((root.path / "summaries").iterdir()) == []


def test_old_attempts_are_cleaned_with_the_artifacts_but_never_those_of_an_open_task(root: CommandRoot) -> None:
    root.run_to_end(one=GOOD)
    root.call("retry", "one")
    (uid,) = [event["uid"] for event in root.events("task_succeeded")]
    waiting = root.json("status")["waiting"][0]["uid"]
    attempts = root.path / ".orchestrator" / "attempts"
    nobodys = "0" * 32
    for name in (f"{waiting}.1", f"{nobodys}.1", "notes"):
        (attempts / name).mkdir()
        os.utime(attempts / name, (0, 0))
    past = "UPDATE task SET ended_ts = ended_ts - 3 * 86400 WHERE ended_ts > 0"
    with contextlib.closing(sqlite3.connect(root.path / ".orchestrator" / "orchestrator.db")) as con, con:
        con.execute(past)
    would = [
        path for path in root.json("clean", "artifacts", "--days", "2", "--dry-run")["paths"] if "attempts" in path
    ]
    assert would == [f".orchestrator/attempts/{nobodys}.1/", f".orchestrator/attempts/{uid}.1/"]
    assert (attempts / f"{uid}.1" / "stdout.ndjson").exists()
    assert set(would) <= set(root.json("clean", "artifacts", "--days", "2")["paths"])
    assert sorted(path.name for path in attempts.iterdir()) == sorted([f"{waiting}.1", "notes"])


def test_doctor_tells_the_fix_and_fails_only_for_what_prevents_work(root: CommandRoot) -> None:
    told = root.json("doctor", code=1)["findings"]  # there is no login in a clean environment
    broken = [finding for finding in told if finding["level"] == "fail"]
    assert broken
    assert [finding for finding in broken if not finding["fix"]] == []
    text = root.call("doctor", "--quiet", code=1).stdout
    assert f"failures: {len(broken)}" in text
    assert "PASS" not in text
    missing = root.call("doctor", "--quiet", code=1, ORCHESTRATOR_CLAUDE_COMMAND=str(root.path / "nowhere")).stdout
    assert "FAIL" in missing
    assert "nowhere" in missing


def test_the_root_comes_from_the_option_before_the_variable(root: CommandRoot, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for folder in (other, root.path):
        (folder / "tasks").mkdir(parents=True)
    env = root.env | {"ORCHESTRATOR_ROOT": str(other)}
    argv = [sys.executable, "-m", "orchestrator", "status", "--json"]
    done = subprocess.run(argv, env=env, capture_output=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout)["root"] == str(other)
    assert json.loads(orchestrator(root.path, "status", "--json", env=env).stdout)["root"] == str(root.path)


@pytest.mark.parametrize("words", [["status"], []])
def test_a_root_that_cannot_be_used_is_one_clear_error(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").write_text("")
    done = orchestrator(tmp_path / "file", *words, env=CommandRoot(tmp_path).env)
    assert done.returncode == 3
    assert done.stderr.startswith("error[root]: ")
    assert str(tmp_path / "file") in done.stderr
    assert TRACE not in done.stderr + done.stdout


def test_an_invalid_configuration_names_every_problem_at_once(root: CommandRoot) -> None:
    (root.path / ".env").write_text("MAX_CONCURRENT_TASKS=many\nCLAUDE_TIMEOUT_SEC=-1\n")
    done = root.call("create-sample", code=3)
    assert "2 settings are not valid" in done.stderr
    assert ".env line 1" in done.stderr
    assert ".env line 2" in done.stderr
    assert json.loads(root.call("create-sample", "--json", code=3).stdout)["error"]["code"] == "config_invalid"
    assert "2 settings are not valid" in root.call("run", code=3).stderr


def test_run_runs_one_file_alone_and_leaves_it_where_it_lies(root: CommandRoot) -> None:
    outside = root.path / "mine.task.md"
    outside.write_text(task_text("mine", GOOD))
    root.drop("other")
    done = root.call("run", str(outside))
    assert "text: Done." in done.stdout
    assert done.stdout.splitlines()[-1] == "mine: SUCCEEDED, cost $0.0008"
    assert outside.exists()
    assert (root.path / "tasks" / "other.task.md").exists(), "only the one file was asked for"
    inside = root.path / "tasks" / "other.task.md"
    assert root.json("run", str(inside))["status"] == "succeeded"
    assert not inside.exists()
    assert root.archived("other", "processed")


def test_run_of_a_task_that_fails_is_a_failure_and_of_a_bad_file_an_error(root: CommandRoot) -> None:
    bad = root.path / "bad.md"
    bad.write_text(task_text("bad", BROKEN, more="retries: 0\n"))
    done = root.call("run", str(bad), code=1)
    assert done.stdout.splitlines()[-1].startswith("bad: FAILED - agent_error")
    bad.write_text(task_text("bad", BROKEN, task_type="nonsense"))
    done = root.call("run", str(bad), code=1)
    assert done.stderr.startswith(f"error[type_invalid]: {bad}:3")
    assert "there is no file" in root.call("run", str(root.path / "none.md"), code=4).stderr


def test_run_leaves_the_work_to_a_daemon_that_runs(root: CommandRoot) -> None:
    outside = root.path / "mine.task.md"
    outside.write_text(task_text("mine", script({"init": 0}, {"result": "Done by the daemon."})))
    with root.daemon() as running:
        root.wait_event("daemon_started")
        done = root.call("run", str(outside))
        assert "a daemon owns this root" in done.stderr
        none = root.call("run", str(root.path / "none.md"), code=4).stderr
        assert none.startswith("error[not_found]"), "nothing is promised of a file that is not there"
        assert "Done by the daemon." in done.stdout
        assert running.stop() == 0
    assert result(root.path, "mine")["status"] == "succeeded"


def test_commands_about_a_running_task(root: CommandRoot) -> None:
    root.env["MAX_CONCURRENT_TASKS"] = "1"
    with root.daemon() as running:
        root.drop("runs", root.waiting_prompt())
        root.wait_event("claude_started")
        root.drop("waits")
        wait_until(lambda: len(root.events("task_received")) == 2, what="the second task")
        wait_until(lambda: root.events("progress"), what="a word of the agent")
        text = root.call("status").stdout
        assert f"running, pid {running.process.pid}" in text
        assert "slots 1/1    queued 1" in text
        assert root.json("status")["daemon"]["pid"] == running.process.pid
        assert root.call("show", "runs").stdout.startswith("runs: running\n")
        assert "waits is cancelled." in root.call("cancel", "waits").stdout
        assert "the daemon ends its processes now" in root.call("cancel", "runs").stdout
        root.wait("runs", "waits")
        assert root.archived("runs", "cancelled")
        root.open_gate()
        retried = root.json("retry", "runs")["task"]
        wait_until(
            lambda: (root.path / "results" / f"{retried['name']}_result.json").exists(), what="the second result"
        )
        assert running.stop() == 0
    assert result(root.path, "runs")["status"] == "cancelled"
    assert result(root.path, retried["name"])["status"] == "succeeded"
    assert result(root.path, retried["name"])["task"]["rerun_of"] == retried["rerun_of"]


def test_followed_events_come_as_they_happen(root: CommandRoot) -> None:
    root.run_to_end(one=GOOD)
    argv = [sys.executable, "-m", "orchestrator", "--root", str(root.path), "tail-events", "--follow", "--json"]
    running = subprocess.Popen(argv, env=root.env, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        before = len(root.events())
        first = [json.loads(running.stdout.readline())["seq"] for _ in range(min(20, before))]
        assert first == list(range(before - len(first) + 1, before + 1))
        root.call("retry", "one")
        new = json.loads(running.stdout.readline())
        assert (new["seq"], new["event"]) == (before + 1, "task_received")
    finally:
        running.terminate()
        running.wait(30)
        if running.stdout:
            running.stdout.close()
