"""The database file: opening it safely, bringing its schema up to date, and saying what is wrong with it."""

import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from orchestrator.core.errors import StoreError

APPLICATION_ID = 0x41495451  # in the file's header: whose database this is
OLDEST_SQLITE = (3, 31, 0)  # the first that knows trusted_schema
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ncpfs", "ceph", "lustre", "gfs2", "ocfs2"})
_LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuse.bindfs", "fuse.mergerfs", "fuse.lxcfs"})
_PRAGMAS = (
    "synchronous=FULL",
    "fullfsync=1",
    "checkpoint_fullfsync=1",
    "foreign_keys=ON",
    "trusted_schema=OFF",
    "cell_size_check=ON",
    "mmap_size=0",
    "temp_store=MEMORY",
    "wal_autocheckpoint=0",  # the daemon's writer says when; see sqlite_lane
)
_KEPT = "The file is kept as it is."
DAMAGED = f"{_KEPT} `python main.py doctor --repair` sets it aside, saves what is readable and takes the rest anew."
_WORDS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_BUSY: (
        "another process has kept the database locked",
        "Nothing was changed. `python main.py doctor` names who holds it; then try again.",
    ),
    sqlite3.SQLITE_READONLY: (
        "the database cannot be written",
        "Nothing was changed. Give this user the right to write the file and its folder.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "the database cannot be opened",
        "Check that the folder exists and that this user may read and write it.",
    ),
    sqlite3.SQLITE_FULL: (
        "the disk is full",
        "Nothing was changed. Free some space on this disk; then try again.",
    ),
    sqlite3.SQLITE_IOERR: (
        "the disk refused to read or write",
        "Nothing is acknowledged that is not stored, and the write is not tried again. "
        "Check space, quota and health of the disk, then start the daemon again: it recovers by itself.",
    ),
    sqlite3.SQLITE_CORRUPT: ("the database is damaged", DAMAGED),
    sqlite3.SQLITE_NOTADB: ("this is no database, or a damaged one", DAMAGED),
}
_LASTING = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_WORDS[sqlite3.SQLITE_LOCKED] = _WORDS[sqlite3.SQLITE_BUSY]
_WORDS[sqlite3.SQLITE_PERM] = _WORDS[sqlite3.SQLITE_READONLY]


def store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """Return what to tell a person about *error*, which SQLite raised over *path*."""
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    message, hint = _WORDS.get(primary_code(error), ("the database refused", "Run `python main.py doctor`."))
    lasting = primary_code(error) in _LASTING
    return StoreError(f"{message} ({name}: {error})", where=str(path), hint=hint, lasting=lasting)


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 when the error carries none."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn every refusal of the database into a StoreError. A misuse of the module stays what it is: our bug."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.NotSupportedError):
        raise
    except sqlite3.Error as error:
        raise store_error(error, path) from error


def connect(path: Path, *, busy_timeout_s: float, writable: bool, any_thread: bool = False) -> sqlite3.Connection:
    """Open an existing file. A connection that is not *writable* cannot change anything."""
    con = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rw' if writable else 'ro'}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=not any_thread,
    )
    try:
        for pragma in _PRAGMAS:
            con.execute(f"PRAGMA {pragma}")
        if not writable:
            con.execute("PRAGMA query_only=ON")
    except BaseException:
        con.close()
        raise
    return con


def prepare(path: Path, *, busy_timeout_s: float) -> None:
    """Create the file when it is missing and bring it to the newest schema. Safe in several processes at once.

    Raises StoreError: no such folder, a network filesystem, another program's or a newer release's file, damage.
    """
    _refuse_old_sqlite()
    _refuse_network(path)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(
            f"the database cannot be opened ({error.strerror})",
            where=str(path),
            hint="Check that the folder exists and that this user may read and write it.",
        ) from error
    with told(path):
        con = connect(path, busy_timeout_s=busy_timeout_s, writable=True)
        try:
            check_owner(con, path)
            _become_wal(con, deadline=time.monotonic() + busy_timeout_s)
            migrate(con, migrations())
        finally:
            con.close()


