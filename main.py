"""Start the orchestrator from a fresh clone: `python3 main.py help`.

Where the package and what it needs can be imported, this file hands over to orchestrator.app. Elsewhere it makes
`.venv` beside itself from the locks first, then starts itself again in there. It uses the standard library only,
and runs on Python 3.6 as well, so that an old Python gets an answer instead of a syntax error.

`main.py setup [SET...]` does only the set-up, `main.py test [-- PYTEST ARGUMENTS]` is the gate that CI runs.
ORCHESTRATOR_NO_SETUP=1 forbids every installation.
"""

import contextlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parent
SRC = ROOT / "src"
VENV = ROOT / ".venv"
LOCKS = ROOT / "locks"
UNFINISHED = VENV / "unfinished"  # lies there while packages are put in: what an interruption leaves is not trusted
NEEDED = (3, 11)
NOT_SET_UP = 3  # the exit status CONFIG of orchestrator.core.errors
MODULES = ("watchfiles", "frontmatter", "yaml", "jsonschema", "pydantic", "dotenv", "rich")
NEEDS_AGENT = ("", "demo", "run")  # commands that start the Claude Code CLI; no command is the daemon
CLAUDE_VARIABLE = "ORCHESTRATOR_CLAUDE_COMMAND"  # where a configured CLI is named, so that none is brought
TAKES_A_VALUE = ("--root",)
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"  # not handed on: else each program that we start compiles everything again


class Lock(NamedTuple):
    """A set of packages, pinned with hashes in locks/; *extras* are those of pyproject.toml that it locks."""

    name: str
    about: str  # for people
    extras: "tuple[str, ...]" = ()
    under: "tuple[str, ...]" = ()  # sets under whose pins it was locked
    covers: "tuple[str, ...]" = ()  # those of them whose packages are all among its own
    options: "tuple[str, ...]" = ()

    @property
    def file(self) -> Path:
        return LOCKS / (self.name + ".txt")

    @property
    def stamp(self) -> Path:
        """A copy of the lock as it was installed; written last."""
        return VENV / ("locked-" + self.name)


OPTIONAL = {"telegram": "the Telegram door; about 5 MB on disk", "llama": "the Ollama reader; about 3 MB on disk"}
OPTIONAL.update(notify="notices by apprise; 20 MB", mcp="the tool by which workers split their tasks; 30 MB")
WHEEL_ALONE = ("--no-deps", "--only-binary", ":all:")
ORDER = ("base", "dev", *OPTIONAL)  # each is locked under the pins of those before it
SETS = {
    lock.name: lock
    for lock in (
        Lock("base", "what every command needs; about 60 MB on disk"),
        Lock("dev", "base and the tools of the gate; about 190 MB on disk", ("test", "dev"), ("base",), ("base",)),
        *(Lock(name, OPTIONAL[name], (name,), ORDER[:n], ("base",)) for n, name in enumerate(ORDER) if n > 1),
        # Only the program in this package is used: what it depends on is left out. Only a wheel carries the program.
        Lock("claude", "the Claude Code CLI, a download of 166 MB, 380 MB on disk", ("claude",), options=WHEEL_ALONE),
    )
}


class SetupError(Exception):
    """The set-up cannot go on. The message is for the user and ends with what to type."""


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


def main(argv: "list[str]") -> int:
    """Run the command line *argv* and return its exit status."""
    name = command_of(argv)
    if name in ("test", "setup") and {"-h", "--help"} & set(argv[: argv.index("--")] if "--" in argv else argv):
        print(__doc__.strip())
        return 0
    try:
        sets = sets_for(argv)
        if not runs_here(sets):
            if name == "test" and setup_is_forbidden():
                return gate(argv)
            prepare(sets)
            restart(argv)
        if name == "test":
            return gate(argv)
        if name == "setup":
            say("set-up: complete; next: python3 main.py demo")
            return 0
    except SetupError as problem:
        say(f"error[not_set_up]: {problem}")
        return NOT_SET_UP
    except KeyboardInterrupt:
        say("\nset-up: interrupted; the next start begins it anew")
        return 130
    return start(argv)


