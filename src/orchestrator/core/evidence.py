"""What the daemon itself saw change in a work area. Pure: two listings and their difference."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Files in which conflict markers of our merges are left. *sides* say which results came together, each in words;
    *place* is the folder that the files lie in."""

    paths: tuple[str, ...]
    sides: tuple[str, ...]
    place: str


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths relative to the work area, sorted. *complete* is False when the area was too large to be listed whole,
    or nothing was recorded before the start; then absence proves nothing. *detail* says why. *alone* is False when
    somebody else may have worked there at the same time; then presence proves nothing either. *own*: the area was made
    for this task, so whatever changed in it is its agent's doing. *unresolved*: what is left of a merge of ours."""

    created: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    complete: bool = True
    detail: str = ""
    alone: bool = True
    own: bool = False
    unresolved: Unresolved | None = None

    def __bool__(self) -> bool:
        return bool(self.created or self.modified or self.deleted)


def compare(
    before: Mapping[str, str], after: Mapping[str, str], *, complete: bool, detail: str = "", alone: bool = True
) -> Changes:
    """Return the difference of two listings, path -> fingerprint."""
    return Changes(
        created=tuple(sorted(after.keys() - before.keys())),
        modified=tuple(sorted(path for path in before.keys() & after.keys() if before[path] != after[path])),
        deleted=tuple(sorted(before.keys() - after.keys())),
        complete=complete,
        detail=detail,
        alone=alone,
    )
