"""What a check runs by: the files its command names, the programs it starts, the configuration that those read."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from posixpath import basename, normpath

from orchestrator.core.proof import CheckSpec, CriterionProof, Proof
from orchestrator.validation.integrity_commands import Named, Role, fits, is_pattern, named_in
from orchestrator.validation.integrity_facts import ChangedFile
from orchestrator.validation.integrity_paths import covers, is_of_checks, is_stored_expectation, is_test

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


@dataclass(frozen=True, slots=True)
class RunBy:
    """What the checks of a task run by.

    *named* are the files that commands name, with what each is to its check, *patterns* those named by one; *tools* the
    programs (with `npm:x` for a script), *goals* the targets of make.
    """

    named: Mapping[str, frozenset[Role]]
    patterns: tuple[Named, ...]
    tools: frozenset[str]
    goals: frozenset[str]

    def roles(self, path: str) -> frozenset[Role]:
        """Return what *path* is to the checks that name it, nothing where none does."""
        exactly = self.named.get(path, frozenset())
        return exactly | {one.role for one in self.patterns if fits(path, one.path)} if self.patterns else exactly

    def decides(self, path: str) -> bool:
        """Whether *path* says what is right, by what a command does with it or by its name and place."""
        roles = self.roles(path)
        listed = any(one.role is Role.RUN and fits(path, one.path) for one in self.patterns)
        return listed or Role.DECIDES in roles or (bool(roles & {Role.RUN, Role.GIVEN}) and is_of_checks(path))

    def runs(self, path: str) -> bool:
        """Whether a check runs *path* as the product: it is none by its name and place, and nothing compares by it."""
        return Role.RUN in self.roles(path) and not self.decides(path)

    def only_looks_at(self, path: str) -> bool:
        """Whether checks name *path* only to look at what it holds: it is what they are about."""
        return self.roles(path) == {Role.READ}

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


def run_by(checks: Sequence[CheckSpec], inside: str = "") -> RunBy:
    """Return what *checks* run by, which start in the folder *inside* of the repository."""
    named: dict[str, frozenset[Role]] = {}
    patterns: dict[Named, None] = {}
    tools: set[str] = set()
    goals: set[str] = set()
    for check in checks:
        files, commands = named_in(check.argv, inside)
        for one in files:
            if is_pattern(one.path):
                patterns[one] = None
            else:
                named[one.path] = named.get(one.path, frozenset()) | {one.role}
        for words in (check.argv, *commands):
            _programs(words, tools, goals)
    return RunBy(named, tuple(patterns), frozenset(tools), frozenset(goals))


def _programs(words: Sequence[str], tools: set[str], goals: set[str]) -> None:
    for at, word in enumerate(words):
        program = basename(word).lower()
        program = _ALIASES.get(program, program)
        tools.add(program)
        if program == "make":
            after = [one for one in words[at + 1 :] if not one.startswith("-") and "=" not in one]
            goals.update(after or [""])
        if program in _NPM:
            after = [one for one in words[at + 1 :] if not one.startswith("-") and one not in ("run", "run-script")]
            tools.update(f"npm:{one}" for one in after[:1])


def protects(path: str, by: RunBy) -> bool:
    """Whether a check is to find *path* as it is on the base, where no task names it as its target."""
    if by.is_config(path) or by.is_script(path) or by.is_makefile(path):
        return True
    if by.only_looks_at(path):
        return False  # `grep -q x tests/test_a.py` asks for a change of that very file
    named = is_of_checks(path) and bool(by.roles(path) - {Role.READ})
    return is_test(path) or is_stored_expectation(path) or named


def protected_paths(
    base_paths: Collection[str], checks: Sequence[CheckSpec], targets: Sequence[str], inside: str = ""
) -> tuple[str, ...]:
    """Return which files of the base a check is to find as they are on the base, sorted.

    Tests, stored expectations, files that only configure a checking program, and programs that a check names and that
    by their name check. Not what the task names as its target; not files that hold more than the configuration of a
    check (pyproject.toml, package.json): changes there are findings; not what a check only looks into. *base_paths* are
    relative to the repository, and so is *inside*, the folder that checks start in.
    """
    by = run_by(checks, inside)
    paths = sorted({normpath(one) for one in base_paths})
    return tuple(path for path in paths if protects(path, by) and not covers(targets, path))


def guarded_by_itself(
    proofs: Sequence[CriterionProof], files: Sequence[ChangedFile], *, targets: Sequence[str], inside: str = ""
) -> Sequence[CriterionProof]:
    """Return *proofs*, less those that hold by a program which *files* changed.

    A check that fails on the base and passes with another program proves something about that program. One that passed
    before may have been all there was to say so: what it says now is what the change made it say.
    """
    changed = [file.path for file in files if file.status != "A" and not file.same and not covers(targets, file.path)]
    told: list[CriterionProof] = []
    for one in proofs:
        by = run_by([one.check], inside) if one.check and one.verdict is Proof.HOLDS else None
        edited = next((path for path in changed if by and by.runs(path)), "")
        why = f"it passes, and did before, but it runs {edited}, which was changed"
        told.append(replace(one, verdict=Proof.UNPROVEN, why=why) if edited else one)
    return told


def gone_by(check: CheckSpec, targets: Sequence[str]) -> tuple[str, ...]:
    """Return the files that *check* names and that a task with these *targets* cannot change and still be believed.

    Without a look at the repository: what looks like a file, no tests, as those may gain something, and no patterns.
    """
    by = run_by([check])
    like_files = [
        path
        for path in by.named
        if not is_test(path) and re.search(r"/|[^.]\.[A-Za-z]\w{0,4}$", path) and " " not in path
    ]
    steering = [path for path in like_files if by.decides(path) or (targets and by.runs(path))]
    written = " ".join(check.argv)
    return tuple(sorted(path for path in steering if basename(path) in written and not covers(targets, path)))
