"""What doctor says of a local Ollama, whatever answers there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.ollama_server import VERSION, OllamaServer, ollama_server

from orchestrator.bridges.probes_ollama import OllamaUse, ollama_findings
from orchestrator.core.finding import Finding, Level

PASS, WARN = Level.PASS, Level.WARN
NEEDS = ("ollama.reader", "agents.local")


@asynccontextmanager
async def service(answer: bytes) -> AsyncIterator[str]:
    """Serve *answer* to every request on a loopback port; b"" never answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer:
            writer.write(answer)
            await writer.drain()
        else:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize(
    ("answer", "level", "said"),
    [
        (http(b'{"version":"0.12.3"}'), PASS, "version 0.12.3"),
        (http(b"<html>"), WARN, "is not Ollama"),
        (http(b"[1]"), WARN, "is not Ollama"),
        (http(b"{}", b"404 Not Found"), WARN, "is not Ollama"),
        (b"", PASS, "the deterministic reader is in use"),
        (b"nonsense\r\n\r\n", PASS, "the deterministic reader is in use"),
    ],
)
async def test_whatever_answers_for_ollama_is_told_within_the_time(answer: bytes, level: Level, said: str) -> None:
    async with service(answer) as host:
        finding = (await told(OllamaUse(host), timeout_s=0.3))[0]
    assert (finding.level, said in finding.message) == (level, True)


async def test_no_ollama_is_no_fault() -> None:
    async with service(b"") as host:
        pass
    (finding,) = await told(OllamaUse(host))
    assert finding.level is PASS
    (finding,) = [one for one in await told(OllamaUse(host, needs=NEEDS)) if one.name == "service"]
    assert (finding.level, finding.fix) == (WARN, "ollama serve")
    assert "and ollama.reader, agents.local would use it" in finding.message


async def told(use: OllamaUse, timeout_s: float = 2.0) -> list[Finding]:
    return list(await ollama_findings(use, timeout_s=timeout_s))


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with ollama_server() as running:
        yield running


def named(findings: list[Finding], name: str) -> Finding:
    (found,) = [finding for finding in findings if finding.name == name]
    return found


async def test_server_version_models_the_chosen_one_and_its_context_are_told(server: OllamaServer) -> None:
    server.loaded["qwen3:8b"] = 16384
    findings = await told(OllamaUse(server.host, needs=("ollama.reader",)))
    service = named(findings, "service").message
    assert service == f"version {VERSION} at {server.host}, used by ollama.reader"
    assert named(findings, "models").message == "2: nomic-embed-text:latest, qwen3:8b"
    model = named(findings, "model").message
    assert model == "qwen3:8b (the newest that can chat); context 40960, served with 16384 now"


async def test_a_model_that_is_not_there_is_told_with_what_to_type(server: OllamaServer) -> None:
    finding = named(await told(OllamaUse(server.host, "gone")), "model")
    assert (finding.level, finding.fix) == (WARN, "ollama pull gone")


async def test_a_context_that_is_too_short_is_a_warning(server: OllamaServer) -> None:
    server.models["small:1b"] = 4096
    use = OllamaUse(server.host, needs=NEEDS, agent_model="qwen3:8b")
    assert named(await told(use), "model").message.endswith("context 4096: 16384 tokens are needed")
    assert named(await told(use), "agent model").level is PASS
    server.loaded["qwen3:8b"] = 4096
    finding = named(await told(use), "agent model")
    assert (finding.level, finding.fix) == (WARN, "OLLAMA_CONTEXT_LENGTH=65536 ollama serve")
    assert named(await told(replace(use, agent_model="small:1b")), "agent model").level is WARN


async def test_a_server_without_models_is_a_fault_only_where_one_is_needed(server: OllamaServer) -> None:
    server.models.clear()
    assert named(await told(OllamaUse(server.host)), "models").level is PASS
    assert named(await told(OllamaUse(server.host, needs=NEEDS)), "models").fix.startswith("ollama pull")
