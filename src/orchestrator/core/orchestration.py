"""A request in words that is to be split: what may be said beside the words, and the task that it becomes.

As JSON, for programs, it is `{"request": TEXT, "config": {…}}` with the keys of CONFIG; a key that means nothing is
refused, for who wrote it counts on it.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.core.errors import ConflictError, UsageError
from orchestrator.core.events import Json
from orchestrator.core.paths import resolve
from orchestrator.core.policy import RunPolicy
from orchestrator.core.reader import infer_priority, infer_title
from orchestrator.core.request import request_id
from orchestrator.core.split import APPROVE_PLAN, APPROVED
from orchestrator.core.task import Notice, Priority, TaskSpec
from orchestrator.core.text import printable

MAX_WORKERS, MAX_DEPTH = 64, 16
MAX_TIMEOUT_S, MAX_USD = 7 * 86_400, 1_000_000.0  # above what may be configured; `spec_of` holds to what is
REQUEST_CHARS = 200_000


@dataclass(frozen=True, slots=True)
class Orchestration:
    """What is asked for. *max_workers* of its sub-tasks run at once; 0: as many as there are slots. *max_depth* is how
    many splits may lie between the request and a task, None as configured; *current_depth* of them are used up already
    by whoever asks. *budget_usd* is for all of it, 0 as configured. *approve*: a person approves the plan; None as
    configured. *timeout_s* is for one attempt, 0 as configured."""

    request: str
    cwd: str = ""
    max_workers: int = 0
    max_depth: int | None = None
    current_depth: int = 0
    budget_usd: float = 0.0
    timeout_s: int = 0
    approve: bool | None = None
    notices: tuple[Notice, ...] = ()


def request_in(value: Json) -> Orchestration:
    """Return the request that a JSON document is. Raises UsageError, in words, for anything that is none."""
    if not isinstance(value, Mapping):
        raise UsageError("the request is no JSON object", hint='Write {"request": "…", "config": {}}.')
    _known(value, ("request", "config"), "the request")
    words, config = value.get("request"), value.get("config", {})
    if not isinstance(words, str):
        raise UsageError("`request` is no text", hint="Say there in words what is to be done.")
    if not isinstance(config, Mapping):
        raise UsageError("`config` is no object", hint=f"Its keys are: {', '.join(CONFIG)}.")
    _known(config, tuple(CONFIG), "`config`")
    read = {key: CONFIG[key](key, given) for key, given in config.items()}
    depth = read.get("max_recursion_depth")
    if read.get("enable_recursion") is False:
        depth = (
            min(1 + int(read.get("current_depth") or 0), int(depth))
            if depth
            else 1 + int(read.get("current_depth") or 0)
        )
    mode = read.get("execution_mode")
    message = f"execution_mode {mode!r} changes nothing: sub-tasks run on the machine of the daemon, as it is set up"
    return Orchestration(
        request=words,
        cwd=str(read.get("cwd") or ""),
        max_workers=int(read.get("max_workers") or 0),
        max_depth=int(depth) if depth is not None else None,
        current_depth=int(read.get("current_depth") or 0),
        budget_usd=float(read.get("budget_usd") or 0.0),
        timeout_s=int(read.get("default_timeout") or 0),
        approve=bool(read["approve"]) if "approve" in read else None,
        notices=(Notice("execution_mode_ignored", message, field="execution_mode"),) if mode else (),
    )


_Value = str | int | float | bool


def _known(row: Mapping[str, Json], names: tuple[str, ...], where: str) -> None:
    for key in row:
        if key not in names:
            near = difflib.get_close_matches(key[:60], names, n=1)
            meant = f"Did you mean `{near[0]}`? " if near else ""
            shown = printable(key[:60])
            raise UsageError(f"`{shown}` means nothing in {where}", hint=f"{meant}Keys: {', '.join(names)}.")


def _whole(least: int, most: int) -> Callable[[str, Json], _Value]:
    def read(key: str, value: Json) -> _Value:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise UsageError(f"`{key}` is {value!r:.60}", hint=f"A whole number from {least} to {most:,}.")

    return read


def _dollars(key: str, value: Json) -> _Value:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= MAX_USD:
        return float(value)
    raise UsageError(f"`{key}` is {value!r:.60}", hint=f"US dollars above 0, at most {MAX_USD:,.0f}.")


def _flag(key: str, value: Json) -> _Value:
    if isinstance(value, bool):
        return value
    raise UsageError(f"`{key}` is {value!r:.60}", hint="true or false.")


def _words(key: str, value: Json) -> _Value:
    if isinstance(value, str) and value.strip():
        return value
    raise UsageError(f"`{key}` is {value!r:.60}", hint="Some text.")


CONFIG: Mapping[str, Callable[[str, Json], _Value]] = {
    "max_workers": _whole(1, MAX_WORKERS),
    "default_timeout": _whole(1, MAX_TIMEOUT_S),
    "execution_mode": _words,
    "enable_recursion": _flag,
    "max_recursion_depth": _whole(1, MAX_DEPTH),
    "current_depth": _whole(0, MAX_DEPTH),
    "cwd": _words,
    "budget_usd": _dollars,
    "approve": _flag,
}
"""The keys of `config`, each with what reads it and refuses it in words."""


def spec_of(asked: Orchestration, policy: RunPolicy) -> TaskSpec:
    """Return the task that *asked* is under *policy*. Raises UsageError, ConflictError."""
    words = asked.request.strip()
    if not any(character.isalnum() for character in words):
        raise UsageError("the request has no word in it", hint="Say in words what is to be done.")
    if len(words) > REQUEST_CHARS:
        raise UsageError(f"the request has {len(words):,} characters, {REQUEST_CHARS:,} may be")
    kind = next((name for name, one in policy.types.items() if one.plans), "")
    if not kind:
        raise ConflictError("no type that plans is configured", hint="Set types.orchestrate with `plans: true`.")
    cwd = resolve(asked.cwd, base=policy.base_cwd, root=policy.allowed_root) if asked.cwd else ""
    if cwd is None:
        where = policy.allowed_root or policy.base_cwd
        raise UsageError(f"the folder {printable(asked.cwd)} does not lie under {where}")
    _within(asked, policy)
    levels, cut = levels_of(asked, policy)
    approve = {None: "", True: APPROVE_PLAN, False: APPROVED}[asked.approve]
    return TaskSpec(
        id=request_id(words),
        type=kind,
        priority=Priority(infer_priority(words).value),
        title=infer_title(words).value,
        prompt=words,
        cwd=cwd,
        timeout_s=asked.timeout_s or None,
        max_depth=levels,
        tree_budget_usd=asked.budget_usd or None,
        approve=approve,
        notices=(*asked.notices, *cut),
    )


def _within(asked: Orchestration, policy: RunPolicy) -> None:
    """Raise UsageError for more than a task may ask for here, by whatever door the request came."""
    bounds: tuple[tuple[str, float, float, str], ...] = (
        ("number of sub-tasks at once", asked.max_workers, MAX_WORKERS, ""),
        ("depth", max(asked.max_depth or 0, asked.current_depth), MAX_DEPTH, ""),
        ("time limit in seconds", asked.timeout_s, policy.max_timeout_s, ": limits.max_timeout_s"),
        ("budget in US dollars", asked.budget_usd, policy.max_budget_usd, ": limits.max_budget_usd"),
    )
    for what, given, most, setting in bounds:
        if given > most:
            raise UsageError(f"the {what} is {given:g}", hint=f"At most {most:,.15g}{setting}.")


def levels_of(asked: Orchestration, policy: RunPolicy) -> tuple[int, tuple[Notice, ...]]:
    """Return how many splits may lie below the request, with a notice where these are fewer than were asked for.
    Raises ConflictError when none may."""
    most = policy.splits.max_depth if asked.max_depth is None else asked.max_depth
    left = min(policy.splits.max_depth, most - asked.current_depth)
    if left < 1:
        used = f"max_recursion_depth is {most}, and current_depth {asked.current_depth}"
        why = used if asked.current_depth else f"orchestrate.max_depth is {policy.splits.max_depth}"
        raise ConflictError(f"the maximal depth is reached: {why}", hint="Do it as one task, or allow more.")
    if most - asked.current_depth <= left:
        return left, ()
    message = f"at most {left} splits deep, not {most - asked.current_depth}: orchestrate.max_depth is {left}"
    return left, (Notice("max_depth_cut", message, field="max_depth"),)
