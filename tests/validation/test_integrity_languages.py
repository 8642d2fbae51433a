"""Tests of other languages that lost what they told, and the honest edits beside them."""

# ruff: noqa: E501 - an edit a line is read as a table

import pytest
from tests.validation.data.integrity_dishonest import DELETED, EDITED, GO, JS, REMOVED, SKIPPED, WEAKER
from tests.validation.integrity_edits import was

from orchestrator.core.proof import CheckKind, CheckSpec, Suspicion
from orchestrator.validation.integrity import findings

GOTEST = f'package x\n\nimport "testing"\n\n{GO}'
EXS = 'test "a" do\n  assert f() == 1\nend\n'
PERL = "use Test::More;\nis(f(), 1);\n"
LUA = "it('a', function()\n  assert.equals(1, f())\nend)\n"
R = 'test_that("a", {\n  expect_equal(f(), 1)\n})\n'
CARGO = '[package]\nname = "x"\n'
ESLINT = '{"rules": {"no-eval": "error", "semi": ["error", "always"]}}\n'
DOC = 'def f():\n    """One.\n\n    >>> f()\n    1\n    """\n    return 1\n'

WEAKENED = (
    ("go:build ignore", "x_test.go", GOTEST, f"//go:build ignore\n\n{GOTEST}", {SKIPPED}),
    ("an old constraint", "x_test.go", GOTEST, f"// +build never\n\n{GOTEST}", {SKIPPED}),
    ("a Go test with a small letter", "x_test.go", GOTEST, GOTEST.replace("TestAdd", "testAdd"), {DELETED}),
    ("a Go test that go does not run", "x_test.go", GOTEST, GOTEST.replace("TestAdd", "Testadd"), {DELETED}),
    ("return before Go's comparison", "x_test.go", GOTEST, GOTEST.replace("\tif add", "\treturn\n\tif add"), {REMOVED}),
    ("return in if true", "x_test.go", GOTEST, GOTEST.replace("\tif add", "\tif true { return }\n\tif add"), {REMOVED}),
    ("return in if true on lines of its own", "x_test.go", GOTEST, GOTEST.replace("\tif add", "\tif true {\n\t\treturn\n\t}\n\tif add"), {REMOVED}),
    ("return before expect", "a.spec.ts", JS, JS.replace("  expect", "  return;\n  expect"), {REMOVED}),
    ("return without a semicolon", "a.test.js", JS, JS.replace("  expect", "  return\n  expect"), {REMOVED}),
    ("return far to the left", "a.test.js", JS, JS.replace("  expect", "return;\n  expect"), {REMOVED}),
    ("return on the line of the test", "a.test.js", JS, JS.replace("{\n", "{ return;\n"), {REMOVED}),
    ("@tag :skip", "test/a_test.exs", EXS, f"@tag :skip\n{EXS}", {SKIPPED}),
    ("@moduletag skip:", "test/a_test.exs", EXS, f'@moduletag skip: "later"\n{EXS}', {SKIPPED}),
    ("Perl's ok(1)", "t/a.t", PERL, PERL.replace("is(f(), 1)", "ok(1)"), {REMOVED, WEAKER}),
    ("Perl's is is gone", "t/a.t", PERL, "use Test::More;\n", {REMOVED}),
    ("busted's pending", "test_a.lua", LUA, LUA.replace("it(", "pending("), {SKIPPED, DELETED}),
    ("testthat's skip", "tests/testthat/test-a.R", R, R.replace("expect_equal(f(), 1)", 'skip("x")'), {SKIPPED, REMOVED}),
    ("Cargo leaves the library out", "Cargo.toml", CARGO, f"{CARGO}[lib]\ntest = false\n", {SKIPPED}),
    ("Cargo does not look for tests", "Cargo.toml", CARGO, f"{CARGO}autotests = false\n", {SKIPPED}),
    ("a rule is off", ".eslintrc.json", ESLINT, ESLINT.replace('"error", "semi"', '"off", "semi"'), {EDITED}),
    ("a rule only warns", ".eslintrc.json", ESLINT, ESLINT.replace('["error"', '["warn"'), {EDITED}),
    ("a rule is off in JavaScript", "eslint.config.js", "rules: { eqeqeq: 'error' }\n", "rules: { eqeqeq: 'off' }\n", {EDITED}),
    ("the compiler is not strict", "tsconfig.json", '{"compilerOptions": {"strict": true}}', '{"compilerOptions": {"strict": false}}', {EDITED}),
)  # fmt: skip

