"""Runs the checks of a task in a folder that somebody else has made: one after the other, confined, each to its end.

What is checked was written by an agent, so a check is run like one: under a supervisor that ends its whole tree, and
where bubblewrap works in a file system of its own with the system read only, nothing of the home folder, no network.
It sees a short list of variables and no credential at all.
"""

import asyncio
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.bridges.again import again
from orchestrator.bridges.bubblewrap import Kind, Mount, enclosure
from orchestrator.bridges.claude_enclosure import SECRETS_OF_THE_SYSTEM, SYSTEM
from orchestrator.bridges.file_checks import look_at
from orchestrator.bridges.follow import tail
from orchestrator.bridges.process import ExitRecord, Launch, run_quick, supervise
from orchestrator.bridges.scratch import CHECK, RUN, mark_of, scratch
from orchestrator.bridges.strays import STDERR, STDOUT
from orchestrator.core.failpoint import hit
from orchestrator.core.proof import CheckKind, CheckRun, CheckSpec

PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME")
TAIL_CHARS = 4000
TAIL_BYTES = 256 << 10  # redacted whole, then cut: no secret is cut in two and so missed
MATCHED_BYTES = 4 << 20  # the last of each output, in which a pattern is looked for
MATCH_S = 10.0
_OF_FILES = (CheckKind.FILE_EXISTS, CheckKind.FILE_CONTAINS, CheckKind.JSON_EQUALS)
# What the program did, or what was done to it for what it did: that is an answer. All else is no answer.
_ENDED_FOR = {
    "timeout": "it was ended: it took longer than {0:g} s",
    "output_too_large": "it was ended: it printed too much",
    "too_many_processes": "it was ended: it started too many processes",
    "too_much_memory": "it was ended: it used too much memory",
}


@dataclass(frozen=True, slots=True)
class CheckConfig:
    """How checks are run. *environ* is the daemon's: of it only PASSED_ON is seen. *tmp_dir* exists, and is ours alone.

    *bwrap* is the path of bubblewrap where it works here, "" where it does not. *read_paths* are seen read only beside
    the system (absolute), *hidden* never. *cgroups* as in `Launch`. *setup* are commands that run before those of
    checks, held in the same way. Of the limits 0 is none.
    """

    environ: Mapping[str, str]
    tmp_dir: str
    timeout_s: float = 600.0
    bwrap: str = ""
    read_paths: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    max_output_bytes: int = 64 << 20
    max_processes: int = 512
    memory_bytes: int = 0
    redact: Callable[[str], str] = lambda text: text
    setup: tuple[tuple[str, ...], ...] = ()


class ConfinedChecks:
    """Implements the port `CheckRunner`. *config* is asked again for every call: a changed setting counts at once."""

    def __init__(self, config: Callable[[], CheckConfig]) -> None:
        self._config = config

    async def run(self, checks: Sequence[CheckSpec], folder: str, *, inside: str, commit: str) -> Sequence[CheckRun]:
        config, top = self._config(), Path(folder)
        runs: dict[int, CheckRun] = {}
        for number, check in enumerate(checks):  # first: what the commands write there is no part of the commit
            if check.kind in _OF_FILES:
                seen = await asyncio.to_thread(look_at, check, top, inside=inside, commit=commit)
                runs[number] = replace(seen, detail=config.redact(seen.detail))
            elif check.kind is CheckKind.HUMAN:
                runs[number] = CheckRun(None, commit, detail="a person has to look")
        commands = [number for number in range(len(checks)) if number not in runs]
        real = Path(os.path.realpath(top))
        if commands and (unready := await _set_up(config, real, commit)) is not None:
            return [runs.get(number, unready) for number in range(len(checks))]
        for number in commands:
            runs[number] = await _run(config, checks[number], real, inside, commit)
        return [runs[number] for number in range(len(checks))]


