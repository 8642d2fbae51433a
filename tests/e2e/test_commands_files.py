"""Commands about files, roots and configuration, each as a process of its own."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.command_root import GOOD, TRACE, CommandRoot
from tests.harness import orchestrator, task_text


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    return CommandRoot(tmp_path)


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


def test_check_takes_what_the_daemon_takes_and_looks_at_every_file(root: CommandRoot) -> None:
    good, link, pipe, none = (root.path / f"{name}.task.md" for name in ("good", "link", "pipe", "none"))
    good.write_text(task_text("good"))
    link.symlink_to(good)
    os.mkfifo(pipe)
    paths = [str(path) for path in (root.path, none, link, pipe, good)]
    told = root.json("check", *paths, code=1)["files"]
    assert [row["error"]["code"] if "error" in row else "ok" for row in told] == [
        "usage",
        "not_found",
        "not_regular",
        "not_regular",
        "ok",
    ]
    said = root.call("check", *paths, code=1).stdout
    assert f"{link}: " in said
    assert "1 of 5 files are tasks." in said
    assert "error[not_regular]" in root.call("run", str(pipe), code=1).stderr


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
    done = root.json("clean", "artifacts", "--days", "2")["paths"]
    assert sorted(done) == sorted(would)
    assert len(done) == 6, "results, summaries and attempts of two tasks"
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


def test_an_invalid_configuration_hinders_nobody_from_looking_and_cancelling(root: CommandRoot) -> None:
    root.drop("slow", root.waiting_prompt())
    with root.daemon():
        root.wait_event("claude_started")
        (root.path / ".env").write_text("MAX_CONCURRENT_TASKS=many\nANTHROPIC_API_KEY=sk-ant-canary-0123456789\n")
        for words in (("status",), ("show", "slow"), ("tail-events",), ("validate-artifacts",)):
            said = root.call(*words).stderr
            assert "warning: error[config_invalid]: 1 setting is not valid" in said
            assert said.endswith(f"warning: `{words[0]}` goes on with the defaults\n")
        finding = root.json("doctor", code=1)["findings"][0]
        assert (finding["name"], finding["level"]) == ("settings", "fail")
        assert "MAX_CONCURRENT_TASKS" in finding["message"] or "max_concurrent_tasks" in finding["message"]
        root.call("cancel", "slow")
        root.wait_event("task_cancelled")
