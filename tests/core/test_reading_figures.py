"""What docs/reading.md states of the deterministic reader, measured anew."""

import json
from pathlib import Path

import pytest
from tests.ollama_server import ollama_server
from tests.reading import FIELDS, PARTS, by_model, by_words, measured, requests, table

DOCS = Path(__file__).parents[2] / "docs" / "reading.md"


def test_the_set_is_large_enough_to_say_something() -> None:
    assert len(requests()) >= 60
    assert len({request.text for request in requests()}) == len(requests())
    assert {request.type for request in requests("fresh")} == {request.type for request in requests("tune")}


@pytest.mark.parametrize("part", PARTS)
async def test_the_figures_of_the_documentation_are_those_of_today(part: str) -> None:
    figures = await measured(by_words, part)
    assert list(figures) == list(FIELDS)
    assert table({f"words, {part}": figures}).splitlines()[-1] in DOCS.read_text("utf-8")


async def test_a_path_that_was_not_meant_is_never_taken_for_the_folder() -> None:
    """A folder that is missing costs a person a word, a wrong one a run."""
    for text in (
        "Add a /health endpoint to the server",
        "GET /users returns 500, please fix",
        "the page /login is slow",
        "fix the links to /about and /contact on the start page",
        "use /dev/null and 1/2 or and/or here",
    ):
        assert (await by_words(text)).cwd == "", text


async def test_what_is_not_to_be_done_decides_no_type() -> None:
    for text in ("Do not fix anything, analyze the logs", "Without refactoring, analyze the logs"):
        assert (await by_words(text)).type == "analyze", text


async def test_a_model_is_measured_in_the_same_way() -> None:
    """A server that always says the same is right exactly as often as that is what was meant."""
    pytest.importorskip("ollama", reason="the package `ollama` is not installed: python3 main.py setup llama")
    always = {"type": "fix", "priority": "medium", "title": "x", "folder": "", "files": []}
    with ollama_server(json.dumps(always)) as server:
        figures = await measured(by_model(server.host, ""), "fresh")
        assert len(server.asked) == len(requests("fresh"))
    meant = requests("fresh")
    assert figures["type"] == (sum(one.type == "fix" for one in meant), len(meant))
    assert figures["priority"] == (sum(one.priority == "medium" for one in meant), len(meant))
