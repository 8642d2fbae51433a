"""What an area begins with beside the person's commit: the results of other tasks, merged.

Nothing is silently left out: a result that cannot be in it is in the notes, with where it is.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.bridges.area_facts import AreaFacts, Kept
from orchestrator.bridges.git import Git, GitError, names
from orchestrator.bridges.git_merge import Merged, is_taken, merge, side_of, side_of_commit
from orchestrator.bridges.git_refs import base_ref, bring, commit_at, join_ref
from orchestrator.bridges.git_snapshot import commit
from orchestrator.core.evidence import Unresolved
from orchestrator.core.failpoint import hit
from orchestrator.core.text import printable
from orchestrator.core.work import Area, Base, Isolation
from orchestrator.validation.conflicts import GREP

_OURS = "the-repository"


async def begun_with(git: Git, facts: AreaFacts, bases: Sequence[Base], *, author: str) -> AreaFacts:
    """Return *facts*, whose base is the person's commit, with the results *bases* in the base. Raises GitError."""
    fit, notes = await _fitting(git, facts, bases)
    if not fit:
        return replace(facts, notes=(*facts.notes, *notes))
    made = await merge(git, facts, [side_of_commit(facts.base, _OURS), *map(side_of, fit)], author=author)
    if made.commit != facts.base:
        await bring(git, facts, made.commit, base_ref(facts))
        hit("area.merged")
    return replace(
        facts,
        base=made.commit,
        bases=tuple(fit),
        parents=made.parents if made.unresolved else (),
        conflicts=made.unresolved,
        notes=(*facts.notes, *notes, *_merge_notes(fit, made)),
    )


def not_yet_merged(facts: AreaFacts, merges: Sequence[Base]) -> list[Base]:
    """Return those of *merges* that were not looked at before."""
    return [one for one in merges if _key(one) not in facts.considered]


async def joined_with(git: Git, facts: AreaFacts, merges: Sequence[Base], *, author: str) -> AreaFacts:
    """Return *facts* with the results *merges* of sub-tasks merged into what was kept last. Raises GitError."""
    fit, notes = await _fitting(git, facts, merges)
    considered = (*facts.considered, *map(_key, merges))
    if not fit:
        return replace(facts, considered=considered, notes=(*facts.notes, *notes))
    own = replace(side_of_commit(facts.base, _OURS), commit=await _work_so_far(git, facts, author))
    if facts.kept:
        own = replace(side_of(Base(facts.uid, facts.name, "", "", own.commit, "")), name=facts.name)
    made = await merge(git, facts, [own, *map(side_of, fit)], author=author)
    if made.commit != facts.start:
        await bring(git, facts, made.commit, join_ref(facts))
        hit("area.merged")
    return replace(
        facts,
        joined=made.commit,
        merged=(*facts.merged, *fit),
        conflicts=tuple(dict.fromkeys((*await _still(git, facts), *made.unresolved))),
        considered=considered,
        notes=(*facts.notes, *notes, *_merge_notes(fit, made)),
    )


async def unresolved_in(git: Git, facts: AreaFacts, kept: Kept | None) -> tuple[str, ...]:
    """Return the files of *kept* with markers of our merge, wherever they were moved to; () where there was none."""
    if not facts.conflicts:
        return ()
    if kept is None:
        return facts.conflicts
    found = await _with_markers(git, facts, kept.commit)
    if not found:
        return ()
    meant = set(await _with_markers(git, facts, facts.start)) - set(facts.conflicts)  # a text about merging
    return tuple(sorted(set(found) - meant))


def unresolved(facts: AreaFacts, paths: Sequence[str], place: Path) -> Unresolved | None:
    """Return what has to be told of *paths*, None where there are none."""
    if not paths:
        return None
    sides = (*facts.bases, *facts.merged)
    return Unresolved(tuple(map(shown, paths)), tuple(map(_side_words, sides)), str(place))


def in_place_notes(area: Area, bases: Sequence[Base]) -> tuple[str, ...]:
    """Return what is said of *bases* in a folder that is worked on in place: nothing is merged there."""
    if area.isolation is not Isolation.IN_PLACE:
        return ()
    away = [one for one in bases if one.head]
    return tuple(f"{_side_words(one)} is not merged into {area.source}: it is worked on in place" for one in away)


def shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


async def _fitting(git: Git, facts: AreaFacts, results: Sequence[Base]) -> tuple[list[Base], list[str]]:
    """Return the *results* that can be merged, and notes on the others."""
    fit, notes = [], []
    for one in results:
        if why := await _unfit(git, facts, one):
            notes.append(f"{_side_words(one)} is not in it: {why}")
        elif not await is_taken(git, facts, one.uid, one.head, facts.base):
            fit.append(one)
            if one.branch and not await commit_at(git, facts.source, f"refs/heads/{one.branch}"):
                notes.append(f"{_side_words(one)} was discarded before this began: it is in it nevertheless")
    return fit, notes


async def _unfit(git: Git, facts: AreaFacts, one: Base) -> str:
    """Return why a result cannot be merged, "" when it can."""
    if not facts.source:
        return "this one works in a copy of a folder, without a repository"
    if not one.head:
        where = f" in {one.source}" if one.source else ""
        return f"that one worked in place{where}, and nothing of it is a commit"
    if not await commit_at(git, facts.git_dir, one.head):
        where = "it lies in another repository" if one.branch else "it is no commit of this repository"
        return f"{where}, {one.source}"
    return ""


async def _work_so_far(git: Git, facts: AreaFacts, author: str) -> str:
    """Return the commit of what the task itself has left, with what was merged into it before among its parents."""
    kept = facts.last_kept()
    if kept is None:
        return facts.start
    if not facts.merged:
        return kept.deliverable
    tree = await git.says("rev-parse", f"{kept.deliverable}^{{tree}}", git_dir=facts.git_dir)
    date = await git.says("show", "-s", "--format=%cd", "--date=raw", kept.commit, git_dir=facts.git_dir)
    parents = (kept.deliverable, *(one.head for one in facts.merged))
    return await commit(git, facts, tree, "Only to be merged\n", author=author, date=date, parents=parents)


async def _still(git: Git, facts: AreaFacts) -> tuple[str, ...]:
    """Return what of an earlier merge is left: () where it was resolved since."""
    return await unresolved_in(git, facts, facts.last_kept())


async def _with_markers(git: Git, facts: AreaFacts, commit: str) -> list[str]:
    words = ("grep", "-z", "-l", "-a", "--full-name", "-E", "-e", GREP, commit)
    try:
        said = await git.run(*words, git_dir=facts.git_dir, ok=(0, 1))
    except GitError as error:
        raise GitError(f"whether conflicts are left is not known: {error}", shortage=error.shortage) from None
    return [name.removeprefix(f"{commit}:") for name in names(said)]


def _key(one: Base) -> str:
    return f"{one.uid}:{one.head}"


def _merge_notes(fit: Sequence[Base], made: Merged) -> list[str]:
    notes = [f"it began with the results of {', '.join(printable(one.task_id) for one in fit)}"]
    if made.conflicts:
        named = ", ".join(printable(one.path) for one in made.conflicts[:20])
        more = f" and {len(made.conflicts) - 20} more" if len(made.conflicts) > 20 else ""
        notes.append(f"these did not fit together in {named}{more}: its agent was asked to make one of them")
    return notes


def _side_words(one: Base) -> str:
    branch = f" (branch {one.branch})" if one.branch else ""
    return f"the result of {printable(one.task_id)}{branch}"
