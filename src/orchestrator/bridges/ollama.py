"""A local Ollama server: one bounded question, one answer. The package `ollama` is an extra, imported when used.

Whatever the server does, a caller gets an answer or an OllamaError that says in words why there is none: connecting
takes 5 s at most, all together the time that is given, and an answer is cut off where it runs away.
"""

import asyncio
import importlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from orchestrator.core.events import Json

CONNECT_S = 5.0
TOTAL_S = 30.0
MAX_ANSWER_CHARS = 65_536
ANSWER_TOKENS = 2048
CHARS_PER_TOKEN = 3  # of prose and code; a guess on the safe side
_NO_CHAT = ("bert", "embed")  # families and names of models that only make vectors


class OllamaError(Exception):
    """There is no answer; says why, fit for people."""


@dataclass(frozen=True, slots=True)
class OllamaConfig:
    """Where the server is (`http://name:port`), which model is asked ("": the newest it has that can chat), and how
    many tokens of context it is asked for."""

    host: str
    model: str = ""
    context_tokens: int = 16_384

    @property
    def prompt_chars(self) -> int:
        """How long a prompt may be: what does not fit into the context is dropped by the server without a word."""
        return max(1000, (self.context_tokens - ANSWER_TOKENS) * CHARS_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, and the model that gave it."""

    model: str
    text: str


async def ask(config: OllamaConfig, prompt: str, schema: Mapping[str, Json], *, timeout_s: float = TOTAL_S) -> Said:
    """Return what the model says to *prompt*, asked for JSON of *schema*, which is no promise. Raises OllamaError."""
    if len(prompt) > config.prompt_chars:
        raise OllamaError(f"{len(prompt)} characters do not fit into a context of {config.context_tokens} tokens")
    async with _connected(config, timeout_s) as client:
        model = config.model or await _newest(client)
        return Said(model, await _chat(client, model, config, prompt, schema))


async def _chat(client: Any, model: str, config: OllamaConfig, prompt: str, schema: Mapping[str, Json]) -> str:
    parts = await client.chat(
        model=model,
        messages=[{"role": "user", "content": prompt}],
        format=dict(schema),
        options={"temperature": 0, "num_ctx": config.context_tokens, "num_predict": ANSWER_TOKENS},
        think=False,
        stream=True,
    )
    text = ""
    async for part in parts:
        text += part.message.content or ""
        if len(text) > MAX_ANSWER_CHARS:
            raise OllamaError(f"the model {model} did not come to an end")
    return text


async def _newest(client: Any) -> str:
    models = chat_models((await client.list()).models)
    if not models:
        raise OllamaError("the server has no model: `ollama pull` one")
    return models[0]


def chat_models(models: Sequence[Any]) -> list[str]:
    """Return the names of those of the server's *models* that can chat, the one that was changed last first."""
    found = []
    for one in models:
        family = (one.details.family if one.details else "") or ""
        if one.model and not any(word in f"{family} {one.model}".lower() for word in _NO_CHAT):
            found.append((one.modified_at.isoformat() if one.modified_at else "", str(one.model)))
    return [name for _, name in sorted(found, reverse=True)]


@asynccontextmanager
async def _connected(config: OllamaConfig, timeout_s: float) -> AsyncIterator[Any]:
    """A client that is closed again; everything done with it ends within *timeout_s*, any failure as an OllamaError."""
    try:
        ollama, httpx = await asyncio.to_thread(_packages)
    except ImportError:
        raise OllamaError("the package `ollama` is not installed: `python3 main.py setup llama`") from None
    try:
        async with asyncio.timeout(timeout_s):
            limits = httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
            client = ollama.AsyncClient(host=config.host, timeout=limits, trust_env=False, follow_redirects=False)
            async with client:
                yield client
    except ollama.ResponseError as error:
        raise OllamaError(f"{config.host} refuses: {_short(error.error)}") from None
    except TimeoutError:
        raise OllamaError(f"{config.host} gave no answer within {timeout_s:g} s") from None
    except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError):
        raise OllamaError(f"no Ollama answers at {config.host}") from None
    except httpx.TimeoutException:
        raise OllamaError(f"{config.host} gave no answer within {timeout_s:g} s") from None
    except httpx.HTTPError as error:
        raise OllamaError(f"{config.host} broke off: {_short(error) or type(error).__name__}") from None
    except (ValueError, TypeError, AttributeError, KeyError) as error:  # what answers there speaks something else
        raise OllamaError(f"what answers at {config.host} is not Ollama ({type(error).__name__})") from None


def _packages() -> tuple[Any, Any]:
    return importlib.import_module("ollama"), importlib.import_module("httpx")


def _short(words: object) -> str:
    return " ".join(str(words).split())[:200]
