"""Requirements by a model of a real server on loopback, and by rules wherever that does not answer as it should."""

import json
from collections.abc import Iterator

import pytest
from tests.ollama_server import OllamaServer, ollama_server
from tests.reading import rules

from orchestrator.bridges.ollama import OllamaConfig
from orchestrator.bridges.ollama_requirements import requirements
from orchestrator.core.requirements import Requirements, read_requirements

pytest.importorskip("ollama", reason="the package `ollama` is not installed: python3 main.py setup llama")
TEXT = "Add a page and fix the broken link."
ITEM = {"title": "One page", "detail": "Add a page", "type": "fix", "complexity": "low", "why": "w"}
GOOD = {"items": [{**ITEM, "technologies": [], "files": []}], "dependencies": [], "risks": [], "questions": []}


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with ollama_server(json.dumps(GOOD)) as server:
        yield server


async def read(config: OllamaConfig | None) -> Requirements:
    return await requirements(config, TEXT, "the secret sauce", rules(), lambda text: text.replace("secret", "…"))


async def test_a_model_that_answers_is_said_to_have_read_it(server: OllamaServer) -> None:
    found = await read(OllamaConfig(server.host))
    assert [one.title for one in found.items] == ["One page"]
    assert (found.read_by, found.not_asked) == ("model qwen3:8b", "")
    assert TEXT in server.prompts[0]
    assert "the … sauce" in server.prompts[0]
    assert server.asked[0]["format"]["required"] == ["items", "dependencies", "risks", "questions"]


@pytest.mark.parametrize("fault", ["torn", "garbage", "error"])
async def test_where_it_fails_the_rules_read_and_say_why(server: OllamaServer, fault: str) -> None:
    server.fault = fault
    found = await read(OllamaConfig(server.host))
    assert (found.read_by, bool(found.not_asked)) == ("rules", True)
    assert found.items == read_requirements(TEXT, rules()).items


async def test_an_answer_that_is_none_is_not_believed(server: OllamaServer) -> None:
    server.say = lambda _: '{"items": "many"}'
    found = await read(OllamaConfig(server.host))
    assert found.not_asked == "the model qwen3:8b answered with something else than it was asked for"


async def test_where_nobody_is_to_be_asked_nothing_is_missed() -> None:
    found = await read(None)
    assert (found.read_by, found.not_asked) == ("rules", "")
