"""Configuration of tests and checks, compared by what it means: options that leave tests out, bars put lower."""

import configparser
import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from posixpath import basename

from orchestrator.core.events import Json
from orchestrator.core.proof import Finding, Suspicion
from orchestrator.validation.integrity_facts import ChangedFile, short, weakened
from orchestrator.validation.integrity_lines import code_lines

_LEAVES_OUT = (
    *("-k", "-m", "-p", "-o", "-c", "--ignore", "--ignore-glob", "--deselect", "--collect-only", "--co", "--no-cov"),
    *("--lf", "--last-failed", "--sw", "--stepwise", "--setup-only", "--setup-plan", "--override-ini", "--noconftest"),
    *("--continue-on-collection-errors", "--exit-zero", "--passWithNoTests", "--testPathIgnorePatterns", "--exclude"),
    *("--grep", "--import-mode"),
)
_STRICT = (
    "--strict-markers",
    "--strict-config",
    "--strict",
    "-W",
    "--cov-fail-under",
    "--forbid-only",
    "--ci",
    "--bail",
)
_CHOOSES = (
    "testpaths",
    "python_files",
    "python_classes",
    "python_functions",
    "norecursedirs",
    "collect_imported_tests",
)
_BARS = re.compile(
    r"(?P<key>fail[_-]under|minimum_coverage|min(?:imum)?[_-]?coverage|threshold|branches|functions|lines|statements"
    r"|check-coverage|target|minimum|max_examples)[\"']?\s*[:=\s]\s*[\"']?(?P<value>\d+(?:\.\d+)?)", re.IGNORECASE,
)  # fmt: skip
_PARDONS = re.compile(
    r"\|\|\s*(?:true|:|exit 0|echo)|continue-on-error:\s*true|allow_failure:\s*true|^\s*exit 0\s*$|^\t-"
    r"|;\s*(?:true|exit 0)\s*[\"']?,?\s*$|\bif:\s*(?:false|\$\{\{\s*false)|set \+e|--exit-zero|--passWithNoTests"
)
_RUNS_TESTS = re.compile(
    r"\b(?:pytest|unittest|jest|vitest|mocha|rspec|phpunit|tox|nox|ruff|mypy|eslint|ctest|(?:go|cargo|npm|yarn|pnpm|make|gradle|mvn|dotnet|rake)\b.*\b(?:test|check|verify|lint))"
)
_JS_TOOLS = ("jest", "vitest", "mocha", "nyc", "c8", "ava", "tap", "eslintConfig")
_LIFECYCLE = ("preinstall", "install", "postinstall", "prepare", "prepublish", "prepack", "postpack")
_SCRIPTS = re.compile(r"^(?:pre|post)?(?:test|check|lint|verify|ci|coverage|typecheck)(?:$|[:_-])")


def read_config(path: str, text: str | None) -> Mapping[str, Json] | None:
    """Return *text* as sections: TOML, INI or JSON by the name; {} where it is not there, None where it is none."""
    if text is None:
        return {}
    try:
        if path.lower().endswith(".toml"):
            return tomllib.loads(text)
        if path.lower().endswith(".json"):
            read = json.loads(text)
            return read if isinstance(read, dict) else None
        parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
        parser.read_string(text)
        return {name: {key: value or "" for key, value in parser.items(name)} for name in parser.sections()}
    except (ValueError, configparser.Error, RecursionError):
        return None


def part(config: Json, *keys: str) -> Mapping[str, Json]:
    """Return the mapping at *keys*, {} where there is none."""
    for key in keys:
        config = config.get(key) if isinstance(config, Mapping) else None
    return config if isinstance(config, Mapping) else {}


