"""The scripted model over real sockets."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from orchestrator.kit import scenarios
from orchestrator.kit.model import ScriptedModel
from orchestrator.kit.script import Answer, Cut, CutAt, Hang, Refusal, Scenario, StreamError, ToolCall, as_block

TOOLS = [{"name": "Write"}, {"name": "Glob"}]


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


def ask(url: str, messages: list[Any], *, timeout: float = 5.0, **extra: Any) -> tuple[int, Any, dict[str, str]]:
    """Send one request; return status, body (the events of a stream as a list) and headers."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=timeout)
    try:
        body = {"model": "claude-x", "messages": messages, "tools": TOOLS, **extra}
        connection.request("POST", f"{parts.path}/v1/messages?beta=true", json.dumps(body), {"x-api-key": "k"})
        response = connection.getresponse()
        raw = response.read().decode()
        headers = {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()
    if headers["content-type"].startswith("text/event-stream"):
        return (
            response.status,
            [json.loads(line[6:]) for line in raw.splitlines() if line.startswith("data: ")],
            headers,
        )
    return response.status, json.loads(raw), headers


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def tool_result() -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]}


def words(answer: Any) -> str:
    return "".join(block.get("text", "") for block in answer["content"])


def test_a_plain_request_gets_the_whole_message(model: ScriptedModel) -> None:
    url = model.play("s", Scenario((Answer("Hi", (ToolCall("Write", {"a": 1}),), usage={"output_tokens": 7}),)))
    status, answer, _ = ask(url, [user("go")])
    assert status == 200
    assert [block["type"] for block in answer["content"]] == ["text", "tool_use"]
    assert answer["stop_reason"] == "tool_use"
    assert answer["usage"]["output_tokens"] == 7
    assert answer["model"] == "claude-x"


def test_a_stream_adds_up_to_the_same_message(model: ScriptedModel) -> None:
    url = model.play("s", Scenario((Answer("Hello there", (ToolCall("Write", {"a": "é"}),), chunk_chars=3),)))
    _, events, _ = ask(url, [user("go")], stream=True)
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(delta.get("text", "") for delta in deltas) == "Hello there"
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"a": "é"}
    assert events[0]["type"] == "message_start"
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_the_conversation_itself_tells_which_turn_is_due(model: ScriptedModel) -> None:
    url = model.play("s", Scenario((Answer("one"), Answer("two"), Answer("three"))))
    history = [user("go"), assistant("one"), tool_result()]
    assert words(ask(url, history)[1]) == "two"
    assert words(ask(url, history)[1]) == "two"  # a retry finds the same place
    assert words(ask(url, [*history, assistant("two"), tool_result()])[1]) == "three"
    assert words(ask(url, [*history, assistant("two"), user("now something new")])[1]) == "one"


def test_what_claude_code_adds_after_an_empty_answer_is_no_new_question(model: ScriptedModel) -> None:
    url = model.play("s", Scenario((Answer(), Answer("two"))))
    nudge = user("[Your previous response had no visible output. Please continue.]")
    assert words(ask(url, [user("go"), assistant(""), nudge])[1]) == "two"


def test_a_script_in_the_prompt_wins_over_the_address(model: ScriptedModel) -> None:
    url = model.play("s", Scenario((Answer("by address"),)))
    prompt = user(f"Task.\n{as_block(Scenario((Answer('by prompt'), Answer('second'))))}")
    assert words(ask(url, [prompt])[1]) == "by prompt"
    assert words(ask(url, [prompt, assistant("by prompt"), user("go on")])[1]) == "second"


def test_a_hundred_conversations_at_once_do_not_disturb_each_other(model: ScriptedModel) -> None:
    url = model.play("s", Scenario((Refusal(529), Answer("one"), Answer("two"))))

    def converse(number: int) -> list[Any]:
        who: dict[str, Any] = {"metadata": {"user_id": f"session-{number}"}}
        first = ask(url, [user("go")], **who)[0]
        second = words(ask(url, [user("go")], **who)[1])
        return [first, second, words(ask(url, [user("go"), assistant("one"), tool_result()], **who)[1])]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(converse, range(100))) == [[529, "one", "two"]] * 100


def test_a_keyed_fault_is_counted_over_all_conversations(model: ScriptedModel) -> None:
    url = model.play("s", Scenario((Refusal(529, times=2, key="outage"), Answer("ok"))))
    statuses = [ask(url, [user("go")], metadata={"user_id": str(number)})[0] for number in range(4)]
    assert statuses == [529, 529, 200, 200]


def test_a_refusal_carries_status_type_and_headers(model: ScriptedModel) -> None:
    status, body, headers = ask(model.play("s", scenarios.usage_limit(1795270161)), [user("go")])
    assert (status, body["error"]["type"]) == (429, "rate_limit_error")
    assert headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert headers["anthropic-ratelimit-unified-reset"] == "1795270161"


