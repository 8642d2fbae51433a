"""Asking a local Ollama: an answer, or in words why there is none, and that in time."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
from tests.ollama_server import OllamaServer, ollama_server

from orchestrator.bridges.ollama import OllamaConfig, OllamaError, ask

pytest.importorskip("ollama", reason="the package `ollama` is not installed: python3 main.py setup llama")
SCHEMA = {"type": "object"}


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with ollama_server('{"a": 1}') as running:
        yield running


async def test_it_asks_the_newest_model_that_can_chat(server: OllamaServer) -> None:
    server.models |= {"llama3.2:3b": 8192, "mxbai-embed-large:latest": 512}
    said = await ask(OllamaConfig(server.host), "Hello", SCHEMA)
    assert (said.model, said.text) == ("llama3.2:3b", '{"a": 1}')
    (body,) = server.asked
    assert body["format"] == SCHEMA
    assert body["options"]["num_ctx"] == 16_384
    assert body["think"] is False


async def test_it_asks_the_model_that_is_set(server: OllamaServer) -> None:
    assert (await ask(OllamaConfig(server.host, "qwen3:8b"), "Hello", SCHEMA)).model == "qwen3:8b"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("hang", "gave no answer within 0.5 s"),
        ("error", "refuses: llama runner process has terminated"),
        ("garbage", "is not Ollama"),
        ("torn", "is not Ollama"),
        ("endless", "did not come to an end"),
    ],
)
async def test_every_fault_of_the_server_is_told_in_words_and_in_time(
    server: OllamaServer, fault: str, words: str
) -> None:
    server.fault = fault
    async with asyncio.timeout(10):
        with pytest.raises(OllamaError, match=words):
            await ask(OllamaConfig(server.host), "Hello", SCHEMA, timeout_s=0.5 if fault == "hang" else 8)


async def test_a_model_that_is_not_there_is_named(server: OllamaServer) -> None:
    with pytest.raises(OllamaError, match="refuses: model 'nope' not found"):
        await ask(OllamaConfig(server.host, "nope"), "Hello", SCHEMA)


async def test_a_server_without_a_model_says_what_to_type(server: OllamaServer) -> None:
    server.models.clear()
    with pytest.raises(OllamaError, match="`ollama pull` one"):
        await ask(OllamaConfig(server.host), "Hello", SCHEMA)


async def test_nobody_there_is_told_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(OllamaError, match="no Ollama answers at"):
        await ask(OllamaConfig(host), "Hello", SCHEMA)


async def test_what_would_be_cut_off_is_not_sent(server: OllamaServer) -> None:
    with pytest.raises(OllamaError, match="do not fit into a context of 4096 tokens"):
        await ask(OllamaConfig(server.host, context_tokens=4096), "x" * 6200, SCHEMA)
    assert server.asked == []
