"""Runs hooks: the person's own commands, each under a supervisor that ends its whole tree, with the task on stdin.

They are trusted as the configuration is, so nothing confines them; but they get a short list of variables and no
credential, a bounded time, and none of what they start outlives them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.bridges.follow import tail
from orchestrator.bridges.process import ExitRecord, Launch, supervise
from orchestrator.bridges.scratch import HOOK, RUN, mark_of, scratch
from orchestrator.bridges.strays import STDERR, STDOUT
from orchestrator.core.events import Json
from orchestrator.core.failpoint import hit
from orchestrator.core.hooks import HookRun, When, hook_variables, last_words

TAIL_BYTES = 64 << 10  # redacted whole, then cut
_ENDED_FOR = {
    "timeout": "it was ended: it took longer than {0:g} s",
    "output_too_large": "it was ended: it printed too much",
    "too_many_processes": "it was ended: it started too many processes",
}


@dataclass(frozen=True, slots=True)
class HookCommand:
    """One hook: what people call it, and the program with its arguments."""

    name: str
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HookConfig:
    """How hooks are run. *env* is all they see beside the variables on the task; *cwd* where they start.

    *tmp_dir* exists and is ours alone. *timeout_s* is for each of them.
    """

    commands: Mapping[When, tuple[HookCommand, ...]]
    cwd: str
    env: Mapping[str, str]
    tmp_dir: str
    timeout_s: float = 60.0
    max_output_bytes: int = 1 << 20
    max_processes: int = 512
    redact: Callable[[str], str] = field(default=lambda text: text)


class HookRunner:
    """Implements the port `Hooks`. *config* is asked again for every moment: a changed setting counts at once."""

    def __init__(self, config: Callable[[], HookConfig]) -> None:
        self._config = config

    def any(self, when: When) -> bool:
        return bool(self._config().commands.get(when))

    async def before(self, task: Mapping[str, Json]) -> HookRun | None:
        config, said = self._config(), _said(When.BEFORE, task=task)
        for command in config.commands.get(When.BEFORE, ()):
            ran = await _run(config, command, task, said)
            if not ran.ok:
                return ran
        return None

    async def after(self, task: Mapping[str, Json], result: Mapping[str, Json]) -> Sequence[HookRun]:
        config, said = self._config(), _said(When.AFTER, task=task, result=result)
        return [await _run(config, command, task, said) for command in config.commands.get(When.AFTER, ())]


def _said(when: When, **parts: Mapping[str, Json]) -> bytes:
    return json.dumps({"schema_version": 1, "hook": when.value, **parts}, ensure_ascii=True).encode("ascii") + b"\n"


async def _run(config: HookConfig, command: HookCommand, task: Mapping[str, Json], said: bytes) -> HookRun:
    try:
        with scratch(Path(config.tmp_dir), HOOK) as private:
            launch = Launch(
                argv=command.argv,
                cwd=config.cwd,
                env={**config.env, **hook_variables(task)},
                stdin=said,
                attempt_dir=private / RUN,
                mark=mark_of(private),
                timeout_s=config.timeout_s,
                grace_s=1.0,
                max_output_bytes=config.max_output_bytes,
                max_processes=config.max_processes,
                durable=False,
            )
            async with supervise(launch) as run:
                hit("hook.started")
                record = await run.wait()
            return _ended(config, command, launch, record)
    except OSError as error:
        return HookRun(command.name, ok=False, words=f"it could not be run: {error.strerror or error}", later=True)


def _ended(config: HookConfig, command: HookCommand, launch: Launch, record: ExitRecord) -> HookRun:
    if record.reason == "exited" and record.exit_code == 0:
        return HookRun(command.name, ok=True)
    outputs = [tail(launch.attempt_dir / name, TAIL_BYTES).decode(errors="replace") for name in (STDERR, STDOUT)]
    words = next((words for words in map(last_words, map(config.redact, outputs)) if words), "")
    if record.reason == "exited":
        code = record.exit_code or 0
        why = f"signal {-code}" if code < 0 else f"exit code {code}"
    else:
        why = _ENDED_FOR.get(record.reason, "it could not be run: {1}").format(
            config.timeout_s, record.detail or record.reason
        )
    told = config.redact(f"{why}: {words}" if words else why)
    return HookRun(command.name, ok=False, words=told, later=record.reason == "shortage")
