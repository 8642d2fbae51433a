"""What a check runs by: the files its command names, the programs it starts, the configuration that those read."""

import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from posixpath import basename, normpath

from orchestrator.core.proof import CheckSpec
from orchestrator.validation.integrity_paths import clean, covers, is_stored_expectation, is_test, sounds_like_a_check

# Each program with the files that only tell it how to check. Files with more in them are compared by section.
_CONFIG = {
    "pytest": ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml"),
    "coverage": (".coveragerc",),
    "jest": ("jest.config.*", "jest.setup.*"),
    "vitest": ("vitest.config.*", "vitest.setup.*", "vitest.workspace.*"),
    "mocha": (".mocharc*", "mocha.opts"),
    "playwright": ("playwright.config.*",),
    "cypress": ("cypress.config.*",),
    "karma": ("karma.conf.*",),
    "ruff": ("ruff.toml", ".ruff.toml"),
    "mypy": ("mypy.ini", ".mypy.ini"),
    "pyright": ("pyrightconfig.json",),
    "flake8": (".flake8",),
    "pylint": (".pylintrc", "pylintrc"),
    "eslint": (".eslintrc*", "eslint.config.*", ".eslintignore"),
    "biome": ("biome.json", "biome.jsonc"),
    "prettier": (".prettierrc*", ".prettierignore"),
    "tsc": ("tsconfig*.json",),
    "cargo": ("config.toml", "clippy.toml", ".clippy.toml", "nextest.toml"),
    "golangci-lint": (".golangci.*",),
    "rspec": (".rspec", "spec_helper.rb", "rails_helper.rb"),
    "phpunit": ("phpunit.xml", "phpunit.xml.dist", "phpunit.dist.xml"),
    "phpstan": ("phpstan.neon*",),
    "lint-imports": (".importlinter",),
    "pre-commit": (".pre-commit-config.yaml",),
    "shellcheck": (".shellcheckrc",),
    "bandit": (".bandit",),
}
# Files that a program runs as they are: where the base has none, the check could not have run there.
_SCRIPTS = {
    "tox": ("tox.ini",),
    "nox": ("noxfile.py",),
    "just": ("justfile", ".justfile"),
    "task": ("taskfile.yml", "taskfile.yaml", "taskfile.dist.yml"),
    "rake": ("rakefile", "*.rake"),
    "gradle": ("build.gradle", "build.gradle.kts", "settings.gradle*"),
    "gradlew": ("build.gradle", "build.gradle.kts", "settings.gradle*"),
    "mvn": ("pom.xml",),
    "mvnw": ("pom.xml",),
    "ctest": ("cmakelists.txt",),
    "bazel": ("workspace", "module.bazel", "build", "build.bazel"),
}
_ALIASES = {"py.test": "pytest", "gmake": "make", "jshint": "eslint", "bunx": "npm", "pnpm": "npm", "yarn": "npm"}
_NPM = ("npm", "bun", "npx")
_MAKEFILES = ("makefile", "gnumakefile", "*.mk")
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh")


@dataclass(frozen=True, slots=True)
class RunBy:
    """What the checks of a task run by.

    *named* are files that commands name, *tools* the programs (with `npm:x` for a script), *goals* the targets of make.
    """

    named: frozenset[str]
    tools: frozenset[str]
    goals: frozenset[str]

    def is_config(self, path: str) -> bool:
        """Whether *path* only says how a program of the checks is to check."""
        return _is_one(path, (name for tool in self.tools for name in _CONFIG.get(tool, ())))

    def is_script(self, path: str) -> bool:
        """Whether a program of the checks runs *path*."""
        return _is_one(path, (name for tool in self.tools for name in _SCRIPTS.get(tool, ())))

    def is_makefile(self, path: str) -> bool:
        """Whether a check runs make by *path*."""
        return "make" in self.tools and _is_one(path, _MAKEFILES)

    def shadows(self, path: str) -> bool:
        """Whether *path* would be found by Python in the place of a program that a check starts."""
        first = path.removeprefix("src/").split("/")[0].lower().removesuffix(".py")
        return path.endswith(".py") and first in self.tools | {"pytest", "unittest", "_pytest", "pluggy"}


def _is_one(path: str, names: Iterator[str] | Sequence[str]) -> bool:
    name = basename(path).lower()
    return any(fnmatchcase(name, pattern) for pattern in names)


def run_by(checks: Sequence[CheckSpec]) -> RunBy:
    """Return what *checks* run by."""
    named: set[str] = set()
    tools: set[str] = set()
    goals: set[str] = set()
    for check in checks:
        words = list(_words(check.argv, 3))
        named |= {path for word in words for path in _paths(word)}
        for at, word in enumerate(words):
            program = basename(word).lower()
            tools.add(_ALIASES.get(program, program))
            if word == "-m" and at + 1 < len(words):
                named |= _modules(words[at + 1])
            if _ALIASES.get(program, program) == "make":
                after = [one for one in words[at + 1 :] if not one.startswith("-") and "=" not in one]
                goals |= set(after or [""])
            if _ALIASES.get(program, program) in _NPM:
                after = [one for one in words[at + 1 :] if not one.startswith("-") and one not in ("run", "run-script")]
                tools |= {f"npm:{one}" for one in after[:1]}
    return RunBy(frozenset(named), frozenset(tools), frozenset(goals))


def _words(argv: Sequence[str], depth: int) -> Iterator[str]:
    """Yield the words of a command, of a script given to a shell as well."""
    shell = bool(argv) and basename(argv[0]) in _SHELLS
    for at, word in enumerate(argv):
        yield word
        if depth and shell and at and (argv[at - 1].startswith("-") and "c" in argv[at - 1]):
            try:
                yield from _words(shlex.split(word.replace(";", " ; ")), depth - 1)
            except ValueError:
                yield from word.split()


def _paths(word: str) -> Iterator[str]:
    for one in {word, word.partition("=")[2], word.partition("::")[0]}:
        if one and not one.startswith("-") and "\0" not in one and (path := clean(one)):
            yield path


def _modules(name: str) -> set[str]:
    path = name.replace(".", "/")
    return {f"{top}{path}{end}" for top in ("", "src/") for end in (".py", "/__main__.py", "/__init__.py")}


def protected_paths(
    base_paths: Collection[str], checks: Sequence[CheckSpec], targets: Sequence[str]
) -> tuple[str, ...]:
    """Return which files of the base a check is to find as they are on the base, sorted.

    Tests, stored expectations, files that only configure a checking program, and programs that a check names and that
    by their name check. Not what the task names as its target; not files that hold more than the configuration of a
    check (pyproject.toml, package.json): changes there are findings. *base_paths* are relative to the repository.
    """
    by = run_by(checks)
    kept = []
    for path in sorted({normpath(one) for one in base_paths}):
        checks_by_it = by.is_config(path) or by.is_script(path) or by.is_makefile(path)
        named = path in by.named and sounds_like_a_check(path)
        if (is_test(path) or is_stored_expectation(path) or checks_by_it or named) and not covers(targets, path):
            kept.append(path)
    return tuple(kept)
