"""The whole agent, with small programs in the place of Claude Code: what no real run does on demand."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bridges.claude_orders import SESSION, TRANSCRIPTS, Said, order

from orchestrator.bridges.claude import ClaudeAgent
from orchestrator.bridges.claude_command import ClaudeConfig
from orchestrator.bridges.process import marked_pids
from orchestrator.core.attempt import (
    AgentMessage,
    Failed,
    FailureKind,
    Finished,
    Interrupted,
    MessageKind,
    Outcome,
    WorkOrder,
)
from orchestrator.core.notes import NoteGiven

FRESH = "11111111-2222-4333-8444-555555555555"
PROGRAM = """#!{python}
import json, pathlib, sys, time
if "--version" in sys.argv:
    print("2.1.329 (Claude Code)")
    sys.exit()
pathlib.Path("argv.json").write_text(json.dumps(sys.argv[1:]))
def show(name):
    sys.stdout.buffer.write(pathlib.Path({transcripts!r}, name + ".jsonl").read_bytes())
    sys.stdout.flush()
def lines(name):
    return pathlib.Path({transcripts!r}, name + ".jsonl").read_text().splitlines(keepends=True)
"""
Make = Callable[..., ClaudeAgent]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function: body of a program -> agent that runs it."""

    def build(body: str, linger_s: float = 30.0) -> ClaudeAgent:
        program = tmp_path / "claude"
        program.write_text(PROGRAM.format(python=sys.executable, transcripts=str(TRANSCRIPTS)) + body)
        program.chmod(0o755)
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home")}
        config = ClaudeConfig(environ=environ, command=(str(program),), linger_s=linger_s, grace_s=1.0)
        return ClaudeAgent(config, lambda: FRESH)

    return build


async def silent(_: AgentMessage) -> None:
    """Take a message and do nothing."""


def kind_of(ended: Outcome) -> FailureKind | None:
    return ended.kind if isinstance(ended, Failed) else None


def argv_of(asked: WorkOrder) -> list[str]:
    args: list[str] = json.loads(Path(asked.cwd, "argv.json").read_text())
    return [arg for arg in args if arg.startswith(("--session-id", "--resume"))]


def remember_session(home: Path, session_id: str) -> None:
    folder = home / ".claude" / "projects" / "-somewhere-else"
    folder.mkdir(parents=True)
    (folder / f"{session_id}.jsonl").write_text("{}\n")


async def test_a_run_is_told_as_it_goes(make: Make, tmp_path: Path) -> None:
    said = Said()
    ended = await make("show('01_tools_ok')").run(order(tmp_path), said)
    assert isinstance(ended, Finished)
    assert ended.report.session_id
    (started,) = said.of(MessageKind.SESSION)
    assert started.startswith("session started with claude-")
    assert any(text.startswith("Write ") for text in said.of(MessageKind.TOOL))
    assert said.of(MessageKind.TEXT)[-1] == "All done: wrote hello.txt"


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("04_permission_denied_default", MessageKind.DENIED, "Write /srv/runs/OUTSIDE/q.txt: Path is outside"),
        ("18_529_then_ok", MessageKind.WAITING, "529 overloaded, retry 1 of"),
        ("25_usage_limit_oauth", MessageKind.LIMIT, "the five hour allowance is used up"),
        ("26_usage_warning_oauth", MessageKind.LIMIT, "the five hour allowance is 9"),
        ("34_bash_timeout_nobg", MessageKind.TOOL_FAILED, "Exit code 143"),
        ("29_local_command", MessageKind.NOTE, "answered the command /cost by itself"),
    ],
)
async def test_what_a_person_should_know_is_told(
    make: Make, tmp_path: Path, name: str, kind: MessageKind, text: str
) -> None:
    said = Said()
    await make(f"show({name!r})").run(order(tmp_path), said)
    assert text in said.of(kind)[0]


async def test_the_notes_in_the_prompt_are_told_at_the_start_at_the_end_and_by_what_the_attempt_left(
    make: Make, tmp_path: Path
) -> None:
    said, notes = Said(), (NoteGiven("CLAUDE.md", 12, 12), NoteGiven("AGENTS.md", 9, 0, "not given: because"))
    asked, agent = order(tmp_path, notes=notes), make("show('01_tools_ok')")
    ended = await agent.run(asked, said)
    assert isinstance(ended, Finished)
    assert ended.report.notes == notes
    (started,) = said.of(MessageKind.SESSION)
    assert started.endswith("; project notes: CLAUDE.md (12 bytes), AGENTS.md (not given: because)")
    collected = await agent.collect(asked)
    assert isinstance(collected, Finished)
    assert collected.report.notes == notes