async def _set_up(config: CheckConfig, top: Path, commit: str) -> CheckRun | None:
    """Make a checkout ready for commands; returns what each of them has for an answer where that failed."""
    for argv in config.setup:
        run = await _run(config, CheckSpec(CheckKind.COMMAND, argv=argv), top, "", commit)
        if not run.passed:
            detail = f"the set-up of the checkout failed: {' '.join(argv)}: {run.detail}"
            return replace(run, passed=None, detail=config.redact(detail))
    return None


async def _run(config: CheckConfig, check: CheckSpec, top: Path, inside: str, commit: str) -> CheckRun:
    cwd = top / inside
    if why := _missing(check.argv[0], cwd):
        return CheckRun(passed=False, commit=commit, detail=why, confinement="not started")

    async def ran() -> CheckRun:
        with scratch(Path(config.tmp_dir), CHECK) as private:
            (private / "tmp" / "home").mkdir(parents=True, mode=0o700)
            launch = _launch(config, check, top, cwd, private)
            async with supervise(launch) as run:
                hit("prove.check")
                record = await run.wait()
            return await _judged(config, check, launch, record, commit)

    try:
        return await again(f"the check {check.argv[0]}", ran)
    except OSError as error:
        detail = f"it could not be run: {error.strerror or error}"
        return CheckRun(passed=None, commit=commit, detail=detail, confinement="not started")


def _missing(program: str, cwd: Path) -> str:
    """Return why there is nothing to run in this commit: that is an answer, as it is the commit's own doing."""
    if not cwd.is_dir():
        return "the folder it runs in is not there"
    if "/" not in program or program.startswith("/"):
        return ""
    try:
        mode = (cwd / program).stat().st_mode
    except OSError:
        return f"{program} is not there"
    return "" if stat.S_ISREG(mode) and mode & 0o111 else f"{program} is no program that may be executed"


def _launch(config: CheckConfig, check: CheckSpec, top: Path, cwd: Path, private: Path) -> Launch:
    tmp = "/tmp" if config.bwrap else str(private / "tmp")  # noqa: S108 - the private one, as it is seen inside
    env = {name: config.environ[name] for name in PASSED_ON if config.environ.get(name)}
    env = {"PATH": os.defpath, "LANG": "C.UTF-8", **env, "HOME": f"{tmp}/home", "TMPDIR": tmp}
    return Launch(
        argv=check.argv,
        cwd=str(cwd),
        env=env,
        stdin=b"",
        attempt_dir=private / RUN,
        mark=mark_of(private),
        timeout_s=config.timeout_s,
        grace_s=1.0,
        max_output_bytes=config.max_output_bytes,
        durable=False,
        container=_enclosed(config, top, cwd, private),
        cgroups=config.cgroups,
        max_processes=config.max_processes,
        memory_bytes=config.memory_bytes,
    )


def _enclosed(config: CheckConfig, top: Path, cwd: Path, private: Path) -> tuple[str, ...]:
    if not config.bwrap:
        return ()
    path = config.environ.get("PATH", os.defpath)
    tools = {name: shutil.which(name, path=path) or name for name in ("unshare", "setpriv")}
    mounts = tuple(_mounts(config, top, private))
    return enclosure(config.bwrap, mounts, cwd=str(cwd), as_root=os.geteuid() == 0, network=False, **tools)


def _mounts(config: CheckConfig, top: Path, private: Path) -> Iterator[Mount]:
    yield from (Mount(Kind.READ, path) for path in SYSTEM if Path(path).exists())
    for pattern in SECRETS_OF_THE_SYSTEM:
        yield from (_unseen(path) for path in sorted(Path("/etc").glob(pattern)))
    yield Mount(Kind.WRITE, "/tmp", str(private / "tmp"))  # noqa: S108 - a private one
    yield Mount(Kind.EMPTY, "/var/tmp")  # noqa: S108 - an empty one
    seen = [path for path in config.read_paths if Path(path).exists()]
    yield from (Mount(Kind.READ, path) for path in seen)
    hidden = [Path(path) for path in config.hidden if Path(path).exists()]
    yield from (_unseen(path) for path in hidden if any(path.is_relative_to(one) for one in seen))
    yield Mount(Kind.WRITE, str(top))


