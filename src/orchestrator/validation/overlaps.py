"""Results of a batch that changed the same files: each fits its base, together they may not fit."""

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

from orchestrator.core.events import Json

MOST = 100  # pairs that are told
MOST_PATHS = 20  # of a pair
_CROWD = 30  # tasks of which each changed the same file: told of neighbours only, not of each pair


def overlaps(works: Sequence[tuple[str, Mapping[str, Json]]]) -> list[Json]:
    """Return the pairs of tasks whose delivered branches changed the same files of the same repository.

    *works* are the names of tasks with the part `work` of their results, in the order of their ends, and its `task_id`
    where that is another. One that was built on the result of the other is no pair with it.
    """
    merged = {name: _merged(work) for name, work in works}
    by_file: dict[tuple[str, str], list[str]] = {}
    for name, work in works:
        if work.get("delivered") is not True:
            continue
        for path in _paths(work.get("files")):
            by_file.setdefault((str(work.get("folder")), path), []).append(name)
    ids = {name: str(work.get("task_id", name)) for name, work in works}
    pairs: dict[tuple[str, str, str], list[str]] = {}
    for (folder, path), names in by_file.items():
        together = combinations(names, 2) if len(names) <= _CROWD else pairwise(names)
        for one, other in together:
            if ids[one] not in merged[other] and ids[other] not in merged[one]:
                pairs.setdefault((folder, one, other), []).append(path)
    return [
        {"tasks": [one, other], "folder": folder, "paths": sorted(paths)[:MOST_PATHS], "files": len(paths)}
        for (folder, one, other), paths in list(pairs.items())[:MOST]
    ]


def _merged(work: Mapping[str, Json]) -> frozenset[str]:
    """Return the ids of the tasks on whose results this one was built: it fits them."""
    found = work.get("merged")
    return frozenset(map(str, found)) if isinstance(found, (list, tuple)) else frozenset()


def _paths(files: Json) -> list[str]:
    if not isinstance(files, (list, tuple)):
        return []
    return [str(one["path"]) for one in files if isinstance(one, Mapping) and one.get("path")]
