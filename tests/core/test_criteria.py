"""What a criterion names to be run: read exactly, refused clearly, and never guessed."""

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.bad_inputs import RULES

from orchestrator.core.criteria import (
    Reading,
    check_text,
    criterion_text,
    json_value,
    placeless,
    pointer_parts,
    read_check,
)
from orchestrator.core.errors import TaskFileError
from orchestrator.core.proof import CheckKind, CheckSpec
from orchestrator.core.reasons import TASK_FILE_REASONS
from orchestrator.core.task import Criterion, TaskRules, TaskSpec
from orchestrator.core.taskfile import parse_task_file, render_task_file

COMMAND, HUMAN = CheckKind.COMMAND, CheckSpec(CheckKind.HUMAN)


def check_of(text: str) -> CheckSpec | None:
    return read_check(text, placeless).check


def outcome_of(text: str) -> Reading | TaskFileError:
    try:
        return read_check(text, placeless)
    except TaskFileError as error:
        return error


def refusal(text: str) -> TaskFileError:
    with pytest.raises(TaskFileError) as caught:
        read_check(text, placeless)
    return caught.value


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("tests pass: `pytest -q tests/test_auth.py`", ("pytest", "-q", "tests/test_auth.py")),
        ("the tests of `auth` pass: `pytest -q`", ("pytest", "-q")),
        ("see `a`: and then: `make check`", ("make", "check")),
        ("it runs : `make`", ("make",)),
        ("quotes are kept: `python -c 'print(1 > 0 and \"a b\")'`", ("python", "-c", 'print(1 > 0 and "a b")')),
        ("a shell by wish: `sh -c 'make && ./run | grep ok'`", ("sh", "-c", "make && ./run | grep ok")),
        ("double ticks: ``printf a\\`b``", ("printf", "a`b")),
        ("escaped: `grep -q a\\|b x`", ("grep", "-q", "a|b", "x")),
        ("a path: `./scripts/check.sh`", ("./scripts/check.sh",)),
        ("a path: `scripts/check.sh`", ("scripts/check.sh",)),
        ("a test id: `pytest a.py::test_b[1-2]`", ("pytest", "a.py::test_b[1-2]")),
        ("a dollar at the end: `grep -q end$ a`", ("grep", "-q", "end$", "a")),
        ("in an environment: `env A=1 make`", ("env", "A=1", "make")),
    ],
)
def test_words_a_colon_and_a_code_span_at_the_end_are_a_command(text: str, argv: tuple[str, ...]) -> None:
    assert read_check(text, placeless) == read_check(f"  {text} ", placeless)
    assert check_of(text) == CheckSpec(COMMAND, argv=argv)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "All tests pass",
        "function is called `foo`",
        "`foo` returns `None` for: nothing",
        "`pytest -q` passes",
        "the option: `--fast` is documented",
        "uses std::`vector`",
        "a tick ` alone: `",
        "output: the log is clean",
        "json: all of it is valid",
        "exists: a guide",
        "time: 10:30",
        "(humans) like it",
    ],
)
def test_code_spans_within_a_sentence_are_words_without_a_warning(text: str) -> None:
    reading = read_check(text, placeless)
    assert (reading.check, reading.mandatory, reading.notice) == (None, True, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("see: `README.md`", "`exists: `README.md`` looks for it"),
        ("the report is at: `out/report.html`", "names a file"),
        ("it is called: `foo`.", "something stands behind it"),
        ("tests pass: `pytest -q`;", "something stands behind it"),
        ("`pytest -q`", "words and a colon"),
    ],
)
def test_what_only_looks_like_a_check_stays_words_and_says_so(text: str, said: str) -> None:
    reading = read_check(text, placeless)
    assert reading.check is None
    assert said in reading.notice


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("exists: `docs/guide.md`", CheckSpec(CheckKind.FILE_EXISTS, path="docs/guide.md")),
        ("Exists: `./docs//guide.md/`", CheckSpec(CheckKind.FILE_EXISTS, path="docs/guide.md")),
        ("contains: `a b.md` `## Install`", CheckSpec(CheckKind.FILE_CONTAINS, path="a b.md", expected="## Install")),
        ("contains: `a` `` `x` ``", CheckSpec(CheckKind.FILE_CONTAINS, path="a", expected="`x`")),
        (
            "output: `app --version` matches `^app 2\\.`",
            CheckSpec(CheckKind.OUTPUT_MATCHES, argv=("app", "--version"), expected="^app 2\\."),
        ),
        (
            'json: `package.json` `/a/0/b~1c` equals `"2.0"`',
            CheckSpec(CheckKind.JSON_EQUALS, path="package.json", pointer="/a/0/b~1c", expected='"2.0"'),
        ),
        ("JSON: `a.json` Equals `[1, {}]`", CheckSpec(CheckKind.JSON_EQUALS, path="a.json", expected="[1, {}]")),
        ("(human) the page looks right: `make demo`", HUMAN),
    ],
)
def test_each_known_kind_of_check_is_read(text: str, check: CheckSpec) -> None:
    assert check_of(text) == check


