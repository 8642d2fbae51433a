"""Runs git so that nothing of a repository runs with it: no hook, no monitor, no alias, no pager, no network.

Configuration of the system and of the person counts for nothing. What git does depends on its version, our words and
the repository it is given; and one that an agent could write to is never given to it (docs/isolation.md).
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from orchestrator.bridges.tied import run_tied
from orchestrator.core.shortage import SHORTAGES
from orchestrator.core.text import printable

OLDEST = (2, 31)  # what doctor asks for too
LONG_S = 1800.0
MAX_OUTPUT_BYTES = 256 << 20
_SAFE = (
    *("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.alternateRefsCommand=true", "core.sshCommand=false"),
    *("core.attributesFile=/dev/null", "core.excludesFile=/dev/null", "core.pager=cat", "core.askPass=false"),
    *("protocol.ext.allow=never", "credential.helper=", "commit.gpgSign=false", "tag.gpgSign=false"),
    *(
        "submodule.recurse=false",
        "fetch.recurseSubmodules=no",
        "diff.ignoreSubmodules=all",
        "status.submoduleSummary=0",
    ),
    *("gc.auto=0", "maintenance.auto=false", "fetch.writeCommitGraph=false", "core.logAllRefUpdates=false"),
    *("core.fsync=committed,loose-object,reference", "core.fsyncMethod=batch", "core.precomposeUnicode=true"),
    *("advice.detachedHead=false", "advice.addEmbeddedRepo=false", "core.quotePath=false", "core.safecrlf=false"),
)
_ENV: Mapping[str, str] = {
    "HOME": "/dev/null",
    "XDG_CONFIG_HOME": "/dev/null",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "file",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "false",
}


_SHORTAGES = tuple(os.strerror(code) for code in sorted(SHORTAGES))  # as the system words them, LC_ALL=C


class GitError(Exception):
    """Git did not do what it was asked; the text is what it said, fit for people.

    *missing*: there is no git at all. *shortage*: the machine lacks space, descriptors or memory.
    """

    def __init__(self, words: str, *, missing: bool = False, shortage: bool = False) -> None:
        super().__init__(words)
        self.missing = missing
        self.shortage = shortage or any(sign in words for sign in _SHORTAGES)


@dataclass(frozen=True)
class Git:
    """The program as it is found on *path*."""

    path: str

    @cached_property
    def program(self) -> str:
        """Where it lies, "" where it does not."""
        return shutil.which("git", path=self.path) or ""

    async def run(
        self,
        *words: str,
        git_dir: str = "",
        work_tree: str = "",
        cwd: str = "/",
        index: str = "",
        config: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        ok: Sequence[int] = (0,),
        timeout_s: float = LONG_S,
    ) -> bytes:
        """Run one command and return what it printed. *config* are further `name=value`. Raises GitError.

        Without *git_dir* the repository is the one that *cwd* lies in: only for one that is the person's.
        """
        if not self.program:
            raise GitError("git is not installed", missing=True)
        argv = [self.program, *(f"--git-dir={git_dir}" for _ in (git_dir,) if git_dir)]
        argv += [f"--work-tree={work_tree}"] if work_tree else []
        for setting in (*_SAFE, "safe.directory=*", *config):
            argv += ["-c", setting]
        given = {**_ENV, "PATH": self.path, **({"GIT_INDEX_FILE": index} if index else {}), **(env or {})}
        ran = await run_tied(
            [*argv, *words], env=given, cwd=cwd, timeout_s=timeout_s, stdin=stdin, max_output_bytes=MAX_OUTPUT_BYTES
        )
        if ran.reason != "exited":
            raise GitError(f"git {words[0]}: {ran.detail or ran.reason}", shortage=ran.reason == "shortage")
        if ran.exit_code not in ok:
            raise GitError(f"git {words[0]}: {_said(ran.stderr) or f'exit code {ran.exit_code}'}")
        return ran.stdout

    async def says(self, *words: str, git_dir: str = "", cwd: str = "/") -> str:
        """Return the one line that a command prints, "" when it fails: for questions. Raises GitError without git."""
        try:
            return os.fsdecode(await self.run(*words, git_dir=git_dir, cwd=cwd, timeout_s=60)).rstrip("\n")
        except GitError as error:
            if error.missing:
                raise
            return ""

    async def unfit(self) -> str:
        """Return why this git cannot be used, "" when it can."""
        try:
            said = await self.says("version")
        except GitError as error:
            return str(error)
        found = re.search(r"(\d+)\.(\d+)", said)
        if found is None:
            return "git does not say its version"
        oldest = ".".join(map(str, OLDEST))
        return "" if (int(found[1]), int(found[2])) >= OLDEST else f"git {found[0]} is older than {oldest}"


def _said(stderr: bytes) -> str:
    lines = [line for line in os.fsdecode(stderr).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    return printable(" ".join(told[:3]))[:500]


def names(output: bytes) -> list[str]:
    """Return the paths of a listing with `-z`."""
    return [os.fsdecode(name) for name in output.split(b"\0") if name]


def literal(path: str) -> str:
    """Return a pathspec that means exactly *path*, seen from the top."""
    return f":(top,literal){path}"


def but(path: str) -> str:
    """Return a pathspec that leaves *path* and all below it out."""
    return f":(top,exclude,literal){path}"
