"""What can be set, with its type and range. The defaults themselves are in defaults.yaml, and nowhere else.

A setting is addressed by its dotted key (`pool.max_concurrent_tasks`). Units are in the names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from orchestrator.core.attempt import FailureKind
from orchestrator.core.task import FileLimits, TaskRules, TaskType
from orchestrator.settings_jobs import JobSettings
from orchestrator.settings_notify import NotifySettings, names_are_unique, words
from orchestrator.settings_plugins import HookSettings, RecoverySettings
from orchestrator.settings_split import OrchestrateSettings, TypeSettings
from orchestrator.settings_times import HourSettings, ScheduleSettings, Spans
from orchestrator.settings_types import (
    MAX_TIMEOUT_S,
    AbsolutePath,
    Bytes,
    Count,
    Dollars,
    Door,
    Group,
    Number,
    Seconds,
    SeenPath,
    TypeName,
    VariableName,
    comma_list,
)
from orchestrator.settings_work import IsolationSettings, ProofSettings, QuestionSettings, TakingSettings


class Paths(Group):
    """Where things lie. Only *root*, *base_cwd* and *allowed_root* can be chosen; the folders are a contract.

    *base_cwd* is where agents start; unset, it is *allowed_root*, or `<root>/workspace` when that is unset as
    well. *allowed_root* is what no task may leave; unset, it is *base_cwd*.
    """

    root: AbsolutePath
    base_cwd: AbsolutePath
    allowed_root: AbsolutePath

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: object) -> object:
        if not isinstance(given, Mapping) or not isinstance(given.get("root"), str):
            return given
        base = given.get("base_cwd") or given.get("allowed_root") or _join(given["root"], "workspace")
        return {**given, "base_cwd": base, "allowed_root": given.get("allowed_root") or base}

    @model_validator(mode="after")
    def _base_is_allowed(self) -> "Paths":
        if not pure(self.base_cwd).is_relative_to(pure(self.allowed_root)):
            raise ValueError(f"base_cwd ({self.base_cwd}) inside allowed_root ({self.allowed_root})")
        return self

    @property
    def tasks(self) -> str:
        return _join(self.root, "tasks")

    @property
    def results(self) -> str:
        return _join(self.root, "results")

    @property
    def summaries(self) -> str:
        return _join(self.root, "summaries")

    @property
    def logs(self) -> str:
        return _join(self.root, "logs")

    @property
    def state(self) -> str:
        """Database, lock and attempts."""
        return _join(self.root, ".orchestrator")


class ClaudeSettings(Group):
    """How the Claude Code CLI is run. *command* empty: looked for by the program. *env*: further variables it sees.

    *enabled* false starts nothing on it. *headroom_percent* of the account's allowance is what may be used before
    nothing more is started until the reset; 100: all of it. *project_notes* of at most *project_notes_bytes* reach it
    as text; *project_settings*: the CLI loads the project's settings, hooks and servers, and its CLAUDE.md by itself.
    *self_test*: try what holds it before it is started. *takes_over*: types of tasks that it may take over from another
    agent; none listed: all.
    """

    enabled: bool
    headroom_percent: Annotated[float, Number, Field(ge=1, le=100, allow_inf_nan=False)]
    command: tuple[Annotated[str, Field(min_length=1)], ...]
    model: str
    confinement: Literal["auto", "container", "process", "shell", "rules"]
    project_notes: bool
    project_notes_bytes: Bytes
    project_settings: bool
    read_paths: tuple[SeenPath, ...]
    write_paths: tuple[AbsolutePath, ...]
    skip_permissions: bool
    allow_unconfined: bool
    self_test: bool
    takes_over: tuple[TypeName, ...]
    max_turns: Count
    timeout_s: Annotated[int, Number, Field(ge=1, le=MAX_TIMEOUT_S)]
    budget_usd: Dollars
    env: tuple[VariableName, ...]
    api_retries: Annotated[int, Number, Field(ge=0, le=15)]
    stall_s: Seconds
    max_processes: Count
    memory_bytes: Count
    min_version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]


class LocalSettings(Group):
    """Claude Code on the model *model* of the server under `ollama`, with all else as for `claude`."""

    enabled: bool
    model: str
    takes_over: tuple[TypeName, ...]
    timeout_s: Annotated[int, Number, Field(ge=1, le=MAX_TIMEOUT_S)]

    @model_validator(mode="after")
    def _has_a_model(self) -> "LocalSettings":
        if self.enabled and not self.model:
            raise ValueError("agents.local.model set where agents.local.enabled is true")
        return self


class Agents(Group):
    """The agents by name."""

    claude: ClaudeSettings
    local: LocalSettings


class Pool(Group):
    """How many agents work at once, and how far apart they start."""

    max_concurrent_tasks: Annotated[int, Number, Field(ge=1, le=64)]


class BudgetSettings(Group):
    """What may be spent; 0: no limit of ours. *per_day_usd*: by all tasks on one day of this machine, *per_night_usd*
    in one *night* (spans). *unproven_usd*: by a lineage, *unproven_total_usd* by all, without anything being proven."""

    per_day_usd: Dollars
    per_night_usd: Dollars
    night: Spans
    unproven_usd: Dollars
    unproven_total_usd: Dollars


class RetrySettings(Group):
    """What differs from the built-in policy of one kind of failure; None leaves it as it is."""

    max_tries: Annotated[int, Number, Field(ge=1, le=100)] | None = None
    first_delay_s: Seconds | None = None
    cap_s: Seconds | None = None


class Intake(Group):
    """How `tasks/` is read. *strict* turns unknown keys of a task file into errors."""

    default_type: TypeName
    scan_interval_s: Annotated[float, Number, Field(ge=0.1, le=3600)]
    settle_s: Annotated[float, Number, Field(ge=0, le=60)]
    force_polling: bool
    strict: bool
    min_free_bytes: Count


class FolderSettings(Group):
    """What is shown in the folder while tasks run. *status_every_s*: a status file is written at most so often."""

    status_files: bool
    status_every_s: Annotated[float, Number, Field(ge=1, le=3600)]


class Limits(Group):
    """Caps on a task file, and on what it may ask for."""

    file_bytes: Bytes
    front_matter_bytes: Bytes
    depth: Annotated[int, Number, Field(ge=1, le=16)]
    nodes: Annotated[int, Number, Field(ge=8, le=100_000)]
    prompt_bytes: Bytes
    line_bytes: Bytes
    list_entries: Annotated[int, Number, Field(ge=1, le=100_000)]
    id_chars: Annotated[int, Number, Field(ge=8, le=200)]
    max_timeout_s: Annotated[int, Number, Field(ge=1, le=MAX_TIMEOUT_S)]
    max_budget_usd: Dollars


class Logs(Group):
    """*file_count* is the number of rotated log files kept; of the event log all are kept."""

    level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    ]
    file_bytes: Bytes
    file_count: Annotated[int, Number, Field(ge=1, le=100)]
    events_bytes: Bytes


class Shutdown(Group):
    """How long running agents may go on after the first signal to stop."""

    drain_s: Annotated[float, Number, Field(ge=0, le=86_400)]


class CrashLoop(Group):
    """More than *max_starts* within *window_s* seconds without a clean stop: nothing is started. 0: never held."""

    max_starts: Annotated[int, Number, Field(ge=0, le=100)]
    window_s: Annotated[float, Number, Field(ge=1, le=86_400)]


class Telegram(Group):
    """The bot. Without *allowed_users* nobody may use it; *allowed_chats* are groups they may use it in."""

    token: SecretStr | None = None
    allowed_users: Annotated[tuple[Annotated[int, Field(gt=0)], ...], BeforeValidator(comma_list)]
    allowed_chats: Annotated[tuple[Annotated[int, Field(lt=0)], ...], BeforeValidator(comma_list)]
    chat_id: Annotated[int, Number] | None = None
    api_url: Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/[^\s@]*)?$")]


class Ollama(Group):
    """A local Ollama, which of its models is asked ("": the newest that can chat), with how many tokens of
    context. *reader*: it reads task files in free words; *summaries*: it puts results into few words."""

    host: Annotated[str, Field(pattern=r"^https?://[^\s/]+$")]
    model: str
    context_tokens: Annotated[int, Number, Field(ge=4096, le=1_048_576)]
    reader: bool
    summaries: bool


class Settings(Group):
    """Everything that can be set. Immutable: a reload builds another one."""

    paths: Paths
    types: Annotated[dict[TypeName, TypeSettings], Field(min_length=1)]
    agents: Agents
    pool: Pool
    budget: BudgetSettings
    proof: ProofSettings
    isolation: IsolationSettings
    taking: TakingSettings
    questions: QuestionSettings
    jobs: JobSettings
    orchestrate: OrchestrateSettings
    schedules: ScheduleSettings
    hours: HourSettings
    retries: dict[FailureKind, RetrySettings]
    recovery: RecoverySettings
    hooks: HookSettings
    intake: Intake
    folder: FolderSettings
    limits: Limits
    logs: Logs
    shutdown: Shutdown
    crash_loop: CrashLoop
    telegram: Telegram
    ollama: Ollama
    notify: Annotated[tuple[NotifySettings, ...], AfterValidator(names_are_unique)]

    @model_validator(mode="after")
    def _default_type_exists(self) -> "Settings":
        if self.intake.default_type not in self.types:
            raise ValueError(f"intake.default_type as one of {', '.join(self.types)}")
        return self


def task_rules(settings: Settings, door: Door = "folder") -> TaskRules:
    """Return what the reader of task files that come by *door* needs to know."""
    types = {name: TaskType(name, **one.model_dump()) for name, one in settings.types.items()}
    limits = {key: getattr(settings.limits, key) for key in asdict(FileLimits())}
    return TaskRules(
        types=MappingProxyType(types),
        agents=tuple(Agents.model_fields),
        base_cwd=settings.paths.base_cwd,
        allowed_root=settings.paths.allowed_root,
        default_type=settings.intake.default_type,
        strict=settings.intake.strict,
        max_timeout_s=settings.limits.max_timeout_s,
        max_budget_usd=settings.limits.max_budget_usd,
        limits=FileLimits(**limits),
        allow_commands=door in settings.proof.allow_commands_from,
        timezone=settings.schedules.timezone,
    )


def flat(settings: Settings) -> Mapping[str, object]:
    """Return every setting by its dotted key; a list is one value, a secret stays wrapped."""
    return dict(_leaves(settings.model_dump(by_alias=True), ()))


def changed_keys(old: Settings, new: Settings) -> tuple[str, ...]:
    """Return the dotted keys whose values differ, sorted. Never a value, so it may be published."""
    before, after = flat(old), flat(new)
    missing = object()
    return tuple(
        sorted(key for key in before.keys() | after.keys() if before.get(key, missing) != after.get(key, missing))
    )


def secrets(settings: Settings) -> tuple[str, ...]:
    """Return the values that must never be shown."""
    wrapped = [value for value in flat(settings).values() if isinstance(value, SecretStr)]
    return tuple(one.get_secret_value() for one in wrapped)


def shown(value: object) -> str:
    """Return *value* for people; of a secret only its length."""
    if isinstance(value, SecretStr):
        return f"set ({len(value.get_secret_value())} characters)"
    if value is None:
        return "not set"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(words(item) if isinstance(item, Mapping) else str(item) for item in value) or "none"
    return str(value) if value != "" else "not set"


def pure(path: str) -> PurePath:
    """Return *path* in the style it is written in, whatever system this runs on."""
    return PurePosixPath(path) if path.startswith("/") else PureWindowsPath(path)


def _join(root: str, name: str) -> str:
    return str(pure(root) / name)


def _leaves(value: Mapping[str, Any], path: tuple[str, ...]) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, item in value.items():
        here = (*path, str(key))
        if isinstance(item, Mapping):
            found += _leaves(item, here)
        else:
            found.append((".".join(here), item))
    return found
