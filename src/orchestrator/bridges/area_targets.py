"""The target files of a task, seen from its work area: in which repository they lie, and what they are called there."""

import os
from collections.abc import Sequence
from pathlib import Path

from orchestrator.bridges.area_facts import AreaFacts
from orchestrator.bridges.git import Git
from orchestrator.bridges.git_source import Source, UnfitError, find


async def repository_of(git: Git, targets: Sequence[str], cwd: str, fence: str) -> Source | None:
    """Return the one repository that all *targets* lie in, None where none of them lies in any.

    *cwd* is a real path from which relative ones count. Raises UnfitError where they lie in several, or only some of
    them in one, or where that one cannot be cloned.
    """
    tops = {_top_of(Path(_real(cwd, target))) for target in targets}
    found = sorted(str(top) for top in tops if top is not None)
    if not found:
        return None
    if len(found) > 1:
        raise UnfitError(f"its target files lie in several repositories: {', '.join(found)}")
    if None in tops:
        raise UnfitError(f"only some of its target files lie in the repository {found[0]}")
    return await find(git, found[0], fence)


def placed(targets: Sequence[str], facts: AreaFacts, repo: Path) -> tuple[str, ...]:
    """Return *targets* as they are called in the work area of *facts*, whose files lie in *repo*.

    A relative one that means the same there stays as it is written, and so does one outside of it.
    """
    source = facts.source or facts.asked_cwd
    same_place = os.path.normpath(os.path.join(source, facts.relative)) == facts.asked_cwd  # noqa: PTH118 - no link
    return tuple(_placed(target, facts.asked_cwd, source, repo, same_place=same_place) for target in targets)


def _placed(target: str, cwd: str, source: str, repo: Path, *, same_place: bool) -> str:
    if same_place and not Path(target).is_absolute():
        return target
    real = Path(_real(cwd, target))
    return str(repo / real.relative_to(source)) if real.is_relative_to(source) else target


def _real(cwd: str, target: str) -> str:
    """Return the real path of *target*: its own last part may be a link that is to be changed, or not there yet."""
    whole = Path(cwd, target)
    return str(Path(os.path.realpath(whole.parent), whole.name)) if whole.name else os.path.realpath(whole)


def _top_of(target: Path) -> Path | None:
    """Return the top of the repository that *target* lies in, or would lie in."""
    return next((above for above in (target, *target.parents) if (above / ".git").exists()), None)
