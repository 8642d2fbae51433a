"""Looks which of a person's own changes lie where a merge would write. Runs nothing of their repository."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator.bridges.git import Git, names
from orchestrator.bridges.git_source import settings_of
from orchestrator.core.work import FileChange


async def in_the_way(git: Git, source: str, git_dir: str, head: str, touched: Sequence[FileChange]) -> Sequence[str]:
    """Return the paths of *touched* that are not in the checkout *source* as they are in its commit *head*, sorted.

    Untracked and ignored files count: a merge would write over them. Raises GitError and OSError.
    """
    paths = {one.path for one in touched}
    found = {one.path for one in touched if one.status == "A" and _lies_there(Path(source), one.path)}
    index = await git.says("rev-parse", "--git-path", "index", cwd=source)
    with TemporaryDirectory(prefix="orchestrator-") as folder:
        copy = Path(folder, "index")
        if (there := Path(source, index)).is_file():
            shutil.copy2(there, copy)  # with its time: by that git knows which entries to look at again
        where = {"git_dir": git_dir, "work_tree": source, "cwd": source, "index": str(copy)}
        config = await settings_of(git, source)
        await git.run("update-index", "-q", "--refresh", ok=(0, 1), config=config, **where)  # type: ignore[arg-type]
        for more in ((), ("--cached",)):
            words = ("diff-index", "-z", "--name-only", "--ignore-submodules=all", "--no-ext-diff", *more, head)
            changed = names(await git.run(*words, config=config, **where))  # type: ignore[arg-type]
            found |= paths & set(changed)
    return sorted(found)


def _lies_there(top: Path, path: str) -> bool:
    """Return whether anything of the person lies at *path*, or where one of its folders is to be."""
    full = top / path
    if full.is_symlink() or full.exists():
        return True
    above = [one for one in full.parents if one != top and one.is_relative_to(top)]
    return any(one.is_symlink() or (one.exists() and not one.is_dir()) for one in above)
