"""Secrets are taken out of every text, whatever form they take there, and in time linear in the text."""

import json
import re
import string
import time
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.events import Json
from orchestrator.core.redact import MARK, Redactor

SECRET = 'hunter2/"ä&+ end'
canaries = st.text(string.ascii_letters + string.digits + '/+&="\\ éß', min_size=8, max_size=60)


def shape(*parts: str) -> str:
    """Put a token together here, so that no scanner takes this file for a leak."""
    return "".join(parts)


BODY = "Ab+/" * 16
SHAPES = {
    "anthropic": shape("sk-", "ant-api03-", "Ab_-9" * 8),
    "github": shape("gh", "p_", "A1b2C3d4E5" * 4),
    "github server": shape("gh", "s_", "A1b2C3d4E5" * 4),
    "github fine": shape("github", "_pat_", "11ABCDEFG0", "_aB3" * 10),
    "gitlab": shape("gl", "pat-", "aB3-_" * 4),
    "slack": shape("xo", "xb-", "123456789012-", "abcDEF" * 4),
    "aws": shape("AK", "IA", "ABCDEFGH12345678"),
    "google": shape("AI", "za", "Sy0_-" * 7),
    "jwt": shape("ey", "JhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxMjM0In0", ".c2lnbmF0dXJl"),
    "worker": shape("orch-", "worker-", "aB3-_" * 9),
    "telegram": shape("123456789", ":", "AAHk_" * 7),
    "pem": shape("-----BEGIN RSA ", "PRIVATE KEY-----\n", f"{BODY}\n" * 5, "Ab==\n-----END RSA PRIVATE KEY-----"),
    "pem, one line": shape("-----BEGIN ", "PRIVATE KEY-----\\n", f"{BODY}\\n" * 5, "-----END PRIVATE KEY-----"),
    "pem, cut off": shape("-----BEGIN ", "PRIVATE KEY-----\n", f"{BODY}\n" * 3, "Ab+/" * 9),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ("key=", " rest"), ('{"a": "', '"}'), ("«", "»"), ("see: ", "\n")]
)
def test_a_token_of_a_known_shape_is_replaced_and_its_surroundings_stay(name: str, before: str, after: str) -> None:
    assert Redactor([]).counted(f"{before}{SHAPES[name]}{after}") == (f"{before}{MARK}{after}", 1)


@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_the_token_of_a_worker_is_found_in_base64_however_it_is_aligned(
    before: int, encode: Callable[[bytes], bytes]
) -> None:
    """It is known to no redactor by its value: it outlives neither its attempt nor its daemon."""
    secret = "qZ7-_xY" * 6
    encoded = encode(b"." * before + f"orch-worker-{secret} and so on".encode()).decode()
    left = Redactor([]).text(encoded)
    assert MARK in left
    shown = b64decode(left.partition(MARK)[0] + "===", altchars=b"-_")
    assert shown.startswith(b"." * before)
    assert secret[:4].encode() not in shown


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("https://me:pa55@host/x", f"https://{MARK}@host/x"),
        ("postgres://me:p@55@host:5432/db", f"postgres://{MARK}@host:5432/db"),
        ("https://sometoken@github.com/a/b.git", f"https://{MARK}@github.com/a/b.git"),
        (f"POST https://api.telegram.org/bot{SHAPES['telegram']}/getMe", f"POST https://api.telegram.org/bot{MARK}/getMe"),
        (f"{SHAPES['github']},{SHAPES['aws']}", f"{MARK},{MARK}"),
    ],
)  # fmt: skip
def test_secrets_inside_addresses_are_replaced(text: str, safe: str) -> None:
    assert Redactor([]).text(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "ssh://git@host/x.git and git@github.com:a/b.git",
        "mail me@example.org, see https://example.org/@me?x=a@b",
        "at 2026-11-21T20:56:15.123456Z took 1234567890:12",
        "sk-ant- is a prefix, ghp_ too, AKIA and eyJ as well",
        "eyJhbGciOiJIUzI1NiJ9 alone is no token",
        "-----BEGIN PUBLIC KEY-----\nAb+/\n-----END PUBLIC KEY-----",
        "commit 4447565a0f3b1c9e8d7f6a5b4c3d2e1f00112233",
        "",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert Redactor([SECRET]).counted(text) == (text, 0)


def test_a_value_shorter_than_eight_characters_is_left_alone() -> None:
    assert Redactor(["short", "", "1234567"]).text("a short 1234567") == "a short 1234567"


@given(canaries, st.text(max_size=30), st.text(max_size=30))
def test_a_configured_value_is_in_no_output_in_any_of_its_forms(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])
    forms = [
        secret,
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
        re.sub("%..", lambda match: match[0].lower(), quote(secret, safe="")),
    ]
    for form in forms:
        safe, count = redactor.counted(before + form + after)
        assert secret not in safe
        assert count >= 1
        assert MARK in safe


