"""Reads the configuration of a root: packaged defaults, config/orchestrator.yaml, .env, environment."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import resources
from io import StringIO
from pathlib import Path
from types import MappingProxyType

from dotenv import dotenv_values

from orchestrator.bridges.check_runner import CheckConfig
from orchestrator.bridges.claude_command import ClaudeConfig
from orchestrator.bridges.claude_levels import Level
from orchestrator.bridges.git import Git
from orchestrator.bridges.git_clone import Equipment
from orchestrator.bridges.isolation import IsolationRules
from orchestrator.bridges.ollama import OllamaConfig
from orchestrator.bridges.secret_source import secrets_in
from orchestrator.core.agents import AgentProfile
from orchestrator.core.attempt import FailureKind
from orchestrator.core.errors import ConfigError
from orchestrator.core.events import Json
from orchestrator.core.hours import span_in
from orchestrator.core.notes import NotesWanted
from orchestrator.core.policy import RunPolicy
from orchestrator.core.question import QuestionRules
from orchestrator.core.redact import Redactor
from orchestrator.core.remedies import RecoveryRules, Strategy
from orchestrator.core.report import COMMAND
from orchestrator.core.retry import POLICIES, RetryPolicy
from orchestrator.core.split import SplitRules
from orchestrator.settings import (
    VARIABLES,
    Layer,
    Loaded,
    Settings,
    changed_keys,
    dotenv_layer,
    environment_layer,
    load_settings,
    secrets,
    task_rules,
    yaml_layer,
)
from orchestrator.settings_split import split_rules
from orchestrator.settings_times import hours, schedule_rules

# What the agents' own provider needs is a secret too, though it is no setting of ours.
_SET_UP_SEES = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_CREDENTIAL = re.compile(r"(?:ANTHROPIC|CLAUDE|TELEGRAM)_\w*(?:KEY|TOKEN|SECRET|HEADERS)")
# What only a start reads; every other setting is in force as soon as it is loaded.
READ_AT_START = frozenset(
    {
        "intake.settle_s",
        "intake.force_polling",
        "logs.file_bytes",
        "logs.file_count",
        "logs.events_bytes",
        "crash_loop.max_starts",
        "crash_loop.window_s",
    }
)
# Agents may read git's configuration to commit; checks need none, and it may name credentials.
_MAY_HOLD_CREDENTIALS = (".gitconfig", ".config/git")
_SHAPE = tuple[tuple[int, int], ...]


class Configuration:
    """The configuration in force. Swapped whole, never half; an invalid one is refused and changes nothing."""

    def __init__(
        self, root: Path, environ: Mapping[str, str], *, command: str = COMMAND, forgiving: bool = False
    ) -> None:
        """Read it. *command* is what people type to reach this root. Raises ConfigError with every problem at once.

        *forgiving*: an invalid configuration is kept in `broken`, and the defaults are in force instead.
        """
        self.root = root
        self.broken: ConfigError | None = None
        self.command = command
        self.on_reload: list[Callable[[], None]] = []  # called after each reload, for what has to be told
        self._environ = environ
        self._shape = self._look()
        self._policy: tuple[Loaded, RunPolicy] | None = None
        try:
            self.loaded = self._load()
            self.environ = self._agent_environ()
        except ConfigError as error:
            self.broken = error
            self.loaded = load_settings([_defaults(), self._root_layer()])
            self.environ = environ
            with suppress(ConfigError):  # what is secret in it stays secret
                self.environ = self._agent_environ()
        self.redactor = self._redactor()
        if self.broken is not None:  # it quotes values, and one of them may be a secret in the wrong place
            self.broken.message = self.redactor.text(self.broken.message)
            if not forgiving:
                raise self.broken

    @property
    def process_environ(self) -> Mapping[str, str]:
        """The environment that this very process was started with, without what .env adds."""
        return self._environ

    def known_to_this_shell_only(self) -> tuple[str, ...]:
        """Return the variables of this process that are settings or credentials and do not stand in .env."""
        given = dotenv_values(stream=StringIO(self._dotenv()), interpolate=False)
        credentials = {name for name in self._environ if _CREDENTIAL.fullmatch(name)}
        ours = (VARIABLES.keys() - {"ORCHESTRATOR_ROOT"}) | credentials
        return tuple(sorted(name for name in ours if self._environ.get(name) and name not in given))

    @property
    def settings(self) -> Settings:
        return self.loaded.settings

    def reload(self) -> tuple[str, ...]:
        """Read it again and use it from now on. Returns the dotted keys that changed. Raises ConfigError."""
        self._shape = self._look()
        new = self._load()
        changed = changed_keys(self.settings, new.settings)
        self.loaded = new
        self.environ = self._agent_environ()
        self.redactor = self._redactor()
        for tell in self.on_reload:
            tell()
        return changed

    def changed_on_disk(self) -> bool:
        """Return whether a configuration file is another one than when it was last read."""
        return self._look() != self._shape

    def redacted(self, value: Json) -> Json:
        """Return *value* without the secrets of the configuration in force."""
        return self.redactor.json(value)

    def policy(self) -> RunPolicy:
        """Return what the running program needs of it: asked for at every look, built once for each load."""
        if self._policy is None or self._policy[0] is not self.loaded:
            self._policy = (self.loaded, self._new_policy())
        return self._policy[1]

    def _new_policy(self) -> RunPolicy:
        settings, claude = self.settings, self.settings.agents.claude
        profile = AgentProfile(
            "claude",
            claude.model,
            claude.timeout_s,
            claude.max_turns,
            claude.budget_usd,
            enabled=claude.enabled,
            headroom_percent=claude.headroom_percent,
            notes=_notes(settings),
            takes_over=claude.takes_over,
        )
        return RunPolicy(
            on_dependency=settings.jobs.on_dependency,
            slots=settings.pool.max_concurrent_tasks,
            agents=MappingProxyType({"claude": profile, "local": _local(profile, settings)}),
            default_agent="claude",
            types=task_rules(settings).types,
            base_cwd=settings.paths.base_cwd,
            allowed_root=settings.paths.allowed_root,
            attempts_dir=str(Path(settings.paths.state) / "attempts"),
            drain_s=settings.shutdown.drain_s,
            day_budget_usd=settings.budget.per_day_usd,
            night_budget_usd=settings.budget.per_night_usd,
            night=tuple(map(span_in, settings.budget.night)),
            unproven_usd=settings.budget.unproven_usd,
            unproven_total_usd=settings.budget.unproven_total_usd,
            keep_days=settings.isolation.keep_days,
            take=settings.taking.when_proven,
            remote=settings.taking.remote,
            splits=self._splits(),
            questions=QuestionRules(settings.questions.if_unanswered, settings.questions.answer_within),
            recovery=_recovery(settings),
            schedules=schedule_rules(settings.schedules),
            hours=hours(settings.hours),
            retries=_policies(settings),
            max_budget_usd=settings.limits.max_budget_usd,
            max_timeout_s=settings.limits.max_timeout_s,
        )

    def _splits(self) -> SplitRules:
        settings = self.settings
        doors = settings.proof.allow_commands_from
        return split_rules(settings.orchestrate, default_type=settings.intake.default_type, doors=doors)

    def isolation(self) -> IsolationRules:
        """Return where tasks are to work."""
        chosen = self.settings.isolation
        env = self.seen_by(self.settings.agents.claude.env)
        return IsolationRules(chosen.mode, chosen.branch, Equipment(chosen.author, chosen.setup, chosen.copy_, env))

    def seen_by(self, more: Sequence[str]) -> Mapping[str, str]:
        """Return the environment of what a person has configured to be run unconfined: few variables, and *more*."""
        return {name: self.environ[name] for name in (*_SET_UP_SEES, *more) if name in self.environ}

    def hook_environ(self) -> Mapping[str, str]:
        """Return the environment of hooks. A credential is not handed on, whatever the settings say."""
        return self.seen_by([name for name in self.settings.hooks.env if not _CREDENTIAL.fullmatch(name)])

    def git(self) -> Git:
        """Return the git that is on the path."""
        return Git(self.environ.get("PATH", os.defpath))

    def claude(self, *, sandbox_available: bool) -> ClaudeConfig:
        """Return how the Claude Code CLI is to be run."""
        claude = self.settings.agents.claude
        return ClaudeConfig(
            environ=self.environ,
            command=claude.command,
            skip_permissions=claude.skip_permissions,
            allow_unconfined=claude.allow_unconfined,
            confinement=Level(claude.confinement),
            project_settings=claude.project_settings,
            read_paths=claude.read_paths,
            write_paths=claude.write_paths,
            hidden=self._hidden(),
            redact=self.redactor.text,
            sandbox_available=sandbox_available,
            model=claude.model,
            pass_env=claude.env,
            tmp_dir=str(Path(self.settings.paths.state) / "tmp"),
            max_retries=claude.api_retries,
            min_version=claude.min_version,
            stall_s=claude.stall_s,
            max_processes=claude.max_processes,
            memory_bytes=claude.memory_bytes,
        )

    def checks(self, *, bwrap: str, cgroups: tuple[str, ...]) -> CheckConfig:
        """Return how checks of criteria are to be run. *bwrap* is bubblewrap's path where it works, else ""."""
        settings = self.settings
        claude, home = settings.agents.claude, os.path.realpath(self.environ.get("HOME", "/"))
        read = [f"{home}{path[1:]}" if path.startswith("~/") else path for path in claude.read_paths]
        return CheckConfig(
            environ=self.environ,
            tmp_dir=str(Path(settings.paths.state) / "tmp"),
            timeout_s=settings.proof.timeout_s,
            bwrap=bwrap,
            read_paths=tuple(path for path in read if not path.endswith(_MAY_HOLD_CREDENTIALS)),
            hidden=self._hidden(),
            cgroups=cgroups,
            max_processes=claude.max_processes,
            memory_bytes=claude.memory_bytes,
            redact=self.redactor.text,
            setup=settings.proof.setup,
        )

    def ollama(self) -> OllamaConfig:
        """Return which Ollama server is asked, and for what."""
        chosen = self.settings.ollama
        return OllamaConfig(chosen.host, chosen.model, chosen.context_tokens)

    def _hidden(self) -> tuple[str, ...]:
        """What of this root no agent has to see, wherever its work area lies: secrets, and other tasks."""
        state = Path(self.settings.paths.state)
        kept = [state / name for name in ("attempts", "orchestrator.db", "orchestrator.db-wal", "orchestrator.db-shm")]
        return tuple(str(path) for path in (self.root / ".env", *kept))

    def _files(self) -> tuple[Path, Path]:
        return self.root / "config" / "orchestrator.yaml", self.root / ".env"

    def _look(self) -> _SHAPE:
        shape = []
        for path in self._files():
            try:
                seen = path.stat()
                shape.append((seen.st_mtime_ns, seen.st_size))
            except OSError:
                shape.append((0, 0))
        return tuple(shape)

    def _load(self) -> Loaded:
        layers = [_defaults()]
        yaml_file, dotenv_file = self._files()
        if (data := _read(yaml_file)) is not None:
            layers.append(yaml_layer("config/orchestrator.yaml", data))
        if (data := _read(dotenv_file)) is not None:
            layers.append(dotenv_layer(".env", data))
        layers.append(environment_layer("environment", self._environ))
        layers.append(self._root_layer())
        return load_settings(layers)

    def _root_layer(self) -> Layer:
        return Layer("root", {"paths": {"root": str(self.root)}})

    def _agent_environ(self) -> Mapping[str, str]:
        """Our environment with what .env adds: of this the agent sees only the listed names."""
        found = dotenv_values(stream=StringIO(self._dotenv()), interpolate=False)
        given = {key: value for key, value in found.items() if value}
        return MappingProxyType({**given, **self._environ})

    def _dotenv(self) -> str:
        return (_read(self._files()[1]) or b"").decode("utf-8-sig", "replace")

    def _redactor(self) -> Redactor:
        handed_on = (*self.settings.agents.claude.env, *self.settings.hooks.env)
        names = [name for name in self.environ if _CREDENTIAL.fullmatch(name) or _is_secret(name, handed_on)]
        credentials = [self.environ[name] for name in names if self.environ[name]]
        return Redactor([*secrets(self.settings), *credentials, *self._of_places()])

    def _of_places(self) -> list[str]:
        """What is secret of the places that are told: their addresses hold tokens."""
        found: list[str] = []
        for one in self.settings.notify:
            url = one.url.get_secret_value() if one.url else ""
            found += secrets_in(self.environ, url, one.url_env, one.url_file)
            found += secrets_in(self.environ, "", one.secret_env, one.secret_file)
        return found


