"""Checks of files, on real files: what is there, what it holds, and that nothing leads out of the folder."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.bridges.file_checks import look_at
from orchestrator.core.proof import CheckKind, CheckRun, CheckSpec


def exists(path: str) -> CheckSpec:
    return CheckSpec(CheckKind.FILE_EXISTS, path=path)


def contains(path: str, text: str) -> CheckSpec:
    return CheckSpec(CheckKind.FILE_CONTAINS, path=path, expected=text)


def equals(path: str, pointer: str, value: str) -> CheckSpec:
    return CheckSpec(CheckKind.JSON_EQUALS, path=path, pointer=pointer, expected=value)


def looked(folder: Path, check: CheckSpec, inside: str = "") -> CheckRun:
    run = look_at(check, folder, inside=inside, commit="c0ffee")
    assert run.detail
    assert (run.commit, run.exit_code) == ("c0ffee", None)
    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "checkout"
    (inside / "sub").mkdir(parents=True)
    (inside / "sub" / "a.txt").write_text("one\nzwei é\n", "utf-8")
    (tmp_path / "outside.txt").write_text("secret")
    return inside


def test_a_file_and_a_folder_are_there_or_not(folder: Path) -> None:
    assert looked(folder, exists("sub/a.txt")).passed is True
    assert looked(folder, exists("sub")).passed is True
    assert looked(folder, exists("a.txt"), inside="sub").passed is True
    for path in ("a.txt", "sub/b.txt", "sub/a.txt/x", "x" * 300, "../outside.txt", "/etc/passwd"):
        assert looked(folder, exists(path)).passed is False, path
    assert looked(folder, exists("a.txt"), inside="gone").passed is False


def test_a_text_is_in_a_file_to_the_letter(folder: Path) -> None:
    assert looked(folder, contains("sub/a.txt", "zwei é")).passed is True
    assert looked(folder, contains("sub/a.txt", "Zwei")).passed is False
    assert looked(folder, contains("sub", "x")).passed is False


@pytest.mark.parametrize("target", ["../../outside.txt", "/etc/passwd", "a.txt", "nowhere"])
def test_no_link_is_followed_wherever_it_leads(folder: Path, target: str) -> None:
    (folder / "sub" / "link").symlink_to(target)
    for check in (exists("sub/link"), contains("sub/link", ""), equals("sub/link", "", "1")):
        run = looked(folder, check)
        assert run.passed is False
        assert "symbolic link" in run.detail
        assert "secret" not in run.detail


def test_no_folder_that_is_a_link_is_entered(folder: Path) -> None:
    (folder / "up").symlink_to("..")
    run = looked(folder, contains("up/outside.txt", "secret"))
    assert run.passed is False
    assert "a link" in run.detail
    assert looked(folder, exists("outside.txt"), inside="up").passed is False


def test_what_is_no_file_is_never_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert looked(folder, exists("pipe")).passed is False
    assert looked(folder, contains("pipe", "x")).passed is False


def test_a_file_beyond_the_limit_is_not_judged(folder: Path) -> None:
    (folder / "big").write_bytes(b"x" * 100)
    assert look_at(contains("big", "x"), folder, inside="", commit="", max_bytes=100).passed is True
    run = look_at(contains("big", "x"), folder, inside="", commit="", max_bytes=99)
    assert run.passed is None
    assert "more than 99 bytes" in run.detail


@pytest.mark.parametrize(
    ("pointer", "value", "passed"),
    [
        ("/v", '"2.0"', True),
        ("/v", '"2"', False),
        ("/n", "1", True),
        ("/n", "1.0", True),
        ("/n", "true", False),
        ("/t", "true", True),
        ("/t", "1", False),
        ("/l/1/a~1b", "null", True),
        ("/l", '[0, {"a/b": null}]', True),
        ("/l/2", "null", False),
        ("/l/01", "0", False),
        ("/l/-", "0", False),
        ("/v/0", '"2"', False),
        ("", "{}", False),
    ],
)
def test_a_value_in_a_json_file_is_compared_as_json(folder: Path, pointer: str, value: str, passed: bool) -> None:
    (folder / "a.json").write_text(json.dumps({"v": "2.0", "n": 1, "t": True, "l": [0, {"a/b": None}]}))
    assert looked(folder, equals("a.json", pointer, value)).passed is passed


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN", b"1" * 10_000])
def test_what_is_no_json_equals_nothing(folder: Path, data: bytes) -> None:
    (folder / "a.json").write_bytes(data)
    run = looked(folder, equals("a.json", "", "1"))
    assert run.passed is False
    assert "not JSON" in run.detail


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_every_value_equals_itself(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    folder = tmp_path_factory.mktemp("json")
    (folder / "a").write_text(json.dumps(value))
    assert look_at(equals("a", "", json.dumps(value, indent=1)), folder, inside="", commit="").passed is True
