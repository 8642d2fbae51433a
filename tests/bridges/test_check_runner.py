"""Checks as real programs: how they end, what holds them, what they see, what is kept of them."""

import asyncio
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bridges.attempts import becomes
from tests.bridges.containers import carrying

from orchestrator.bridges.check_runner import TAIL_CHARS, CheckConfig, ConfinedChecks
from orchestrator.core.proof import CheckKind, CheckRun, CheckSpec
from orchestrator.core.redact import Redactor

PATH = "/usr/local/bin:/usr/bin:/bin"
PYTHON = shutil.which("python3", path=PATH) or ""


def command(*argv: str) -> CheckSpec:
    return CheckSpec(CheckKind.COMMAND, argv=argv)


def shell(script: str) -> CheckSpec:
    return command("sh", "-c", script)


def output(script: str, pattern: str) -> CheckSpec:
    return CheckSpec(CheckKind.OUTPUT_MATCHES, argv=("sh", "-c", script), expected=pattern)


class World:
    """A checkout, a home folder with a secret, and a runner for both ways to hold a check."""

    def __init__(self, top: Path, bwrap: str) -> None:
        self.top, self.checkout = top, top / "checkout"
        self.home, self.tmp = top / "home", top / "tmp"
        for folder in (self.checkout, self.home, self.tmp):
            folder.mkdir()
        (self.home / "key").write_text("a secret key")
        environ = {
            "PATH": PATH,
            "HOME": str(self.home),
            "ANTHROPIC_API_KEY": "sk-1",
            "SSH_AUTH_SOCK": "/x",
            "TZ": "UTC",
        }
        self.config = CheckConfig(environ, str(self.tmp), timeout_s=20, bwrap=bwrap)

    async def run(self, check: CheckSpec, **changes: object) -> CheckRun:
        config = replace(self.config, **changes)  # type: ignore[arg-type]
        (run,) = await ConfinedChecks(lambda: config).run([check], str(self.checkout), inside="", commit="c1")
        assert list(self.tmp.iterdir()) == [], "its private folder is gone"
        return run


def bwrap_or_skip() -> str:
    found = shutil.which("bwrap")
    if found is None:
        pytest.skip("bubblewrap (bwrap) is not installed")
    return found