def _defaults() -> Layer:
    return yaml_layer("defaults", resources.files("orchestrator").joinpath("defaults.yaml").read_bytes())


def _is_secret(name: str, handed_on: Sequence[str]) -> bool:
    """Of what is handed on to the agent by configuration, that which calls itself a secret."""
    return name in handed_on and re.search(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", name, re.IGNORECASE) is not None


def _local(profile: AgentProfile, settings: Settings) -> AgentProfile:
    """Return the agent on a local model: held like the other, and no allowance or money to spare."""
    local = settings.agents.local
    chosen = replace(profile, name="local", model=local.model, enabled=local.enabled, timeout_s=local.timeout_s)
    return replace(chosen, budget_usd=0.0, headroom_percent=100.0, spare=True, takes_over=local.takes_over)


def _recovery(settings: Settings) -> RecoveryRules:
    chosen = settings.recovery
    strategies = {
        key: tuple(Strategy(one.use, one.to, one.times, one.up_to) for one in row)
        for key, row in chosen.strategies.items()
    }
    return RecoveryRules(MappingProxyType(strategies), chosen.timeout_s, chosen.free_memory_bytes)


def _notes(settings: Settings) -> NotesWanted:
    """What the CLI reads by itself is not to be told to it twice."""
    claude = settings.agents.claude
    by_itself = ("CLAUDE.md",) if claude.project_settings else ()
    return NotesWanted(claude.project_notes_bytes if claude.project_notes else 0, by_itself)


def _policies(settings: Settings) -> Mapping[FailureKind, RetryPolicy]:
    policies = {**POLICIES, FailureKind.CHECK_FAILED: _of_rounds(settings.proof.rounds)}
    changed = {
        kind: replace(
            policies[kind],
            **{key: value for key, value in override.model_dump().items() if value is not None},
        )
        for kind, override in settings.retries.items()
    }
    return MappingProxyType({**policies, **changed})


def _of_rounds(rounds: int) -> RetryPolicy:
    return replace(POLICIES[FailureKind.CHECK_FAILED], max_tries=rounds + 1)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(
            f"{path.name} cannot be read: {error.strerror or error}", where=str(path), hint="Make it readable for you."
        ) from None