def test_a_criterion_may_be_optional_whatever_its_check() -> None:
    assert not read_check("(optional) no warnings: `make lint`", placeless).mandatory
    assert read_check("(Optional) (human) nice", placeless).check == HUMAN
    assert not read_check("(human) (optional) nice", placeless).mandatory
    assert read_check("it is (optional) there", placeless).mandatory


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *[
            (f"x: `{command}`", "check_shell_syntax")
            for command in (
                "make && make test", "ls | wc", "make > log", "make; ls", "cat <x", "echo $HOME", 'echo "$HOME"',
                "echo $(pwd)", "echo ${x}", "ls *.py", "ls ~/x", "cd src", "A=1 make", "! grep x y", "a &", "(ls)",
                "echo {a,b}", "make # all", "[[ -f x ]]", 'echo "\\$x"', "echo $'x'",
            )
        ],
        ("x: ``echo `pwd` ``", "check_shell_syntax"),
        ("x: `a 'b`", "check_command_invalid"),
        ("x: `a\\`", "check_command_invalid"),
        ("x: ` `", "check_command_invalid"),
        ("x: `'' a`", "check_command_invalid"),
        ("x: `-q`", "check_command_invalid"),
        ("x: `a\x1bb`", "check_command_invalid"),
        (f"x: `{'a' * 5000}`", "check_too_long"),
        ("the bug no longer exists: `pytest`", "check_form_invalid"),
        ("README contains: `x`", "check_form_invalid"),
        ("exists: `a` and `b`", "check_form_invalid"),
        ("exists: `a`.", "check_form_invalid"),
        ("exists: `a", "check_form_invalid"),
        ("contains: `a`", "check_form_invalid"),
        ("output: `a` like `b`", "check_form_invalid"),
        ("json: `a` `/b` is `1`", "check_form_invalid"),
        ("(human)", "check_form_invalid"),
        ("(optional) ", "check_form_invalid"),
        *[
            (f"exists: `{path}`", "check_path_invalid")
            for path in ("/etc/passwd", "../x", "a/../../x", ".", "~/x", "a\\b")
        ],
        ("output: `a` matches `(`", "check_value_invalid"),
        (f"output: `a` matches `{'(' * 2000}`", "check_value_invalid"),
        ("output: `a` matches `x{99999999999}`", "check_value_invalid"),
        ("output: `a && b` matches `x`", "check_shell_syntax"),
        ("json: `a` `b` equals `1`", "check_value_invalid"),
        ("json: `a` `/b~2` equals `1`", "check_value_invalid"),
        ("json: `a` `/b` equals `yes`", "check_value_invalid"),
        ("json: `a` `/b` equals `NaN`", "check_value_invalid"),
        (f"json: `a` `/b` equals `{'[' * 3000}`", "check_value_invalid"),
    ],
)  # fmt: skip
def test_a_bad_check_is_an_error_that_says_what_was_expected(text: str, reason: str) -> None:
    error = refusal(text)
    assert error.reason == reason
    assert error.message
    assert error.expected
    assert error.hint == TASK_FILE_REASONS[reason].hint
    assert len(error.message) < 500


def file_with(criteria: str) -> bytes:
    return f"---\nid: a\ntype: fix\npriority: low\n---\n**Prompt:**\nx\n\n**Success Criteria:**\n{criteria}\n".encode()


def read(criteria: str, rules: TaskRules = RULES) -> TaskSpec:
    return parse_task_file(file_with(criteria), file_name="x.task.md", rules=rules)


def test_a_bad_check_is_refused_with_its_file_line_and_number() -> None:
    with pytest.raises(TaskFileError) as caught:
        read("- [ ] good: `make`\n- [ ] bad:\n  `make | tee`")
    error = caught.value
    assert (error.file, error.line, error.field) == ("x.task.md", 11, "Success Criteria[2]")
    assert str(error) == (
        "error[check_shell_syntax]: x.task.md:11: `make | tee` needs a shell for `|`\n"
        "  expected: a command without shell syntax, or sh -c '…' around it\n"
        "  Write `sh -c '…'` around it, or quote the character."
    )


def test_the_checks_of_a_file_are_in_its_spec_and_its_near_misses_are_notices() -> None:
    spec = read("- [ ] tests pass: `pytest -q`\n- [x] (optional) see: `a.md`\n- [ ] words")
    assert spec.criteria == (
        Criterion("tests pass: `pytest -q`", line=10, check=CheckSpec(COMMAND, argv=("pytest", "-q"))),
        Criterion("(optional) see: `a.md`", ticked=True, line=11, mandatory=False),
        Criterion("words", line=12),
    )
    assert [(n.code, n.line, n.field) for n in spec.notices] == [("criterion_in_words", 11, "Success Criteria[2]")]
    assert [c.runs for c in spec.criteria] == [True, False, False]


