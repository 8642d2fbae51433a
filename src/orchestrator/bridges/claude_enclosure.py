"""What the Claude Code CLI sees of the disk when the whole of it is confined. Looks at the disk, changes little there.

Everything is listed that is there; what is not listed is not. Read only: the system, the CLI itself, tools in the home
folder by setting. Writable: the work area, a private /tmp, and of the CLI's own folder the login and the conversations
about this work area. The home folder is an empty one in memory, so what is written there is gone with the run.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bridges.bubblewrap import Kind, Mount
from orchestrator.bridges.project_notes import repository_folders

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/etc", "/opt", "/nix/store", "/gnu/store", "/run/current-system"),
)
# Matters for root only: nobody else can read them anyway.
SECRETS_OF_THE_SYSTEM = ("shadow*", "gshadow*", "sudoers*", "ssh/ssh_host_*_key", "ssl/private")  # under /etc
# Files by which a work area makes somebody's next program run code of its choice.
RUN_BY_OTHERS = (".git/hooks", ".git/config", ".claude", ".mcp.json")
# The person's own instructions to every later run. Made where they are missing: what is not there cannot be guarded.
OWN_FILES: Mapping[str, str] = {"settings.json": "{}\n", "CLAUDE.md": ""}
OWN_FOLDERS = ("agents", "commands", "hooks", "output-styles", "plugins", "rules", "skills")
# What other runs have said or will read: each run gets empty ones.
OF_OTHER_RUNS = ("backups", "file-history", "jobs", "projects", "session-env", "sessions", "shell-snapshots", "todos")
COPY = "claude.json"


@dataclass(frozen=True, slots=True)
class Places:
    """Absolute paths, links followed. *root* is the work area, all of it, "" for *cwd*, where the CLI starts in it.
    *config* is the CLI's own folder; *private* the attempt's, made by the caller; *program* the command's absolute
    words; *read* and *write* by setting; *hidden* what must not be seen.
    *notes_above*: the CLI reads the project's CLAUDE.md by itself, also that of folders above the work area. *tool* is
    the folder by which it learns of the worker's tool, "" for none."""

    cwd: str
    home: str
    config: str
    private: str
    program: Sequence[str]
    read: Sequence[str] = ()
    write: Sequence[str] = ()
    hidden: Sequence[str] = ()
    notes_above: bool = False
    root: str = ""
    tool: str = ""

    @property
    def area(self) -> str:
        return self.root or self.cwd


class UnfitError(Exception):
    """A run there would not be confined; says why and what to do."""


def check(places: Places) -> None:
    """Raise UnfitError where the work area holds what is to be kept from the agent."""
    cwd, home = Path(places.area), Path(places.home)
    if cwd == Path("/") or home.is_relative_to(cwd):
        raise UnfitError(f"the work area {cwd} holds your home folder: give the task a cwd of its project alone")
    if Path(places.config).is_relative_to(cwd):
        raise UnfitError(f"the work area {cwd} holds the CLI's own folder {places.config}: give the task another cwd")


