"""Tests in any language compared by their lines: their names, what is asserted, what is skipped.

A heuristic: it takes a line for an assertion by its words, and cannot tell a weaker one from a stronger one.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.core.proof import Finding, Suspicion
from orchestrator.validation.integrity_facts import ChangedFile, short, weakened

_ASSERTS = re.compile(
    r"\b(?:assert\w*!?|debug_assert\w*!?|expect\w*|require|should\w*|must|is_expected|XCTAssert\w*|EXPECT_\w+|ASSERT_\w+"
    r"|verify|fail|t\.(?:is|true|false|deepEqual|equal|throws|Error|Errorf|Fatal|Fatalf|Fail|FailNow)|cy\.get)\s*[.(!\s]"
    r"|\.(?:should|to)\b|\.to[A-Z]\w*\(|\bpytest\.raises"
)
_NOT_ASSERTS = re.compile(
    r"^\s*(?:import|from|use|using|require\s*\(?['\"]|require_relative|#include|package|export)\b|=\s*require\("
)
_STRINGS = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_SHELL = (".bats", ".sh", ".bash")
_SHELL_ASSERTS = re.compile(
    r"^\s*(?:!\s*)?(?:\[\[? |run |assert|refute|grep |test |diff |cmp )|\|\|\s*(?:exit 1|fail|return 1)"
)
_GO_COMPARES = re.compile(r"^\s*(?:\}\s*else\s+)?if (?!.*\berr\w* != nil).*(?:[!=]=|[<>]|!).*\{|^\s*\{.*\},?\s*$")
_NAMES = (
    re.compile(r"""(?:^|[\s;])(?:it|test|specify|scenario|test_that)(?:\.\w+)*\s*\(?\s*(['"`])(?P<name>.+?)\1"""),
    re.compile(
        r"^\s*(?:public |protected |async |static |final )*(?:function|fun|void|Task|def|func) (?P<name>[tT]est\w*)"
    ),
    re.compile(r"^\s*@test ['\"](?P<name>.+?)['\"]"),
    re.compile(r"^\s*(?P<name>test_\w+)\s*\(\)\s*\{"),
)
_GO_NAME = re.compile(r"^func (?P<name>(?:Test|Benchmark|Fuzz|Example)(?![a-z])\w*)\(")  # go runs no other
_BUILDS = re.compile(r"^//\s*(?:go:build\b|\+build\b).*")
_PERL_ASSERTS = re.compile(
    r"\b(?:is|isnt|ok|like|unlike|is_deeply|cmp_ok|isa_ok|can_ok|eq_or_diff|throws_ok|dies_ok|lives_ok)\s*[( ]"
)
_PERL_TRIVIAL = re.compile(r"\bok\s*\(?\s*(?:1|!0)\s*[,);]|^\s*pass\b")
_PERL = (".t", ".pl")
_RETURNS = re.compile(
    r"(?:^|[;{]\s*|\bif\s*\(?\s*(?:true|1|!0|!false)\s*\)?\s*\{?\s*)return"
    r"(?:\s+(?:null|nil|undefined|true|false|0|void 0|done\(\)|Ok\(\(\)\)))?\s*(?:;|\}|$)"
)
_ON_CONDITION = re.compile(r"^(?:\}\s*)?(?:if|else|while|for|when|unless|switch)\b.*[^{;}]$|^(?:case\b.*|default\s*):$")
_ALWAYS = re.compile(r"if\s*\(?\s*(?:true|1|!0|!false)\s*\)?\s*\{$")
_BY_INDENT = (".py", ".rb", ".lua", ".ex", ".exs", ".sh", ".bash", ".bats")
_MARKED = re.compile(
    r"^\s*(?:#\[(?:tokio::|async_std::|rstest|test_case)?:*test\b.*\]|#\[rstest\]|@(?:\w+\.)*Test\b.*|@ParameterizedTest.*|\[(?:Fact|Theory|Test)\w*.*\])"
)
_DECLARED = re.compile(r"\b(?:fn|void|fun|Task|def|public \w+) +(?P<name>`[^`]+`|\w+)\s*[(<]")
_SKIPS = re.compile(
    r"\b(?:it|test|describe|context|suite|specify)\.(?:skip|only|todo|fixme|failing|skipIf|runIf)\b"
    r"|\b(?:xit|xdescribe|xtest|xcontext|xspecify|xfeature|fit|fdescribe|fcontext|fspecify)\s*[\s('\"]"
    r"|\bt\.(?:Skip|Skipf|SkipNow)\(|\btesting\.Short\(\)|\bthis\.skip\(\)|\bb\.Skip\w*\("
    r"|#\[ignore\b|#\[should_panic\b|#\[cfg_attr\([^)]*ignore"
    r"|@(?:Disabled|Ignore)\w*\b|@EnabledIf\w*|\[Ignore\b|\bSkip\s*=\s*[\"@$]|Assert\.(?:Ignore|Inconclusive)|@unittest\.skip"
    r"|\bpending\b(?!\w)\s*(?:$|[('\"])|^\s*skip\b\s*(?:$|[('\"]|if\b)|,\s*(?:skip|pending):\s*|\bXCTSkip|\bGTEST_SKIP\b|\bDISABLED_\w+"
    r"|@(?:module|describe)?tag\s+(?::skip\b|\[?skip:)|\bskip_all\b"
    r"|markTestSkipped|markTestIncomplete|@doesNotPerformAssertions|\bpytest\.(?:mark\.)?(?:skip|skipif|xfail)\b|\bassume(?:True|False|That)\("
)
_TRIVIAL = re.compile(
    r"\bexpect\(\s*(?P<a>true|false|null|undefined|\d+|'[^']*'|\"[^\"]*\")\s*\)(?:\.\w+)*\.(?:to\w*|be|eq|equal)\w*\(?\s*(?:(?P=a)\b|\)|$)"
    r"|\b(?:assert!?|assert_?true!?|assert\.(?:ok|true|isTrue)|t\.true|Assert\.(?:True|IsTrue))"
    r"\s*\(\s*(?:t\s*,\s*)?(?:true\s*[,)]|1\s*\))"
    r"|\bassert\w*!?(?:\.\w+)?\s*\(\s*(?:t\s*,\s*)?(?P<b>\w+|\"[^\"]*\"|'[^']*')\s*,\s*(?P=b)\s*[,)]"
    r"|\bassert\s+true\b|\bassert\s*\(?true\)?\s*;|\bexpect\(true\)|\(assert t\)"
    , re.IGNORECASE,
)  # fmt: skip
_EXITS = re.compile(
    r"\b(?:process\.exit\(0?\)|os\.Exit\(0\)|process::exit\(0\)|System\.exit\(0\)|(?:sys\.|os\._)exit\(0?\)"
    r"|exit!?\(0\))|^\s*exit 0\s*$"
)
LONGEST = 2000  # characters of a line that are looked at
_COMMENT = {
    "#": (
        ".py",
        ".rb",
        ".sh",
        ".bash",
        ".bats",
        ".exs",
        ".ex",
        ".yml",
        ".yaml",
        ".toml",
        ".cfg",
        ".ini",
        ".pl",
        ".t",
        ".r",
    ),
    "--": (".lua", ".sql", ".hs"),
}


@dataclass(frozen=True, slots=True)
class Lines:
    """One side of a file by lines, comments left out."""

    names: Counter[str]
    asserts: Counter[str]
    skips: Counter[str]
    trivial: Counter[str]
    exits: Counter[str]
    number: dict[str, int]


def compare_lines(files: Sequence[ChangedFile]) -> Iterator[Finding]:
    """Yield what the tests in *files* lost, all at once: a test may have moved from one file to another."""
    sides = [(file, _read(file.path, file.base), _read(file.path, file.result)) for file in files]
    names: Counter[str] = Counter()
    gained: Counter[str] = Counter()
    for _, before, after in sides:
        names.update(after.names - before.names)
        gained.update(after.asserts - before.asserts)
    for file, before, after in sides:
        gone = list(_names_gone(file, before, after, names, gained))
        lost = list(_asserts_gone(file, before, after, gained))
        yield from gone
        if file.result is not None:
            yield from lost
        elif lost and not gone:
            detail = f"a file of the tests with {len(lost)} assertions is gone"
            yield Finding(Suspicion.TEST_DELETED, file.path, detail)
        yield from _added(file, before, after)


def has_tests(path: str, text: str) -> bool:
    """Whether the lines of *text* name tests: then what they lose is told."""
    return bool(_read(path, text).names)


def _read(path: str, text: str | None) -> Lines:
    found = Lines(Counter(), Counter(), Counter(), Counter(), Counter(), {})
    marked = False
    lines = list(code_lines(path, text or ""))
    dead = _out_of_reach(path, lines)
    for number, line in enumerate(lines, start=1):
        words = " ".join(line.split()).rstrip(";,")
        if not words:
            continue
        found.number.setdefault(words, number)
        if _SKIPS.search(line):
            found.skips[words] += 1
        if name := _name(path, line, marked=marked):
            found.names[name] += 1
        if number in dead:
            continue
        if _TRIVIAL.search(line) or (path.lower().endswith(_PERL) and _PERL_TRIVIAL.search(line)):
            found.trivial[words] += 1
        elif _is_assertion(path, line):
            found.asserts[words] += 1
        if _EXITS.search(line):
            found.exits[words] += 1
        marked = bool(_MARKED.match(line)) or (marked and not name and words.startswith(("#[", "@", "[")))
    return found


def _is_assertion(path: str, line: str) -> bool:
    bare = _STRINGS.sub("''", line)  # the name of a test may well be "it should ..."
    if path.lower().endswith(_SHELL):
        return bool(_SHELL_ASSERTS.search(bare))
    if path.lower().endswith(".go") and _GO_COMPARES.search(line):
        return True
    if path.lower().endswith(_PERL) and _PERL_ASSERTS.search(bare):
        return True
    return bool(_ASSERTS.search(bare)) and not _NOT_ASSERTS.search(bare)


def code_lines(path: str, text: str) -> Iterator[str]:
    """Yield the lines of *text* without comments, as well as lines can tell; their count stays."""
    mark = next((mark for mark, ends in _COMMENT.items() if path.lower().endswith(ends)), "//")
    within = False
    for whole in text.split("\n"):
        kept = line = whole[:LONGEST]
        if mark == "//":
            if within:
                _, ended, kept = line.partition("*/")
                within = not ended
            while not within and (at := kept.find("/*")) >= 0 and "'" not in kept[:at] and '"' not in kept[:at]:
                _, ended, rest = kept[at + 2 :].partition("*/")
                within = not ended
                kept = kept[:at] + (rest if ended else "")
        kept = re.sub(rf"(?:^|(?<=[\s;)}}])){re.escape(mark)}(?!\[|!\[).*$", "", kept)
        yield kept


def _out_of_reach(path: str, lines: Sequence[str]) -> frozenset[int]:
    """Return the numbers of the lines that stand behind a return in their block, as far as braces or indents tell."""
    dead: set[int] = set()
    by_indent = path.lower().endswith(_BY_INDENT)
    depth, ends_at, before = 0, -1, ""
    for number, line in enumerate(lines, start=1):
        bare = _STRINGS.sub("''", line).strip()
        if not bare:
            continue
        level = len(line) - len(line.lstrip()) if by_indent else depth
        if by_indent and level < ends_at:
            ends_at = -1
        if ends_at >= 0 and not bare.startswith(("case ", "default:")):
            dead.add(number)
        elif ends_at >= 0:
            ends_at = -1
        found = _RETURNS.search(bare)
        if found and ends_at < 0 and not _decides(before) and not _is_condition(bare[: found.start() + 1]):
            opened = bare[: found.start() if found[0].startswith("if") else found.end()].rstrip("}")
            ends_at = level if by_indent else depth + _opened(opened) - bool(_ALWAYS.match(before))
            ends_at = ends_at if ends_at > 0 else -1  # in no block whose end could be seen
        depth += _opened(bare)
        if not by_indent and depth < ends_at:
            ends_at = -1
        before = bare
    return frozenset(dead)


def _decides(before: str) -> bool:
    """Whether the line *before* a return says when it is taken: a condition, or the end of a long one."""
    end_of_one = before.count(")") > before.count("(") and not before.startswith("}") and before.endswith(")")
    return end_of_one or bool(_ON_CONDITION.match(before))


def _is_condition(words: str) -> bool:
    """Whether what stands before a return on its line decides about it."""
    always = re.search(r"\bif\s*\(?\s*(?:true|1|!0|!false)\b", words) or re.match(r"if\s*\(?\s*(?:true|1|!)?$", words)
    return not always and bool(re.search(r"\b(?:if|else|while|for|switch|catch|case|when|unless)\b", words))


def _opened(words: str) -> int:
    return words.count("{") - words.count("}")


def _name(path: str, line: str, *, marked: bool) -> str:
    if path.lower().endswith(".go"):
        return found["name"] if (found := _GO_NAME.search(line)) else ""
    for pattern in _NAMES:
        if found := pattern.search(line):
            return found["name"]
    if marked and (found := _DECLARED.search(line)):
        return found["name"]
    return ""


def _names_gone(
    file: ChangedFile, before: Lines, after: Lines, names: Counter[str], gained: Counter[str]
) -> Iterator[Finding]:
    gone = list((before.names - after.names).elements())
    kept = sum((before.asserts & after.asserts).values()) + sum((before.asserts & gained).values())
    if gone and len(gone) <= sum(names.values()) and kept >= sum(before.asserts.values()):
        names.subtract(dict(zip(list(names.elements())[: len(gone)], [1] * len(gone), strict=False)))
        return  # renamed or moved: all that was asserted still is
    for name in gone:
        if names[name] > 0:
            names[name] -= 1
        else:
            yield Finding(Suspicion.TEST_DELETED, file.path, f"{short(name)} is gone", _at(before, name))


def _at(side: Lines, name: str) -> int:
    return next((number for words, number in side.number.items() if name in words), 0)


def _asserts_gone(file: ChangedFile, before: Lines, after: Lines, gained: Counter[str]) -> Iterator[Finding]:
    fresh = sum((after.asserts - before.asserts).values())
    lost = []
    for words in (before.asserts - after.asserts).elements():
        if gained[words] > 0:
            gained[words] -= 1
        else:
            lost.append(words)
    for at, words in enumerate(lost):
        if at < fresh:
            yield weakened(file.path, f"it expects something else than `{short(words)}`", before.number[words])
        else:
            detail = f"it does not assert any more: `{short(words)}`"
            yield Finding(Suspicion.ASSERTION_REMOVED, file.path, detail, before.number[words])


def _added(file: ChangedFile, before: Lines, after: Lines) -> Iterator[Finding]:
    for words in after.skips - before.skips:
        yield Finding(Suspicion.TEST_SKIPPED, file.path, f"`{short(words)}` was added", after.number[words])
    old = {line.strip() for line in (file.base or "").split("\n") if _BUILDS.match(line)}
    for number, line in enumerate((file.result or "").split("\n"), start=1):
        new_for_some = file.base is None and "ignore" not in line
        if file.path.endswith(".go") and _BUILDS.match(line) and line.strip() not in old and not new_for_some:
            yield Finding(Suspicion.TEST_SKIPPED, file.path, f"`{short(line)}` was added", number)
    for words in after.trivial - before.trivial:
        detail = f"it asserts what is always true: `{short(words)}`"
        yield weakened(file.path, detail, after.number[words])
    for words in after.exits - before.exits:
        yield weakened(file.path, f"`{short(words)}` ends the run of the tests as a success", after.number[words])
