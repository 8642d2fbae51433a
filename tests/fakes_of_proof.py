"""Small real implementations of the ports of proving: checks that are functions, checkouts that are plain folders."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from orchestrator.bridges.file_checks import look_at
from orchestrator.core.errors import WorkAreaError
from orchestrator.core.ports import Opinions
from orchestrator.core.proof import CheckKind, CheckRun, CheckSpec
from orchestrator.engine.examiner import Examiner
from orchestrator.engine.opinion import SecondOpinion
from orchestrator.engine.proof import Prover
from orchestrator.validation.integrity import ChangedFile

Answer = Callable[[Path], bool | None]


class ScriptedChecks:
    """Implements the port `CheckRunner`: each command is a function of the folder it runs in. *ran* is told by commit.

    A command that nobody scripted cannot be run. Checks of files are really looked at.
    """

    def __init__(self, answers: Mapping[CheckSpec, Answer]) -> None:
        self.answers = dict(answers)
        self.ran: list[tuple[str, CheckSpec]] = []

    async def run(self, checks: Sequence[CheckSpec], folder: str, *, inside: str, commit: str) -> Sequence[CheckRun]:
        self.ran += [(commit, check) for check in checks]
        return [self._one(check, Path(folder), inside, commit) for check in checks]

    def _one(self, check: CheckSpec, folder: Path, inside: str, commit: str) -> CheckRun:
        if check.kind is CheckKind.HUMAN:
            return CheckRun(None, commit, detail="a person has to look")
        if not check.argv:
            return look_at(check, folder, inside=inside, commit=commit)
        if not (folder / inside).is_dir():
            return CheckRun(passed=False, commit=commit, detail="no such folder", confinement="a function")
        passed = self.answers[check](folder / inside) if check in self.answers else None
        code, detail = {True: (0, ""), False: (1, "exit code 1"), None: (None, "there is no such program")}[passed]
        return CheckRun(passed, commit, code, 0.1, f"output of {check.argv[0]}", detail, "a function")


class FolderCheckouts:
    """Implements the port `Checkouts`: *commits* is a folder with one plain folder for each commit, by its name."""

    def __init__(self, commits: Path, copied: Sequence[str] = ()) -> None:
        self.commits = commits
        self.copied = copied
        self.made: list[tuple[str, str]] = []
        self.open: set[str] = set()

    def add(self, commit: str, files: Mapping[str, str]) -> None:
        """Make a commit of *files*, path to text."""
        for path, text in files.items():
            file = self.commits / commit / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        (self.commits / commit).mkdir(parents=True, exist_ok=True)

    def checkout(
        self, source: str, commit: str, *, base: str = "", restored: Sequence[str] = (), beside: str = ""
    ) -> AbstractAsyncContextManager[str]:
        return self._checkout(source, commit, base, restored, beside)

    @asynccontextmanager
    async def _checkout(
        self, source: str, commit: str, base: str, restored: Sequence[str], beside: str
    ) -> AsyncIterator[str]:
        if not (self.commits / commit).is_dir():
            raise WorkAreaError(f"{source} has no commit {commit}")
        self.made.append((source, commit))
        with tempfile.TemporaryDirectory(dir=self.commits) as made:
            folder = Path(made) / "files"
            shutil.copytree(self.commits / commit, folder, symlinks=True)
            for path in restored:
                self._put_back(self.commits / base / path, folder / path)
            for path in self.copied if beside else ():
                if not (folder / path).exists() and Path(beside, path).exists():
                    shutil.copy2(Path(beside, path), folder / path)
            self.open.add(commit)
            try:
                yield str(folder)
            finally:
                self.open.discard(commit)

    def _put_back(self, before: Path, now: Path) -> None:
        if before.is_file():
            now.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(before, now)
        else:
            now.unlink(missing_ok=True)


class NoCommits:
    """Implements the port `Commits` where nothing is kept as one."""

    async def paths(self, git_dir: str, commit: str) -> Sequence[str]:
        raise WorkAreaError("nothing is kept here")

    async def changed(self, git_dir: str, base: str, result: str) -> Sequence[ChangedFile]:
        raise WorkAreaError("nothing is kept here")

    async def patch(self, git_dir: str, base: str, result: str) -> str:
        raise WorkAreaError("nothing is kept here")


def plain_examiner(folder: Path, opinions: Opinions | None = None) -> Examiner:
    """Return one for work areas without git, whose commands nobody has scripted. Checkouts would lie in *folder*."""
    prover = Prover(runner=ScriptedChecks({}), checkouts=FolderCheckouts(folder))
    second = SecondOpinion(opinions, NoCommits()) if opinions else None
    return Examiner(prover=prover, commits=NoCommits(), second=second)
