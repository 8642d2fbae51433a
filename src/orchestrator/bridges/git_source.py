"""Looks at the person's repository: whether a folder lies in one, and what of it is unusual. Writes nothing there."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from orchestrator.bridges.git import Git, GitError, literal, names
from orchestrator.core.errors import ConflictError

ALTERNATES = "info/alternates"
# How text files and names are converted: taken over, so that the clone holds the same files as the checkout would.
_TAKEN_OVER = ("core.autocrlf", "core.eol", "core.filemode", "core.symlinks", "core.ignorecase")
MANY = 20  # stores that borrow from each other


@dataclass(frozen=True, slots=True)
class Source:
    """A repository that can be cloned. *top* and *git* (its common folder) are absolute, *relative* is where in it the
    task's folder lies, "" for the top. *objects* are all its object stores, its own first; *head* is HEAD's commit."""

    top: str
    git: str
    relative: str
    head: str
    object_format: str = "sha1"
    shallow: bool = False
    objects: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


class UnfitError(Exception):
    """The folder lies in a repository that cannot be cloned; says why."""


def has_repository(folder: Path) -> bool:
    """Return whether *folder* may lie in a repository: costs no program."""
    return any((above / ".git").exists() for above in (folder, *folder.parents))


async def find(git: Git, cwd: str, fence: str) -> Source:
    """Return the repository that *cwd*, a real path, lies in. Raises UnfitError when it cannot be cloned.

    One that reaches beyond *fence*, the real path of the allowed root, is none that a task may change.
    """
    if why := await git.unfit():
        raise UnfitError(f"{why}, so the repository at {cwd} cannot be cloned")
    asked = ("--show-toplevel", "--git-common-dir", "--show-object-format", "--is-shallow-repository")
    try:
        said = os.fsdecode(await git.run("rev-parse", *asked, cwd=cwd)).rstrip("\n").split("\n")
    except GitError as error:
        raise UnfitError(f"{cwd} is in no repository with a checkout: {error}") from None
    top, common = os.path.realpath(said[0]), os.path.realpath(Path(cwd, said[1]))
    if not Path(top).is_relative_to(fence):
        raise UnfitError(f"the repository {top} reaches beyond {fence}, which no task may leave")
    head = await git.says("rev-parse", "-q", "--verify", "HEAD^{commit}", cwd=cwd)
    if not head:
        raise UnfitError(f"the repository {top} has no commit yet")
    relative = os.path.relpath(cwd, top)
    relative = "" if relative == "." else relative
    if relative and await git.says("cat-file", "-t", f"{head}:{relative}", cwd=cwd) != "tree":
        raise UnfitError(f"{cwd} is not part of the last commit of the repository {top}")
    settings = await settings_of(git, cwd)
    return Source(
        top=top,
        git=common,
        relative=relative,
        head=head,
        object_format=said[2],
        shallow=said[3] == "true",
        objects=stores(Path(common, "objects")),
        settings=settings,
    )


async def settings_of(git: Git, cwd: str) -> tuple[str, ...]:
    """Return the settings to take over. Raises UnfitError for a repository that fetches its objects when needed."""
    pattern = r"^(core\.(autocrlf|eol|filemode|symlinks|ignorecase)|remote\..*\.promisor|extensions\.partialclone)$"
    said = await git.run("config", "-z", "--get-regexp", pattern, cwd=cwd, ok=(0, 1))
    found = dict(item.partition("\n")[::2] for item in os.fsdecode(said).split("\0") if item)
    if any(name not in _TAKEN_OVER for name in found):
        raise UnfitError("it is a partial clone: some of its objects are elsewhere")
    return tuple(f"{name}={value}" for name, value in sorted(found.items()))


def require_there(source: str) -> None:
    """Raise ConflictError when the repository *source*, in which a task has worked, is not there; "" is none."""
    if source and not Path(source, ".git").exists():
        hint = "What was done is kept in it: put it back where it was."
        raise ConflictError(f"the repository {source} is not there", hint=hint)


def stores(objects: Path) -> tuple[str, ...]:
    """Return an object store with those it borrows from, and so on."""
    found: list[str] = []
    left = [objects]
    while left and len(found) < MANY:
        store = left.pop(0)
        if str(store) in found or not store.is_dir():
            continue
        found.append(str(store))
        try:
            lines = (store / ALTERNATES).read_bytes().splitlines()
        except OSError:
            continue
        left += [Path(os.path.realpath(store / os.fsdecode(line))) for line in lines if line and line[:1] != b"#"]
    return tuple(found)


async def uncommitted(git: Git, source: Source, own: str) -> tuple[str, ...]:
    """Return what in the checkout is not in its last commit, folders with a slash. Raises GitError.

    By our own repository: `git status` would run filters.
    """
    index = await git.says("rev-parse", "--git-path", "index", cwd=source.top)
    with TemporaryDirectory(prefix="orchestrator-") as folder:
        copy = Path(folder, "index")
        if (there := Path(source.top, index)).is_file():
            shutil.copy2(there, copy)  # with its times: by them git knows what it has to look into
        where = {"git_dir": own, "work_tree": source.top, "cwd": source.top, "index": str(copy)}
        given: dict[str, Any] = {**where, "config": source.settings, "timeout_s": 120}
        await git.run("update-index", "-q", "--refresh", ok=(0, 1), **given)
        words = ("diff-index", "-z", "--name-only", "--ignore-submodules=all", "--no-ext-diff", source.head)
        changed = names(await git.run(*words, **given))
        listing = ("ls-files", "-z", "-o", "--exclude-standard", "--directory", "--no-empty-directory")
        return (*changed, *names(await git.run(*listing, **given)))


async def notes_of(git: Git, source: Source, own: str) -> tuple[str, ...]:
    """Return what people should know of a clone of *source*; *own* is our repository beside it."""
    notes = []
    if source.shallow:
        notes.append("the repository is shallow: its older history is not there")
    if await git.says("symbolic-ref", "-q", "HEAD", cwd=source.top) == "":
        notes.append("HEAD is detached: the base is the commit it is at")
    try:
        if count := len(await uncommitted(git, source, own)):
            words = "1 path of the checkout is" if count == 1 else f"{count} paths of the checkout are"
            notes.append(f"{words} not committed: the task began from the last commit, without it")
    except GitError as error:
        notes.append(f"whether the checkout has uncommitted changes is not known: {error}")
    attributes = ":(top,glob)**/.gitattributes"
    asked = ("grep", "-q", "-F", "filter=lfs", source.head, "--", literal(".gitattributes"), attributes)
    try:
        await git.run(*asked, cwd=source.top)
        notes.append("files in Git LFS are pointers in the clone: their content is not fetched")
    except GitError:
        pass  # none, as nearly always
    return tuple(notes)
