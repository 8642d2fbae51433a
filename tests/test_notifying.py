"""Who is told is one list of settings; its addresses and secrets are shown nowhere."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.far_side import answers, far_side

from orchestrator.bridges.clock import SystemClock
from orchestrator.bridges.webhook import Webhook
from orchestrator.configuration import Configuration
from orchestrator.core.errors import ConfigError, NotFoundError
from orchestrator.core.finding import Level
from orchestrator.core.notice import NoticeKind
from orchestrator.core.notice_ports import SinkFacts
from orchestrator.notifying import Sinks, Unready, findings, tried
from orchestrator.settings import effective

HOOK = "{to: webhook, url: 'https://example.org/T0KEN-in-path', secret_env: HOOK_SECRET}"
SECRET = "a-secret-of-some-length"


def configuration(root: Path, yaml: str, **environ: str) -> Configuration:
    (root / "config").mkdir(exist_ok=True)
    (root / "config" / "orchestrator.yaml").write_text(f"notify: {yaml}\n")
    return Configuration(root, {"PATH": os.defpath, **environ})


def sinks(root: Path, yaml: str, **environ: str) -> Sinks:
    return Sinks(configuration(root, yaml, **environ), SystemClock())


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("[{to: webhook, secret_env: S}]", "to: webhook with one of url, url_env and url_file"),
        ("[{to: webhook, url: 'https://x.example', url_env: U, secret_env: S}]", "to: webhook with one of url"),
        ("[{to: webhook, url: 'https://x.example'}]", "to: webhook with one of secret_env and secret_file"),
        (
            "[{to: webhook, url: 'https://x.example', secret: hunter2hunter2}]",
            "notify.secret (config/orchestrator.yaml",
        ),
        ("[{to: apprise, url_env: U, secret_env: S}]", "to: apprise without a secret"),
        ("[{to: telegram, url: 'https://x.example'}]", "to: telegram without url and secret"),
        ("[{to: pigeon}]", "'telegram', 'apprise' or 'webhook'"),
        ("[{to: apprise, url_env: U, on: [everything]}]", "'needs_you', 'failed'"),
        ("[{to: apprise, url_env: U, on: []}]", "at least 1 of them"),
        ("[{to: apprise, url_env: U}, {to: apprise, url_env: V}]", "a name for each place; apprise stands there twice"),
        ("[{to: apprise, url_env: 'NOT A NAME'}]", "text of the form"),
        ("[{to: apprise, url_file: relative/path}]", "text of the form"),
    ],
)
def test_a_place_that_cannot_be_meant_is_refused_in_words(tmp_path: Path, yaml: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configuration(tmp_path, yaml)
    assert said in caught.value.message
    assert "hunter2hunter2" not in caught.value.message
    assert "x.example" not in caught.value.message


def test_a_place_is_told_the_usual_and_called_by_what_it_is_unless_said_otherwise(tmp_path: Path) -> None:
    more = "{to: webhook, name: ops, url: 'http://127.0.0.1:1/', secret_env: HOOK_SECRET, on: [succeeded]}"
    found = sinks(tmp_path, f"[{HOOK}, {more}]", HOOK_SECRET=SECRET).now()
    assert list(found) == ["webhook", "ops"]
    assert found["webhook"].kinds == {NoticeKind.NEEDS_YOU, NoticeKind.FAILED, NoticeKind.BATCH_FINISHED}
    assert found["ops"].kinds == {NoticeKind.SUCCEEDED}
    assert isinstance(found["ops"].notifier, Webhook)


@pytest.mark.parametrize(
    ("environ", "listed", "kinds"),
    [
        ({}, "[]", None),
        ({"TELEGRAM_BOT_TOKEN": "1:a"}, "[]", None),
        ({"TELEGRAM_BOT_TOKEN": "1:a", "TELEGRAM_CHAT_ID": "5"}, "[]", 3),
        ({"TELEGRAM_BOT_TOKEN": "1:a", "TELEGRAM_CHAT_ID": "5"}, "[{to: telegram, on: [failed]}]", 1),
    ],
)
def test_a_bot_that_has_a_chat_is_told_without_being_listed(
    tmp_path: Path, environ: Mapping[str, str], listed: str, kinds: int | None
) -> None:
    found = sinks(tmp_path, listed, **environ).now()
    assert (len(found["telegram"].kinds) if "telegram" in found else None) == kinds


def test_nothing_of_an_address_or_a_secret_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "address"
    file.write_text("ntfy://user:p4ssw0rd-x@example.org/secret-topic-1\n")
    both = configuration(tmp_path, f"[{HOOK}, {{to: apprise, url_file: '{file}'}}]", HOOK_SECRET=SECRET)
    shown = " ".join(one.value for one in effective(both.loaded))
    assert "webhook (webhook: needs_you failed batch_finished), apprise (apprise: " in shown
    text = f"{both.settings!r} {shown} {SECRET} T0KEN-in-path p4ssw0rd-x secret-topic-1 example.org"
    clean = both.redactor.text(text)
    for secret in (SECRET, "T0KEN-in-path", "p4ssw0rd-x", "secret-topic-1"):
        assert secret not in clean
        assert secret not in shown
        assert secret not in repr(both.settings)
    assert "example.org" in clean, "the host is no secret"


def test_a_place_that_lacks_its_secret_is_no_error_of_the_start_and_doctor_says_so(tmp_path: Path) -> None:
    lacking = sinks(tmp_path, f"[{HOOK}]")
    assert isinstance(lacking.now()["webhook"].notifier, Unready)
    (found,) = findings(lacking, [], now=0.0)
    assert (found.level, found.name) == (Level.FAIL, "webhook")
    assert found.message == "webhook cannot be told: the variable HOOK_SECRET is not set"


def test_doctor_says_what_a_place_is_owed_and_why(tmp_path: Path) -> None:
    ready = sinks(tmp_path, f"[{HOOK}]", HOOK_SECRET=SECRET)
    (well,) = findings(ready, [SinkFacts("webhook", 0, 3, 1, 1000.0, "")], now=4600.0)
    assert (well.level, well.message) == (
        Level.PASS,
        "webhook is told of needs_you failed batch_finished, last told 1.0 h ago, 1 given up",
    )
    (ill,) = findings(ready, [SinkFacts("webhook", 2, 0, 0, 0.0, "connection refused")], now=4600.0)
    assert (ill.level, ill.message) == (Level.WARN, "webhook is owed 2 and was not told: connection refused")
    assert ill.fix == "python main.py notify test webhook"
    (nobody,) = findings(sinks(tmp_path, "[]"), [], now=0.0)
    assert (nobody.level, nobody.message.split(";")[0]) == (Level.PASS, "nobody is told")


def test_doctor_says_that_others_may_read_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    file.chmod(0o644)
    place = f"[{{to: webhook, url: 'https://example.org/', secret_file: '{file}'}}]"
    assert [one.level for one in findings(sinks(tmp_path, place), [], now=0.0)] == [Level.PASS, Level.WARN]
    file.chmod(0o600)
    assert [one.level for one in findings(sinks(tmp_path, place), [], now=0.0)] == [Level.PASS]


@pytest.mark.parametrize("url", ["ftp://example.org/", "https://user:pass@example.org/", "https://exa mple.org"])
def test_what_cannot_be_posted_to_is_said(tmp_path: Path, url: str) -> None:
    place = "[{to: webhook, url_env: HOOK, secret_env: HOOK_SECRET}]"
    found = sinks(tmp_path, place, HOOK=url, HOOK_SECRET=SECRET).now()["webhook"].notifier
    assert isinstance(found, Unready)
    assert "url of a webhook" in found.why


async def test_a_test_tells_the_place_that_is_named_or_all(tmp_path: Path) -> None:
    with far_side() as far:
        place = f"{{to: webhook, url: '{far.address}/one', secret_env: HOOK_SECRET}}"
        other = f"{{to: webhook, name: other, url: '{far.address}/two', secret_env: HOOK_SECRET}}"
        both = configuration(tmp_path, f"[{place}, {other}]", HOOK_SECRET=SECRET)
        assert [one.trouble for one in await tried(both, "other")] == [""]
        assert [one.path for one in far.asked] == ["/two"]
        assert far.asked[0].json["title"] == "Test of notices to other"
        far.acts = [answers(404), answers(204)]
        first, second = await tried(both, "")
        assert (first.trouble, second.trouble) == ("the far side answered 404", "")
        with pytest.raises(NotFoundError, match="no place is called 'nobody'"):
            await tried(both, "nobody")


def test_a_changed_list_counts_at_once(tmp_path: Path) -> None:
    living = sinks(tmp_path, "[]", HOOK_SECRET=SECRET)
    assert list(living.now()) == []
    (tmp_path / "config" / "orchestrator.yaml").write_text(f"notify: [{HOOK}]\n")
    assert living.configuration.reload() == ("notify",)
    assert list(living.now()) == ["webhook"]