@given(canaries, st.binary(max_size=9), st.binary(max_size=9))
def test_base64_around_a_configured_value_cannot_be_decoded_to_it(secret: str, before: bytes, after: bytes) -> None:
    redactor = Redactor([secret])
    for encode in (b64encode, urlsafe_b64encode):
        safe = redactor.text(encode(before + secret.encode() + after).decode())
        assert MARK in safe
        for piece in safe.split(MARK):
            padded = piece.replace("-", "+").replace("_", "/").rstrip("=")
            for start in range(4):
                whole = padded[start:][: len(padded[start:]) // 4 * 4]
                assert secret.encode() not in b64decode(whole)


@given(st.lists(canaries, min_size=1, max_size=4), st.text(max_size=20))
def test_of_several_values_none_is_left_even_when_one_holds_another(secrets: list[str], between: str) -> None:
    secrets = [*secrets, secrets[0] + secrets[-1]]
    safe = Redactor(secrets).text(between.join(secrets))
    assert not [secret for secret in secrets if secret in safe.replace(MARK, "\0")]


def test_a_value_that_begins_like_a_shorter_one_is_taken_out_whole() -> None:
    assert Redactor(["abcdefgh", "abcdefgh-and-more"]).text("abcdefgh-and-more abcdefgh") == f"{MARK} {MARK}"


def test_json_loses_secrets_in_values_and_keys_and_keeps_everything_else() -> None:
    value: Json = {"a": [1, 2.5, None, True, {"b": f"x {SECRET} y"}], SECRET: "key", "n": {"deep": (SHAPES["aws"],)}}
    safe = Redactor([SECRET]).json(value)
    assert safe == {"a": [1, 2.5, None, True, {"b": f"x {MARK} y"}], MARK: "key", "n": {"deep": [MARK]}}


_pieces = st.sampled_from([SECRET, *SHAPES.values(), "://", "eyJ", "@", "\n", "-----BEGIN RSA", "1"]) | st.text(
    max_size=9
)
_texts = st.lists(_pieces, max_size=4).map("".join)


@given(st.recursive(_texts | st.none(), lambda inner: st.lists(inner) | st.dictionaries(_texts, inner), max_leaves=9))
def test_json_is_redacted_as_each_of_its_texts_would_be_alone(value: Json) -> None:
    redactor = Redactor([SECRET])

    def each(one: Json) -> Json:
        if isinstance(one, str):
            return redactor.text(one)
        if isinstance(one, dict):
            return {redactor.text(key): each(item) for key, item in one.items()}
        return [each(item) for item in one] if isinstance(one, list) else one

    assert redactor.json(value) == each(value)


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    redactor = Redactor([SECRET])
    once = redactor.text(text)
    assert redactor.text(once) == once


HOSTILE = {
    "eyJ": "eyJ",
    "eyJ with dots": "eyJaaaaaaaaa.eyJ",
    "addresses": "://a",
    "one address": "a:",
    "begins": shape("-----BEGIN ", "PRIVATE KEY-----"),
    "begins with lines": shape("-----BEGIN ", "PRIVATE KEY-----\n", "A" * 20),
    "prefixes": "sk-ant-ghp_xoxb-AKIAAIza",
    "digits": "123456789:",
    "secret, almost": SECRET[:-1],
    "spaces": " \n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_with_the_length_of_hostile_text_and_no_faster(name: str) -> None:
    redactor = Redactor([SECRET])

    def cost_s(length: int) -> float:
        text = ("://" if name == "one address" else "") + HOSTILE[name] * (length // len(HOSTILE[name]))
        best = float("inf")
        for _ in range(3):
            begun = time.process_time()
            redactor.text(text)
            best = min(best, time.process_time() - begun)
        return best

    small, large = cost_s(20_000), cost_s(320_000)
    # 16 times the text: linear is 16 times the work, quadratic 256 times.
    assert large < 64 * max(small, 0.0005)
