"""What a change did to the tests and checks that vouch for it: edits with what is to be found in them, and laws."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.validation.data.integrity_dishonest import (
    BASE,
    CI,
    DISHONEST,
    GO,
    JAVA,
    JS,
    MAKE,
    PACKAGE,
    RUBY,
    RUST,
    TOML,
    UNIT,
)
from tests.validation.data.integrity_honest import HONEST
from tests.validation.integrity_edits import Edit

from orchestrator.core.attempt import AgentReport
from orchestrator.core.proof import CheckKind, CheckSpec, Suspicion
from orchestrator.validation.integrity import ChangedFile, findings, protected_paths, what_was_left


def told(edit: Edit) -> str:
    return "\n".join(f"{one.path}:{one.line} {one.kind} taints={one.taints} {one.detail}" for one in edit.found())


def test_the_tables_are_as_long_as_they_say() -> None:
    assert len(HONEST) >= 40
    assert len(DISHONEST) >= 40
    assert len({edit.about for edit in (*HONEST, *DISHONEST)}) == len(HONEST) + len(DISHONEST)


@pytest.mark.parametrize("edit", DISHONEST, ids=lambda edit: edit.about)
def test_a_dishonest_edit_is_found(edit: Edit) -> None:
    found = edit.found()
    assert {one.kind for one in found if one.taints} == edit.kinds, told(edit)
    assert {one.kind for one in found if not one.taints} == edit.seen, told(edit)


@pytest.mark.parametrize("edit", HONEST, ids=lambda edit: edit.about)
def test_an_honest_edit_taints_nothing(edit: Edit) -> None:
    found = edit.found()
    assert [one for one in found if one.taints] == [], told(edit)
    assert {one.kind for one in found} == edit.seen, told(edit)


# --- laws -----------------------------------------------------------------------------------------------------------

SEEDS = (
    BASE,
    UNIT,
    JS,
    GO,
    RUST,
    JAVA,
    RUBY,
    MAKE,
    PACKAGE,
    TOML,
    CI,
    "",
    "\0",
    "((((((((((" * 200,
    "x = " + "-" * 5000,
)
PATHS = (
    *("tests/test_a.py", "tests/conftest.py", "src/a.test.js", "a_test.go", "src/lib.rs", "spec/a_spec.rb", "Makefile"),
    *("src/test/java/ATest.java", "package.json", "pyproject.toml", "setup.cfg", "tox.ini", ".github/workflows/ci.yml"),
    *("check.sh", "codecov.yml", "src/app.py", "tests/golden/a", ".claude/settings.json", "tests/a.bats", "", "../x"),
)
texts = st.one_of(
    st.none(),
    st.sampled_from(SEEDS),
    st.text(max_size=200),
    st.text(alphabet=string.printable, max_size=400),
    st.lists(st.sampled_from([line for seed in SEEDS for line in seed.split("\n")]), max_size=12).map("\n".join),
)
modes = st.sampled_from(["", "100644", "100755", "120000"])
paths = st.one_of(st.sampled_from(PATHS), st.text(max_size=30))
files = st.lists(
    st.builds(ChangedFile, paths, st.sampled_from("AMDT"), texts, texts, st.booleans(), modes, modes), max_size=5
)
argvs = st.lists(st.one_of(st.sampled_from(["sh", "-c", "make", "npm", "pytest", "./check.sh"]), st.text(max_size=20)))
checks = st.lists(st.builds(CheckSpec, st.sampled_from(CheckKind), argvs.map(tuple)), max_size=3)


@settings(deadline=None, max_examples=300)
@given(files, checks, st.lists(paths, max_size=3))
def test_no_change_makes_it_fail(changed: list[ChangedFile], given_checks: list[CheckSpec], targets: list[str]) -> None:
    found = findings(changed, checks=given_checks, targets=targets)
    assert len(set(found)) == len(found)
    assert found == findings(list(changed), checks=given_checks, targets=targets)
    protected_paths([file.path for file in changed], given_checks, targets)


@settings(deadline=None)
@given(paths, texts, modes, checks)
def test_an_identical_file_is_no_finding(path: str, text: str | None, mode: str, given_checks: list[CheckSpec]) -> None:
    same = ChangedFile(path, "M", text, text, base_mode=mode, result_mode=mode)
    assert findings([same], checks=given_checks) == ()


@given(st.sampled_from([BASE, UNIT]), st.lists(st.sampled_from(["# a note", ""]), max_size=5))
def test_comments_and_empty_lines_are_no_finding(text: str, lines: list[str]) -> None:
    after = "\n".join([*lines, text, *lines])
    assert findings([ChangedFile("tests/test_a.py", "M", text, after)]) == ()


def test_a_file_that_cannot_be_parsed_for_its_depth_is_read_by_lines() -> None:
    deep = f"{BASE}\nx = {'(' * 3000}1{')' * 3000}\n"
    lost = deep.replace("    assert result == 3\n", "")
    assert {one.kind for one in findings([ChangedFile("tests/test_a.py", "M", deep, lost)])} == {
        Suspicion.ASSERTION_REMOVED
    }


def test_what_can_be_read_is_bounded() -> None:
    many = "\n".join(f"def test_{n}():\n    assert f({n}) == {n}\n" for n in range(500))
    found = findings([ChangedFile("tests/test_a.py", "D", many, None)])
    assert len(found) == 201
    assert found[-1].detail == "300 more findings"


# --- what checks are to find as on the base ---------------------------------------------------------------------------


def command(*argv: str) -> CheckSpec:
    return CheckSpec(CheckKind.COMMAND, argv)


def test_tests_and_what_only_checks_are_protected() -> None:
    base = [
        "src/app.py",
        "tests/test_a.py",
        "tests/conftest.py",
        "pytest.ini",
        "pyproject.toml",
        "Makefile",
        "check.sh",
    ]
    found = protected_paths(base, [command("pytest"), command("./check.sh"), command("make", "test")], [])
    assert found == ("Makefile", "check.sh", "pytest.ini", "tests/conftest.py", "tests/test_a.py")


def test_what_the_task_names_is_not_protected() -> None:
    assert protected_paths(["tests/test_a.py", "tests/test_b.py"], [command("pytest")], ["tests/test_a.py"]) == (
        "tests/test_b.py",
    )


def test_the_product_is_not_protected_from_the_work_because_a_check_runs_it() -> None:
    """Else the honest fix of it could never pass."""
    base = ["hello.py", "scripts/check_hello.py"]
    checks = [command("python", "hello.py"), command("python", "scripts/check_hello.py")]
    assert protected_paths(base, checks, []) == ("scripts/check_hello.py",)


# --- what an attempt left ---------------------------------------------------------------------------------------------


def test_files_outside_of_the_area_and_processes_that_stayed_are_told() -> None:
    report = AgentReport(files_changed=("/area/a.py", "b.py", "/area2/c", "../d", "/area/../etc/x"), survivors_killed=2)
    found = what_was_left(report, root="/area")
    assert [(one.kind, one.path) for one in found] == [
        *((Suspicion.WROTE_OUTSIDE, path) for path in ("/area2/c", "../d", "/area/../etc/x")),
        (Suspicion.PROCESS_LEFT, ""),
    ]
    assert not any(one.taints for one in found)


def test_an_attempt_that_stayed_within_leaves_nothing_to_tell() -> None:
    assert what_was_left(AgentReport(files_changed=("/area/a", "sub/b")), root="/area") == ()