@pytest.fixture(params=["confined", "not confined"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(tmp_path, bwrap_or_skip() if request.param == "confined" else "")


@pytest.fixture
def confined(tmp_path: Path) -> World:
    return World(tmp_path, bwrap_or_skip())


async def test_a_command_passes_by_its_exit_code_and_what_it_printed_is_kept(world: World) -> None:
    good = await world.run(shell("echo out; echo err >&2"))
    assert (good.passed, good.exit_code, good.commit, good.tail) == (True, 0, "c1", "out\nerr")
    assert good.duration_s > 0
    bad = await world.run(shell("echo no; exit 3"))
    assert (bad.passed, bad.exit_code, bad.detail, bad.tail) == (False, 3, "exit code 3", "no")
    killed = await world.run(shell("kill -9 $$"))
    assert killed.passed is False


async def test_a_program_that_is_not_on_this_machine_is_no_answer(world: World) -> None:
    run = await world.run(command("no-such-program-anywhere", "-q"))
    assert (run.passed, run.exit_code) == (None, None)
    assert "could not be run" in run.detail
    assert "no-such-program-anywhere" in run.detail


async def test_a_program_of_the_commit_that_is_not_there_is_a_failed_check(world: World) -> None:
    assert (await world.run(command("./check.sh"))).passed is False
    script = world.checkout / "check.sh"
    script.write_text("#!/bin/sh\ntest -f a.txt\n")
    run = await world.run(command("./check.sh"))
    assert (run.passed, run.detail) == (False, "./check.sh is no program that may be executed")
    script.chmod(0o755)
    assert (await world.run(command("./check.sh"))).passed is False
    (world.checkout / "a.txt").touch()
    assert (await world.run(command("./check.sh"))).passed is True
    script.write_text("#!/no/such/interpreter\n")
    assert (await world.run(command("./check.sh"))).passed is None, "that is the machine's lack"


async def test_a_check_that_takes_too_long_has_failed_and_nothing_of_it_lives(world: World) -> None:
    run = await world.run(shell("sleep 3597 & sleep 3597; true"), timeout_s=0.5)
    assert run.passed is False
    assert "longer than 0.5 s" in run.detail
    assert carrying("3597") == []


async def test_what_a_check_leaves_in_the_background_is_ended_and_told(world: World) -> None:
    run = await world.run(shell("setsid sleep 3599 >/dev/null 2>&1 & sleep 0.3"))
    assert run.passed is True
    assert "left behind" in run.detail
    assert carrying("3599") == []


async def test_a_check_that_prints_without_end_is_ended(world: World) -> None:
    run = await world.run(command("yes"), max_output_bytes=1 << 20)
    assert (run.passed, run.detail) == (False, "it was ended: it printed too much")
    assert len(run.tail) <= TAIL_CHARS


async def test_a_cancelled_run_leaves_nothing_behind(world: World) -> None:
    running = asyncio.create_task(world.run(command("sleep", "3598")))
    assert await becomes(lambda: bool(carrying("3598")))
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert carrying("3598") == []
    assert list(world.tmp.iterdir()) == []


async def test_a_pattern_is_looked_for_in_both_outputs_line_by_line(world: World) -> None:
    assert (await world.run(output("echo a; echo b2 >&2", r"^b\d$"))).passed is True
    missed = await world.run(output("echo a", "^b"))
    assert (missed.passed, missed.exit_code) == (False, 0)
    assert "not in what it printed" in missed.detail
    assert (await world.run(output("echo b; exit 1", "b"))).detail == "exit code 1"


async def test_a_pattern_that_never_ends_is_ended(confined: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.bridges.check_runner.MATCH_S", 1.0)
    run = await confined.run(output(f"echo {'a' * 40}b", r"(a|aa)+$"))
    assert run.passed is False
    assert "longer than 1 s" in run.detail


async def test_it_sees_the_listed_variables_and_no_credential(world: World) -> None:
    seen = dict(line.split("=", 1) for line in (await world.run(command("env"))).tail.splitlines())
    assert seen.keys() - {"ORCHESTRATOR_ATTEMPT", "PWD"} == {"PATH", "LANG", "TZ", "HOME", "TMPDIR"}
    assert (seen["PATH"], seen["TZ"]) == (PATH, "UTC")
    assert seen["HOME"] != str(world.home)


async def test_its_home_is_an_empty_one_that_it_may_write_to(world: World) -> None:
    assert (await world.run(shell('test -z "$(ls -A "$HOME")" && touch "$HOME/x" "$TMPDIR/y"'))).passed is True
    assert sorted(path.name for path in world.home.iterdir()) == ["key"]


async def test_it_may_write_to_the_checkout_and_what_it_made_unreadable_is_removed(world: World) -> None:
    run = await world.run(shell("touch made && mkdir -p $TMPDIR/a/b && touch $TMPDIR/a/b/c && chmod 0 $TMPDIR/a/b"))
    assert run.passed is True
    assert (world.checkout / "made").exists()


async def test_secrets_are_not_kept_not_even_one_that_is_cut(world: World) -> None:
    secret = "hunter2-hunter2-hunter2"
    redact = Redactor([secret]).text
    run = await world.run(
        shell(f"printf '%s' {secret}; head -c {TAIL_CHARS - 10} /dev/zero | tr '\\0' x"), redact=redact
    )
    assert "hunter2" not in run.tail
    run = await world.run(shell(f"echo {secret}; exit 1"), redact=redact)
    assert run.tail == "[redacted]"


@pytest.mark.parametrize(("out", "err"), [(9000, 10), (10, 9000), (9000, 9000), (0, 9000), (9000, 0), (3999, 1)])
async def test_the_ends_of_both_outputs_are_kept_within_the_limit(tmp_path: Path, out: int, err: int) -> None:
    world = World(tmp_path, "")
    script = f"head -c {out} /dev/zero | tr '\\0' o; head -c {err} /dev/zero | tr '\\0' e >&2"
    tail = (await world.run(shell(script))).tail
    assert len(tail) <= TAIL_CHARS
    assert tail.count("o") >= min(out, TAIL_CHARS // 2 - 1)
    assert tail.count("e") >= min(err, TAIL_CHARS // 2 - 1)
    assert len(tail) >= min(out + err, TAIL_CHARS - 1)


async def test_checks_of_files_see_the_commit_and_not_what_a_command_wrote(world: World) -> None:
    here = CheckSpec(CheckKind.FILE_EXISTS, path="made")
    runs = await ConfinedChecks(lambda: world.config).run(
        [shell("touch made"), here], str(world.checkout), inside="", commit=""
    )
    assert [run.passed for run in runs] == [True, False]


async def test_it_says_what_held_it(world: World) -> None:
    said = (await world.run(command("true"))).confinement
    if world.config.bwrap:
        assert said.startswith("bubblewrap: no network, system read only (pid namespace")
    else:
        assert said.startswith("not confined: bubblewrap does not work here (")


async def test_confined_it_reaches_no_network_and_has_a_loopback_of_its_own(confined: World) -> None:
    if not PYTHON:
        pytest.skip("there is no python3 in the system's own folders")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        assert (await confined.run(command(PYTHON, "-c", reach), bwrap="")).passed is True
        assert (await confined.run(command(PYTHON, "-c", reach))).passed is False
    own = "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname(), 5)"
    assert (await confined.run(command(PYTHON, "-c", own))).passed is True


async def test_confined_it_sees_no_home_and_writes_nowhere_else(confined: World) -> None:
    assert (await confined.run(command("cat", f"{confined.home}/key"), bwrap="")).passed is True
    assert (await confined.run(command("cat", f"{confined.home}/key"))).passed is False
    await confined.run(shell(f"echo x > {confined.top}/outside; echo x > /usr/outside; echo x > /etc/outside"))
    assert not any(Path(folder, "outside").exists() for folder in (confined.top, "/usr", "/etc"))


async def test_confined_it_reads_what_is_listed_and_never_what_is_hidden(confined: World) -> None:
    shared = confined.top / "shared"
    shared.mkdir()
    (shared / "tool").write_text("tool")
    (shared / ".env").write_text("token")
    seen = {"read_paths": (str(shared), "/not/there"), "hidden": (str(shared / ".env"), "/not/there/either")}
    assert (await confined.run(command("grep", "-q", "tool", f"{shared}/tool"), **seen)).passed is True
    assert (await confined.run(command("grep", "-q", "token", f"{shared}/.env"), **seen)).passed is False
    await confined.run(shell(f"echo y > {shared}/tool"), **seen)
    assert (shared / "tool").read_text() == "tool"


async def test_where_the_container_cannot_be_made_it_is_no_answer(confined: World) -> None:
    run = await confined.run(command("true"), bwrap="/no/such/bwrap")
    assert run.passed is None
    assert "could not be run" in run.detail


async def test_a_checkout_is_set_up_before_its_commands_run_and_held_like_them(world: World) -> None:
    made = await world.run(shell("cat made"), setup=(("sh", "-c", "echo ready > made; ls ~ >> made"),))
    assert (made.passed, made.tail) == (True, "ready")


async def test_commands_have_no_answer_where_the_set_up_of_their_checkout_failed(world: World) -> None:
    run = await world.run(shell("touch ran"), setup=(("sh", "-c", "echo no wheel >&2; exit 4"),))
    assert run.passed is None
    assert run.detail == "the set-up of the checkout failed: sh -c echo no wheel >&2; exit 4: exit code 4"
    assert run.tail == "no wheel"
    assert not (world.checkout / "ran").exists()


async def test_checks_of_files_need_no_set_up(world: World) -> None:
    check = CheckSpec(CheckKind.FILE_EXISTS, path="a.txt")
    (world.checkout / "a.txt").write_text("")
    assert (await world.run(check, setup=(("sh", "-c", "exit 1"),))).passed
