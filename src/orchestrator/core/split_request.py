"""What a worker says when it wants to split its task: from the arguments of its tool to a plan. Pure."""

import re
from collections.abc import Mapping, Sequence

from orchestrator.core.events import Json
from orchestrator.core.subtask import KEY_CHARS, MAX_PROMPT_CHARS, SUMMARY_CHARS, Plan, read_plan
from orchestrator.core.text import is_reserved, printable

FIELDS = ("title", "prompt", "type", "target_files", "criteria", "depends_on")
_SHOWN = 60


def read_request(request: Mapping[str, Json], *, default_type: str) -> tuple[Plan, tuple[str, ...]]:
    """Return the plan in *request*, with why it is wanted as its summary, and all that is wrong, in words.

    Sub-tasks name each other by their titles. One that names no type is of *default_type*.
    """
    faults = [f"{printable(key[:_SHOWN])!r} means nothing" for key in request.keys() - {"tasks", "why"}]
    why, rows = request.get("why"), request.get("tasks")
    if not isinstance(why, str) or not why.strip():
        faults.append("'why' has to say in a sentence why it is better split")
        why = ""
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not all(isinstance(row, Mapping) for row in rows):
        return Plan(()), (*faults, "'tasks' has to be a list of objects")
    given = [row for row in rows if isinstance(row, Mapping)]
    faults += [fault for number, row in enumerate(given, 1) for fault in _of_row(row, number)]
    titles = [_title(row) for row in given]
    twice = sorted({title for title in titles if title and titles.count(title) > 1})
    faults += [f"two sub-tasks have the title {printable(title[:_SHOWN])!r}" for title in twice]
    if faults:
        return Plan(()), tuple(faults)
    keys = dict(zip(titles, _keys(titles), strict=True))
    tasks = [_as_planned(row, keys, default_type) for row in given]
    plan, findings = read_plan({"summary": " ".join(why.split())[:SUMMARY_CHARS], "tasks": tasks})
    return plan, tuple(one.message for one in findings)


def _of_row(row: Mapping[str, Json], number: int) -> list[str]:
    where = f"sub-task {number}"
    faults = [f"{where}: {printable(key[:_SHOWN])!r} means nothing" for key in row.keys() - set(FIELDS)]
    for key in ("title", "prompt"):
        value = row.get(key)
        if not isinstance(value, str) or not any(letter.isalnum() for letter in value):
            faults.append(f"{where} has no {key}")
    prompt = row.get("prompt")
    if isinstance(prompt, str) and len(prompt) > MAX_PROMPT_CHARS:
        faults.append(f"the prompt of {where} has {len(prompt):,} characters, {MAX_PROMPT_CHARS:,} may be")
    return faults


def _title(row: Mapping[str, Json]) -> str:
    title = row.get("title")
    return " ".join(title.split()).casefold() if isinstance(title, str) else ""


def _keys(titles: Sequence[str]) -> list[str]:
    """Return a key for each of the *titles*: what of it a file name can say, and a number where two are the same."""
    keys: list[str] = []
    for number, title in enumerate(titles, 1):
        stem = re.sub(r"[^a-z0-9]+", "_", title).strip("_")[: KEY_CHARS - 4].strip("_")
        plain = stem if stem and not is_reserved(stem) else f"part_{number}"
        keys.append(plain if plain not in keys else f"{plain}_{number}")
    return keys


def _as_planned(row: Mapping[str, Json], keys: Mapping[str, str], default_type: str) -> dict[str, Json]:
    """Return *row* as a plan has it: with its key, and what it waits for by key. What is no text stays what it is."""
    after = row.get("depends_on", [])
    named: Json = after
    if isinstance(after, Sequence) and not isinstance(after, str):
        named = [keys.get(" ".join(one.split()).casefold(), one) if isinstance(one, str) else one for one in after]
    return {**row, "id": keys[_title(row)], "type": row.get("type") or default_type, "depends_on": named}