def compare_config(file: ChangedFile, tools: frozenset[str]) -> Iterator[Finding]:
    """Yield how the configuration in *file* asks less of tests. *tools* are the programs that checks start."""
    name = basename(file.path).lower()
    before, after = read_config(name, file.base), read_config(name, file.result)
    if before is None or after is None:
        yield from _bars(file)
        return
    if name == "package.json":
        yield from _package(file, before, after, tools)
        return
    for section in (("tool", "pytest", "ini_options"), ("tool", "pytest"), ("pytest",), ("tool:pytest",)):
        yield from _pytest(file.path, part(before, *section), part(after, *section))
    yield from _coverage(file.path, before, after)
    for tool in sorted(tools - {"pytest", "coverage"}):
        for section in (("tool", tool), (tool,), (f"{tool}:{tool}",)):
            if part(before, *section) != part(after, *section):
                detail = f"the section {'.'.join(section)} that a check runs by has changed"
                yield Finding(Suspicion.CHECK_EDITED, file.path, detail)


def _words(value: Json) -> list[str]:
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError:
            return value.split()
    return [str(one) for one in value] if isinstance(value, Sequence) else []


def _pytest(path: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[Finding]:
    old, new = _words(before.get("addopts")), _words(after.get("addopts"))
    for detail in weaker_options(old, new):
        yield weakened(path, f"addopts: {detail}")
    for key in _CHOOSES:
        was, now = before.get(key), after.get(key)
        if was == now or (
            key == "testpaths" and was is not None and now is not None and set(_words(was)) <= set(_words(now))
        ):
            continue
        yield weakened(path, f"{key} chooses other tests: {short(str(now))} instead of {short(str(was))}")
    if before.get("xfail_strict") not in (None, after.get("xfail_strict")):
        yield weakened(path, "xfail_strict is not what it was")
    if "error" in _lines(before.get("filterwarnings")) and "error" not in _lines(after.get("filterwarnings")):
        yield weakened(path, "warnings are no errors any more")


def _lines(value: Json) -> list[str]:
    return [line.strip() for line in value.split("\n")] if isinstance(value, str) else _words(value)


def weaker_options(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """Yield which words of a command line leave tests out that *old* ran, or take strictness away."""
    for at, word in enumerate(new):
        value = f" {new[at + 1]}" if word in _LEAVES_OUT and at + 1 < len(new) else ""
        whole = f"{word}{value}"
        known = word in old and (not value or new[at + 1] in old)
        name = word.partition("=")[0]
        leaves_out = name in _LEAVES_OUT or (word.startswith(("-k", "-m", "-p", "-o")) and not word.startswith("--"))
        if leaves_out and not known:
            yield f"`{short(whole)}` was added"
    for word in old:
        name, _, bar = word.partition("=")
        now = next((other.partition("=")[2] for other in new if other.partition("=")[0] == name), None)
        if name in _STRICT and (now is None or (_number(now) < _number(bar))):
            yield f"`{word}` was {'taken away' if now is None else 'lowered'}"


def _number(text: Json) -> float:
    try:
        return float(text) if isinstance(text, (int, float, str)) else 0.0
    except ValueError:
        return 0.0


def _coverage(path: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[Finding]:
    for top in ((), ("tool", "coverage"), ("coverage",)):
        for name in ("report", "run", "coverage:report", "coverage:run"):
            old, new = part(before, *top, name), part(after, *top, name)
            if _number(new.get("fail_under")) < _number(old.get("fail_under")):
                yield weakened(path, f"fail_under is {new.get('fail_under', 'gone')}, was {old.get('fail_under')}")
            for key in ("omit", "exclude_lines", "exclude_also"):
                more = set(_lines(new.get(key))) - set(_lines(old.get(key)))
                if more and (old or key == "omit"):
                    yield weakened(path, f"coverage {key} leaves out more: {short(', '.join(sorted(more)))}")


def _package(
    file: ChangedFile, before: Mapping[str, Json], after: Mapping[str, Json], tools: frozenset[str]
) -> Iterator[Finding]:
    old, new = part(before, "scripts"), part(after, "scripts")
    for name in sorted({*old, *new}):
        if old.get(name) == new.get(name):
            continue
        now, was = short(str(new.get(name, "gone"))), short(str(old.get(name, "not there")))
        detail = f"the script {name} is `{now}`, was `{was}`"
        around = name in old or name.startswith(("pre", "post"))  # a new `pretest` runs with the old `test`
        if around and (_SCRIPTS.match(name) or (name in old and f"npm:{name}" in tools)):
            yield Finding(Suspicion.CHECK_EDITED, file.path, detail)
        elif name in _LIFECYCLE:
            yield Finding(Suspicion.HOOK_CHANGED, file.path, f"it runs at every install: {detail}", taints=False)
    for tool in _JS_TOOLS:
        if tool in before and before.get(tool) != after.get(tool):
            yield weakened(file.path, f"the settings of {tool} have changed")


def _bars(file: ChangedFile) -> Iterator[Finding]:
    """Yield bars that were put lower, by lines: for what is neither TOML, INI nor JSON."""
    old = _bars_of(file.base or "")
    for key, values in _bars_of(file.result or "").items():
        for was, now in zip(old.get(key, []), values, strict=False):
            if now < was:
                yield weakened(file.path, f"{key} is {now:g}, was {was:g}")
    for key, values in old.items():
        if file.result is not None and not _bars_of(file.result).get(key):
            yield weakened(file.path, f"{key} {values[0]:g} is gone")


def _bars_of(text: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for one in _BARS.finditer(text):
        found.setdefault(one["key"].lower(), []).append(float(one["value"]))
    return found


def compare_runner(file: ChangedFile) -> Iterator[Finding]:
    """Yield how a CI file, a Makefile or a script that runs tests was made to run fewer, or to pardon failures."""
    old = [" ".join(line.split()) for line in code_lines("x.sh", file.base or "")]
    before = {line for line in old if line}
    after: set[str] = set()
    for number, line in enumerate(code_lines("x.sh", file.result or ""), start=1):
        words = " ".join(line.split())
        after.add(words)
        if words and words not in before and _PARDONS.search(line) and file.base is not None:
            yield weakened(file.path, f"it pardons failures: `{short(words)}`", number)
    gone = [line for line in old if line not in after and _RUNS_TESTS.search(line)]
    still = [line for line in after - before if _RUNS_TESTS.search(line)]
    for line in gone[len(still) :]:
        yield weakened(file.path, f"it does not run any more: `{short(line)}`", old.index(line) + 1)


def recipe(text: str | None, target: str) -> tuple[str, ...]:
    """Return the lines of a Makefile that `make target` is decided by: its rule, those of what it needs, variables."""
    rules: dict[str, list[str]] = {}
    variables, current = [], ""
    for line in (text or "").replace("\\\n", " ").split("\n"):
        if line.startswith("\t") and current:
            rules[current].append(line.strip())
        elif found := re.match(r"^([\w.%/ -]+?)\s*::?(?!=)\s*(.*)$", line):
            current = found[1].split()[0]
            rules.setdefault(current, []).append(f": {found[2]}")
        elif re.match(r"^\s*(?:export |override )?[\w.]+\s*[:?+!]?=|^-?include\b|^define\b", line):
            variables.append(line.strip())
    wanted, seen = [target or next((name for name in rules if not name.startswith(".")), "")], dict[str, list[str]]()
    while wanted:
        name = wanted.pop()
        if name in rules and name not in seen:
            seen[name] = rules[name]
            wanted += [word for line in rules[name] if line.startswith(":") for word in line[1:].split()]
            wanted += re.findall(r"\$\(MAKE\)\s+(?:-\S+\s+)*([\w-]+)", "\n".join(rules[name]))
    used = "\n".join(line for lines in seen.values() for line in lines)
    named = [v for v in variables if v.startswith(("include", "-include", "SHELL", "MAKEFLAGS")) or _is_used(v, used)]
    return (*(f"{name}{line}" for name in sorted(seen) for line in seen[name]), *named)


def _is_used(assignment: str, used: str) -> bool:
    name = re.split(r"\s*[:?+!]?=", assignment.removeprefix("export ").removeprefix("override "), maxsplit=1)[0].strip()
    return f"$({name})" in used or f"${{{name}}}" in used
