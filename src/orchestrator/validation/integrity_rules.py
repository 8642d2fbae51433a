"""Smaller places where a change may ask less: tests that Cargo leaves out, rules of linters, examples in docstrings."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from posixpath import basename

from orchestrator.core.events import Json
from orchestrator.core.proof import Finding, Suspicion
from orchestrator.validation.integrity_config import part, read_config
from orchestrator.validation.integrity_facts import ChangedFile, short, weakened
from orchestrator.validation.integrity_lines import LONGEST

LINTS = (".eslintrc", "eslint.config.", "biome.json", "tsconfig")
_RULE = re.compile(
    r"[\"'](?P<rule>[\w@/.-]+)[\"']?\s*:\s*\[?\s*[\"']?(?P<value>error|warn|off|on|true|false|[012])\b"
    r"|\b(?P<bare>\w+)\s*:\s*\[?\s*[\"'](?P<bare_value>error|warn|off)\b"
)
_STRENGTH = {"error": 2, "2": 2, "on": 2, "true": 2, "warn": 1, "1": 1, "off": 0, "0": 0, "false": 0}
_LAX = re.compile(
    r"skip|allow|emit|noemit|incremental|composite|source|declaration|pretty|json|isolated|interop|module"
)
_LEFT_OUT = ("test", "doctest", "harness")


def compare_cargo(file: ChangedFile) -> Iterator[Finding]:
    """Yield which tests Cargo does not build or run any more."""
    before, after = read_config(file.path, file.base), read_config(file.path, file.result)
    if not before or after is None:
        return
    for section in ("lib", "bin", "test", "example"):
        old = [False in (one.get(key) for one in _each(before.get(section))) for key in _LEFT_OUT]
        for key, was in zip(_LEFT_OUT, old, strict=True):
            if not was and False in (one.get(key) for one in _each(after.get(section))):
                yield Finding(Suspicion.TEST_SKIPPED, file.path, f"{key} is false in [{section}]: Cargo leaves it out")
    if part(after, "package").get("autotests") is False and part(before, "package").get("autotests") is not False:
        yield Finding(Suspicion.TEST_SKIPPED, file.path, "autotests is false: Cargo does not look for tests any more")


def _each(value: Json) -> Sequence[Mapping[str, Json]]:
    many = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [one for one in many if isinstance(one, Mapping)]


def compare_rules(file: ChangedFile) -> Iterator[Finding]:
    """Yield which rules of a linter or a compiler were switched off or put lower."""
    before, after = _rules(file.base), _rules(file.result)
    only_checks = not basename(file.path).lower().startswith("tsconfig")
    for rule, was in before.items():
        now = after.get(rule, was)
        if _STRENGTH[now] < _STRENGTH[was] and (only_checks or not _LAX.search(rule.lower())):
            yield Finding(Suspicion.CHECK_EDITED, file.path, f"the rule {short(rule)} is {now}, was {was}")


def _rules(text: str | None) -> dict[str, str]:
    lines = (line[:LONGEST] for line in (text or "").split("\n"))
    found = [one for line in lines for one in _RULE.finditer(line)]
    return {one["rule"] or one["bare"]: one["value"] or one["bare_value"] for one in found}


def fewer_examples(files: Sequence[ChangedFile], *, is_run: bool) -> list[Finding]:
    """Return the files that lost examples of a docstring (`>>>`) which no other file has now. *is_run*: by a check."""
    now = Counter(one for file in files for one in _examples(file.path, file.result))
    found = []
    for file in files:
        lost = []
        for one in _examples(file.path, file.base):
            if now[one] > 0:
                now[one] -= 1
            else:
                lost.append(one)
        if lost and len(_examples(file.path, file.result)) < len(_examples(file.path, file.base)):
            detail = f"an example that doctest runs is gone: `{short(lost[0])}`"
            told = weakened(file.path, detail)
            found.append(told if is_run else Finding(told.kind, told.path, detail, taints=False))
    return found


def _examples(path: str, text: str | None) -> list[str]:
    if not path.lower().endswith((".py", ".md", ".rst", ".txt")):
        return []
    return [line.strip()[:LONGEST] for line in (text or "").split("\n") if line.lstrip().startswith(">>> ")]
