"""Turns the text of a settings file, or a mapping of environment variables, into a layer of settings.

Nothing is read here: the caller gives bytes and mappings. Nothing is raised either: what is wrong is collected
in the layer, so that one report can name every problem of every source.
"""

import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from io import StringIO

import yaml
from dotenv.parser import parse_stream

VARIABLES: Mapping[str, str] = {
    "TELEGRAM_BOT_TOKEN": "telegram.token",
    "TELEGRAM_ALLOWED_USERS": "telegram.allowed_users",
    "TELEGRAM_CHAT_ID": "telegram.chat_id",
    "CLAUDE_SKIP_PERMISSIONS": "agents.claude.skip_permissions",
    "ORCHESTRATOR_ALLOW_UNCONFINED": "agents.claude.allow_unconfined",
    "ORCHESTRATOR_CONFINEMENT": "agents.claude.confinement",
    "ORCHESTRATOR_SELF_TEST": "agents.claude.self_test",
    "CLAUDE_BASE_CWD": "paths.base_cwd",
    "CLAUDE_ALLOWED_ROOT": "paths.allowed_root",
    "CLAUDE_TIMEOUT_SEC": "agents.claude.timeout_s",
    "CLAUDE_MAX_TURNS": "agents.claude.max_turns",
    "LOG_LEVEL": "logs.level",
    "MAX_CONCURRENT_TASKS": "pool.max_concurrent_tasks",
    "ORCHESTRATOR_CLAUDE_COMMAND": "agents.claude.command",
    "ORCHESTRATOR_MAX_STARTS": "crash_loop.max_starts",
    "ORCHESTRATOR_ROOT": "paths.root",
}
"""The environment variables that are settings, and the setting each one is. A contract."""

# CLAUDE_ and TELEGRAM_ are shared with the Claude CLI (some 150 names) and other programs: there only a name that
# looks like a misspelling of ours is worth a word. These prefixes are ours alone.
_OUR_PREFIXES = ("ORCHESTRATOR_", "MAX_CONCURRENT_", "LOG_LEVEL")
_OF_OTHERS = re.compile(r"CLAUDE_(CODE|AGENT|CONFIG_DIR|ENV_FILE|STREAM|PROJECT_DIR|PLUGIN)|ORCHESTRATOR_ATTEMPT$")
_LIKENESS = 0.8


@dataclass(frozen=True, slots=True)
class Layer:
    """Settings from one source.

    *values* is nested by group. *places* says for a dotted key where exactly it was written, for people.
    *problems* make the settings invalid, *warnings* do not.
    """

    name: str
    values: Mapping[str, object]
    places: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def yaml_layer(name: str, data: bytes | str) -> Layer:
    """Read a YAML file: text keys, no duplicates, no aliases; a key without a value counts as not written."""
    text, problem = _decoded(name, data)
    if problem:
        return Layer(name, {}, problems=(problem,))
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Layer(name, {})
        places: dict[str, str] = {}
        values = _plain(loader, node, name, (), places)
    except yaml.MarkedYAMLError as error:
        return Layer(name, {}, problems=(_yaml_problem(name, error),))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return Layer(name, {}, problems=(f"{name}: cannot be read as YAML: {_first_line(error)}",))
    if not isinstance(values, Mapping):
        return Layer(name, {}, problems=(f"{name}: expected groups of settings such as `pool:`",))
    return Layer(name, values, places, *_judged(places))


def dotenv_layer(name: str, data: bytes | str) -> Layer:
    """Read the text of a `.env` file. Values are taken as they stand; `$NAME` is not replaced."""
    text, problem = _decoded(name, data)
    if problem:
        return Layer(name, {}, problems=(problem,))
    values: dict[str, str] = {}
    lines: dict[str, str] = {}
    problems: list[str] = []
    warnings: list[str] = []
    for binding in parse_stream(StringIO(text)):
        place = f"{name} line {binding.original.line}"
        if binding.error:
            problems.append(f"{place}: expected NAME=value")
        elif binding.key is not None:
            if binding.key in values:
                warnings.append(f"{binding.key} is set twice in {name}; {place} counts")
            values[binding.key] = binding.value or ""
            lines[binding.key] = place
    if values.pop("ORCHESTRATOR_ROOT", ""):
        warnings.append(
            f"ORCHESTRATOR_ROOT in {lines['ORCHESTRATOR_ROOT']} has no effect: this file is found by the root"
        )
    layer = _from_variables(name, values, lambda key: lines[key])
    return Layer(name, layer.values, layer.places, tuple(problems), (*warnings, *layer.warnings))


