"""Claude Code on a model of a local Ollama server, which speaks the Messages API: addresses instead of an account.

The program itself is the same, and so is what holds it. It sees no key and no token of the person's, and what it thinks
the run has cost is nobody's money.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from orchestrator.bridges.claude_command import ClaudeConfig
from orchestrator.core.attempt import AgentReport, Failed, FailureKind, Outcome, WorkOrder, not_begun
from orchestrator.core.ports import Agent, Say

_ACCOUNT = ("ANTHROPIC_", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_")
# All of them: a model that is left out is asked for in the background, by a name the server does not know.
_MODELS = (
    "ANTHROPIC_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
)
API_TIMEOUT_MS = 900_000  # a local model may have to be loaded first, and thinks slowly
_HERE = "localhost,127.0.0.1"


def local_config(config: ClaudeConfig, *, host: str, model: str) -> ClaudeConfig:
    """Return *config* for *model* on the server at *host* (`http://name:port`, no path)."""
    environ = {name: value for name, value in config.environ.items() if not name.startswith(_ACCOUNT)}
    ours = {"ANTHROPIC_BASE_URL": host, "ANTHROPIC_AUTH_TOKEN": "ollama", "ANTHROPIC_API_KEY": ""}
    ours |= dict.fromkeys(_MODELS, model)
    ours |= {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "NO_PROXY": _with_here(environ)}
    return replace(
        config,
        environ=environ,
        set_env={**config.set_env, **ours},
        model=model,
        fallback_model="",
        api_timeout_ms=API_TIMEOUT_MS,
    )


def _with_here(environ: Mapping[str, str]) -> str:
    given = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    return f"{given},{_HERE}" if given else _HERE


class LocalAgent:
    """Implements the port `Agent`. *now* gives the program as it is to be run, *untrusted* why nothing may start."""

    def __init__(
        self, now: Callable[[], Awaitable[Agent]], untrusted: Callable[[], Awaitable[Failed | None]], missing: str
    ) -> None:
        """*missing* says what is not set, "" when all is."""
        self._now = now
        self._untrusted = untrusted
        self._missing = missing

    async def run(self, order: WorkOrder, say: Say) -> Outcome:
        if self._missing:
            return Failed(FailureKind.START_REFUSED, self._missing, not_begun(order))
        if failure := await self._untrusted():
            return replace(failure, report=not_begun(order))
        return _free(await (await self._now()).run(replace(order, budget_usd=0.0, session_cost_usd=0.0), say))

    async def collect(self, order: WorkOrder) -> Outcome | None:
        found = await (await self._now()).collect(order)
        return None if found is None else _free(found)


def _free(outcome: Outcome) -> Outcome:
    """The program reckons by the prices of models that were not asked."""
    report: AgentReport = outcome.report
    usage = replace(report.usage, cost_usd=0.0, session_cost_usd=0.0)
    return replace(outcome, report=replace(report, usage=usage))
