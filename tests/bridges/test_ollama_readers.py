"""A local model that reads words and puts results into few: used where it answers, missed by nobody where not."""

import json
import socket
from collections.abc import Iterator

import pytest
from tests.data.bad_inputs import RULES
from tests.ollama_server import OllamaServer, ollama_server

from orchestrator.bridges.ollama import OllamaConfig
from orchestrator.bridges.ollama_readers import OllamaReader, OllamaSummarizer
from orchestrator.core.digest import Digest, Told
from orchestrator.core.ports import Summarizer, TextReader
from orchestrator.core.task import Priority, TaskSpec
from orchestrator.core.taskfile import parse_task_file
from orchestrator.engine.words import read_request

pytest.importorskip("ollama", reason="the package `ollama` is not installed: python3 main.py setup llama")
FIX = json.dumps({"type": "fix", "priority": "high", "title": "Empty lines", "folder": "", "files": []})


def words(text: str = "Our importer chokes on empty lines") -> TaskSpec:
    return parse_task_file(text.encode(), file_name="t.task.md", rules=RULES)


class Watch:
    """Seconds that only a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def reader(config: OllamaConfig | None, watch: Watch | None = None) -> TextReader:
    return OllamaReader(lambda: config, redact=str, monotonic=watch or Watch())


def why(spec: TaskSpec) -> list[str]:
    return [one.message for one in spec.notices if one.code in ("read_by_model", "not_read_by_model")]


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with ollama_server(FIX) as running:
        yield running


async def test_what_it_reads_is_used_and_said(server: OllamaServer) -> None:
    (spec,) = await reader(OllamaConfig(server.host)).read([words()], RULES)
    assert (spec.type, spec.priority, spec.title) == ("fix", Priority.HIGH, "Empty lines")
    assert why(spec) == ["the model qwen3:8b was asked to read these words"]


async def test_nobody_is_asked_where_nobody_is_wanted(server: OllamaServer) -> None:
    nobody = reader(None)
    assert (nobody.wanted, list(await nobody.read([words()], RULES))) == (False, [words()])
    assert server.asked == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("error", "refuses"),
        ("torn", "is not Ollama"),
        ("garbage", "is not Ollama"),
        ("", "answered with something else"),
    ],
)
async def test_whatever_goes_wrong_the_words_alone_are_read_and_why_is_told(
    server: OllamaServer, fault: str, said: str
) -> None:
    server.fault, server.say = fault, lambda _: '{"thought": "hm"}'
    (spec,) = await reader(OllamaConfig(server.host)).read([words()], RULES)
    (told,) = why(spec)
    assert said in told
    assert told.startswith("read without a model: ")
    assert spec.type == words().type


async def test_a_server_that_is_down_is_left_alone_for_a_minute() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    watch = Watch()
    asks = reader(OllamaConfig(f"http://127.0.0.1:{port}"), watch)
    first, second = await asks.read([words(), words()], RULES)
    assert why(first) == why(second)
    with ollama_server(FIX) as server:
        busy = reader(OllamaConfig(server.host), watch)
        server.fault = "error"
        await busy.read([words()], RULES)
        server.fault = ""
        await busy.read([words()] * 50, RULES)
        assert len(server.asked) == 1
        watch.now = 61.0
        (spec,) = await busy.read([words()], RULES)
        assert spec.type == "fix"


async def test_many_at_once_share_the_time(server: OllamaServer) -> None:
    watch = Watch()

    def slow(_: object) -> str:
        watch.now += 12.0
        return FIX

    server.say = slow
    read = await reader(OllamaConfig(server.host), watch).read([words()] * 5, RULES)
    assert [spec.type for spec in read[:3]] == ["fix"] * 3
    assert why(read[4]) == ["read without a model: there were too many at once"]


async def test_any_door_can_have_a_request_read(server: OllamaServer) -> None:
    asks = reader(OllamaConfig(server.host))
    assert (await read_request("chokes on x", file_name="t.task.md", rules=RULES, reader=asks)).type == "fix"
    assert (await read_request("chokes on x", file_name="t.task.md", rules=RULES)).type == "analyze"
    text = "---\nid: t\ntype: analyze\n---\nchokes on x"
    assert (await read_request(text, file_name="t.task.md", rules=RULES, reader=asks)).type == "analyze"


TOLD = Told("Greet", ("proven: it greets",), "All done.", "+hello\n" * 50_000)


async def test_a_result_in_few_words_names_its_model(server: OllamaServer) -> None:
    server.say = lambda _: json.dumps({"summary": "It greets now.\nOpen: \x1b[2Jnothing. " + "x" * 5000})
    asks: Summarizer = OllamaSummarizer(lambda: OllamaConfig(server.host), redact=str)
    assert asks.wanted
    found = await asks.summary(TOLD)
    assert found is not None
    assert (found.model, found.problem) == ("qwen3:8b", "")
    assert found.text.startswith("It greets now. Open: \\x1b[2Jnothing.")
    assert len(found.text) == 600


async def test_no_summary_says_why_or_nothing_where_none_is_wanted(server: OllamaServer) -> None:
    asks = OllamaSummarizer(lambda: OllamaConfig(server.host), redact=str)
    server.say = lambda _: "It is fine."
    found = await asks.summary(TOLD)
    assert found == Digest(
        "qwen3:8b", problem="the model qwen3:8b answered with something else than what it was asked for"
    )
    server.fault = "error"
    found = await asks.summary(TOLD)
    assert found is not None
    assert "refuses" in found.problem
    nobody = OllamaSummarizer(lambda: None, redact=str)
    assert (nobody.wanted, await nobody.summary(TOLD)) == (False, None)
