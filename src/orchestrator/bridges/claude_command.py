"""How Claude Code is started: argument list, environment and the one line on its standard input. Pure.

Everything here answers a way in which a plain `claude -p "$PROMPT"` goes wrong: a prompt that begins with `-`, `/` or
holds `@/path` is not just text to it; the project's own hooks and MCP servers would run without a question; background
work would outlive the answer; the daemon's environment would be readable by the model's shell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.bridges import claude_levels, claude_tool
from orchestrator.bridges.claude_levels import Level
from orchestrator.core.attempt import WorkOrder
from orchestrator.core.events import Json

# Variables the agent may see when the daemon has them. Nothing else is passed on.
PASSED: frozenset[str] = frozenset(
    {
        *("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR"),
        *("CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CONFIG_DIR"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
        *("DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"),
    }
)
PASSED_PREFIXES = ("LC_", "ANTHROPIC_")
_SHELL_TOOL = "Bash"
_SECRET_NAME = re.compile(r"(?:ANTHROPIC|CLAUDE)_\w*(?:KEY|TOKEN|SECRET|HEADERS)")
# By these a work area makes the next program that opens it run code of its choice.
_RUN_BY_OTHERS = (".claude/**", ".mcp.json", ".git/hooks/**", ".git/config")


@dataclass(frozen=True, slots=True)
class ClaudeConfig:
    """How to run Claude Code on this machine.

    *command* is how to start it, () to look for it. *sandbox_available*: bubblewrap and socat are there and work.
    *project_settings*: the CLI loads what the project sets, hooks and servers included.
    *allow_unconfined*: skip permissions although nothing holds the agent. *read_paths* and *write_paths* are seen in
    the confinement beside the work area; `~/` is the home folder. *hidden* never is. *denied* are patterns within
    the work area that the file tools must not write, beside those that never may be.
    *redact* takes secrets out of a text.
    *environ* is the daemon's environment, of which the agent sees PASSED and *pass_env*; *set_env* is put on top.
    *tmp_dir* "" leaves temporary files where the system puts them. *model* is for orders that name none.
    *linger_s* is how long the process may stay after its final result. *extra_args* come last on the command line.
    *min_version* is the oldest release that is accepted. *container* and *cgroups* hold its processes together, and the
    limits after them bound all of these; see `Launch`.
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    skip_permissions: bool = False
    allow_unconfined: bool = False
    confinement: Level = Level.AUTO
    project_settings: bool = False
    sandbox_available: bool = False
    deny_read: tuple[str, ...] = ("~/.ssh", "~/.aws", "~/.gnupg")
    read_paths: tuple[str, ...] = ()
    write_paths: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    redact: Callable[[str], str] = str
    model: str = ""
    fallback_model: str = ""
    extra_args: tuple[str, ...] = ()
    pass_env: tuple[str, ...] = ()
    set_env: Mapping[str, str] = field(default_factory=dict)
    tmp_dir: str = ""
    max_retries: int = 4
    api_timeout_ms: int = 300_000
    grace_s: float = 5.0
    linger_s: float = 30.0
    max_output_bytes: int = 1 << 30
    min_version: str = "2.1.214"
    container: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    stall_s: float = 0.0
    max_processes: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """The conversation of one attempt: a new one under *id*, or an old one taken up again."""

    id: str
    resumed: bool = False


def level(config: ClaudeConfig) -> Level:
    """Return what holds every run under *config*."""
    return claude_levels.in_force(config.confinement, available=config.sandbox_available)


def confinement(config: ClaudeConfig) -> str:
    """Return the same in the words of the result file."""
    words = claude_levels.words(level(config), skip_permissions=config.skip_permissions)
    return claude_levels.with_project_settings(words, level(config)) if config.project_settings else words


def refusal(config: ClaudeConfig) -> str:
    """Return why nothing may be started under *config*, "" if it may."""
    return claude_levels.refusal(
        level(config),
        available=config.sandbox_available,
        skip_permissions=config.skip_permissions,
        allow_unconfined=config.allow_unconfined,
    )


def tools(config: ClaudeConfig, order: WorkOrder) -> tuple[str, ...]:
    """Return the tools the agent gets: those of the order, but no shell that nothing would hold."""
    if level(config) is Level.RULES and not config.skip_permissions:
        return tuple(tool for tool in order.tools if tool != _SHELL_TOOL)
    return order.tools


def argv(config: ClaudeConfig, command: tuple[str, ...], order: WorkOrder, session: Session) -> tuple[str, ...]:
    """Return the command line. Neither prompt nor credential is in it: everybody on the machine can read it."""
    model = order.model or config.model
    return (
        *command,
        *("-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"),
        f"--resume={session.id}" if session.resumed else f"--session-id={session.id}",
        *_permissions(config, order),
        *_sources(config),
        *claude_tool.arguments(order),
        *(("--max-turns", str(order.max_turns)) if order.max_turns else ()),
        # An amount that would be written as 0 is refused by the program.
        *(("--max-budget-usd", f"{max(order.budget_usd, 1e-6):.6f}") if order.budget_usd else ()),
        *((f"--model={model}",) if model else ()),
        *((f"--fallback-model={config.fallback_model}",) if config.fallback_model else ()),
        *(("--json-schema", order.schema) if order.schema else ()),
        *config.extra_args,
    )


def _sources(config: ClaudeConfig) -> tuple[str, ...]:
    """Never `local`: that file is in no repository, so nobody has reviewed it, and it holds answers a person gave at a
    keyboard."""
    if config.project_settings:
        return ("--setting-sources", "user,project")
    return ("--setting-sources", "user", "--strict-mcp-config")