HONEST = (
    ("an early return on a condition", "x_test.go", GOTEST, GOTEST.replace("\tif add", "\tif short() {\n\t\treturn\n\t}\n\tif add")),
    ("a return behind the assertions", "a.test.js", JS, JS.replace("toBe(3);", "toBe(3);\n  return;")),
    ("a helper that returns", "a.test.js", JS, f"function f() {{\n  g();\n  return;\n}}\n{JS}"),
    ("a return on a condition without braces", "a.test.js", JS, JS.replace("  expect", "  if (old)\n    return;\n  expect")),
    ("a return on a condition in a line", "a.test.js", JS, JS.replace("  expect", "  if (old) return;\n  expect")),
    ("a return on a long condition", "a.test.js", JS, JS.replace("  expect", "  if (old &&\n    slow)\n    return;\n  expect")),
    ("a return of a function of the shell", "test_a.sh", "f() {\nreturn\n}\ntest_a() {\n  grep -q a b\n}\n", "f() {\nreturn\n}\n\ntest_a() {\n  grep -q a b\n}\n"),
    ("a switch", "a.test.js", JS, f"function f(a) {{\n  switch (a) {{\n    case 1:\n      return;\n    default:\n      g();\n  }}\n}}\n{JS}"),
    ("a Go test gets another name", "x_test.go", GOTEST, GOTEST.replace("TestAdd", "TestSum")),
    ("a Go helper", "x_test.go", GOTEST, f"{GOTEST}\nfunc testing2() int {{\n\treturn 1\n}}\n"),
    ("a Perl test is added", "t/a.t", PERL, f"{PERL}is(g(), 2);\n"),
    ("a testthat test is added", "tests/testthat/test-a.R", R, R + R.replace('"a"', '"b"')),
    ("a dependency of Cargo", "Cargo.toml", CARGO, f'{CARGO}[dependencies]\na = "1"\n'),
    ("a rule is stricter", ".eslintrc.json", ESLINT.replace("error", "warn"), ESLINT),
    ("a setting that is no rule", "tsconfig.json", '{"compilerOptions": {"sourceMap": true}}', '{"compilerOptions": {"sourceMap": false}}'),
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "base", "result", "kinds"), [one[1:] for one in WEAKENED], ids=[one[0] for one in WEAKENED]
)
def test_a_weakened_test_is_found(path: str, base: str, result: str, kinds: set[Suspicion]) -> None:
    found = findings([was(path, base, result)])
    assert {one.kind for one in found if one.taints} == kinds, found


@pytest.mark.parametrize(("path", "base", "result"), [one[1:] for one in HONEST], ids=[one[0] for one in HONEST])
def test_an_honest_edit_is_no_finding(path: str, base: str, result: str) -> None:
    assert findings([was(path, base, result)]) == ()


def test_an_example_that_is_gone_taints_where_a_check_runs_it_and_is_listed_elsewhere() -> None:
    gone = was("doc.py", DOC, DOC.replace("    >>> f()\n    1\n", ""))
    for command, taints in (
        (("pytest", "--doctest-modules"), True),
        (("python3", "-m", "doctest", "doc.py"), True),
        (("pytest",), False),
    ):
        found = findings([gone], checks=[CheckSpec(CheckKind.COMMAND, command)])
        assert [(one.kind, one.taints) for one in found] == [(WEAKER, taints)]
    moved = was("more.py", "", DOC)
    assert findings([gone, moved], checks=[CheckSpec(CheckKind.COMMAND, ("pytest", "--doctest-modules"))]) == ()