def command_of(argv: "list[str]") -> str:
    """Return the first word of *argv* that is neither an option nor the value of one; "" when there is none."""
    words = iter(argv)
    for word in words:
        if word in TAKES_A_VALUE:
            next(words, "")
        elif not word.startswith("-"):
            return word
    return ""


def sets_for(argv: "list[str]") -> "list[Lock]":
    """Return the sets that *argv* needs. Raises SetupError for a `setup` of something unknown."""
    name, agent = command_of(argv), [] if has_claude() else [SETS["claude"]]
    if name == "test":
        return [*(SETS[name] for name in ORDER[1:]), *agent]
    if name == "setup":
        wanted = argv[argv.index("setup") + 1 :]
        unknown = [word for word in wanted if word not in SETS]
        if unknown:
            raise SetupError(f"unknown set {unknown[0]!r}; the sets are {', '.join(SETS)}")
        return [SETS["base"], *(SETS[word] for word in wanted if word != "base")]
    wants_agent = name in NEEDS_AGENT and not {"-h", "--help", "--version"} & set(argv)
    return [SETS["base"], *(agent if wants_agent else [])]


def has_claude() -> bool:
    return bool(os.environ.get(CLAUDE_VARIABLE) or shutil.which("claude"))


def setup_is_forbidden() -> bool:
    return os.environ.get("ORCHESTRATOR_NO_SETUP", "") not in ("", "0")


def runs_here(sets: "list[Lock]") -> bool:
    """Whether this very interpreter has what *sets* hold.

    In our own .venv the stamps decide. Another environment is the user's: whatever is in there is left as it is,
    and is good enough when this tree's package and its dependencies can be imported; the gate wants the locked ones.
    """
    if Path(sys.prefix).resolve() == VENV and any(lock.stamp.exists() for lock in SETS.values()):
        return all(is_current(lock) for lock in sets)
    if sys.version_info < NEEDED or sets[0].name == "dev":
        return False
    found = importlib.util.find_spec("orchestrator")
    ours = found is not None and found.origin == str(SRC / "orchestrator" / "__init__.py")
    return ours and all(importlib.util.find_spec(module) for module in MODULES)


def start(argv: "list[str]") -> int:
    """Hand over to the application, in this process."""
    if str(SRC) not in sys.path:
        sys.path.insert(0, str(SRC))
    try:
        app = importlib.import_module("orchestrator.app")
    except ModuleNotFoundError as problem:
        if (problem.name or "").startswith("orchestrator"):
            raise
        say(f"error[not_set_up]: module {problem.name!r} is missing although the set-up was complete")
        say(f"  Type: rm -r {VENV} && python3 {Path(__file__).name} setup")
        return NOT_SET_UP
    return int(app.main(argv))


def restart(argv: "list[str]") -> "NoReturn":
    """Run this file again with the interpreter of .venv."""
    command = [str(venv_python()), str(ROOT / "main.py"), *argv]
    if sys.platform == "win32":
        import subprocess

        sys.exit(subprocess.call(command))
    os.execv(command[0], command)


# --- the set-up --------------------------------------------------------------------------------------------------


def venv_python() -> Path:
    return VENV / "Scripts" / "python.exe" if sys.platform == "win32" else VENV / "bin" / "python"


def stamp_text(lock: Lock) -> str:
    """What the stamp of an installed *lock* says; the place is in it since an environment cannot be moved."""
    return f"# {ROOT}\n" + lock.file.read_text(encoding="utf-8")


def is_current(lock: Lock) -> bool:
    """Whether .venv holds *lock* exactly as it is now."""
    try:
        same = lock.stamp.read_text(encoding="utf-8") == stamp_text(lock)
    except OSError:
        return False
    return same and venv_python().is_file() and not UNFINISHED.exists()


