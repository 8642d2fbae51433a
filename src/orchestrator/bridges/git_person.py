"""Runs the person's own git, and `gh`, as they would have typed it: with their environment, hooks and credentials."""

import os
import shutil
from collections.abc import Mapping

from orchestrator.bridges.git import GitError
from orchestrator.bridges.process import run_quick
from orchestrator.core.errors import ConflictError
from orchestrator.core.text import printable

LONG_S = 600.0
# Of a hook that types our command: they would send git to another repository than the one that is meant.
_NOT_HANDED_ON = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"),
)


class PersonsPrograms:
    """*environ* is the environment that our command was typed in."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        left = {name: value for name, value in environ.items() if name not in _NOT_HANDED_ON}
        # Nobody can answer a question: what asks one fails, and says so.
        self._env = {**left, "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "GH_PROMPT_DISABLED": "1"}

    def found(self, program: str) -> str:
        """Return where *program* lies, "" when it is not there."""
        return shutil.which(program, path=self._env.get("PATH", os.defpath)) or ""

    def require_gh(self) -> None:
        """Raise ConflictError when there is no `gh`."""
        if not self.found("gh"):
            hint = "Install it from cli.github.com, or `push` and open the request in the browser."
            raise ConflictError("a pull request needs the program gh, which is not on the PATH", hint=hint)

    async def git(self, where: str, *words: str) -> str:
        """Run git in *where* and return what it said. Raises GitError."""
        return await self._run("git", where, *words)

    async def gh(self, where: str, *words: str) -> str:
        """Run `gh` in *where* and return what it said. Raises GitError."""
        return await self._run("gh", where, *words)

    async def _run(self, program: str, where: str, *words: str) -> str:
        path = self.found(program)
        if not path:
            raise GitError(f"{program} is not installed", missing=True)
        ran = await run_quick([path, *words], env=self._env, cwd=where, timeout_s=LONG_S)
        said = printable(" ".join(os.fsdecode(ran.stdout + b"\n" + ran.stderr).split()))
        if ran.reason != "exited":
            raise GitError(f"{program} {words[0]}: {ran.detail or ran.reason}")
        if ran.exit_code != 0:
            raise GitError(f"{program} {words[0]}: {said[-800:] or f'exit code {ran.exit_code}'}")
        return said
