"""Words to functions: help, usage errors, and each command on a program whose outside world is small."""

import json
import re
from pathlib import Path

import pytest
from tests.api.world import World

from orchestrator.api.cli import parse
from orchestrator.api.program import Owner
from orchestrator.api.render import clock_time
from orchestrator.core.errors import NotFoundError, OrchestratorError, UsageError
from orchestrator.core.events import Event, EventKind
from orchestrator.core.finding import Finding, Level
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Pause
from orchestrator.core.retry import hint_for
from orchestrator.core.task import Priority, TaskSpec

COMMANDS = (
    "status",
    "show",
    "cancel",
    "retry",
    "answer",
    "jobs",
    "job",
    "pause",
    "resume",
    "hold",
    "tail-events",
    "check",
    "parse",
    "create-sample",
    "clean",
    "validate-artifacts",
    "run",
    "doctor",
    "service",
    "demo",
    "help",
)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([command, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"example:\n  python main.py {command}" in text
    assert "--json" in text


def test_the_help_lists_every_command_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert [command for command in COMMANDS if f"\n    {command}" not in text] == []
    assert [code for code in ("75", "124", "130") if code not in text] == []


async def test_the_command_help_shows_the_same_as_the_option(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            parse([command, "--help"])
        assert (await world.call("help", command))[1] == capsys.readouterr().out
    assert "commands:" in (await world.call("help"))[1]
    with pytest.raises(UsageError, match="no command is called 'nonsense'"):
        await world.call("help", "nonsense")


async def test_an_option_or_name_that_would_be_ignored_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="--days belongs to"):
        await world.call("clean", "tasks", "--days", "3")
    with pytest.raises(UsageError, match="is not a name"):
        await world.call("create-sample", "--name", "../x")
    assert world.put == []


async def test_status_of_an_empty_root_says_what_to_type_next(world: World) -> None:
    _, text, _ = await world.call("status")
    assert text.startswith("orchestrator  not running    slots 0/3    queued 0\n")
    assert text.endswith("start it: python main.py\n")
    world.running = Owner(4812, "host", world.clock.now() - 8040, "1")
    _, text, _ = await world.call("status")
    assert text.startswith("orchestrator  running, pid 4812, up 2h14m")
    assert text.endswith("a first task: python main.py create-sample\n")


async def test_status_shows_what_runs_waits_ended_and_is_held(world: World) -> None:
    await world.add("runs", EventKind.STARTED)
    await world.add("waits")
    await world.add("broke", EventKind.STARTED, EventKind.FINISHED, EventKind.FAILED, reason="timeout", detail="300 s")
    pause = Pause("claude", world.clock.now() + 90, "usage_limit", "used up")
    await world.store.pause(pause, Event(EventKind.AGENT_HELD, world.clock.now()))
    _, text, _ = await world.call("status")
    assert "slots 1/3    queued 1    failed 1" in text
    assert re.search(r"\nheld: claude, resumes \d\d:\d\d \(in 1m30s\) \(usage_limit: used up\); earlier: ", text)
    assert f"earlier: python main.py resume claude\n      now: {hint_for('usage_limit')}\n" in text
    assert f"waits for claude until {clock_time(pause.until)}\n" in text
    assert "running  runs" in text
    assert "queued  waits  medium" in text
    assert "failed  broke" in text
    assert "timeout: 300 s" in text
    assert "why it failed: python main.py show broke" in text


async def test_status_lists_first_what_starts_first_however_many_older_ones_wait(world: World) -> None:
    for number in range(60):
        await world.add(f"old{number}")
    await world.add("urgent", priority=Priority.HIGH)
    _, text, _ = await world.call("status")
    assert text.index("urgent") < text.index("old0 ") < text.index("old1 ")
    for number in range(55):
        await world.call("cancel", f"old{number}")
    waits = await world.add("waits", EventKind.STARTED, EventKind.LIMITED, not_before=world.clock.now() + 30)
    assert (await world.json("status"))["waiting"][-1]["id"] == waits.spec.id
    assert "retrying 1, next in 30s" in (await world.call("status"))[1]


async def test_status_names_reruns_as_show_wants_them_and_says_why_in_plain_words(world: World) -> None:
    await world.add("two", EventKind.CANCELLED, reason="cancelled", detail="cancelled by request")
    again = await world.add("two", EventKind.CANCELLED, reason="file_removed", detail="tasks/two was removed")
    _, text, _ = await world.call("status")
    assert f"cancelled  {again.name} " in text
    assert again.name != "two"
    assert "file_removed: tasks/two was removed" in text
    assert " cancelled by request" in text
    assert "cancelled cancelled" not in text


async def test_status_as_json_has_a_version_and_all_lists(world: World) -> None:
    await world.add("runs", EventKind.STARTED)
    await world.add("waits")
    told = await world.json("status")
    assert told["schema_version"] == 1
    assert told["daemon"] is None
    assert told["slots"] == {"used": 1, "all": 3}
    assert [task["id"] for task in told["active"]] == ["runs"]
    assert [task["id"] for task in told["waiting"]] == ["waits"]
    assert (told["ended"], told["holds"]) == ([], [])
    assert told["counts"]["queued"] == 1
    assert told["components"] == [{"name": "claude", "usable": False, "words": "not usable: not installed"}]


async def test_show_tells_a_waiting_task_with_its_events_and_an_ended_one_with_its_summary(world: World) -> None:
    await world.add("waits")
    _, text, _ = await world.call("show", "waits")
    assert text.startswith("waits: queued\nanalyze, priority medium: Title of waits\n")
    assert "received" in text
    assert (await world.json("show", "waits"))["task"]["state"] == "queued"
    await world.add("done", EventKind.STARTED, EventKind.FINISHED, EventKind.SUCCEEDED)
    assert (await world.call("show", "done"))[1].startswith("done: SUCCEEDED\n")
    told = await world.json("show", "done")
    assert (told["schema_version"], told["status"]) == (1, "succeeded")
    with pytest.raises(NotFoundError):
        await world.call("show", "unknown")


async def test_cancel_says_what_will_happen_to_a_running_task(world: World) -> None:
    await world.add("waits")
    assert (await world.call("cancel", "waits"))[1] == "waits is cancelled.\n"
    await world.add("runs", EventKind.STARTED)
    assert "when the daemon starts" in (await world.call("cancel", "runs"))[1]
    world.running = Owner(1, "h", 0.0, "1")
    assert "the daemon ends its processes now" in (await world.call("cancel", "runs"))[1]
    assert (await world.json("cancel", "runs"))["task"]["state"] == "cancelling"


async def test_retry_names_the_file_of_the_new_result(world: World) -> None:
    await world.add("done", EventKind.STARTED, EventKind.FINISHED, EventKind.SUCCEEDED)
    code, text, note = await world.call("retry", "done")
    assert code == 0
    assert f"results/{(await world.store.find('done'))[0].name}_result.json" in text
    assert "No daemon runs" in note
    assert (await world.json("cancel", "done"))["schema_version"] == 1


async def test_tail_events_as_json_is_one_event_a_line(world: World) -> None:
    await world.add("a")
    await world.add("b")
    _, text, _ = await world.call("tail-events", "--json", "--lines", "1")
    assert [json.loads(line)["task_id"] for line in text.splitlines()] == ["b"]
    _, text, _ = await world.call("tail-events", "--json", "--task", "a")
    assert [json.loads(line)["event"] for line in text.splitlines()] == ["task_received"]
    assert (await World().call("tail-events"))[1:] == ("", "No events yet.\n")


async def test_check_fails_when_one_of_many_files_is_wrong(world: World) -> None:
    world.files["good.md"] = TaskSpec(id="good", type="fix", priority=Priority.LOW, title="T", prompt="P")
    assert (await world.call("check", "good.md"))[0] == 0
    code, text, _ = await world.call("check", "good.md", "bad.md")
    assert code == 1
    assert "error[prompt_missing]: bad.md:3: it does not say what to do" in text
    assert text.endswith("1 of 2 files are tasks.\n")
    told = await world.json("check", "good.md", "bad.md")
    assert told["schema_version"] == 1
    assert [(row["file"], row["ok"]) for row in told["files"]] == [("good.md", True), ("bad.md", False)]
    assert told["files"][0]["task"]["id"] == "good"
    assert told["files"][1]["error"]["hint"] == "Say it."


async def test_create_sample_writes_a_file_of_a_safe_name(world: World) -> None:
    _, text, _ = await world.call("create-sample", "--name", "My Täsk")
    ((name, body),) = world.put
    assert "/" not in name
    assert name.endswith(".task.md")
    assert b"**Prompt:**" in body
    assert text.endswith("run it: python main.py\n")
    assert (await world.json("create-sample"))["path"] == "tasks/sample.task.md"


async def test_clean_removes_old_artifacts_only_and_in_a_dry_run_none(world: World) -> None:
    chain = (EventKind.STARTED, EventKind.FINISHED, EventKind.SUCCEEDED, EventKind.ARTIFACTS_WRITTEN)
    old = await world.add("old", *chain)
    world.clock.advance(3 * 86_400.0)
    await world.add("new", *chain)
    world.artifacts = {"results/old_result.json": b"{}", "results/new_result.json": b"{}"}
    told = await world.json("clean", "artifacts", "--days", "2", "--dry-run")
    assert (told["dry_run"], told["paths"]) == (True, ["results/old_result.json"])
    assert len(world.artifacts) == 2
    _, text, _ = await world.call("clean", "artifacts", "--days", "2")
    assert text == "removed: results/old_result.json\n1 file.\n"
    assert list(world.artifacts) == ["results/new_result.json"]
    kept = await world.store.task(old.uid)
    assert kept is not None
    assert kept.cleaned
    assert (await world.call("clean", "tasks", "--dry-run"))[1].startswith("would archive without running: tasks/a")


async def test_validate_artifacts_names_the_damaged_file(world: World) -> None:
    assert await world.call("validate-artifacts") == (0, "0 result files, 0 not valid.\n", "")
    world.artifacts["results/a_result.json"] = b'{"schema_version": 1'
    code, text, _ = await world.call("validate-artifacts")
    assert code == 1
    assert text.startswith("results/a_result.json: it is not JSON")
    assert (await world.json("validate-artifacts"))["files"][0]["ok"] is False


async def test_run_shows_progress_ends_with_the_verdict_and_fails_with_the_task(world: World) -> None:
    code, text, _ = await world.call("run", "a_task")
    assert code == 0
    assert "tool: Write a" in text
    assert text.splitlines()[-1] == "a_task: SUCCEEDED, cost unknown"
    world.ends = State.FAILED
    assert (await world.call("run", "b_task"))[0] == 1
    assert (await world.json("run", "c_task"))["status"] == "failed"


async def test_the_daemon_prints_milestones_and_not_every_step(world: World) -> None:
    for words in ((), ("run",)):
        code, text, _ = await world.call(*words)
        assert code == 0
        assert "3 slots, watching tasks/ (Ctrl-C to stop)" in text
        assert "received" in text
        assert "chatter" not in text


async def test_doctor_fails_only_for_what_prevents_work(world: World) -> None:
    good = Finding("system", "python", Level.PASS, "3.11", "")
    worse = Finding("system", "sandbox", Level.WARN, "missing", "install it")
    world.findings = (good, worse)
    code, text, _ = await world.call("doctor", "--quiet")
    assert code == 0
    assert "python" not in text
    assert "  WARN  sandbox: missing\n        fix: install it\n" in text
    world.findings = (good, Finding("system", "disk", Level.FAIL, "full", "make room"))
    assert (await world.call("doctor"))[0] == 1
    told = await world.json("doctor")
    assert (told["schema_version"], told["findings"][1]["level"]) == (1, "fail")
    world.findings = (good,)
    assert (await world.call("doctor"))[1].endswith("Everything is in order.\n")


async def test_the_demo_talks_on_stdout_for_people_and_beside_it_for_programs(world: World) -> None:
    assert (await world.call("demo"))[1:] == ("SCRIPTED\n", "")
    assert (await world.call("demo", "--json"))[1:] == ("", "SCRIPTED\n")


def test_every_expected_error_says_what_and_what_next() -> None:
    error = OrchestratorError("it is full", where=str(Path("a") / "b"), hint="Make room.")
    assert str(error) == "error[error]: a/b: it is full\n  Make room."