def prepare(sets: "list[Lock]") -> None:
    """Bring .venv up to *sets*. Safe to be called by several processes at once, and to be ended at any point."""
    if all(is_current(lock) for lock in sets):
        return
    if setup_is_forbidden():
        names = ", ".join(lock.name for lock in sets)
        raise SetupError(
            f"{VENV} is missing or out of date (needed: {names}), and ORCHESTRATOR_NO_SETUP forbids to install\n"
            "  Type: ORCHESTRATOR_NO_SETUP=0 python3 main.py setup"
        )
    with only_one_setup():
        missing = [lock for lock in sets if not is_current(lock)]
        uv = find_uv()
        made = bool(missing) and not is_healthy(uv)
        try:
            if made:
                make_venv(uv)
            if missing:
                link_package()
            for lock in missing:
                install(lock, uv)
        except BaseException:
            if made:  # leave either a whole environment or none
                shutil.rmtree(str(VENV), ignore_errors=True)
            raise


@contextlib.contextmanager
def only_one_setup() -> "Iterator[None]":
    """Hold the set-up lock of this folder; the system lets go of it however this process ends."""
    try:
        handle = (ROOT / ".venv.lock").open("a")
    except OSError as problem:
        raise SetupError(f"{ROOT} cannot be written to: {problem.strerror}") from None
    with handle:
        if not lock_file(handle.fileno(), wait=False):
            say("set-up: another process is setting up this folder; waiting for it")
            while not lock_file(handle.fileno(), wait=True):
                pass
        os.set_inheritable(handle.fileno(), True)  # an installer that outlives this process keeps the lock
        yield


