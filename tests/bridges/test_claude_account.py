"""Two accounts are told apart without a word of their credentials."""

import json
from pathlib import Path

import pytest

from orchestrator.bridges.claude_account import Account
from orchestrator.bridges.claude_command import ClaudeConfig

KEY = "sk-ant-api03-canary-canary-canary"


def digest(home: Path, **environ: str) -> str:
    return Account().digest(ClaudeConfig(environ={"HOME": str(home), **environ}))


def login(home: Path, uuid: str, tokens: str = "a") -> None:
    (home / ".claude").mkdir(exist_ok=True)
    (home / ".claude" / ".credentials.json").write_text(tokens)
    (home / ".claude.json").write_text(json.dumps({"oauthAccount": {"accountUuid": uuid}, "numStartups": len(tokens)}))


def test_another_key_token_address_or_login_is_another_account(tmp_path: Path) -> None:
    found = [digest(tmp_path)]
    login(tmp_path, "one")
    found.append(digest(tmp_path))
    login(tmp_path, "two")
    found.append(digest(tmp_path))
    found.append(digest(tmp_path, CLAUDE_CODE_OAUTH_TOKEN="t"))
    found.append(digest(tmp_path, ANTHROPIC_API_KEY=KEY))
    found.append(digest(tmp_path, ANTHROPIC_API_KEY=KEY + "x"))
    found.append(digest(tmp_path, ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL="http://127.0.0.1:1"))
    assert found[0] == ""
    assert len(set(found)) == len(found)
    assert all(len(one) == 12 and KEY[:8] not in one for one in found[1:])


def test_fresh_tokens_of_a_login_are_the_same_account(tmp_path: Path) -> None:
    account, config = Account(), ClaudeConfig(environ={"HOME": str(tmp_path)})
    login(tmp_path, "one")
    before = account.digest(config)
    login(tmp_path, "one", tokens="fresh tokens")
    assert account.digest(config) == before
    login(tmp_path, "two", tokens="of another person")
    assert account.digest(config) not in ("", before)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"oauthAccount": 3}', b'{"oauthAccount": {}}'])
def test_a_strange_file_is_no_account(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".claude.json").write_bytes(content)
    assert digest(tmp_path) == ""
