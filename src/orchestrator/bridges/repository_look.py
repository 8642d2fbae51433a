"""Looks at where a task would work, as `prepare` of the work areas would choose, and makes nothing of it.

Our own repository beside the person's, which every question goes to, is made in a folder of the caller's.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bridges.area_targets import repository_of
from orchestrator.bridges.git import Git, GitError
from orchestrator.bridges.git_clone import make_own, own_repository
from orchestrator.bridges.git_source import Source, UnfitError, find, has_repository, uncommitted
from orchestrator.bridges.isolation import AUTO, CLONE
from orchestrator.core.lint_batch import Repository
from orchestrator.core.work import Area, Isolation


@dataclass(frozen=True, slots=True)
class Place:
    """What was found. *area* is where the checks of a task may be run: a base and our repository of it, None without.
    *cwd* is the real path of the folder, "" where there is none."""

    found: Repository
    cwd: str = ""
    area: Area | None = None


class RepositoryLook:
    """Remembers what it saw of each repository. *folder* is the caller's own, *mode* as `isolation.mode`.

    *base_cwd* is the folder that the daemon makes by itself when a task needs it; what lies in its *own* folders is
    nobody's work.
    """

    def __init__(
        self, git: Git, folder: Path, *, mode: str, base_cwd: Path, own: Collection[Path] = frozenset()
    ) -> None:
        self._git = git
        self._folder = folder
        self._mode = mode
        self._base_cwd = base_cwd
        self._own = frozenset(own)
        self._seen: dict[tuple[str, tuple[str, ...]], Place] = {}
        self._dirty: dict[str, tuple[tuple[str, ...], str]] = {}

    async def at(self, cwd: str, targets: Sequence[str], allowed_root: str) -> Place:
        """Return where a task with this folder and these target files would work. Raises GitError and OSError for
        what a machine lacks."""
        try:
            real, fence = await asyncio.to_thread(_real, Path(cwd), Path(allowed_root), self._base_cwd)
        except (OSError, RuntimeError, ValueError) as error:
            why = getattr(error, "strerror", "") or str(error)
            return Place(Repository(missing=True, why=f"{cwd}: {why}"))
        if self._mode not in (AUTO, CLONE):
            return Place(Repository(why=f"isolation.mode is {self._mode}"), str(real))
        key = (str(real), () if has_repository(real) else tuple(targets))
        if key not in self._seen:
            self._seen[key] = await self._looked(real, targets, fence)
        return self._seen[key]

    async def _looked(self, real: Path, targets: Sequence[str], fence: Path) -> Place:
        refused = self._mode == CLONE
        try:
            source = await self._source(str(real), targets, str(fence))
        except UnfitError as error:
            return Place(Repository(why=str(error), refused=refused), str(real))
        if source is None:
            return Place(Repository(why=f"{real} lies in no git repository", refused=refused), str(real))
        return await self._cloneable(source, str(real))

    async def _source(self, cwd: str, targets: Sequence[str], fence: str) -> Source | None:
        if has_repository(Path(cwd)):
            return await find(self._git, cwd, fence)
        return await repository_of(self._git, targets, cwd, fence)

    async def _cloneable(self, source: Source, cwd: str) -> Place:
        own = own_repository(self._folder, source.git)
        given = {"object_format": source.object_format, "borrow": source.objects, "common": source.git}
        await make_own(self._git, own, **given)  # type: ignore[arg-type]
        if source.top not in self._dirty:
            self._dirty[source.top] = await self._uncommitted(source, str(own))
        paths, unknown = self._dirty[source.top]
        inside = str(Path("/base", source.relative))
        area = Area(inside, "/base", source.top, Isolation.CLONE, source.head, git_dir=str(own))
        return Place(Repository(source.top, uncommitted=paths, unknown=unknown), cwd, area)

    async def _uncommitted(self, source: Source, own: str) -> tuple[tuple[str, ...], str]:
        try:
            found = await uncommitted(self._git, source, own)
        except GitError as error:
            return (), str(error)
        return tuple(path for path in found if not self._is_own(Path(source.top, path))), ""

    def _is_own(self, path: Path) -> bool:
        return any(path.is_relative_to(one) for one in self._own)


def _real(cwd: Path, allowed_root: Path, base_cwd: Path) -> tuple[Path, Path]:
    if cwd == base_cwd and not cwd.exists():
        return cwd, allowed_root  # the daemon makes it when it is needed
    real, fence = cwd.resolve(strict=True), allowed_root.resolve(strict=True)
    if not real.is_dir():
        raise ValueError("it is not a folder")
    if not real.is_relative_to(fence):
        raise ValueError(f"it leads to {real}, outside of {fence}, by a symbolic link")
    return real, fence
