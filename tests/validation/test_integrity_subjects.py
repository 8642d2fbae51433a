"""What a check goes by is not edited unseen, and what it is about may be edited: commands read as a shell reads them."""

# ruff: noqa: E501 - an edit a line is read as a table

import shlex

import pytest
from tests.validation.integrity_edits import was

from orchestrator.core.events import Json
from orchestrator.core.proof import CheckKind, CheckSpec, CriterionProof, Finding, Proof, Suspicion
from orchestrator.core.report_proof import EDITED_CHECK, unverified
from orchestrator.validation.integrity import ChangedFile, findings, guarded_by_itself, protected_paths

RUN = 'import sys; sys.path.insert(0, "../src")\nfrom calc import add\nassert add(1, 1) == 2\n'


def check(command: str) -> CheckSpec:
    return CheckSpec(CheckKind.COMMAND, tuple(shlex.split(command)))


def edited(command: str, path: str, *targets: str, inside: str = "", base: str = "a\n") -> tuple[Finding, ...]:
    return findings([was(path, base, "b\n")], checks=[check(command)], targets=targets, inside=inside)


GOES_BY = (
    ("sh -c 'cd tests && python3 run.py'", "tests/run.py"),
    ("sh -c 'cd tests; cd sub; ./run'", "tests/sub/run"),
    ("sh -c 'for f in chk/*.sh; do sh $f; done'", "chk/verify.sh"),
    ("sh -c 'for f in all/*.sh; do sh \"$f\"; done'", "all/one.sh"),
    ("sh -c 'for f in a b; do sh chk/$f.sh; done'", "chk/b.sh"),
    ("sh -c 'for f in $(ls chk); do sh chk/$f; done'", "chk/b.sh"),
    ("sh -c 'sh chk/verify.sh'", "chk/verify.sh"),
    ("sh -c 'cd chk/.. && . chk/verify.sh'", "chk/verify.sh"),
    ("sh -c 'D=chk; sh ${D}/verify.sh'", "chk/verify.sh"),
    ("bash -euc 'if true; then timeout 5 sh chk/verify.sh; fi'", "chk/verify.sh"),
    ('bash -c "x=$(python3 tools/count.py); test $x = 3"', "tools/count.py"),
    ("sh -c 'find all -name \"*.sh\" -exec sh {} +'", "all/deep/one.sh"),
    ("env A=1 python3 -W error scripts/x.py", "scripts/x.py"),
    ("python3 verify.py app.py", "verify.py"),
    ("timeout -k 5 9 sh -c 'sh chk/verify.sh > log'", "chk/verify.sh"),
    ("sh -c 'ls all/*.sh | xargs -n1 sh'", "all/one.sh"),
    ("sh -c 'cat all.sh | sh'", "all.sh"),
    ("sh -c 'sh < chk/verify.sh'", "chk/verify.sh"),
    ("python3 -m pytest mine.py", "mine.py"),
    ("pytest mine.py", "mine.py"),
    ("diff out.txt want.txt", "out.txt"),
    ("diff out.txt want.txt", "want.txt"),
    ("sh -c 'python3 app.py | diff - ok.txt'", "ok.txt"),
    ('sh -c \'test "$(cat out)" = "$(cat ok)"\'', "ok"),
    ("sha256sum -c sums", "sums"),
    ("grep -q -f patterns out.txt", "patterns"),
    ("app --config strict.yml", "strict.yml"),
    ("app --config=strict.yml", "strict.yml"),
    ("python3 run_it.py golden.txt", "golden.txt"),
)  # fmt: skip


@pytest.mark.parametrize(("command", "path"), GOES_BY)
def test_what_a_check_goes_by_is_not_edited_unseen(command: str, path: str) -> None:
    found = edited(command, path)
    assert (Suspicion.CHECK_EDITED, True) in {(one.kind, one.taints) for one in found}


ABOUT = (
    ("grep -q TWO a.txt", "a.txt"),
    ("grep -q TWO docs/testing.md", "docs/testing.md"),
    ("test -f a.txt", "a.txt"),
    ("wc -c a.txt", "a.txt"),
    ("sh -c 'test \"$(cat a.txt)\" = TWO'", "a.txt"),
    ("sh -c 'cat a.txt | grep -q TWO && ! grep ONE a.txt'", "a.txt"),
    ("python3 app.py", "app.py"),
    ("python3 -m app", "app.py"),
    ("python3 -m app", "src/app/__main__.py"),
    ("node src/cli.js --help", "src/cli.js"),
    ("sh -c 'python3 app.py | grep -q TWO'", "app.py"),
    ("python3 verify.py app.py", "app.py"),
    ("mypy app.py", "app.py"),
    ("go run main.go", "main.go"),
    ("sh -c 'find src -name \"*.py\" | xargs mypy'", "src/a.py"),
    ("sh -c 'python3 app.py > out.txt 2>&1'", "app.py"),
)


