"""What the house asks of every file, so that nobody has to ask for it in a review."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
LINES_OF_A_MODULE = 400
LINES_OF_A_FUNCTION = 40
NO_NAMES = {"utils", "helpers", "manager", "base", "common", "misc"}
# Written in halves, or this file would be the first to break the rule.
PLACES_OF_ONE_MACHINE = ("/ro" + "ot/", "/wo" + "rk/", "/home/" + "user/")
HOSTS_OF_REGISTRIES = ("pypi" + ".org", "python" + "hosted", "npm" + "js.", "deb.deb" + "ian")


def tracked() -> list[Path]:
    """Every file that is or would be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return sorted(file for file in files if file.is_file())


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


FILES = tracked()
MODULES = [file for file in FILES if file.suffix == ".py"]
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in MODULES}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_there_is_something_to_look_at() -> None:
    assert len(MODULES) > 20


def test_every_module_is_short() -> None:
    """Tables of test data may be longer: nobody reads them from top to bottom."""
    counted = {name_of(m): m.read_text(encoding="utf-8").count("\n") for m in MODULES if "data" not in m.parts}
    assert {name: lines for name, lines in counted.items() if lines > LINES_OF_A_MODULE} == {}


def test_every_module_has_a_subject_and_says_it() -> None:
    assert [name_of(module) for module in MODULES if module.stem in NO_NAMES] == []
    silent = [m for m, tree in TREES.items() if m.name != "__init__.py" and not ast.get_docstring(tree)]
    assert [name_of(module) for module in silent] == []


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, less those of the docstring."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def test_every_function_fits_on_a_screen() -> None:
    sizes = {f"{name_of(m)}:{f.lineno} {f.name}": lines_of(f) for m, tree in TREES.items() for f in functions(tree)}
    assert {place: lines for place, lines in sizes.items() if lines > LINES_OF_A_FUNCTION} == {}


def called(tree: ast.Module) -> Iterator[str]:
    """Dotted names of everything that is imported, called or used as a decorator."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_nothing_is_mocked_and_nothing_sleeps() -> None:
    used = [(name_of(module), name) for module, tree in TREES.items() for name in called(tree)]
    assert [use for use in used if use[1].startswith("unittest.mock") or use[1] == "time.sleep"] == []


def test_a_test_that_is_not_run_says_why() -> None:
    silent = []
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name, reason = ast.unparse(node.func), any(keyword.arg == "reason" for keyword in node.keywords)
            if re.fullmatch(r"pytest\.(mark\.(skip|skipif|xfail)|skip|xfail)", name) and not (
                reason or (node.args and ".mark." not in name)
            ):
                silent.append(f"{name_of(module)}:{node.lineno}")
        bare = [d for f in functions(tree) for d in f.decorator_list if isinstance(d, ast.Attribute)]
        silent += [f"{name_of(module)}:{d.lineno}" for d in bare if d.attr in ("skip", "xfail")]
    assert silent == []


def named(words: tuple[str, ...]) -> list[str]:
    """Return `file:line word` for every place where one of *words* stands."""
    found = []
    for file in FILES:
        for number, line in enumerate(file.read_bytes().decode("utf-8", "replace").lower().split("\n"), start=1):
            found += [f"{name_of(file)}:{number} {word}" for word in words if word in line]
    return found


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    assert named(PLACES_OF_ONE_MACHINE) == []


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert named(HOSTS_OF_REGISTRIES) == []


def test_the_generated_pages_are_current() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "docs are current\n", ""), "type: python docs/generate.py"


# --- locks -------------------------------------------------------------------------------------------------------

LOCKED_EXTRAS = {
    "base": [],
    "dev": ["test", "dev"],
    "claude": ["claude"],
    "telegram": ["telegram"],
    "llama": ["llama"],
    "notify": ["notify"],
    "mcp": ["mcp"],
}


def pins(lock: str) -> Mapping[str, str]:
    """Package to version, of every platform."""
    text = (ROOT / "locks" / f"{lock}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,-]+\])?==([^\s;]+)", text, re.MULTILINE))


def asked(lock: str) -> list[Requirement]:
    direct = [] if lock == "claude" else PROJECT["dependencies"]
    extras = PROJECT["optional-dependencies"]
    return [Requirement(line) for line in [*direct, *(line for extra in LOCKED_EXTRAS[lock] for line in extras[extra])]]


def test_every_extra_is_locked() -> None:
    locked = {extra for extras in LOCKED_EXTRAS.values() for extra in extras}
    assert locked == set(PROJECT["optional-dependencies"])
    assert set(LOCKED_EXTRAS) == {file.stem for file in (ROOT / "locks").glob("*.txt")}


@pytest.mark.parametrize("lock", LOCKED_EXTRAS)
def test_what_pyproject_asks_for_is_locked_at_a_version_that_satisfies_it(lock: str) -> None:
    pinned = pins(lock)
    missing = [str(r) for r in asked(lock) if not r.specifier.contains(pinned.get(r.name.lower(), "0"))]
    assert missing == [], "type: python locks/refresh.py"
    assert asked(lock)


@pytest.mark.parametrize("lock", LOCKED_EXTRAS)
def test_every_pin_has_a_hash_and_no_line_an_address(lock: str) -> None:
    text = (ROOT / "locks" / f"{lock}.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize("lock", [name for name in LOCKED_EXTRAS if name not in ("base", "claude")])
def test_a_set_built_on_base_holds_all_of_it_at_the_same_versions(lock: str) -> None:
    assert pins("base").items() <= pins(lock).items()


def test_any_two_sets_fit_into_one_environment() -> None:
    for one in LOCKED_EXTRAS:
        for other in LOCKED_EXTRAS:
            both = pins(one).keys() & pins(other).keys()
            assert {name: pins(one)[name] for name in both} == {name: pins(other)[name] for name in both}


def test_the_gate_runs_with_what_is_locked() -> None:
    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return ""

    tools = ("ruff", "mypy", "pytest", "hypothesis", "import-linter")
    if Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("this environment is not the one that main.py makes")
    assert {tool: installed(tool) for tool in tools} == {tool: pins("dev")[tool] for tool in tools}
