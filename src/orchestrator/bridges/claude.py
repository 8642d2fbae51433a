"""Claude Code as an Agent: one attempt from its order to its outcome, with word of what happens meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.bridges import claude_command, claude_enclosure, claude_tool
from orchestrator.bridges.bubblewrap import enclosure
from orchestrator.bridges.claude_command import ClaudeConfig, Session
from orchestrator.bridges.claude_enclosure import Places
from orchestrator.bridges.claude_find import Finder
from orchestrator.bridges.claude_levels import Level
from orchestrator.bridges.claude_messages import Init, Message, Result, decode_line
from orchestrator.bridges.claude_outcome import AUTH_REFUSALS, Begun, Tally, outcome
from orchestrator.bridges.claude_progress import Teller
from orchestrator.bridges.files import open_folder, opened, sync_folder
from orchestrator.bridges.follow import CHUNK_BYTES, LineSplitter
from orchestrator.bridges.process import ExitRecord, Launch, Supervised, settle, supervise
from orchestrator.bridges.redacted_files import redact_output
from orchestrator.bridges.strays import STDERR, STDOUT
from orchestrator.core.attempt import Failed, FailureKind, Interrupted, Outcome, WorkOrder, not_begun
from orchestrator.core.codec import notes_from_json, to_json
from orchestrator.core.events import Json
from orchestrator.core.failpoint import hit
from orchestrator.core.ports import Say
from orchestrator.core.shortage import is_shortage

MAX_TMP_BYTES = 56  # of 108 that the name of a socket may have
_NOT_BEGUN = "the daemon ended before the agent was started"
_BEGUN = "claude.json"  # in the attempt's folder, beside the process's own files


class ClaudeAgent:
    """Runs attempts with Claude Code. Any number at once."""

    def __init__(self, config: ClaudeConfig, new_session_id: Callable[[], str]) -> None:
        self._config = config
        self._new_session_id = new_session_id
        self._env = claude_command.environment(config)
        self.finder = Finder(config.command, self._env, oldest=config.min_version)

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        """Run *order* to its end. However this ends, also by cancellation, nothing it started stays alive."""
        try:
            return await self._run(order, say)
        finally:
            self._tidy(order)

    async def _run(self, order: WorkOrder, say: Say) -> Outcome:
        probe = await self.finder.probe()
        if probe.kind is not None:
            return Failed(probe.kind, probe.detail, not_begun(order))
        if reason := claude_command.refusal(self._config):
            return Failed(FailureKind.START_REFUSED, reason, not_begun(order))
        if not _can_enter(order.cwd):
            detail = f"the working directory {order.cwd} does not exist or cannot be entered"
            return Failed(FailureKind.PREPARE_FAILED, detail, not_begun(order))
        session = self._session(order)
        begun = Begun(
            session_id=session.id,
            resumed=session.resumed,
            spent_usd=order.session_cost_usd if session.resumed else 0.0,
            confinement=claude_command.confinement(self._config),
            version=probe.version,
            notes=() if session.resumed else order.notes,
        )
        try:
            self._prepare(order, begun)
            await asyncio.to_thread(_sync_names, Path(order.attempt_dir).parent)
            launch = self._launch(order, probe.located.command, session)
            hit("prepare.begun")
        except OSError as error:
            where = error.filename or order.attempt_dir
            kind = FailureKind.SHORTAGE if is_shortage(error) else FailureKind.START_REFUSED
            detail = f"{where}: {error.strerror}"
            return Failed(kind, detail, replace(not_begun(order), session_id=session.id))
        except claude_enclosure.UnfitError as error:
            return Failed(FailureKind.PREPARE_FAILED, str(error), replace(not_begun(order), session_id=session.id))
        teller = Teller(order.cwd, begun, say, tool=order.tool is not None)
        async with supervise(launch) as run:
            watch = _Watch(run, order, teller, self._config.linger_s)
            await watch.follow()
            record = await run.wait()
            ended = outcome(watch.tally, record, begun, stderr=run.stderr_tail(), lingered=watch.lingered)
        await self._redacted(order)
        return ended

    async def collect(self, order: WorkOrder) -> Outcome | None:
        """Return how an attempt ended that ran under an earlier daemon, None if it left no exit record.

        One without a folder was never begun, and has cost nothing. Nothing of it is alive when this returns.
        """
        folder = Path(order.attempt_dir)
        begun_at_all = folder.is_dir()
        record = await settle(folder, order.mark)
        self._tidy(order)
        hit("collect.settled")
        if record is None:
            await self._redacted(order)
            return None if begun_at_all else Interrupted(_NOT_BEGUN, not_begun(order))
        begun = _read_begun(folder / _BEGUN) or Begun(order.session_id, order.resume, order.session_cost_usd)
        found = await asyncio.to_thread(_fold_files, folder, record, begun)
        await self._redacted(order)
        return found

    def _session(self, order: WorkOrder) -> Session:
        """Take the old session up where it is wanted and there; else begin one under an id that was never used."""
        known = _is_uuid(order.session_id) and self._has_transcript(order.session_id)
        if order.resume and known:
            return Session(order.session_id, resumed=True)
        if known or not _is_uuid(order.session_id):
            return Session(self._new_session_id())
        return Session(order.session_id)

    def _has_transcript(self, session_id: str) -> bool:
        """A session can be resumed from any folder, so it is looked for under all of them."""
        home = claude_command.config_dir(self._config)
        return bool(home) and any(Path(home, "projects").glob(f"*/{session_id}.jsonl"))

    def _prepare(self, order: WorkOrder, begun: Begun) -> None:
        """Make the folders and remember what the program's output will not tell."""
        folder = Path(order.attempt_dir)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        claude_tool.prepare(order)
        if private := self._private(order):
            shutil.rmtree(private, ignore_errors=True)
            private.mkdir(
                mode=0o700, parents=True
            )  # FileExistsError where somebody else's file or link is in its place
        (folder / _BEGUN).write_text(
            json.dumps(
                {
                    "session_id": begun.session_id,
                    "resumed": begun.resumed,
                    "spent_usd": begun.spent_usd,
                    "confinement": begun.confinement,
                    "version": begun.version,
                    "notes": to_json(begun.notes),
                }
            )
        )

    def _private(self, order: WorkOrder) -> Path | None:
        """The attempt's own place for temporary files. Sockets are made there, and their names must be short."""
        if not self._config.tmp_dir:
            return None
        name = f"{order.uid[-12:]}.{order.attempt}"
        inside = Path(self._config.tmp_dir, name)
        if len(os.fsencode(inside)) <= MAX_TMP_BYTES or claude_command.level(self._config) is Level.PROCESS:
            return inside
        return Path(tempfile.gettempdir(), f"orchestrator-{name}")

    async def _redacted(self, order: WorkOrder) -> None:
        """Only now: until it was folded, the output had to be the agent's own."""
        await asyncio.to_thread(redact_output, Path(order.attempt_dir), self._config.redact)

    def _tidy(self, order: WorkOrder) -> None:
        claude_tool.tidy(order)
        if private := self._private(order):
            shutil.rmtree(private, ignore_errors=True)

    def _launch(self, order: WorkOrder, command: tuple[str, ...], session: Session) -> Launch:
        private = self._private(order)
        config = replace(self._config, tmp_dir=str(private or ""))
        container = self._config.container
        if claude_command.level(config) is Level.PROCESS:
            container = self._container(order, command)
            config = replace(config, tmp_dir="/tmp")  # noqa: S108 - the private one, as it is seen inside
        env = claude_command.environment(config)
        return Launch(
            argv=claude_command.argv(config, command, order, session),
            cwd=order.cwd,
            env=claude_tool.environment(env) if order.tool else env,
            stdin=claude_command.stdin(order, resumed=session.resumed),
            attempt_dir=Path(order.attempt_dir),
            mark=order.mark,
            timeout_s=order.timeout_s,
            grace_s=self._config.grace_s,
            max_output_bytes=self._config.max_output_bytes,
            container=container,
            cgroups=self._config.cgroups,
            stall_s=self._config.stall_s,
            max_processes=self._config.max_processes,
            memory_bytes=self._config.memory_bytes,
        )

    def _container(self, order: WorkOrder, command: tuple[str, ...]) -> tuple[str, ...]:
        """Return the words that confine the whole program. Raises UnfitError and OSError."""
        config, private = self._config, self._private(order)
        home = self._env.get("HOME", "")
        if not home or private is None:
            raise claude_enclosure.UnfitError("the agent cannot be confined without HOME and a folder of its own")
        real_home = os.path.realpath(home)
        places = Places(
            cwd=os.path.realpath(order.cwd),
            home=real_home,
            config=os.path.realpath(claude_command.config_dir(config)),
            private=str(private),
            program=[word for word in command if word.startswith("/")],
            root=os.path.realpath(order.work_root or order.cwd),
            read=[*_expanded(config.read_paths, real_home), *_certificates(self._env), *order.read],
            write=_expanded(config.write_paths, real_home),
            hidden=config.hidden,
            notes_above=config.project_settings,
            tool=claude_tool.folder(order) if order.tool else "",
        )
        claude_enclosure.prepare(places)
        tools = {name: _which(name, self._env) for name in ("bwrap", "unshare", "setpriv")}
        return enclosure(
            tools["bwrap"],
            claude_enclosure.mounts(places),
            cwd=places.cwd,
            as_root=os.geteuid() == 0,
            unshare=tools["unshare"],
            setpriv=tools["setpriv"],
        )


