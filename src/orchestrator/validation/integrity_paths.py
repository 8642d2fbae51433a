"""What a path is by its name alone: a test, a stored expectation, what runs at others, what instructs an agent.

Names are compared without case: two of the file systems that people use do not tell them apart.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from posixpath import basename, normpath

_TEST_FOLDERS = frozenset({"test", "tests", "__tests__", "spec", "specs", "e2e", "cypress"})
_TEST_NAMES = (
    *("test_*.py", "*_test.py", "tests.py", "test.py", "conftest.py", "*_test.go", "*_test.exs", "*_test.dart"),
    *("*.test.*", "*.spec.*", "*.cy.*", "*_spec.rb", "*_test.rb", "test_*.rb", "*.bats", "*test.java", "*tests.java"),
    *("*test.kt", "*tests.kt", "*test.cs", "*tests.cs", "*test.php", "*test.scala", "*spec.scala", "*tests.swift"),
    *("*_test.c", "*_test.cc", "*_test.cpp", "*_test.rs", "tests.rs", "test.sh", "test_*.sh", "*_test.sh", "*it.java"),
    *("*.t", "test_*.lua", "*_test.lua", "*_spec.lua", "test-*.r"),
)
_COLLECTED = ("test_*.py", "*_test.py", "tests.py", "test.py")
_STORED_FOLDERS = frozenset({"__snapshots__", "snapshots", "golden", "goldens", "cassettes", "expected", "approved"})
_STORED_NAMES = (
    "*.snap",
    "*.ambr",
    "*.golden",
    "*.expected",
    "*.approved.*",
    "expected.*",
    "expected_*",
    "*_expected.*",
)
_CI = (
    *(".github/workflows/*", ".github/actions/*", ".gitlab-ci.yml", ".gitlab/ci/*", ".circleci/*", "azure-pipelines*"),
    *(".travis.yml", "jenkinsfile", ".buildkite/*", ".drone.yml", "bitbucket-pipelines.yml", "appveyor.yml"),
    *(".appveyor.yml", ".woodpecker/*", ".woodpecker.yml", ".forgejo/workflows/*", ".gitea/workflows/*"),
)
_RUNS_AT_OTHERS = (
    *(".husky/*", ".githooks/*", "githooks/*", "git-hooks/*", "lefthook.y*ml", ".lefthook*", ".pre-commit-config.y*ml"),
    *(".pre-commit-hooks.y*ml", ".overcommit.yml", ".gitattributes", ".gitmodules", ".gitconfig", ".lfsconfig"),
    *(".vscode/tasks.json", ".vscode/launch.json", ".vscode/settings.json", ".idea/*", ".run/*", ".envrc"),
    *(".devcontainer/*", ".devcontainer.json", "mise.toml", ".mise.toml", ".exrc", ".nvim.lua", ".gdbinit", ".npmrc"),
    *(".yarnrc", ".yarnrc.yml", ".bazelrc", "*.pth", "sitecustomize.py", "usercustomize.py"),
)
_AGENT = (
    *(".claude/*", ".claude.json", ".mcp.json", "mcp.json", "claude.md", "claude.local.md", "agents.md", "gemini.md"),
    *(".cursor/*", ".cursorrules", ".github/copilot-instructions.md", ".github/instructions/*", ".windsurf/*"),
    *(".windsurfrules", ".aider*", ".codex/*", ".gemini/*", ".clinerules*", ".roo/*", ".opencode/*", ".continue/*"),
)
_CHECK_WORDS = re.compile(
    r"(?:^|[^a-z])(?:check|chk|test|verif|lint|valid|ci(?![a-z])|accept|assert|gate|proof|smoke|spec(?![a-z]))"
    r"|(?:^|[^a-z])(?:expect|golden|baseline|snapshot|approved|reference|want(?:ed)?(?![a-z]))",
    re.IGNORECASE,
)
_CHECK_FOLDERS = frozenset(
    {"scripts", "script", "tools", "tool", "ci", ".ci", "hack", "qa", "dev", ".github", ".gitlab"}
)


def clean(path: str) -> str:
    """Return *path* with `/`, without `./` and doubled slashes; "" for one that leaves the repository."""
    tidy = normpath(path.replace("\\", "/")) if path else ""
    return "" if tidy in ("", ".", "..") or tidy.startswith(("../", "/")) else tidy


def _fits(path: str, patterns: Sequence[str]) -> bool:
    """A pattern with a folder counts from any folder on: a repository may hold others."""
    low = path.lower()
    parts = low.split("/")
    tails = ["/".join(parts[at:]) for at in range(len(parts))]
    return any(fnmatchcase(tail, pattern) for pattern in patterns for tail in (tails if "/" in pattern else tails[-1:]))


def is_test(path: str) -> bool:
    """Whether *path* belongs to the tests: a test, what tests share, what they read."""
    parts = path.lower().split("/")
    return any(part in _TEST_FOLDERS for part in parts[:-1]) or _fits(path, _TEST_NAMES)


def is_collected(path: str) -> bool:
    """Whether a Python test runner finds tests in a file of this name."""
    return any(fnmatchcase(basename(path).lower(), pattern) for pattern in _COLLECTED)


def is_stored_expectation(path: str) -> bool:
    """Whether it holds what a test compares with: a snapshot, a golden file, a recorded answer."""
    folders = path.lower().split("/")[:-1]
    return any(part in _STORED_FOLDERS for part in folders) or (_fits(path, _STORED_NAMES) and is_test(path))


def is_ci(path: str) -> bool:
    """Whether a server runs by it what others rely on."""
    return _fits(path, _CI)


def runs_at_others(path: str) -> bool:
    """Whether it runs in somebody's next git, editor, shell, or interpreter, or on a CI server."""
    return is_ci(path) or _fits(path, _RUNS_AT_OTHERS)


def instructs_agents(path: str) -> bool:
    """Whether agents take it for instructions, settings or programs to start."""
    return _fits(path, _AGENT)


def is_of_checks(path: str) -> bool:
    """Whether a file named in a check is by its name and place one that checks, rather than the product itself."""
    folders = path.lower().split("/")[:-1]
    by_place = any(part in _CHECK_FOLDERS for part in folders)
    return by_place or is_test(path) or is_stored_expectation(path) or bool(_CHECK_WORDS.search(path))


def covers(targets: Sequence[str], path: str) -> bool:
    """Whether the task names *path* as a target: itself, or the end of an absolute path, or a folder it lies in."""
    for target in targets:
        named = target.replace("\\", "/").rstrip("/")
        named = normpath(named) if named else ""
        if not named or named in (".", "/"):
            continue
        if path == named or path.startswith(f"{named}/") or fnmatchcase(path, named):
            return True
        if named.startswith("/") and named.endswith(f"/{path}"):
            return True
    return False
