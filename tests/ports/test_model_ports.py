"""The contracts of what a model may do for the daemon: whatever reads words or makes summaries keeps them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.data.bad_inputs import RULES
from tests.fakes_of_models import ScriptedReader, ScriptedSummarizer
from tests.ollama_server import ollama_server

from orchestrator.bridges.ollama import OllamaConfig
from orchestrator.bridges.ollama_readers import OllamaReader, OllamaSummarizer
from orchestrator.core.digest import Digest, Told
from orchestrator.core.ports import Summarizer, TextReader
from orchestrator.core.reading import Suggestion
from orchestrator.core.task import TaskSpec
from orchestrator.core.taskfile import parse_task_file

FIX = {"type": "fix", "priority": "high", "title": "Known", "folder": "/etc", "files": ["invented.py"]}


def answer(body: Mapping[str, Any]) -> str:
    if "summary" in body["format"]["properties"]:
        return json.dumps({"summary": "It greets."})
    return json.dumps(FIX) if "known" in body["messages"][-1]["content"] else "I would rather not."


def words(text: str) -> TaskSpec:
    return parse_task_file(text.encode(), file_name="t.task.md", rules=RULES)


@pytest.fixture(params=["scripted", "ollama"])
def reader(request: pytest.FixtureRequest) -> Iterator[TextReader]:
    if request.param == "scripted":
        yield ScriptedReader(Suggestion("m", "fix", "high", "Known", "/etc", ("invented.py",)))
        return
    pytest.importorskip("ollama", reason="the package `ollama` is not installed: python3 main.py setup llama")
    with ollama_server(answer) as server:
        yield OllamaReader(lambda: OllamaConfig(server.host), redact=str, monotonic=lambda: 0.0)


@pytest.fixture(params=["scripted", "ollama"])
def summarizer(request: pytest.FixtureRequest) -> Iterator[Summarizer]:
    if request.param == "scripted":
        yield ScriptedSummarizer(Digest("qwen3:8b", "It greets."))
        return
    pytest.importorskip("ollama", reason="the package `ollama` is not installed: python3 main.py setup llama")
    with ollama_server(answer) as server:
        yield OllamaSummarizer(lambda: OllamaConfig(server.host), redact=str)


async def test_each_comes_back_in_its_place_with_what_a_model_made_of_it_or_why_not(reader: TextReader) -> None:
    assert reader.wanted
    asked = [words("chokes on known lines"), words("chokes on others"), words("known to choke")]
    first, second, third = await reader.read(asked, RULES)
    assert (first.type, first.title, third.type) == ("fix", "Known", "fix")
    assert [spec.prompt for spec in (first, second, third)] == [spec.prompt for spec in asked]
    assert second.inferred == asked[1].inferred
    assert "not_read_by_model" in {notice.code for notice in second.notices}


async def test_nothing_of_a_model_leads_out_or_is_made_up(reader: TextReader) -> None:
    (spec,) = await reader.read([words("chokes on known lines of /etc")], RULES)
    assert (spec.cwd, spec.target_files) == ("", ())
    refused = [notice for notice in spec.notices if notice.code == "model_path_ignored"]
    assert len(refused) == 2


async def test_nothing_asked_is_nothing_read(reader: TextReader) -> None:
    assert list(await reader.read([], RULES)) == []


async def test_a_summary_has_its_model_and_no_problem(summarizer: Summarizer) -> None:
    assert summarizer.wanted
    assert await summarizer.summary(Told("T", (), "Done.", "")) == Digest("qwen3:8b", "It greets.")
