"""What the integrity of the verifier finds in a history: `python -m benchmarks.integrity_history [N [COMMIT]]`.

Each commit is taken for the result of a task without target files. Honest work is all of it, presumably: what is found
there is what a person would have been asked about.
"""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from orchestrator.core.proof import CheckKind, CheckSpec, Finding
from orchestrator.validation.integrity import ChangedFile, findings

CHECKS = [CheckSpec(CheckKind.COMMAND, argv) for argv in (("pytest", "-q"), ("ruff", "check", "."), ("mypy",))]


def git(*words: str) -> bytes:
    """Return what git prints."""
    return subprocess.run(["git", *words], capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout


def text(commit: str, path: str) -> str | None:
    """Return the file at *path* in *commit*, None for bytes that are no text."""
    try:
        return git("show", f"{commit}:{path}").decode()
    except (UnicodeDecodeError, subprocess.CalledProcessError):
        return None


def changes(commit: str) -> list[ChangedFile]:
    """Return what *commit* changed."""
    raw = (
        git("diff-tree", "-r", "--no-renames", "--raw", "-z", "--no-abbrev", f"{commit}^", commit).decode().split("\0")
    )
    found = []
    for about, path in zip(raw[::2], raw[1::2], strict=False):
        base_mode, result_mode, _, _, status = about.removeprefix(":").split()
        base = None if status == "A" else text(f"{commit}^", path)
        result = None if status == "D" else text(commit, path)
        binary = (status != "A" and base is None) or (status != "D" and result is None)
        found.append(ChangedFile(path, status[0], base, result, binary, base_mode, result_mode))
    return found


def main() -> None:
    """Print every finding in the last N commits (100) until COMMIT (HEAD), then the sums."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    until = sys.argv[2] if len(sys.argv) > 2 else "HEAD"
    commits = git("log", "--no-merges", "--min-parents=1", "--format=%H", f"-{count}", until).decode().split()
    kinds: Counter[str] = Counter()
    tainted, files, took_s = 0, 0, []
    for commit in commits:
        changed = changes(commit)
        files += len(changed)
        began = time.perf_counter()
        found: tuple[Finding, ...] = findings(changed, checks=CHECKS)
        took_s.append(time.perf_counter() - began)
        tainted += any(one.taints for one in found)
        kinds.update(f"{one.kind}{'' if one.taints else ' (does not taint)'}" for one in found)
        for one in found:
            print(f"{commit[:8]} {one.kind} {one.path}:{one.line} {one.detail}")
    print(f"\n{len(commits)} commits, {files} changed files, {tainted} commits with a finding that taints")
    print(", ".join(f"{kind} {number}" for kind, number in kinds.most_common()) or "nothing found")
    print(
        f"a commit takes {sorted(took_s)[len(took_s) // 2] * 1000:.1f} ms (median), {max(took_s) * 1000:.0f} ms at most"
    )


if __name__ == "__main__":
    main()
