"""Takes secrets out of text before it is shown, logged or stored.

Two kinds are known: the values the program was configured with, also in the forms they take in URLs, JSON and
base64, and the shapes of tokens in general use. Every pattern runs in time linear in the text, also on text
written to slow it down.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, quote_plus

from orchestrator.core.events import Json
from orchestrator.core.worker_tool import TOKEN_PREFIX

MARK = "[redacted]"
MIN_SECRET_CHARS = 8
"""A shorter value is left alone: it would take ordinary words out of every text."""

_PEM_GAP = r"(?:\s|\\[nrt])*+"
# One pass for each shape, so that none can hide inside the match of another. What follows a prefix is taken
# greedily and cannot fail after having looked far; that is what keeps a pass linear.
_SHAPES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"-----BEGIN [A-Z ]{{0,40}}PRIVATE KEY-----(?:{_PEM_GAP}(?:Proc-Type|DEK-Info):[^\n\\]{{0,200}})*+"
        rf"(?:{_PEM_GAP}[A-Za-z0-9+/=]{{16,}}+)*+"
        rf"(?:{_PEM_GAP}[A-Za-z0-9+/=]{{0,15}}+{_PEM_GAP}-----END [A-Z ]{{0,40}}PRIVATE KEY-----)?",
        r"sk-ant-[\w-]{8,}",
        r"gh[pousr]_[A-Za-z0-9]{20,}",
        r"github_pat_\w{20,}",
        r"glpat-[\w-]{20,}",
        r"xox[a-z]-[A-Za-z0-9-]{10,}",
        r"(?:AKIA|ASIA)[0-9A-Z]{16}",
        r"AIza[\w-]{35}",
        rf"{TOKEN_PREFIX}[\w-]{{20,}}",
        r"b3JjaC13b3JrZXIt[\w+/-]{20,}",  # the same in base64, in each of the ways it can be aligned
        r"9yY2gtd29ya2VyL[\w+/-]{20,}",
        r"vcmNoLXdvcmtlci[\w+/-]{20,}",
        r"(?<!\d)\d{6,12}:[\w-]{35,}",
        r"(?<=://)(?!git@)[^\s/?#\"'<>\\@][^\s/?#\"'<>\\]*(?=@)",
    )
)
# Takes the whole run of characters, also when no token begins there: the next search starts behind it.
_JWT = re.compile(r"eyJ[\w-]*+(\.[\w-]{8,}+\.[\w-]*+)?")


class Redactor:
    """Replaces secrets by `[redacted]`. Immutable and free of I/O; safe to share between threads."""

    __slots__ = ("_known",)

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= MIN_SECRET_CHARS for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def text(self, text: str) -> str:
        """Return *text* without secrets."""
        return self.counted(text)[0]

    def counted(self, text: str) -> tuple[str, int]:
        """Return *text* without secrets, and how many were taken out."""
        count = 0
        if self._known:
            text, count = self._known.subn(MARK, text)
        for shape in _SHAPES:
            text, found = shape.subn(MARK, text)
            count += found
        if "eyJ" not in text:
            return text, count
        tokens = sum(1 for match in _JWT.finditer(text) if match[1])
        return _JWT.sub(lambda match: MARK if match[1] else match[0], text), count + tokens

    def json(self, value: Json) -> Json:
        """Return *value* with every text in it, keys included, without secrets; itself where there is none.

        Almost always there is none, and one look at all the texts together shows it.
        """
        return self._cleaned(value) if self._suspects("\n".join(_texts(value))) else value

    def _suspects(self, text: str) -> bool:
        known = self._known is not None and self._known.search(text) is not None
        return known or "eyJ" in text or any(shape.search(text) for shape in _SHAPES)

    def _cleaned(self, value: Json) -> Json:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(key): self._cleaned(item) for key, item in value.items()}
        if isinstance(value, Sequence):
            return [self._cleaned(item) for item in value]
        return value


def _texts(value: Json) -> Iterable[str]:
    """Yield every text in *value*, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from _texts(item)


def _forms(secret: str) -> Iterable[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    for encode in (quote, quote_plus):
        escaped = encode(secret.encode("utf-8", "surrogatepass"), safe="")
        yield escaped
        yield re.sub("%..", lambda match: match[0].lower(), escaped)
    yield from _base64_forms(secret.encode("utf-8", "surrogatepass"))


def _base64_forms(secret: bytes) -> Iterable[str]:
    """Yield what *secret* looks like inside base64, whatever stands before and after it.

    Three bytes make four characters, so there are three ways it can be aligned. Characters that also hold bits
    of a neighbour are cut off.
    """
    for before in range(3):
        encoded = b64encode(bytes(before) + secret).decode().rstrip("=")
        end = len(encoded) - (1 if (before + len(secret)) % 3 else 0)
        inner = encoded[(0, 2, 3)[before] : end]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")