def _permissions(config: ClaudeConfig, order: WorkOrder) -> tuple[str, ...]:
    mode = "bypassPermissions" if config.skip_permissions else "acceptEdits"
    given = tools(config, order)
    args = ["--permission-mode", mode, "--permission-prompts", "none", "--tools", ",".join(given)]
    hidden = claude_tool.folder(order) if order.tool else ""
    args += ["--settings", json.dumps(settings(config, order.cwd, order.work_root, hidden))]
    allowed = [_SHELL_TOOL] if _SHELL_TOOL in given else []  # safe only because of what holds what it allows
    allowed += claude_tool.ALLOWED if order.tool else ()
    if allowed:
        args += ["--allowedTools", ",".join(allowed)]
    for path in (*_beyond(order.cwd, order.work_root), *config.write_paths):
        args += ["--add-dir", path]
    return tuple(args)


def _beyond(cwd: str, root: str) -> tuple[str, ...]:
    """Return what may be written of a work area that the agent starts within a part of."""
    return (root,) if root and root != cwd else ()


def settings(config: ClaudeConfig, cwd: str, root: str = "", hidden: str = "") -> dict[str, Json]:
    """Return the settings of every run: what may never be written, and what holds the shell. *root*: see WorkOrder;
    *hidden* is a folder that the agent must not read, although the program does.

    The deny rules count even where permissions are skipped. In the shell's sandbox there is no network, nothing can be
    written outside of the working directory, and the credentials of the CLI itself are neither files nor variables.
    """
    beyond = _beyond(cwd, root)
    deny: list[Json] = [
        f"Edit(/{folder}/{name})" for folder in (cwd, *beyond) for name in (*_RUN_BY_OTHERS, *config.denied)
    ]
    deny += [f"Read(/{hidden}/**)"] if hidden else []  # the CLI keeps its shell from it as well
    writable = [*beyond, *config.write_paths]
    found: dict[str, Json] = {"permissions": {"deny": deny}}
    if not config.project_settings:
        found["disableAllHooks"] = True
    if level(config) in (Level.PROCESS, Level.SHELL):
        own = config_dir(config) or "~/.claude"
        secret = [f"{own}/.credentials.json", f"{own}/.claude.json", "~/.claude.json", f"{own}/projects"]
        found["sandbox"] = {
            "enabled": True,
            "failIfUnavailable": True,
            "autoAllowBashIfSandboxed": True,
            "allowUnsandboxedCommands": False,
            "filesystem": {
                "denyRead": [*config.deny_read, *(_double_slash(path) for path in (*secret, *config.hidden))],
                **({"allowWrite": list(writable)} if writable else {}),
            },
            "credentials": {"envVars": [{"name": name, "mode": "deny"} for name in _secret_names(config)]},
        }
    return found


def _double_slash(path: str) -> str:
    """The CLI reads `/x` as a path within the folder of a settings file."""
    return f"/{path}" if path.startswith("/") else path


def _secret_names(config: ClaudeConfig) -> list[str]:
    """Of what the CLI gets, that which only the CLI itself needs; the person may hand on others to the shell."""
    return sorted(name for name in environment(config) if _SECRET_NAME.fullmatch(name) and name not in config.pass_env)


def environment(config: ClaudeConfig) -> dict[str, str]:
    """Return the agent's whole environment.

    IS_SANDBOX is not among PASSED: it tells the agent that skipping permissions as root is safe. Only what holds the
    whole agent makes it so.
    """
    allowed = PASSED | frozenset(config.pass_env)
    env = {name: value for name, value in config.environ.items() if name in allowed or name.startswith(PASSED_PREFIXES)}
    env |= {
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",  # one result, and a timeout of a command really ends it
        "CLAUDE_CODE_STARTUP_FAILURE_RESULTS": "1",  # a refusal to start is a message too
        "CLAUDE_CODE_MAX_RETRIES": str(config.max_retries),
        "API_TIMEOUT_MS": str(config.api_timeout_ms),
        "DISABLE_AUTOUPDATER": "1",
    }
    if config.tmp_dir:
        env["CLAUDE_CODE_TMPDIR"] = config.tmp_dir
        env["TMPDIR"] = config.tmp_dir
    if config.skip_permissions and level(config) in (Level.PROCESS, Level.CONTAINER):
        env["IS_SANDBOX"] = "1"  # it is one: without that word the CLI refuses to skip permissions as root
    return env | dict(config.set_env)


def stdin(order: WorkOrder, *, resumed: bool = False) -> bytes:
    """Return the one line of input. `client_composed` makes the prompt plain text: no command, no attached file.

    *resumed*: the session really goes on; it then hears the order's words for that.
    """
    prompt = order.continue_prompt if resumed and order.continue_prompt else order.prompt
    line: Json = {
        "type": "user",
        "session_id": "",
        "parent_tool_use_id": None,
        "client_composed": True,
        "message": {"role": "user", "content": prompt},
    }
    return json.dumps(line).encode() + b"\n"


def config_dir(config: ClaudeConfig) -> str:
    """Return where Claude Code keeps its sessions, "" when nothing tells: neither CLAUDE_CONFIG_DIR nor HOME."""
    env = environment(config)
    if explicit := env.get("CLAUDE_CONFIG_DIR", ""):
        return explicit
    return f"{env['HOME']}/.claude" if env.get("HOME") else ""
