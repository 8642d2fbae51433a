"""Makes work areas: the daemon's own repository beside the person's, and the clone that an agent gets.

Both borrow the person's objects, read only; the clone has no remote, no hook and no name of a place of the person's.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bridges.area_facts import AreaFacts, AreaFolder, made
from orchestrator.bridges.files import atomic_write, open_folder, opened
from orchestrator.bridges.git import Git, names
from orchestrator.bridges.git_source import ALTERNATES, stores
from orchestrator.bridges.process import run_quick
from orchestrator.bridges.scratch import remove
from orchestrator.core.errors import WorkAreaError
from orchestrator.core.job_tree import JOB_FOLDER
from orchestrator.core.text import printable

SET_UP_S = 1800.0
# Where these are not there, the sandbox of an agent's shell puts something in their place that git cannot add: the
# agent's own `git add -A` is to pass them over. It says nothing about what we take.
_IN_THE_AGENTS_WAY = (
    *(".bash_profile", ".bashrc", ".gitconfig", ".gitmodules", ".idea", ".mcp.json", ".profile", ".ripgreprc"),
    *(".vscode", ".zprofile", ".zshrc", ".claude/agents", ".claude/commands", ".claude/settings.json"),
)
MAX_APART = 500


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a new area gets beside the files of its base: *setup* commands run in it with *env*, *copy* are paths of the
    person's checkout. *author* is `Name <address>`."""

    author: str
    setup: Sequence[Sequence[str]] = ()
    copy: Sequence[str] = ()
    env: Mapping[str, str] | None = None


def own_repository(folder: Path, git_folder: str) -> Path:
    """Return where our repository beside that of *git_folder* lies, or is to lie."""
    return folder / f"{hashlib.sha256(os.fsencode(git_folder)).hexdigest()[:24]}.git"


