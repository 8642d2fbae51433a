"""A night with a local Ollama: it reads words, gives opinions and summaries, and one task runs on a model of it."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.harness import daemon, drop, environment, orchestrator, result, scripted_command, task_text, wait_until
from tests.ollama_server import ollama_server

from orchestrator.bridges.claude_find import locate
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Answer, Scenario, ToolCall
from orchestrator.validation.schema import file_problems

pytestmark = pytest.mark.timeout(180)
CRITERIA = "\n**Success Criteria:**\n- [ ] it is friendly\n"


def ended(root: Path, *names: str) -> bool:
    return all(list((root / "tasks").glob(f"[pf]*/{name}.task.md")) for name in names)


def says(body: Mapping[str, Any]) -> str:
    """Answer like a model that does what it is asked for, which the schema tells."""
    wanted = body["format"]["properties"]
    if "opinions" in wanted:
        return json.dumps({"opinions": [{"number": 1, "view": "cannot_tell", "why": "I see no greeting"}]})
    if "summary" in wanted:
        return json.dumps({"summary": "The agent says it has ended. Nothing was changed."})
    return json.dumps({"type": "summarize", "priority": "high", "title": "Gist of the log", "folder": "", "files": []})


def configure(root: Path, text: str) -> None:
    (root / "config").mkdir(exist_ok=True)
    (root / "config" / "orchestrator.yaml").write_text(text)


def test_a_local_model_reads_words_gives_an_opinion_and_a_summary_each_marked_as_its_own(tmp_path: Path) -> None:
    pytest.importorskip("ollama", reason="the package `ollama` is not installed: python3 main.py setup llama")
    env = environment(tmp_path, ORCHESTRATOR_CLAUDE_COMMAND=scripted_command())
    with ollama_server(says) as server:
        configure(
            tmp_path, f"ollama: {{host: '{server.host}', reader: true, summaries: true}}\nproof: {{opinion: ollama}}\n"
        )
        told = orchestrator(tmp_path, "doctor", env=env).stdout
        assert "qwen3:8b (the newest that can chat); context 40960" in told
        with daemon(tmp_path, env) as running:
            drop(tmp_path, "words", "the gist of yesterday's log, now")
            drop(tmp_path, "formatted", task_text("formatted") + CRITERIA)
            wait_until(lambda: ended(tmp_path, "words", "formatted"), what="two results")
            assert running.stop() == 0
    words, formatted = result(tmp_path, "words"), result(tmp_path, "formatted")
    assert (words["task"]["type"], words["task"]["priority"]) == ("summarize", "high")
    why = {row["field"]: row["why"] for row in words["task"]["inferred"]}
    assert why["priority"] == "the model qwen3:8b reads it so; by its words: medium"
    (row,) = formatted["criteria"]
    assert row["verdict"] == "unproven"
    assert row["opinion"] == "opinion of the model qwen3:8b, no evidence: cannot tell: I see no greeting"
    assert formatted["opinion"]["by"] == "ollama"
    assert formatted["digest"]["text"].startswith("The agent says it has ended.")
    summary = " ".join((tmp_path / "summaries" / "formatted_summary.txt").read_text().split())
    assert "In the words of the model qwen3:8b, which nobody has checked: The agent says" in summary
    for name in ("words", "formatted"):
        assert file_problems((tmp_path / "results" / f"{name}_result.json").read_bytes()) == []


def test_where_no_ollama_answers_everything_goes_on_and_says_so(tmp_path: Path) -> None:
    env = environment(tmp_path, ORCHESTRATOR_CLAUDE_COMMAND=scripted_command())
    configure(
        tmp_path, "ollama: {host: 'http://127.0.0.1:9', reader: true, summaries: true}\nproof: {opinion: ollama}\n"
    )
    with daemon(tmp_path, env) as running:
        drop(tmp_path, "words", "summarize yesterday's log" + CRITERIA)
        wait_until(lambda: ended(tmp_path, "words"), what="the result")
        assert running.stop() == 0
    found = result(tmp_path, "words")
    assert found["task"]["type"] == "summarize"
    assert any(row["code"] == "not_read_by_model" for row in found["task"]["notices"])
    assert found["digest"]["problem"] == found["opinion"]["problem"] != ""
    assert found["criteria"][0]["opinion"].startswith("no opinion: ")


@pytest.mark.real_cli
@pytest.mark.skipif(
    not all(shutil.which(name) for name in ("bwrap", "socat", "unshare", "setpriv")),
    reason="bwrap, socat, unshare or setpriv is missing: nothing can be confined here",
)
def test_a_task_runs_on_a_local_model_without_the_persons_account_and_costs_nothing(tmp_path: Path) -> None:
    write = ToolCall("Write", {"file_path": "$CWD/hello.txt", "content": "hello\n"})
    with ScriptedModel({"default": Scenario((Answer("On it.", (write,)), Answer("All is done.")))}) as model:
        configure(
            tmp_path,
            f"ollama: {{host: 'http://127.0.0.1:{model.port}'}}\n"
            "agents: {local: {enabled: true, model: qwen3-coder}, claude: {enabled: false}}\n",
        )
        env = environment(
            tmp_path,
            ORCHESTRATOR_CLAUDE_COMMAND=locate((), "").command[0],
            ORCHESTRATOR_CONFINEMENT="process",
            ANTHROPIC_BASE_URL="http://127.0.0.1:9",
            ANTHROPIC_API_KEY="not-a-real-key",
            PATH=os.environ["PATH"],
        )
        with daemon(tmp_path, env) as running:
            drop(
                tmp_path,
                "night",
                task_text("night", "Say hello.", "fix", more="agent: local\nretries: 0\nbudget_usd: 0.0001\n"),
            )
            wait_until(lambda: ended(tmp_path, "night"), what="the result", deadline_s=120)
            assert running.stop() == 0
        asked = model.requests()
    found = result(tmp_path, "night")
    assert found["status"] == "succeeded"
    assert found["usage"]["cost_usd"] == 0.0
    assert found["attempts"][0]["agent"] == "local"
    assert found["attempts"][0]["confinement"].startswith("whole process confined")
    assert {one.model for one in asked} == {"qwen3-coder"}
    assert {one.credential for one in asked} == {"bearer"}, "the person's key is not the server's business"
