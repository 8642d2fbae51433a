"""Puts the layers of settings on top of each other and checks the whole, reporting every problem at once.

The order is: packaged defaults, config/orchestrator.yaml, .env, environment, command line; the last one that
says something wins, key by key. Nothing is read here; the composition root brings the texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.core.attempt import FailureKind
from orchestrator.core.errors import ConfigError
from orchestrator.core.remedies import ErrorClass
from orchestrator.settings_model import Settings, changed_keys, flat, secrets, shown, task_rules
from orchestrator.settings_sources import VARIABLES, Layer, dotenv_layer, environment_layer, nearest, yaml_layer
from orchestrator.settings_types import Door

__all__ = [
    "VARIABLES",
    "Door",
    "Layer",
    "Loaded",
    "Settings",
    "Shown",
    "changed_keys",
    "dotenv_layer",
    "effective",
    "environment_layer",
    "load_settings",
    "secrets",
    "task_rules",
    "yaml_layer",
]

_SECRET_KEYS = frozenset({"telegram.token", "notify.url"})
_KNOWN_TOOLS = (
    "Agent", "Bash", "BashOutput", "Edit", "Glob", "Grep", "KillShell", "LSP", "NotebookEdit", "Read", "Skill",
    "Task", "TodoWrite", "WebFetch", "WebSearch", "Write",
)  # fmt: skip
_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a group of settings",
    "extra_forbidden": "a known key",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "missing": "a value",
    "model_type": "a group of settings",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_short": "some text",
    "string_type": "text",
    "too_short": "at least {min_length} of them",
    "tuple_type": "a list",
    "value_error": "{error}",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """Valid settings, where each came from (dotted key to layer name), and what deserves a word nevertheless."""

    settings: Settings
    origin: Mapping[str, str]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """One effective setting as it may be shown to anybody: a secret is only its length."""

    key: str
    value: str
    origin: str


def load_settings(layers: Sequence[Layer]) -> Loaded:
    """Return the settings that *layers*, weakest first, amount to.

    One of them has to bring `paths.root`. Raises ConfigError with one line per problem: the key, the place it
    was written at, what was expected and, for a misspelt name, the nearest right one.
    """
    merged: dict[str, Any] = {}
    origin: dict[str, Layer] = {}
    for layer in layers:
        _lay(merged, layer.values, (), layer, origin)
    problems = [problem for layer in layers for problem in layer.problems]
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        details = [one for one in error.errors(include_url=False) if not _is_echo(one, origin)]
        raise _refusal([*problems, *(_problem(one, merged, origin) for one in details)]) from None
    if problems:
        raise _refusal(problems)
    weakest = layers[0].name if layers else ""
    names = {key: origin[key].name if key in origin else weakest for key in flat(settings)}
    warnings = [warning for layer in layers for warning in layer.warnings]
    return Loaded(settings, names, (*warnings, *_strange_tools(settings)))


def effective(loaded: Loaded) -> tuple[Shown, ...]:
    """Return every effective setting with its origin, in the order of the groups."""
    return tuple(Shown(key, shown(value), loaded.origin[key]) for key, value in flat(loaded.settings).items())


def _lay(
    below: dict[str, Any], above: Mapping[str, object], path: tuple[str, ...], layer: Layer, origin: dict[str, Layer]
) -> None:
    """Put *above* over *below*: groups are merged, everything else is replaced, None says nothing."""
    for key, value in above.items():
        here = (*path, key)
        if value is None:
            continue
        if isinstance(value, Mapping):
            group = below.get(key)
            if not isinstance(group, dict):
                group = below[key] = {}
            _lay(group, value, here, layer, origin)
        else:
            below[key] = value
        origin[".".join(here)] = layer


def _refusal(problems: Sequence[str]) -> ConfigError:
    count = "1 setting is" if len(problems) == 1 else f"{len(problems)} settings are"
    lines = "".join(f"\n  {problem}" for problem in problems)
    return ConfigError(f"{count} not valid{lines}", hint="Nothing was changed. Correct them and try again.")


def _problem(error: ErrorDetails, merged: Mapping[str, Any], origin: Mapping[str, Layer]) -> str:
    path = [str(step) for step in error["loc"] if step != "[key]"]
    key = ".".join(step for step in path if not step.isdigit())
    place = _place(key, origin)
    context = error.get("ctx", {})
    template = _EXPECTED.get(error["type"], error["msg"])
    expected = template.format(**context) if error["type"] in _EXPECTED else template
    unknown = error["type"] == "extra_forbidden" or "[key]" in error["loc"]
    head = f"{key or 'settings'}{f' ({place})' if place else ''}"
    like = _like(path, error)
    tail = f"; did you mean {like}?" if like else ""
    if unknown:
        return f"{head}: unknown{tail or '; config/orchestrator.yaml lists all settings'}"
    return f"{head}: expected {expected}{_found(key, path, merged)}{tail}"


def _is_echo(error: ErrorDetails, origin: Mapping[str, Layer]) -> bool:
    """An unset path takes over the value, and so the fault, of a path that is set."""
    key = ".".join(str(step) for step in error["loc"])
    return key in ("paths.base_cwd", "paths.allowed_root") and key not in origin


def _place(key: str, origin: Mapping[str, Layer]) -> str:
    steps = key.split(".")
    for length in range(len(steps), 0, -1):
        above = ".".join(steps[:length])
        if above in origin:
            return origin[above].places.get(above, origin[above].name)
    return ""


def _found(key: str, path: Sequence[str], merged: Mapping[str, Any]) -> str:
    value: Any = merged
    for step in path:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, str):
            break  # an item of a comma list: show the list as it was written
        else:
            return ""
    if key in _SECRET_KEYS or not isinstance(value, str | int | float):
        return ""
    return f", found {str(value)[:60]!r}" if isinstance(value, str) else f", found {value}"


def _like(path: Sequence[str], error: ErrorDetails) -> str:
    """Return the right name nearest to a wrong one, as a dotted key."""
    if error["type"] == "extra_forbidden":
        names = list(_names_at(Settings, path[:-1]))
    elif "[key]" in error["loc"] and path[0] in ("retries", "recovery"):
        classes = [one.value for one in ErrorClass] if path[0] == "recovery" else []
        names = [*classes, *(kind.value for kind in FailureKind)]
    else:
        return ""
    found = nearest(path[-1], names)
    return ".".join((*path[:-1], found)) if found else ""


def _names_at(model: type[BaseModel], path: Sequence[str]) -> Sequence[str]:
    if not path:
        return [field.alias or name for name, field in model.model_fields.items()]
    annotation = model.model_fields[path[0]].annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _names_at(annotation, path[1:])
    inner = [one for one in get_args(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    return _names_at(inner[0], path[2:]) if inner else []


def _strange_tools(settings: Settings) -> list[str]:
    """A misspelt tool is accepted by the CLI without a word and then missing: say so here."""
    return [
        f"types.{name}.tools: {tool} is not a tool this release knows"
        + (f"; did you mean {like}?" if (like := nearest(tool, list(_KNOWN_TOOLS))) else "")
        for name, one in settings.types.items()
        for tool in one.tools
        if tool not in _KNOWN_TOOLS and not tool.startswith("mcp__")
    ]