def test_a_door_that_may_bring_no_commands_may_bring_all_other_checks() -> None:
    closed: dict[str, Any] = {f: getattr(RULES, f) for f in ("types", "agents", "base_cwd", "allowed_root")}
    rules = TaskRules(**closed, allow_commands=False)
    assert len(read("- [ ] exists: `a`\n- [ ] (human) b\n- [ ] c", rules).criteria) == 3
    for bad in ("x: `make`", "output: `make` matches `x`"):
        with pytest.raises(TaskFileError) as caught:
            read(f"- [ ] {bad}", rules)
        assert (caught.value.reason, caught.value.line) == ("check_not_allowed", 10)


PIECES = st.sampled_from(
    ["`", "``", ": ", ":", " ", "a", "exists: `", "contains: `", "output: `", "json: `", "` equals `", "` matches `",
     "(human) ", "(optional) ", "$", "(", "'", '"', "\\", "|", "*", "{", "/", "..", "~", "[", "1", "\x1b", "é", ".md"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=24).map("".join) | st.text(max_size=60))
def test_any_line_is_read_or_refused_with_one_clean_error(text: str) -> None:
    ended = outcome_of(text)
    if isinstance(ended, TaskFileError):
        assert ended.reason in TASK_FILE_REASONS
        assert ended.message.isprintable()
        assert ended.expected
    elif ended.check is not None and ended.check.kind is COMMAND:
        assert ended.check.argv[0]


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)
PATHS = st.from_regex(r"[a-z][a-z ._-]{0,8}(/[a-z]{1,4}){0,2}", fullmatch=True).filter(
    lambda text: text == text.strip()
)
CHECKS = st.one_of(
    st.lists(WORDS, min_size=1, max_size=4).map(lambda argv: CheckSpec(COMMAND, argv=tuple(argv))),
    st.builds(CheckSpec, st.just(CheckKind.FILE_EXISTS), path=PATHS),
    st.builds(CheckSpec, st.just(CheckKind.FILE_CONTAINS), path=PATHS, expected=WORDS),
    st.builds(
        CheckSpec,
        st.just(CheckKind.OUTPUT_MATCHES),
        argv=st.lists(WORDS, min_size=1, max_size=3).map(tuple),
        expected=st.sampled_from(["x", "^a.*b$", "`", " "]),
    ),
    st.builds(
        CheckSpec,
        st.just(CheckKind.JSON_EQUALS),
        path=PATHS,
        pointer=st.sampled_from(["", "/a", "/a~1b/0"]),
        expected=st.sampled_from(["1", '"a `b`"', "null", "[1, 2]"]),
    ),
    st.just(HUMAN),
)


@given(CHECKS, st.booleans())
def test_every_check_that_can_be_written_reads_back_as_it_was(check: CheckSpec, mandatory: bool) -> None:
    try:
        text = criterion_text("it holds", check, mandatory=mandatory)
    except ValueError:
        return  # said so, instead of writing something else
    reading = read_check(text, placeless)
    assert (reading.check, reading.mandatory) == (check, mandatory)
    criterion = Criterion(text, check=check, mandatory=mandatory)
    spec = read("- [ ] a")
    again = render_task_file(TaskSpec(**{**_fields(spec), "criteria": (criterion,)}))
    assert [c.check for c in parse_task_file(again.encode(), file_name="x", rules=RULES).criteria] == [check]


def _fields(spec: TaskSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in TaskSpec.__dataclass_fields__}


@given(st.lists(st.from_regex(r"[a-z0-9 ./|&$*'\"{}()-]{1,10}", fullmatch=True), max_size=3))
def test_every_ordinary_argument_can_be_written(more: list[str]) -> None:
    check = CheckSpec(COMMAND, argv=("run", *more))
    assert check_of(criterion_text("it runs", check)) == check
    assert check_text(check).strip("`").strip() == shlex.join(check.argv).strip("`").strip()


@pytest.mark.parametrize("argv", [("cd", "x"), ("-q",), ("README.md",), ("a\nb",)])
def test_a_check_that_no_line_says_is_not_written(argv: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="no line"):
        criterion_text("x", CheckSpec(COMMAND, argv=argv))


def test_a_spec_whose_check_its_text_does_not_say_is_not_written() -> None:
    lying = Criterion("all is well", check=CheckSpec(COMMAND, argv=("true",)))
    with pytest.raises(ValueError, match="no task file"):
        render_task_file(TaskSpec(**{**_fields(read("- [ ] a")), "criteria": (lying,)}))


def test_pointers_and_values_are_those_of_the_standards() -> None:
    assert pointer_parts("") == ()
    assert pointer_parts("/a~1b/~01/") == ("a/b", "~1", "")
    assert json_value(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    with pytest.raises(ValueError, match="no JSON"):
        json_value("Infinity")
