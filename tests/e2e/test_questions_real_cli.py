"""The whole way of a question with the real Claude Code: asked, answered while everything was killed, proven."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bridges.git_rig import git, needs_git, repository
from tests.harness import daemon, drop, environment, orchestrator, result, task_text, wait_until

from orchestrator.bridges.claude_find import locate
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Answer, Scenario, ToolCall, as_block
from orchestrator.validation.schema import file_problems

pytestmark = [
    pytest.mark.real_cli,
    pytest.mark.timeout(180),
    needs_git,
    pytest.mark.skipif(
        not all(shutil.which(name) for name in ("bwrap", "socat", "unshare", "setpriv")),
        reason="bwrap, socat, unshare or setpriv is missing: nothing can be confined here",
    ),
]

OPTIONS = [{"label": "short", "description": "a word"}, {"label": "long", "description": "a sentence"}]
ASK = ToolCall(
    "AskUserQuestion",
    {"questions": [{"question": "Which greeting?", "header": "Greeting", "multiSelect": False, "options": OPTIONS}]},
)
NOTES = ToolCall("Write", {"file_path": "$CWD/notes.txt", "content": "begun\n"})
WORK = ToolCall("Write", {"file_path": "$CWD/greeting.txt", "content": "hi\n"})
BEFORE = Scenario(
    (
        Answer("I begin.", (NOTES,)),
        Answer("I need to know.", (ASK,)),
        Answer("I cannot go on before I know which greeting you want."),
    ),
    Answer("Nobody answers."),
)
AFTER = Scenario((Answer("Thank you.", (WORK,)), Answer("The greeting is written.")), Answer("Done."))
ANSWER = f"The long one, please. {as_block(AFTER)}"  # the scripted model does what stands in the words it hears


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


def _environment(root: Path, model: ScriptedModel, top: Path) -> dict[str, str]:
    return environment(
        root,
        ORCHESTRATOR_CLAUDE_COMMAND=locate((), "").command[0],
        ORCHESTRATOR_CONFINEMENT="process",
        ANTHROPIC_BASE_URL=model.play("night", BEFORE),
        ANTHROPIC_API_KEY="not-a-real-key",
        CLAUDE_ALLOWED_ROOT=str(top),
        CLAUDE_BASE_CWD=str(top),
        PATH=os.environ["PATH"],
    )


def test_a_question_is_answered_in_the_same_session_and_its_work_is_proven(
    tmp_path: Path, model: ScriptedModel
) -> None:
    top = repository(tmp_path / "project")
    env = _environment(tmp_path, model, top)
    file = tmp_path / "tasks" / "waiting" / "night.question.md"
    with daemon(tmp_path, env) as running:
        criteria = "\n**Success Criteria:**\n- [ ] contains: `greeting.txt` `hi`\n"
        drop(tmp_path, "night", task_text("night", "Greet.", "fix") + criteria)
        wait_until(file.exists, what="the question", deadline_s=90)
        running.kill()
    status: dict[str, Any] = json.loads(orchestrator(tmp_path, "status", "--json", env=env).stdout)
    (asking,) = status["asking"]
    assert (asking["state"], asking["question"]["source"]) == ("needs_input", "tool")
    assert (asking["question"]["text"], asking["question"]["options"]) == ("Which greeting?", ["short", "long"])
    shown = orchestrator(tmp_path, "status", env=env).stdout
    assert f"it waits for you: python main.py --root {tmp_path} answer {asking['uid'][-8:]} TEXT" in shown
    answered = orchestrator(tmp_path, "answer", "night", ANSWER, "--json", env=env)
    assert json.loads(answered.stdout)["answer"] == ANSWER, answered.stderr
    with daemon(tmp_path, env) as running:
        wait_until(lambda: list((tmp_path / "tasks").glob("[pf]*/night.task.md")), what="the end", deadline_s=90)
        assert running.stop() == 0
    assert file_problems((tmp_path / "results" / "night_result.json").read_bytes()) == []
    found = result(tmp_path, "night")
    assert (found["status"], found["criteria"][0]["verdict"]) == ("succeeded", "proven")
    first, second = found["attempts"]
    assert first["session_id"] == second["session_id"]
    assert (first["question"]["question"], first["answered"]["answer"]) == ("Which greeting?", ANSWER)
    assert git(top, "show", "orchestrator/night:notes.txt") == "begun", "what was done before the question is there"
    conversation = json.dumps(model.last_body("night")["messages"])
    assert json.dumps(ANSWER) in conversation, "the answer, word for word"
    assert "AskUserQuestion" in conversation, "and what was said before it"
    assert not file.exists()