def lock_file(fileno: int, wait: bool) -> bool:
    """Take the lock on an open file. Windows gives up after ten seconds even when told to wait."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(fileno, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(fileno, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def find_uv() -> "str | None":
    """Return the path of uv, also where `pip install --user` puts it on a PATH that lacks that folder."""
    import site

    return shutil.which("uv") or shutil.which("uv", path=str(Path(site.getuserbase()) / "bin"))


def is_healthy(uv: "str | None") -> bool:
    """Whether .venv can be installed into as it is: whole, not interrupted, and with pip where there is no uv."""
    has_installer = bool(uv) or any(VENV.glob("[Ll]ib/**/site-packages/pip/__main__.py"))
    return venv_python().is_file() and not UNFINISHED.exists() and has_installer


def make_venv(uv: "str | None") -> None:
    """Make .venv anew. Raises SetupError with the line to type where this Python cannot."""
    problem = why_not(sys.version_info[:2], uv)
    if problem:
        raise SetupError(problem)
    # Under an environment's own interpreter, the one beneath it: .venv must not be made out of itself.
    python = getattr(sys, "_base_executable", None) or sys.executable
    if uv:
        version = python if sys.version_info >= NEEDED else ">={}.{}".format(*NEEDED)
        run_step("makes .venv with uv", [uv, "venv", "--quiet", "--clear", "--python", version, str(VENV)])
    else:
        run_step(f"makes .venv with {python}", [python, "-m", "venv", "--clear", str(VENV)])


def why_not(version: "tuple[int, ...]", uv: "str | None") -> str:
    """Return why Python *version* cannot make .venv, and what to type then; "" when it can."""
    if uv:
        return ""  # uv finds or brings a newer Python by itself
    if version < NEEDED:
        found = [name for name in (f"python3.{minor}" for minor in range(19, 10, -1)) if shutil.which(name)]
        line = f"{found[0]} main.py setup" if found else "python3 -m pip install --user uv && python3 main.py setup"
        return "Python {}.{} is too old, {}.{} or newer is needed\n  Type: {}".format(*version[:2], *NEEDED, line)
    if all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        return ""
    line = f"sudo apt install -y python{version[0]}.{version[1]}-venv"
    if not shutil.which("apt"):
        line = "install your system's package that holds the modules venv and ensurepip"
    return f"this Python lacks the modules that make an environment (venv, ensurepip)\n  Type: {line}"


def install(lock: Lock, uv: "str | None") -> None:
    """Put the packages of *lock* into .venv, each checked against its hash, and compile them."""
    text = stamp_text(lock)
    UNFINISHED.touch()
    with contextlib.suppress(FileNotFoundError):
        lock.stamp.unlink()
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", str(venv_python()), "--compile-bytecode"]
    else:
        command = [str(venv_python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--require-hashes", *lock.options, "-r", str(lock.file)]
    run_step(f"installs {lock.name}: {lock.about}", command)
    lock.stamp.write_text(text, encoding="utf-8")
    for name in lock.covers:
        SETS[name].stamp.write_text(stamp_text(SETS[name]), encoding="utf-8")
    UNFINISHED.unlink()


def link_package() -> None:
    """Make `orchestrator` importable in .venv, from this folder, and compile it."""
    packages = next(VENV.glob("[Ll]ib/**/site-packages"))
    (packages / "ai_task_orchestrator.pth").write_text(f"{SRC}\n", encoding="utf-8")
    run_step("compiles the package", [str(venv_python()), "-m", "compileall", "-q", str(SRC)])


def run_step(what: str, command: "list[str]") -> None:
    """Run one step of the set-up, said in one line with its seconds. Raises SetupError if it fails."""
    import subprocess
    import time

    say(f"set-up: {what} ... ", end="")
    began = time.monotonic()
    ended = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        close_fds=False,
        env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", NO_BYTECODE)},
    )
    if ended.returncode == 0:
        say(f"{time.monotonic() - began:.1f} s")
        return
    say("failed")
    raise SetupError(explain(ended.stdout.decode("utf-8", "replace")))


def explain(output: str) -> str:
    """Return what a failed installer's *output* means, with its last lines."""
    lower = output.lower()
    network = ("resolv", "dns error", "error sending request", "connection", "timed out", "unreachable", "proxy")
    if "hash" in lower and "match" in lower:
        meaning = "a downloaded package is not the one that was locked; nothing of it was installed"
        advice = "Ask whoever runs your package mirror; do not install it by hand."
    elif "no space left" in lower:
        meaning, advice = "the disk is full", "Free some space and type the same command again."
    elif any(word in lower for word in network):
        meaning = "the package registry could not be reached"
        advice = "Check the network (or the proxy and mirror settings of pip or uv) and type the same command again."
    else:
        meaning, advice = "an installer failed", "Its last words are above; type the same command to try again."
    last = "".join(f"\n  | {line.strip()[:200]}" for line in output.strip().splitlines()[-4:])
    return f"{meaning}{last}\n  {advice}"


def gate(argv: "list[str]") -> int:
    """Run lint, format, types, layers and tests with this interpreter; what follows `--` goes to pytest."""
    import subprocess
    import time

    layers = "import sys; from importlinter.cli import lint_imports_command as run; sys.argv[0] = 'lint-imports'; run()"
    tests = ["-m", "pytest", "-n", "2", "--dist", "worksteal", *(argv[argv.index("--") + 1 :] if "--" in argv else [])]
    steps = {
        "lint": ["-m", "ruff", "check"],
        "format": ["-m", "ruff", "format", "--check"],
        "types": ["-m", "mypy"],
        "layers": ["-c", layers],
        "tests": tests,
    }
    failed, began = [], time.monotonic()
    for name, arguments in steps.items():
        print(f"== {name}", flush=True)
        since = time.monotonic()
        environment = {k: v for k, v in os.environ.items() if k != NO_BYTECODE} | {"PYTHONPATH": str(SRC)}
        status = subprocess.call([sys.executable, *arguments], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL)
        ending = f"FAILED ({status})" if status else "ok"
        print(f"== {name}: {ending}, {time.monotonic() - since:.1f} s", flush=True)
        failed += [name] if status else []
    total = f"{time.monotonic() - began:.1f} s"
    print(f"gate: FAILED in {', '.join(failed)}; {total}" if failed else f"gate: all {len(steps)} steps ok; {total}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
