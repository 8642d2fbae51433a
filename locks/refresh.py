"""Write every lock anew from pyproject.toml: `python locks/refresh.py`. Needs uv.

A lock pins each package with the hashes of all its files, for every platform and Python from 3.11 on, and holds no
address: where packages come from is the business of whoever installs. The sets that build on another one are locked
under its pins, so that any mixture of sets fits into one environment.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from main import SETS, Lock, find_uv  # noqa: E402 - main.py lies beside this folder, not on the path

OPTIONS = "--quiet --no-config --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header"


def main() -> int:
    uv = find_uv()
    if not uv:
        print("locks are made with uv\n  Type: python3 -m pip install --user uv", file=sys.stderr)
        return 3
    for lock in SETS.values():
        refresh(lock, uv)
    return 0


def refresh(lock: Lock, uv: str) -> None:
    """Lock one set. A set without dependencies of its own is locked from the lines of its extra alone."""
    alone = "--no-deps" in lock.options
    command = [uv, "pip", "compile", *OPTIONS.split(), "--no-annotate", "--upgrade", "-o", str(lock.file)]
    if alone:
        command += ["--no-deps", "-"]
    else:
        command.append(str(ROOT / "pyproject.toml"))
        command += [word for extra in lock.extras for word in ("--extra", extra)]
        command += [word for name in lock.under for word in ("-c", str(SETS[name].file))]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [line for extra in lock.extras for line in project["optional-dependencies"][extra]]
    subprocess.run(command, input="\n".join(lines) if alone else None, text=True, check=True)


if __name__ == "__main__":
    sys.exit(main())