def prepare(places: Places) -> None:
    """Make what the mounts need to be there. Raises OSError and UnfitError."""
    check(places)
    config = Path(places.config)
    for name in (*OWN_FOLDERS, *OF_OTHER_RUNS, f"projects/{_slug(places.cwd)}"):
        (config / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in OWN_FILES.items():
        if not (config / name).exists():
            (config / name).write_text(content)
    Path(places.private, "tmp").mkdir(mode=0o700, exist_ok=True)
    copy, original = Path(places.private, COPY), Path(places.home, ".claude.json")
    if original.is_file():
        shutil.copyfile(original, copy)
    else:
        copy.write_text("{}\n")
    copy.chmod(0o600)


def mounts(places: Places) -> tuple[Mount, ...]:
    """Return what is seen inside, in order. To be called after `prepare`."""
    return tuple(_mounts(places))


def _mounts(places: Places) -> Iterator[Mount]:
    home, config, area = places.home, places.config, places.area
    yield from (Mount(Kind.READ, path) for path in SYSTEM if Path(path).exists())
    yield from _secrets()
    yield from _name_service()
    yield Mount(Kind.WRITE, "/tmp", str(Path(places.private, "tmp")))  # noqa: S108 - a private one
    yield Mount(Kind.EMPTY, "/var/tmp")  # noqa: S108 - an empty one
    yield Mount(Kind.EMPTY, home)
    yield from _programs(places)
    yield from (Mount(Kind.READ, path) for path in places.read if Path(path).exists())
    yield from _own_folder(places)
    if Path(config) == Path(home, ".claude"):
        yield Mount(Kind.WRITE, str(Path(home, ".claude.json")), str(Path(places.private, COPY)))
    yield from _repository_above(Path(area))
    if places.notes_above:
        notes = [folder / "CLAUDE.md" for folder in repository_folders(Path(area))[1:]]
        yield from (Mount(Kind.READ, str(note)) for note in notes if note.is_file() and not note.is_symlink())
    yield Mount(Kind.WRITE, area)
    yield from (Mount(Kind.WRITE, path) for path in places.write if Path(path).exists())
    for folder in dict.fromkeys((area, places.cwd, *places.write)):
        yield from (Mount(Kind.READ, str(path)) for name in RUN_BY_OTHERS if _lies_there(path := Path(folder, name)))
    yield from (_unseen(Path(path)) for path in places.hidden if _is_seen(path, places) and Path(path).exists())
    if places.tool:
        yield Mount(Kind.READ, places.tool)


def _lies_there(path: Path) -> bool:
    """Whether *path* itself is there. By a link in its place an agent would have its next run see what it leads to."""
    return path.exists() and path.parent.resolve() / path.name == path.resolve() and not path.parent.is_symlink()


def _own_folder(places: Places) -> Iterator[Mount]:
    config = Path(places.config)
    yield Mount(Kind.WRITE, str(config))
    yield from (Mount(Kind.READ, str(config / name)) for name in (*OWN_FILES, *OWN_FOLDERS))
    yield from (Mount(Kind.EMPTY, str(config / name)) for name in OF_OTHER_RUNS)
    yield Mount(Kind.WRITE, str(config / "projects" / _slug(places.cwd)))
    if (config / "history.jsonl").exists():
        yield Mount(Kind.NOTHING, str(config / "history.jsonl"))


def _slug(cwd: str) -> str:
    """Return the name under which the CLI keeps conversations about *cwd*."""
    return re.sub(r"[^a-zA-Z0-9]", "-", cwd)


def _secrets() -> Iterator[Mount]:
    for pattern in SECRETS_OF_THE_SYSTEM:
        yield from (_unseen(path) for path in sorted(Path("/etc").glob(pattern)))


def _unseen(path: Path) -> Mount:
    return Mount(Kind.EMPTY if path.is_dir() else Kind.NOTHING, str(path))


def _name_service() -> Iterator[Mount]:
    """Where the list of name servers is a link to a file that the system keeps elsewhere, that one file."""
    real = Path("/etc/resolv.conf").resolve()
    if real.is_file() and not real.is_relative_to("/etc"):
        yield Mount(Kind.READ, str(real))


def _programs(places: Places) -> Iterator[Mount]:
    seen = set()
    for word in places.program:
        for path in (Path(word), Path(word).resolve()):
            within = path.parent
            whole = within not in (Path("/"), Path(places.home)) and not Path(places.home).is_relative_to(within)
            target = within if whole else path
            if target not in seen and path.exists() and not any(target.is_relative_to(p) for p in SYSTEM):
                seen.add(target)
                yield Mount(Kind.READ, str(target))


def _repository_above(cwd: Path) -> Iterator[Mount]:
    """The repository that *cwd* is a part of, to read its history: a folder above it, or where a worktree points."""
    for folder in (cwd, *cwd.parents):
        git = folder / ".git"
        if git.is_dir():
            if folder != cwd:
                yield Mount(Kind.READ, str(git))
            return
        if git.is_file():
            if folder != cwd:
                yield Mount(Kind.READ, str(git))
            found = re.fullmatch(r"gitdir: (.+)\n?", git.read_text(errors="replace"))
            target = (folder / found[1]).resolve() if found else git
            common = target.parent.parent if target.parent.name == "worktrees" else target
            if target.is_dir() and common.name == ".git":
                yield Mount(Kind.READ, str(common))
            return


def _is_seen(path: str, places: Places) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in (places.area, *places.read, *places.write))