def _expanded(paths: Sequence[str], home: str) -> list[str]:
    return [home + path[1:] if path.startswith("~/") else path for path in paths]


def _certificates(env: Mapping[str, str]) -> list[str]:
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
    return [env[name] for name in names if env.get(name, "").startswith("/")]


def _which(name: str, env: Mapping[str, str]) -> str:
    return shutil.which(name, path=env.get("PATH", os.defpath)) or name


class _Watch:
    """Follows a running program and ends it where going on is of no use."""

    def __init__(self, run: Supervised, order: WorkOrder, teller: Teller, linger_s: float) -> None:
        self.run, self.order, self.teller, self.linger_s = run, order, teller, linger_s
        self.tally = Tally()
        self.lingered = False

    async def follow(self) -> None:
        """Read to the end of the output. A process that stays *linger_s* after its final result is stopped."""
        patience = asyncio.timeout(None)
        try:
            async with patience:
                async for line in self.run.lines():
                    for message in decode_line(line):
                        self._set(patience, message)
                        await self._take(message)
        except TimeoutError:
            if not patience.expired():  # not ours: somebody else's, raised by `say`
                raise
            self.lingered = True
            await self.run.stop()

    def _set(self, patience: asyncio.Timeout, message: Message) -> None:
        final = isinstance(message, Result)
        patience.reschedule(asyncio.get_running_loop().time() + self.linger_s if final else None)

    async def _take(self, message: Message) -> None:
        self.tally.add(message)
        if isinstance(message, Init):  # it has read its configuration
            claude_tool.forget(self.order)
        await self.teller.tell(message)
        if self.tally.auth_refusals == AUTH_REFUSALS:
            await self.run.stop()


