"""Where things lie, and the environment and command lines that every contender gets alike."""

import os
import shlex
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent


def agent_command(mode: str, stamps: str | Path) -> list[str]:
    """Return the command line of the agent. The flag -p, which the daemon adds by itself, is not yet there."""
    return [sys.executable, "-I", "-S", str(HERE / "agent.py"), mode, str(stamps)]


def environment(home: Path, *extra_path: Path, **more: str) -> dict[str, str]:
    """Return a clean environment whose programs find the package, the benchmarks and *extra_path*."""
    home.mkdir(parents=True, exist_ok=True)
    places = [REPOSITORY / "src", REPOSITORY, *extra_path]
    return {
        "PATH": os.pathsep.join([os.defpath, "/usr/sbin", "/sbin"]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(map(str, places)),
        **more,
    }


def as_setting(command: list[str]) -> str:
    """Return *command* as the environment variable for the agent's command wants it."""
    return shlex.join(command)
