"""How the CLI learns of the worker's tool: the file, the words of the command, what is said when it is missing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bridges.claude_orders import SESSION, Said, order

from orchestrator.bridges import claude_tool
from orchestrator.bridges.claude_command import ClaudeConfig, Session, argv
from orchestrator.bridges.claude_messages import Init, decode_line
from orchestrator.bridges.claude_outcome import Begun
from orchestrator.bridges.claude_progress import Teller
from orchestrator.core.attempt import MessageKind, WorkOrder
from orchestrator.core.worker_tool import ToolAccess

TOKEN = "orch-worker-" + "t" * 43
ACCESS = ToolAccess("http://127.0.0.1:1234/mcp", TOKEN)


@pytest.fixture
def asked(tmp_path: Path) -> WorkOrder:
    (tmp_path / "attempt").mkdir(mode=0o700)
    return order(tmp_path, tool=ACCESS)


def test_the_token_lies_in_one_file_for_the_owner_alone_which_is_emptied_and_removed(asked: WorkOrder) -> None:
    claude_tool.prepare(asked)
    file = Path(asked.attempt_dir, "tool", "mcp.json")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    server = json.loads(file.read_text())["mcpServers"]["orchestrator"]
    assert (server["url"], server["headers"]) == (ACCESS.url, {"Authorization": f"Bearer {TOKEN}"})
    with file.open() as reader:
        claude_tool.forget(asked)
        assert reader.read() == ""
    assert not file.exists()
    claude_tool.tidy(asked)
    claude_tool.tidy(asked)
    assert not file.parent.exists()


def test_a_link_in_the_place_of_the_folder_is_not_followed(asked: WorkOrder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Path(asked.attempt_dir, "tool").symlink_to(elsewhere)
    with pytest.raises(FileExistsError):
        claude_tool.prepare(asked)
    assert list(elsewhere.iterdir()) == []


def test_no_argument_holds_the_token_and_no_order_shows_it(asked: WorkOrder) -> None:
    words = argv(ClaudeConfig(skip_permissions=True), ("claude",), asked, Session(SESSION))
    assert f"--mcp-config={asked.attempt_dir}/tool/mcp.json" in words
    assert words[words.index("--allowedTools") + 1] == "Bash,mcp__orchestrator__split_task,mcp__orchestrator__my_limits"
    assert "--strict-mcp-config" in words
    denied = json.loads(words[words.index("--settings") + 1])["permissions"]["deny"]
    assert f"Read(/{asked.attempt_dir}/tool/**)" in denied
    assert TOKEN not in " ".join(words) + repr(asked) + str(ACCESS)


def test_an_order_without_the_tool_is_run_as_ever(asked: WorkOrder) -> None:
    plain = replace(asked, tool=None)
    claude_tool.prepare(plain)
    assert list(Path(asked.attempt_dir).iterdir()) == []
    words = " ".join(argv(ClaudeConfig(skip_permissions=True), ("claude",), plain, Session(SESSION)))
    assert "mcp__" not in words
    assert "--mcp-config" not in words


def test_the_program_reaches_the_tool_past_a_proxy_and_waits_for_it() -> None:
    env = claude_tool.environment({"https_proxy": "http://proxy:1", "no_proxy": "intern"})
    assert env["NO_PROXY"] == env["no_proxy"] == "intern,localhost,127.0.0.1"
    assert env["MCP_CONNECTION_NONBLOCKING"] == "0"
    assert "NO_PROXY" not in claude_tool.environment({"PATH": "/bin"})


@pytest.mark.parametrize(
    ("servers", "offered", "told"),
    [
        ([{"name": "orchestrator", "status": "connected"}], True, []),
        ([{"name": "orchestrator", "status": "failed"}], True, ["it goes on without split_task: failed"]),
        ([], True, ["it goes on without split_task: not loaded"]),
        ([], False, []),
    ],
    ids=["there", "failed", "not loaded", "not offered"],
)
async def test_a_run_whose_tool_is_missing_goes_on_and_says_so_once(
    servers: list[dict[str, str]], offered: bool, told: list[str]
) -> None:
    line = json.dumps({"type": "system", "subtype": "init", "session_id": SESSION, "mcp_servers": servers}).encode()
    (init,) = decode_line(line)
    assert isinstance(init, Init)
    said = Said()
    teller = Teller("/cwd", Begun(SESSION), said, tool=offered)
    await teller.tell(init)
    await teller.tell(init)
    assert said.of(MessageKind.NOTE) == told