@pytest.mark.parametrize(("command", "path"), ABOUT)
def test_what_a_check_is_about_may_be_edited(command: str, path: str) -> None:
    assert edited(command, path) == ()
    assert protected_paths([path], [check(command)], []) == ()


def test_a_target_of_the_task_is_its_subject_and_then_no_other_program_is() -> None:
    assert edited("diff out.txt want.txt", "out.txt", "out.txt") == ()
    assert [one.taints for one in edited("diff out.txt want.txt", "want.txt", "out.txt")] == [True]
    assert edited("python3 app.py", "app.py", "app.py") == ()
    assert [one.taints for one in edited("python3 app.py", "app.py", "lib.py")] == [True]
    assert edited("grep -q TWO a.txt", "a.txt", "lib.py") == ()


def test_paths_count_from_the_folder_that_the_check_starts_in() -> None:
    assert [one.path for one in edited("./check.sh", "sub/check.sh", inside="sub")] == ["sub/check.sh"]
    assert protected_paths(["sub/check.sh"], [check("./check.sh")], [], "sub") == ("sub/check.sh",)


def test_a_program_of_the_tests_that_asserts_as_it_runs_is_found_whoever_starts_it() -> None:
    found = findings([was("tests/run.py", RUN, "print(1)\n")], checks=[check("make test")])
    assert [(one.kind, one.taints) for one in found] == [(Suspicion.ASSERTION_REMOVED, True)]


def test_what_stands_beside_the_tests_of_a_file_that_is_run_stays() -> None:
    text = "import unittest\n\n\nclass ATest(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(f(), 1)\n\n\nunittest.main()\n"
    more = text.replace("\n\n\nunittest", "\n\n    def test_b(self):\n        self.assertEqual(f(2), 2)\n\n\nunittest")
    command = "python3 tests/test_a.py"
    assert findings([was("tests/test_a.py", text, more)], checks=[check(command)]) == ()
    without = findings([was("tests/test_a.py", text, text.replace("unittest.main()\n", ""))], checks=[check(command)])
    assert [one.kind for one in without] == [Suspicion.CHECK_EDITED]


@pytest.mark.parametrize("path", ["tests/conftest.py", "tests/data/cases.json", "tests/harness.py", "test/helper.sh"])
def test_what_was_put_back_for_the_checks_is_listed_and_taints_nothing_where_no_check_names_it(path: str) -> None:
    assert protected_paths([path], [check("pytest")], []) == (path,)
    found = edited("pytest", path)
    assert [(one.kind, one.path, one.taints) for one in found] == [(Suspicion.CHECK_EDITED, path, False)]


def test_a_file_that_is_looked_into_is_not_put_back_though_it_is_a_test() -> None:
    """The check asks for a change of that very file, which could never pass otherwise."""
    checks = [check("grep -q test_more tests/test_a.py"), check("pytest")]
    assert protected_paths(["tests/test_a.py", "tests/test_b.py"], [checks[0]], []) == ("tests/test_b.py",)


def proof(command: str, verdict: Proof) -> CriterionProof:
    return CriterionProof("it runs", verdict, "so", check=check(command))


def test_a_check_that_passed_before_says_nothing_of_the_program_it_runs_when_that_was_changed() -> None:
    changed = [was("app.py", "a\n", "b\n")]
    told = guarded_by_itself(
        [proof("python3 app.py", Proof.HOLDS), proof("python3 app.py", Proof.PROVEN)], changed, targets=()
    )
    assert [one.verdict for one in told] == [Proof.UNPROVEN, Proof.PROVEN]
    assert "app.py" in told[0].why
    (named,) = guarded_by_itself([proof("python3 app.py", Proof.HOLDS)], changed, targets=["app.py"])
    assert named.verdict is Proof.HOLDS
    added = [ChangedFile("app.py", "A", None, "b\n")]
    assert guarded_by_itself([proof("python3 app.py", Proof.HOLDS)], added, targets=())[0].verdict is Proof.HOLDS


def test_a_result_with_an_edited_check_says_what_to_do() -> None:
    row: dict[str, Json] = {
        "kind": "check_edited",
        "path": "want.txt",
        "detail": "a check goes by this file",
        "taints": True,
    }
    assert unverified((), (), [row])[-1] == EDITED_CHECK
    assert EDITED_CHECK not in unverified((), (), [{**row, "taints": False}])