async def make_own(git: Git, path: Path, *, object_format: str, borrow: Sequence[str], common: str = "") -> Path:
    """Make our own bare repository at *path*, or bring an old one up to date. *common* is the person's repository."""
    if not (path / "HEAD").is_file():
        made(path.parent)
        new = path.with_name(f"{path.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        await git.run("init", "-q", "--bare", "--template=", f"--object-format={object_format}", str(new))
        (new / "info").mkdir(exist_ok=True)
        new.rename(path)
    _write(path / ALTERNATES.partition("/")[0], "exclude", b"")
    if borrow:
        made(path / "objects" / "info")
        _write(path / "objects" / "info", "alternates", _lines(borrow))
    if common:
        for name, to in (("shallow", path), ("info/exclude", path / "info")):
            if (source := Path(common, name)).is_file():
                _write(to, source.name, source.read_bytes())
    return path


async def own_again(git: Git, facts: AreaFacts) -> str:
    """Return our own repository for an area, made again where it was cleaned away. Raises GitError and OSError."""
    path = Path(facts.git_dir)
    if not (path / "HEAD").is_file():
        common = await git.run("rev-parse", "--git-common-dir", cwd=facts.source)
        where = Path(facts.source, os.fsdecode(common).rstrip("\n")).resolve()
        kind = await git.says("rev-parse", "--show-object-format", cwd=facts.source)
        await make_own(git, path, object_format=kind, borrow=stores(where / "objects"), common=str(where))
    return str(path)


async def make_clone(git: Git, folder: AreaFolder, facts: AreaFacts, *, branch: str, author: str) -> Mapping[str, str]:
    """Make `repo` at the start of *facts*, and our index. Returns its submodules, path to commit. Raises GitError.

    What lies in its place is removed. There is nothing in it that an agent could have written.
    """
    remove(folder.repo)
    own, repo = Path(facts.git_dir), str(folder.repo)
    kind = await git.says("rev-parse", "--show-object-format", git_dir=str(own))
    await git.run("init", "-q", "--template=", f"--object-format={kind}", repo)
    inside = folder.repo / ".git"
    for name in ("hooks", "info", "objects/info"):
        (inside / name).mkdir(parents=True, exist_ok=True)
    (inside / "objects/info/alternates").write_bytes(_lines(facts.read))
    (inside / "info/exclude").write_text("".join(f"{name}\n" for name in _IN_THE_AGENTS_WAY))
    if (own / "shallow").is_file():
        shutil.copyfile(own / "shallow", inside / "shallow")
    if facts.source:
        tags = ("for-each-ref", "--format=%(objectname) %(refname)", "--merged", facts.start, "refs/tags")
        (inside / "packed-refs").write_bytes(await git.run(*tags, cwd=facts.source))
    head = inside / "refs" / "heads" / branch
    head.parent.mkdir(parents=True, exist_ok=True)
    head.write_text(f"{facts.start}\n")
    (inside / "HEAD").write_text(f"ref: refs/heads/{branch}\n")
    with (inside / "config").open("a", encoding="utf-8") as config:
        config.write(_config(facts.settings, author))
    where = {"git_dir": str(inside), "work_tree": repo, "cwd": repo, "config": facts.settings}
    await git.run("read-tree", "-m", "-u", facts.start, **where)  # type: ignore[arg-type]
    shutil.copy2(inside / "index", folder.index)  # with its times: by them git knows what it has to look into
    listed = await git.run("ls-files", "-s", "-z", git_dir=facts.git_dir, index=str(folder.index))
    links = [entry for entry in listed.split(b"\0") if entry.startswith(b"160000 ")]
    return {os.fsdecode(entry.partition(b"\t")[2]): entry.split(b" ")[1].decode() for entry in links}


def make_copy(folder: AreaFolder, source: Path, own: frozenset[Path]) -> None:
    """Copy *source* to `repo`: links as links, no device, no repository, nothing that is in *own*. Raises OSError."""
    remove(folder.repo)

    def left_out(at: str, found: list[str]) -> list[str]:
        named = {name for name in found if name == ".git" or JOB_FOLDER.match(name)}
        return [name for name in found if (path := Path(at, name)) in own or _is_strange(path) or name in named]

    shutil.copytree(source, folder.repo, symlinks=True, ignore=left_out)


def _is_strange(path: Path) -> bool:
    return not (path.is_symlink() or path.is_file() or path.is_dir())


async def equip(git: Git, folder: AreaFolder, facts: AreaFacts, equipment: Equipment) -> tuple[list[str], list[str]]:
    """Copy files into a new area and run its set-up. Returns what is therefore no work of an agent, and notes.

    Raises WorkAreaError when a command fails.
    """
    apart, notes = [], []
    for path in equipment.copy:
        if why := copied(Path(facts.source or facts.asked_cwd, path), folder.repo, path):
            notes.append(f"{path} was not copied into the work area: {why}")
        else:
            apart.append(path)
    for argv in equipment.setup:
        ran = await run_quick(
            argv, env=equipment.env or {}, cwd=str(folder.repo), timeout_s=SET_UP_S, max_output_bytes=1 << 26
        )
        if ran.reason != "exited" or ran.exit_code != 0:
            tail = printable((ran.stderr or ran.stdout)[-2000:].decode(errors="replace").strip())[-500:]
            how = f"exit code {ran.exit_code}" if ran.reason == "exited" else ran.detail or ran.reason
            raise WorkAreaError(
                f"the set-up command {' '.join(argv)} failed in the work area ({how}): {tail}",
                hint="Correct isolation.setup in config/orchestrator.yaml.",
            )
    if equipment.setup:
        listing = ("ls-files", "-z", "-o", "--exclude-standard", "--directory", "--no-empty-directory")
        where = {"git_dir": facts.git_dir, "work_tree": str(folder.repo), "cwd": str(folder.repo)}
        found = names(await git.run(*listing, index=str(folder.index), **where))  # type: ignore[arg-type]
        apart += [path.rstrip("/") for path in found if path.rstrip("/") not in apart]
    if len(apart) > MAX_APART:
        raise WorkAreaError(
            f"the set-up made {len(apart)} files that git does not ignore: they cannot be told from work",
            hint="Let .gitignore name what the set-up makes.",
        )
    return apart, notes


def copied(source: Path, repo: Path, path: str) -> str:
    """Copy one file or folder to *path* of *repo*; returns why not."""
    target = repo / path
    try:
        if not source.exists():
            return "it is not there"
        target.parent.mkdir(parents=True, exist_ok=True)
        if not Path(os.path.realpath(target.parent)).is_relative_to(os.path.realpath(repo)) or target.is_symlink():
            return "a link leads out of the work area"
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _config(settings: Sequence[str], author: str) -> str:
    name, _, address = author.partition("<")
    text = (
        f'[user]\n\tname = "{_quoted(name.strip())}"\n\temail = "{_quoted(address.rstrip("> "))}"\n[gc]\n\tauto = 0\n'
    )
    for setting in settings:
        key, _, value = setting.partition("=")
        text += f'[core]\n\t{key.partition(".")[2]} = "{_quoted(value)}"\n'
    return text


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _lines(paths: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\n" for path in paths)


def _write(folder: Path, name: str, data: bytes) -> None:
    folder.mkdir(exist_ok=True)
    if (folder / name).is_file() and (folder / name).read_bytes() == data:
        return
    with opened(open_folder(folder)) as fd:
        atomic_write(fd, name, data)
