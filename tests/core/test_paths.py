"""Where a written path leads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.paths import resolve


@pytest.mark.parametrize(
    ("path", "full"),
    [
        ("a.py", "/r/b/a.py"),
        ("./x/../a.py", "/r/b/a.py"),
        ("../a.py", "/r/a.py"),
        ("/r/x", "/r/x"),
        ("/r", "/r"),
        (".", "/r/b"),
        (r"src\a.py", r"/r/b/src\a.py"),
        ("../../x", None),
        ("/rr/x", None),
        ("/", None),
        ("", None),
        ("~", None),
        ("~root/x", None),
        ("$HOME", None),
        (r"..\..\x", None),
        (r"a\..\..\..\x", None),
        (r"C:\r", None),
        ("c:x", None),
        (r"\\host\share", None),
        ("https://host/x", None),
        ("/r/../x", None),
        ("/../r", None),
    ],
)
def test_a_posix_path_lies_under_the_root_or_nowhere(path: str, full: str | None) -> None:
    assert resolve(path, base="/r/b", root="/r") == full


@pytest.mark.parametrize(
    ("path", "full"),
    [
        ("a.py", r"C:\r\b\a.py"),
        ("a/b.py", r"C:\r\b\a\b.py"),
        (r"c:\R\x", r"c:\R\x"),
        ("C:/r/x", r"C:\r\x"),
        (r"..\x", r"C:\r\x"),
        (r"..\..\x", None),
        (r"D:\r\x", None),
        ("C:x", None),
        (r"\r\x", None),
        ("/r/x", None),
        (r"\\host\share\x", None),
        (r"\\?\C:\r\x", None),
        ("a.py:stream", None),
        (r"%TEMP%\x", None),
    ],
)
def test_a_windows_path_lies_under_the_root_or_nowhere(path: str, full: str | None) -> None:
    assert resolve(path, base=r"C:\r\b", root=r"C:\r") == full


def test_without_a_root_the_base_is_the_root() -> None:
    assert resolve("a", base="/r", root="") == "/r/a"
    assert resolve("../a", base="/r", root="") is None
    assert resolve("a", base="", root="/r") == "/r/a"
    assert resolve("a", base="", root="") is None


@given(st.text(st.sampled_from("ab./\\~$:% C"), max_size=30))
def test_no_path_leaves_the_root(path: str) -> None:
    full = resolve(path, base="/r/b", root="/r")
    assert full is None or full == "/r" or full.startswith("/r/")
    assert full is None or "/../" not in f"{full}/"