async def test_a_session_that_goes_on_is_not_said_to_have_got_the_notes_again(make: Make, tmp_path: Path) -> None:
    said = Said()
    remember_session(tmp_path / "home", SESSION)
    asked = order(tmp_path, resume=True, notes=(NoteGiven("CLAUDE.md", 12, 12),))
    ended = await make("show('01_tools_ok')").run(asked, said)
    assert ended.report.notes == ()
    assert "project notes" not in said.of(MessageKind.SESSION)[0]


async def test_a_denied_tool_is_not_also_told_as_failed(make: Make, tmp_path: Path) -> None:
    said = Said()
    await make("show('04_permission_denied_default')").run(order(tmp_path), said)
    assert said.of(MessageKind.TOOL_FAILED) == []


async def test_noise_among_the_messages_is_told_and_changes_nothing(make: Make, tmp_path: Path) -> None:
    said = Said()
    body = "print('Warning: tea is ready', flush=True)\nprint('x' * 3_000_000, flush=True)\nshow('01_tools_ok')"
    assert isinstance(await make(body).run(order(tmp_path), said), Finished)
    assert "tea is ready" in said.of(MessageKind.NOTE)[0]
    assert all(len(message.text) <= 250 for message in said.messages)


async def test_a_process_that_stays_after_its_result_is_ended_and_the_result_counts(make: Make, tmp_path: Path) -> None:
    asked = order(tmp_path)
    ended = await asyncio.wait_for(make("show('01_tools_ok')\ntime.sleep(600)", linger_s=0.3).run(asked, silent), 20)
    assert isinstance(ended, Finished)
    assert ended.report.answer == "All done: wrote hello.txt"
    assert marked_pids(asked.mark) == []


async def test_a_process_that_goes_on_working_after_a_result_is_left_alone(make: Make, tmp_path: Path) -> None:
    body = """
out = lines("36_two_results")
first = next(i for i, line in enumerate(out) if '"type":"result"' in line)
print("".join(out[: first + 2]), end="", flush=True)
time.sleep(1.0)
print("".join(out[first + 2 :]), end="", flush=True)
"""
    ended = await make(body, linger_s=0.4).run(order(tmp_path), silent)
    assert isinstance(ended, Finished)
    assert ended.report.answer == "SECOND RESULT"


async def test_a_refused_credential_is_not_tried_for_minutes(make: Make, tmp_path: Path) -> None:
    body = "print(''.join(lines('20_l_401')[:5]), end='', flush=True)\ntime.sleep(600)"
    asked = order(tmp_path)
    ended = await asyncio.wait_for(make(body).run(asked, silent), 20)
    assert kind_of(ended) is FailureKind.AUTH
    assert marked_pids(asked.mark) == []


async def test_a_cancelled_run_leaves_nothing_alive(make: Make, tmp_path: Path) -> None:
    asked, began = order(tmp_path), asyncio.Event()

    async def say(_: AgentMessage) -> None:
        began.set()

    body = "import subprocess\nsubprocess.Popen(['setsid', 'sleep', '600'])\nshow('31_stream_kill')\ntime.sleep(600)"
    run = asyncio.create_task(make(body).run(asked, say))
    await asyncio.wait_for(began.wait(), 20)
    assert marked_pids(asked.mark)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert marked_pids(asked.mark) == []


async def test_an_error_of_the_listener_is_not_swallowed_and_leaves_nothing_alive(make: Make, tmp_path: Path) -> None:
    async def say(_: AgentMessage) -> None:
        raise TimeoutError("the store is gone")

    asked = order(tmp_path)
    with pytest.raises(TimeoutError, match="the store is gone"):
        await make("show('01_tools_ok')\ntime.sleep(600)").run(asked, say)
    assert marked_pids(asked.mark) == []