def _unseen(path: Path) -> Mount:
    return Mount(Kind.EMPTY if path.is_dir() else Kind.NOTHING, str(path))


# --- what came of it --------------------------------------------------------------------------------------------------


async def _judged(config: CheckConfig, check: CheckSpec, launch: Launch, record: ExitRecord, commit: str) -> CheckRun:
    passed, detail = await _passed(config, check, launch, record)
    if record.survivors_killed:
        left = "1 process" if record.survivors_killed == 1 else f"{record.survivors_killed} processes"
        detail = f"{detail}; {left} that it left behind ended".removeprefix("; ")
    return CheckRun(
        passed=passed,
        commit=commit,
        exit_code=record.exit_code,
        duration_s=record.duration_s,
        tail=_tail(launch.attempt_dir, config.redact),
        detail=config.redact(detail),
        confinement=_words(config, record),
    )


async def _passed(config: CheckConfig, check: CheckSpec, launch: Launch, record: ExitRecord) -> tuple[bool | None, str]:
    if ended := _ENDED_FOR.get(record.reason):
        return False, ended.format(config.timeout_s)
    if record.reason != "exited" or record.exit_code is None:
        return None, f"it could not be run: {record.detail or record.reason}"
    if code := record.exit_code:
        return False, f"signal {-code}" if code < 0 else f"exit code {code}"
    if check.kind is CheckKind.OUTPUT_MATCHES:
        return await _matched(check.expected, launch.attempt_dir)
    return True, ""


async def _matched(pattern: str, folder: Path) -> tuple[bool | None, str]:
    """Look for *pattern* in a process of its own: a pattern may take for ever, and a thread cannot be ended."""
    outputs = [tail(folder / name, MATCHED_BYTES).decode(errors="replace") for name in (STDOUT, STDERR)]
    words = (sys.executable, "-I", "-S", "-c", _MATCH)
    said = json.dumps([pattern, outputs]).encode()
    done = await run_quick(words, env={"PATH": os.defpath}, timeout_s=MATCH_S, stdin=said)
    if done.reason == "timeout":
        return False, f"exit code 0, but looking for the pattern took longer than {MATCH_S:g} s"
    if (done.reason, done.exit_code, done.stdout) not in (("exited", 0, b"yes"), ("exited", 0, b"no")):
        return None, f"the pattern could not be looked for: {done.detail or done.reason}"
    return (True, "") if done.stdout == b"yes" else (False, "exit code 0, but the pattern is not in what it printed")


_MATCH = """
import json, re, sys
pattern, outputs = json.loads(sys.stdin.buffer.read())
found = any(re.search(pattern, text, re.MULTILINE) for text in outputs)
sys.stdout.write("yes" if found else "no")
"""


def _tail(folder: Path, redact: Callable[[str], str]) -> str:
    """Return the end of what was printed, of both outputs where both have something to say."""
    out, err = (
        redact(tail(folder / name, TAIL_BYTES).decode(errors="replace")).strip("\n") for name in (STDOUT, STDERR)
    )
    of_err = min(len(err), max(TAIL_CHARS // 2, TAIL_CHARS - 1 - len(out)))  # each gets half, and what the other leaves
    of_out = min(len(out), TAIL_CHARS - 1 - of_err)
    return "\n".join(text[len(text) - size :] for text, size in ((out, of_out), (err, of_err)) if size)


def _words(config: CheckConfig, record: ExitRecord) -> str:
    if config.bwrap:
        return f"bubblewrap: no network, system read only ({record.container})"
    return f"not confined: bubblewrap does not work here ({record.container})"