def _fold_files(folder: Path, record: ExitRecord, begun: Begun) -> Outcome:
    tally, splitter = Tally(), LineSplitter()
    with suppress(FileNotFoundError), (folder / STDOUT).open("rb") as stream:  # it may have ended before any output
        while chunk := stream.read(CHUNK_BYTES):
            for line in splitter.feed(chunk):
                _add(tally, line)
    _add(tally, splitter.rest() or b"")
    return outcome(tally, record, begun, stderr=_tail(folder / STDERR))


def _add(tally: Tally, line: bytes) -> None:
    for message in decode_line(line):
        tally.add(message)


def _tail(path: Path, limit: int = 4000) -> str:
    with suppress(FileNotFoundError), path.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - limit))
        return stream.read(limit).decode(errors="replace")
    return ""


def _read_begun(path: Path) -> Begun | None:
    """Return what `_prepare` wrote, None when the daemon died before or while it did."""
    try:
        raw: dict[str, Json] = json.loads(path.read_text())
        spent = raw["spent_usd"]
        return Begun(
            session_id=str(raw["session_id"]),
            resumed=raw["resumed"] is True,
            spent_usd=float(spent) if isinstance(spent, (int, float)) else None,
            confinement=str(raw["confinement"]),
            version=str(raw["version"]),
            notes=notes_from_json(raw.get("notes", [])),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sync_names(folder: Path) -> None:
    """Have the names in *folder* on the disk: that one is missing then says the same after a power cut."""
    with opened(open_folder(folder)) as fd:
        sync_folder(fd)


def _can_enter(folder: str) -> bool:
    return Path(folder).is_dir() and os.access(folder, os.R_OK | os.X_OK)


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