@pytest.mark.parametrize(
    ("resume", "known", "asked_id", "flag"),
    [
        (True, True, SESSION, f"--resume={SESSION}"),
        (True, False, SESSION, f"--session-id={SESSION}"),
        (False, False, SESSION, f"--session-id={SESSION}"),
        (False, True, SESSION, f"--session-id={FRESH}"),
        (True, False, "", f"--session-id={FRESH}"),
        (True, False, "../../etc/passwd", f"--session-id={FRESH}"),
    ],
)
async def test_a_session_is_resumed_only_where_it_exists(
    make: Make, tmp_path: Path, resume: bool, known: bool, asked_id: str, flag: str
) -> None:
    if known:
        remember_session(tmp_path / "home", asked_id)
    asked = order(tmp_path, resume=resume, session_id=asked_id)
    ended = await make("").run(asked, silent)
    assert argv_of(asked) == [flag]
    assert ended.report.session_id == flag.partition("=")[2]


async def test_a_session_that_was_not_taken_up_again_had_cost_nothing(make: Make, tmp_path: Path) -> None:
    asked = order(tmp_path, resume=True, session_cost_usd=0.0010)
    ended = await make("show('60_resume')").run(asked, silent)
    assert ended.report.usage.cost_usd == pytest.approx(0.0016)


async def test_a_resumed_session_costs_what_was_added(make: Make, tmp_path: Path) -> None:
    remember_session(tmp_path / "home", SESSION)
    asked = order(tmp_path, resume=True, session_cost_usd=0.0010)
    ended = await make("show('60_resume')").run(asked, silent)
    assert ended.report.usage.cost_usd == pytest.approx(0.0006)
    assert ended.report.usage.session_cost_usd == pytest.approx(0.0016)


@pytest.mark.parametrize("name", ["01_tools_ok", "25_usage_limit_oauth", "36_two_results", "42_resume_unknown"])
async def test_a_later_daemon_reads_the_same_outcome_from_the_files(make: Make, tmp_path: Path, name: str) -> None:
    asked = order(tmp_path)
    ended = await make(f"show({name!r})\nsys.stderr.write('a complaint')").run(asked, silent)
    assert await make("").collect(asked) == ended


async def test_an_attempt_that_was_never_begun_has_cost_nothing(make: Make, tmp_path: Path) -> None:
    asked = order(tmp_path, session_cost_usd=0.5)
    found = await make("").collect(asked)
    assert isinstance(found, Interrupted)
    assert (found.report.usage.cost_usd, found.report.usage.session_cost_usd) == (0.0, 0.5)
    Path(asked.attempt_dir).mkdir(parents=True)
    assert await make("").collect(asked) is None, "what it has cost is not known"


async def test_an_attempt_without_our_own_note_is_collected_all_the_same(make: Make, tmp_path: Path) -> None:
    asked = order(tmp_path)
    agent = make("show('01_tools_ok')")
    await agent.run(asked, silent)
    for torn in ("", "{", "[]", '{"session_id": 1}'):
        Path(asked.attempt_dir, "claude.json").write_text(torn)
        assert isinstance(await agent.collect(asked), Finished)


async def test_a_missing_program_is_a_failure_that_says_what_to_do(tmp_path: Path) -> None:
    config = ClaudeConfig(environ={"PATH": str(tmp_path)}, command=("no-such-claude",))
    ended = await ClaudeAgent(config, lambda: FRESH).run(order(tmp_path), silent)
    assert isinstance(ended, Failed)
    assert ended.kind is FailureKind.AGENT_MISSING
    assert "Install" in ended.detail


@pytest.mark.parametrize("cwd", ["gone", "file"])
async def test_a_working_directory_that_is_none_concerns_this_task_alone(make: Make, tmp_path: Path, cwd: str) -> None:
    (tmp_path / "file").write_text("")
    ended = await make("").run(order(tmp_path, cwd=str(tmp_path / cwd)), silent)
    assert isinstance(ended, Failed)
    assert ended.kind is FailureKind.PREPARE_FAILED
    assert str(tmp_path / cwd) in ended.detail


async def test_a_folder_of_ours_that_cannot_be_made_concerns_every_task(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = await make("").run(order(tmp_path, attempt_dir=str(tmp_path / "file" / "attempt")), silent)
    assert isinstance(ended, Failed)
    assert ended.kind is FailureKind.START_REFUSED
    assert "attempt" in ended.detail
