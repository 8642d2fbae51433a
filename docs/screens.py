"""Draw docs/screens/*.svg: what `demo`, `status` and `doctor` look like in a terminal. `python docs/screens.py`.

Each command really runs, in a pseudo-terminal of 110 columns, in a folder made for it; the demo first, so that the
others have something to show. Places of this machine are replaced by those of an imagined one.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

DOCS = Path(__file__).resolve().parent
PROJECT = DOCS.parent
COLUMNS, ROWS = 110, 60
ANSWERS = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "LINES": str(ROWS)}


def run(folder: Path, *words: str) -> str:
    """Return what `main.py` with *words* prints to a terminal, colours and all."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    env = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "TMPDIR": str(folder), **ANSWERS}
    command = [sys.executable, str(PROJECT / "main.py"), *words]
    with subprocess.Popen(command, cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        printed = b""
        while piece := _read(ours):
            printed += piece
        running.wait()
    os.close(ours)
    return printed.decode("utf-8", "replace").replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # nobody has it open any more
        return b""


def draw(name: str, command: str, printed: str) -> None:
    """Write docs/screens/*name*.svg."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w", encoding="utf-8"), force_terminal=True)  # noqa: SIM115
    console.print(Text.from_ansi(f"$ {command}\n{printed.rstrip()}"), overflow="fold")
    (DOCS / "screens").mkdir(exist_ok=True)
    svg = console.export_svg(title=command, unique_id=f"screen-{name}")
    # No font is fetched by who looks at it.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (DOCS / "screens" / f"{name}.svg").write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", "utf-8")
    print(f"wrote docs/screens/{name}.svg")


def elsewhere(printed: str, places: dict[str, str]) -> str:
    """Return *printed* with each of *places* replaced, the longest first."""
    for place in sorted(places, key=len, reverse=True):
        printed = printed.replace(place, places[place])
    return printed


def main() -> int:
    """Draw all; return 1 where a command printed nothing."""
    with tempfile.TemporaryDirectory(prefix="screens-") as made:
        folder = Path(made).resolve()
        (folder / "home").mkdir()
        demo = run(folder, "demo")
        root = next(folder.glob("orchestrator-demo-*"))
        places = {
            str(root): "/home/you/orchestrator",
            str(folder): "/home/you",
            str(PROJECT): "/home/you/ai-task-orchestrator",
            str(Path.home()): "/home/you",
            str(Path(sys.executable).parent): "/usr/bin",
            str(Path(sys.executable).resolve().parent): "/usr/bin",
        }
        screens = {
            "demo": ("python3 main.py demo", demo),
            "status": ("python3 main.py status", run(folder, "--root", str(root), "status")),
            "doctor": ("python3 main.py doctor", run(folder, "--root", str(root), "doctor")),
        }
        for name, (command, printed) in screens.items():
            draw(name, command, elsewhere(printed, places).replace(" --root /home/you/orchestrator", ""))
    return 0 if all(printed.strip() for _, printed in screens.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
