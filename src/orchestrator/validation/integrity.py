"""Whether a change that passes its checks can be believed: what it did to tests, to checks, to what runs at others.

Pure. Python tests are compared by what they assert, configuration by what it means, all other tests by lines. A finding
that taints means: a check that passes on this result proves nothing until a person has looked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from posixpath import basename, dirname, normpath

from orchestrator.core.attempt import AgentReport
from orchestrator.core.proof import CheckSpec, Finding, Suspicion
from orchestrator.validation.integrity_checks import RunBy, guarded_by_itself, protected_paths, protects, run_by
from orchestrator.validation.integrity_config import compare_config, compare_runner, recipe
from orchestrator.validation.integrity_facts import ChangedFile, weakened
from orchestrator.validation.integrity_lines import compare_lines, has_tests
from orchestrator.validation.integrity_paths import (
    covers,
    instructs_agents,
    is_ci,
    is_collected,
    is_of_checks,
    is_stored_expectation,
    is_test,
    runs_at_others,
)
from orchestrator.validation.integrity_python import Pair, compare, pair, runs_less
from orchestrator.validation.integrity_rules import LINTS, compare_cargo, compare_rules, fewer_examples
from orchestrator.validation.integrity_traps import traps

__all__ = ["ChangedFile", "findings", "guarded_by_itself", "protected_paths", "what_was_left"]

MOST = 200  # findings; nobody reads more, and a report has to stay readable
_MIXED = (
    "pyproject.toml",
    "setup.cfg",
    "tox.ini",
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".coveragerc",
    "package.json",
)
_BARRED = (
    "codecov.yml",
    ".codecov.yml",
    "jest.config",
    "vitest.config",
    ".nycrc",
    ".c8rc",
    ".simplecov",
    "build.gradle",
)
_RUNNERS = ("makefile", "gnumakefile", "noxfile.py", "justfile", "taskfile.yml", "rakefile")
_CODE = (
    *(".py", ".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".vue", ".go", ".rs", ".java", ".kt", ".scala"),
    *(
        ".rb",
        ".php",
        ".cs",
        ".swift",
        ".c",
        ".cc",
        ".cpp",
        ".sh",
        ".bats",
        ".ex",
        ".exs",
        ".dart",
        ".lua",
        ".pl",
        ".t",
        ".r",
    ),
)
_STAYS = (Suspicion.TEST_DELETED, Suspicion.TEST_SKIPPED)  # believed only by a person, also where the file is a target


def findings(
    files: Sequence[ChangedFile],
    *,
    checks: Sequence[CheckSpec] = (),
    targets: Sequence[str] = (),
    inside: str = "",
) -> tuple[Finding, ...]:
    """Return what in *files*, all that differs between base and result, makes the checks unbelievable or wants a look.

    *targets* are the task's target files, relative to the repository where possible: where the task is about a test or
    a check, its change is listed and does not taint, unless tests were deleted or skipped. *inside* is the folder of
    the repository that checks start in. Raises for no content.
    """
    changed = [file for file in files if not file.same]
    by = run_by(checks, inside)
    found = [*_tests(changed), *(one for file in changed for one in _file(file, by, targets))]
    found += fewer_examples(changed, is_run=any("doctest" in tool for tool in by.tools))
    told = {one.path for one in found}
    if by.tools:
        found += [one for file in changed if file.path not in told for one in _put_back(file, by)]
    unique = dict.fromkeys(_as_asked(one, targets) for one in found)
    ordered = sorted(unique, key=lambda one: (not one.taints, one.path, one.line, one.kind.value, one.detail))
    if len(ordered) <= MOST:
        return tuple(ordered)
    more = Finding(ordered[MOST].kind, "", f"{len(ordered) - MOST} more findings", taints=ordered[MOST].taints)
    return (*ordered[:MOST], more)


def _as_asked(finding: Finding, targets: Sequence[str]) -> Finding:
    if finding.taints and finding.kind not in _STAYS and covers(targets, finding.path):
        return replace(finding, detail=f"{finding.detail} (the task names this file)", taints=False)
    return finding


def _tests(files: Sequence[ChangedFile]) -> Iterator[Finding]:
    """Yield what happened to tests, all files at once, as tests move between them."""
    pairs: list[Pair] = []
    by_lines: list[ChangedFile] = []
    for file in files:
        if file.binary or file.is_link or not (_has_tests(file) and file.path.lower().endswith(_CODE)):
            continue
        read = pair(file) if file.path.lower().endswith(".py") else None
        if read is not None:
            pairs.append(read)
        else:
            by_lines.append(file)
    try:
        seen = list(compare(pairs))
    except (RecursionError, ValueError, SyntaxError, MemoryError):  # too deep to be compared as trees
        seen, by_lines = [], [*by_lines, *(file for file in files if any(one.path == file.path for one in pairs))]
    yield from seen
    yield from compare_lines(by_lines)


def _has_tests(file: ChangedFile) -> bool:
    inline = file.path.lower().endswith(".rs") and "#[test]" in (file.base or "")
    return is_test(file.path) or inline


def _put_back(file: ChangedFile, by: RunBy) -> Iterator[Finding]:
    """Yield that checks ran with *file* as on the base, where no look at tests could tell what its change means."""
    if file.status == "A" or not protects(file.path, by) or not is_test(file.path) or _was_judged(file):
        return
    how = "was deleted" if file.status == "D" else "was changed"
    yield Finding(Suspicion.CHECK_EDITED, file.path, f"tests may go by this file, and it {how}", taints=False)


def _was_judged(file: ChangedFile) -> bool:
    """Whether there were tests in *file* that can be compared: then no finding means that none was weakened."""
    if file.binary or file.is_link or file.base is None or not file.base.strip():
        return file.base is not None and not file.base.strip()
    if file.path.lower().endswith(".py") and (read := pair(file)) is not None:
        return any(one.is_test for one in read.base.functions.values())
    return file.path.lower().endswith(_CODE) and has_tests(file.path, file.base)


def _file(file: ChangedFile, by: RunBy, targets: Sequence[str]) -> Iterator[Finding]:
    """Yield what one file tells by itself."""
    yield from _kept_as_files(file)
    yield from _links(file)
    yield from _runs_checks(file, by, targets)
    yield from _configures(file, by)
    yield from _reaches_others(file)
    if file.path.lower().endswith(".py"):
        tests = is_collected(file.path) or basename(file.path).lower() == "conftest.py"
        yield from traps(file, tests=tests)


def _kept_as_files(file: ChangedFile) -> Iterator[Finding]:
    emptied = file.base is not None and bool(file.base.strip()) and not (file.result or "").strip() and not file.binary
    if is_stored_expectation(file.path) and file.status != "A":
        yield weakened(file.path, "what a test compares with was " + ("deleted" if file.status == "D" else "replaced"))
    elif is_test(file.path) and file.status == "D" and not file.path.lower().endswith(_CODE):
        yield Finding(Suspicion.TEST_DELETED, file.path, "a file of the tests is gone")
    elif is_test(file.path) and emptied and file.status != "D" and basename(file.path) != "__init__.py":
        yield Finding(Suspicion.TEST_DELETED, file.path, "a file of the tests is empty now")
    elif is_test(file.path) and (file.binary or file.status == "T") and file.status != "A":
        yield weakened(file.path, "a file of the tests was replaced by one of another kind or that cannot be read")


def _links(file: ChangedFile) -> Iterator[Finding]:
    if not file.is_link or file.result is None:
        return
    leads = file.result.strip()
    place = normpath(f"{dirname(file.path)}/{leads}").removeprefix("./") if leads else ""
    if leads.startswith(("/", "~")) or place.startswith("../") or place == "..":
        yield Finding(
            Suspicion.WROTE_OUTSIDE, file.path, f"a link that leads out of the work area: {leads}", taints=False
        )


def _runs_checks(file: ChangedFile, by: RunBy, targets: Sequence[str]) -> Iterator[Finding]:
    there_before = file.status != "A"
    how = {"D": "was deleted", "A": "was added"}.get(file.status, "was changed")
    if there_before and _goes_by(file, by, targets):
        yield Finding(Suspicion.CHECK_EDITED, file.path, f"a check goes by this file, and it {how}")
    elif by.is_config(file.path) and basename(file.path).lower() not in _MIXED:
        yield Finding(Suspicion.CHECK_EDITED, file.path, f"a check is configured by this file, and it {how}")
    elif there_before and by.is_script(file.path) and basename(file.path).lower() not in _MIXED:
        yield Finding(Suspicion.CHECK_EDITED, file.path, f"a check runs by this file, and it {how}")
    elif not there_before and by.shadows(file.path):
        yield Finding(Suspicion.CHECK_EDITED, file.path, "Python would run it in the place of the program that checks")
    if there_before and by.is_makefile(file.path):
        for goal in sorted(by.goals):
            if recipe(file.base, goal) != recipe(file.result, goal):
                detail = f"what `make {goal}` does, which is a check, {how}"
                yield Finding(Suspicion.CHECK_EDITED, file.path, detail)


def _goes_by(file: ChangedFile, by: RunBy, targets: Sequence[str]) -> bool:
    """Whether a check goes by *file*, rather than being about it: what a task names as its target is its subject.

    So is, where a task names none, a program that checks by neither name nor place. A test is judged by what it
    asserts, as far as it holds tests, and what is run beside them stays.
    """
    if covers(targets, file.path) and not is_of_checks(file.path):
        return False
    if is_test(file.path) and _was_judged(file):
        return by.decides(file.path) and runs_less(file.base, file.result, file.path)
    return by.decides(file.path) or (bool(targets) and by.runs(file.path))


def _configures(file: ChangedFile, by: RunBy) -> Iterator[Finding]:
    name = basename(file.path).lower()
    if file.binary or file.is_link:
        return
    if name in _MIXED or name.startswith(_BARRED):
        yield from compare_config(file, by.tools)
    if name == "cargo.toml":
        yield from compare_cargo(file)
    if name.startswith(LINTS):
        yield from compare_rules(file)
    is_script = by.decides(file.path) and not name.endswith(".py")
    if is_ci(file.path) or name in _RUNNERS or name == "tox.ini" or is_script:
        yield from compare_runner(file)


def _reaches_others(file: ChangedFile) -> Iterator[Finding]:
    how = {"D": "deleted", "A": "added"}.get(file.status, "changed")
    if instructs_agents(file.path):
        detail = f"agents take this for instructions or settings; it was {how}"
        yield Finding(Suspicion.AGENT_SETTINGS_CHANGED, file.path, detail, taints=False)
    elif runs_at_others(file.path):
        detail = f"it runs in the next git, editor, shell or CI of others; it was {how}"
        yield Finding(Suspicion.HOOK_CHANGED, file.path, detail, taints=False)


def what_was_left(report: AgentReport, *, root: str) -> tuple[Finding, ...]:
    """Return what an attempt did besides its work area *root*, an absolute real path: files outside, processes left.

    The paths are those the agent's own tools named; a shell may have written more. Neither taints a check, as checks
    run in clean checkouts.
    """
    found = []
    top = normpath(root)
    for path in dict.fromkeys(report.files_changed):
        place = normpath(path if path.startswith("/") else f"{top}/{path}")
        if place != top and not place.startswith(f"{top.rstrip('/')}/"):
            found.append(Finding(Suspicion.WROTE_OUTSIDE, path, "written outside of the work area", taints=False))
    if report.survivors_killed > 0:
        count = report.survivors_killed
        words = "1 process" if count == 1 else f"{count} processes"
        detail = f"{words} that the agent had started outlived it and had to be ended"
        found.append(Finding(Suspicion.PROCESS_LEFT, "", detail, taints=False))
    return tuple(found)