def environment_layer(name: str, environ: Mapping[str, str]) -> Layer:
    """Pick our variables out of *environ*; everything else in it is left alone."""
    return _from_variables(name, environ, lambda _: name)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the one of *names* most like *name*, or "" when none is."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return found[0] if found else ""


def _from_variables(name: str, given: Mapping[str, str], place: Callable[[str], str]) -> Layer:
    values: dict[str, object] = {}
    places: dict[str, str] = {}
    for variable, key in VARIABLES.items():
        text = given.get(variable, "").strip()
        if not text:
            continue
        path = key.split(".")
        group = values
        for step in path[:-1]:
            group = group.setdefault(step, {})  # type: ignore[assignment] # only dicts are put there
        group[path[-1]] = _command(text) if key == "agents.claude.command" else text
        places[key] = f"{variable}, {place(variable)}"
    warnings = [warning for variable in sorted(given) if (warning := _stranger(variable, place))]
    return Layer(name, values, places, warnings=tuple(warnings))


def _stranger(variable: str, place: Callable[[str], str]) -> str:
    if variable in VARIABLES or _OF_OTHERS.match(variable):
        return ""
    like = difflib.get_close_matches(variable, list(VARIABLES), n=1, cutoff=_LIKENESS)
    if not like and not variable.startswith(_OUR_PREFIXES):
        return ""
    hint = f"; did you mean {like[0]}?" if like else f"; known are {', '.join(sorted(VARIABLES))}"
    return f"{variable} ({place(variable)}) is not a variable of this program and has no effect{hint}"


def _command(text: str) -> list[str]:
    """Split a command line. A backslash is itself, so that Windows paths survive; quotes hold spaces together."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.escape, lexer.commenters = True, "", ""
    try:
        return list(lexer)
    except ValueError:
        return [text]


def _decoded(name: str, data: bytes | str) -> tuple[str, str]:
    """Return (text, problem). A byte order mark stays: both readers know it."""
    if isinstance(data, str):
        return data, ""
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError as error:
        what = "looks like UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else f"byte {error.start} is not UTF-8"
        return "", f"{name}: {what}; save the file as UTF-8"


class _Loader(yaml.SafeLoader):
    """YAML without surprises: `on`, `no`, `12:30`, `017` and dates stay text; aliases and duplicates are refused."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call] # the stubs leave it out
            raise yaml.MarkedYAMLError(None, None, "aliases (*name) are not allowed here", mark)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {}
for _tag, _regex, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?", list("-+0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_regex})$"), _first)


def _plain(loader: _Loader, node: yaml.Node, name: str, path: tuple[str, ...], places: dict[str, str]) -> object:
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, name, (*path, str(index)), {}) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    values: dict[str, object] = {}
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        if key in values:
            raise yaml.MarkedYAMLError(None, None, f"{'.'.join((*path, key))} is written twice", key_node.start_mark)
        values[key] = _plain(loader, value_node, name, (*path, key), places)
        if values[key] is not None:
            places[".".join((*path, key))] = f"{name} line {key_node.start_mark.line + 1}"
    return values


def _judged(places: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    if place := places.get("paths.root"):
        problems = (f"paths.root ({place}): the root is chosen by --root or ORCHESTRATOR_ROOT, not in a file under it",)
    if place := places.get("telegram.token"):
        warnings = (f"telegram.token is in {place}; keep secrets in .env, which is not committed",)
    return problems, warnings


def _yaml_problem(name: str, error: yaml.MarkedYAMLError) -> str:
    line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
    return f"{name}{line}: {error.problem or 'cannot be read as YAML'}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