@pytest.mark.parametrize("at", CutAt)
def test_a_cut_connection_ends_before_the_message_does(model: ScriptedModel, at: CutAt) -> None:
    url = model.play("s", Scenario((Cut(at), Answer("whole"))))
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        ask(url, [user("go")], stream=True)
    assert ask(url, [user("go")], stream=True)[1][-1]["type"] == "message_stop"


def test_a_broken_stream_ends_with_an_error_event(model: ScriptedModel) -> None:
    url = model.play("s", Scenario((StreamError(times=0),)))
    events = ask(url, [user("go")], stream=True)[1]
    assert events[-1]["error"]["type"] == "overloaded_error"
    assert ask(url, [user("go")])[0] == 529


def test_a_hanging_request_gets_no_answer(model: ScriptedModel) -> None:
    url = model.play("s", Scenario((Hang(times=0),)))
    with pytest.raises(TimeoutError):
        ask(url, [user("go")], timeout=0.3)


def test_a_stall_is_in_the_middle_of_the_stream(model: ScriptedModel) -> None:
    url = model.play("s", Scenario((Answer("halves", stall_s=0.3),)))
    began = time.monotonic()
    events = ask(url, [user("go")], stream=True)[1]
    assert time.monotonic() - began >= 0.3
    assert events[-1]["type"] == "message_stop"


def test_stopping_waits_for_no_hanging_client() -> None:
    with ScriptedModel({"s": scenarios.hanging()}) as model:
        client = threading.Thread(target=_ask_and_lose, args=(model.base_url("s"),))
        client.start()
        while not model.requests("s"):
            threading.Event().wait(0.01)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    client.join()


def _ask_and_lose(url: str) -> None:
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(url, [user("go")], timeout=30)


def test_the_working_directory_is_taken_from_the_callers_own_words(model: ScriptedModel) -> None:
    url = model.play("s", scenarios.good_work("$CWD/a.txt"))
    system = [{"type": "text", "text": "# Environment\n - Primary working directory: /srv/project\n - Platform: linux"}]
    answer = ask(url, [user("go")], system=system)[1]
    assert answer["content"][1]["input"]["file_path"] == "/srv/project/a.txt"


def test_an_unknown_working_directory_is_said_and_not_guessed(model: ScriptedModel) -> None:
    status, body, _ = ask(model.play("s", scenarios.good_work()), [user("go")])
    assert status == 400
    assert "$CWD" in body["error"]["message"]


def test_a_request_without_tools_is_given_no_tool_call(model: ScriptedModel) -> None:
    url = model.play("s", Scenario((Answer("text", (ToolCall("Write", {}),)),)))
    assert ask(url, [user("go")], tools=[])[1]["stop_reason"] == "end_turn"


@pytest.mark.parametrize(
    ("name", "prompt", "complaint"),
    [
        ("nobody", "go", "no scenario is named 'nobody'"),
        ("default", '<<<SCRIPT {"turn": []} SCRIPT>>>', "unknown key 'turn'"),
    ],
)
def test_what_cannot_be_played_is_refused(model: ScriptedModel, name: str, prompt: str, complaint: str) -> None:
    status, body, _ = ask(model.base_url(name), [user(prompt)])
    assert status == 400
    assert complaint in body["error"]["message"]


def test_requests_are_remembered_by_scenario(model: ScriptedModel) -> None:
    ask(model.play("a", scenarios.lie()), [user("first")])
    ask(model.play("b", scenarios.lie()), [user("second")], stream=True)
    (request,) = model.requests("b")
    assert (request.prompt, request.stream, request.tools) == ("second", True, ("Write", "Glob"))
    assert (request.played, request.credential) == ("Answer", "api_key")
    assert len(model.requests()) == 2
    assert model.last_body("a")["messages"] == [user("first")]


def test_setting_a_scenario_anew_forgets_its_faults(model: ScriptedModel) -> None:
    scenario = scenarios.missing_login(times=1, key="k")
    statuses = []
    for _ in range(2):
        url = model.play("s", scenario)
        statuses.append(ask(url, [user("go")], tools=[])[0])
    assert statuses == [401, 401]


async def test_it_runs_within_an_async_program_too() -> None:
    async with ScriptedModel({"s": scenarios.lie()}) as model:
        assert model.base_url("s").startswith("http://127.0.0.1:")


def test_it_can_be_started_as_a_program() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "orchestrator.kit.model", "--port", "0"]
    with subprocess.Popen(command, cwd=root / "src", stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        url = program.stdout.readline().split("=")[1].strip()
        status, answer, _ = ask(url.replace("NAME", "lie"), [user("go")])
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == 0
    assert status == 200
    assert "All done" in words(answer)