def check_owner(con: sqlite3.Connection, path: Path) -> None:
    """Refuse a file of another program or of a newer release. Raises StoreError."""
    (owner,) = con.execute("PRAGMA application_id").fetchone()
    (version,) = con.execute("PRAGMA user_version").fetchone()
    empty = con.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    if owner != APPLICATION_ID and not empty:
        raise StoreError(
            "this is the database of another program", where=str(path), hint=f"{_KEPT} Choose another root folder."
        )
    if version > (newest := len(migrations())):
        raise StoreError(
            f"the database has schema {version}, this release knows schemas up to {newest}",
            where=str(path),
            hint=f"{_KEPT} A newer release wrote it: install that release or a later one, or use another root folder.",
        )


def check_current(con: sqlite3.Connection, path: Path) -> None:
    """Refuse, for reading only, a file whose schema is not the newest. Raises StoreError."""
    (version,) = con.execute("PRAGMA user_version").fetchone()
    if version != len(migrations()):
        raise StoreError(
            f"the database has schema {version}, this release reads schema {len(migrations())}",
            where=str(path),
            hint="Start the daemon once: it brings the file up to date.",
        )


def migrations() -> Sequence[str]:
    """Return the SQL of every schema step, the first one first. Step n leads from schema n - 1 to schema n."""
    folder = resources.files("orchestrator.bridges").joinpath("sql")
    return [each.read_text("utf-8") for each in sorted(folder.iterdir(), key=str) if each.name.endswith(".sql")]


def migrate(con: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Apply the *steps* the file has not seen, all in one transaction: afterwards all are there, or none."""
    con.execute("BEGIN IMMEDIATE")
    try:
        (version,) = con.execute("PRAGMA user_version").fetchone()
        for step in steps[version:]:
            for statement in _statements(step):
                con.execute(statement)
        if version < len(steps):
            con.execute(f"PRAGMA user_version={len(steps)}")
            con.execute(f"PRAGMA application_id={APPLICATION_ID}")
            con.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('root_uuid', ?)", (str(uuid.uuid4()),))
        con.execute("COMMIT")
    except BaseException:
        if con.in_transaction:
            con.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _become_wal(con: sqlite3.Connection, *, deadline: float) -> None:
    """Switch to WAL. SQLite does not wait for other processes here, so we do: several may create the file."""
    while True:
        try:
            (mode,) = con.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            threading.Event().wait(0.01)
        else:
            if mode != "wal":
                raise sqlite3.OperationalError(f"journal mode is {mode}, WAL is not possible here")
            return


def _refuse_old_sqlite() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise StoreError(
            f"SQLite {sqlite3.sqlite_version} is too old",
            hint=f"Use a Python that brings SQLite {oldest} or later.",
        )


def _refuse_network(path: Path) -> None:
    try:
        mounts = Path("/proc/mounts").read_text("utf-8", "surrogateescape")
    except OSError:
        return  # no Linux: nothing to read it from
    if kind := network_filesystem(path.resolve(), mounts):
        raise StoreError(
            f"the folder lies on a network filesystem ({kind}), where SQLite cannot keep its promises",
            where=str(path),
            hint="Put the root folder on a local disk.",
        )


def network_filesystem(path: Path, mounts: str) -> str:
    """Return the type of the filesystem *path* (absolute) is on if it is a network one, else "".

    *mounts* is the text of /proc/mounts. An unknown FUSE filesystem counts as a network.
    """
    kind, depth = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
        if path.is_relative_to(point) and len(point.parts) >= depth:  # a later mount covers an earlier one
            kind, depth = fields[2], len(point.parts)
    network = kind in _NETWORK or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE)
    return kind if network else ""
