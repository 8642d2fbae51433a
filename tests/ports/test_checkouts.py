"""The conformance suite of the port Checkouts, and who passes it."""

from pathlib import Path

import pytest
from tests.bridges.git_rig import ENV, git, needs_git, repository
from tests.fakes_of_proof import FolderCheckouts

from orchestrator.bridges.git import Git
from orchestrator.bridges.git_commits import GitCommits
from orchestrator.core.errors import WorkAreaError
from orchestrator.core.ports import Checkouts


class CheckoutsContract:
    """Subclass it with a fixture `world`: (checkouts, source, base commit, result commit) of a repository where

    base has kept.txt ("old"), gone.txt and sub/a.txt; result has kept.txt ("new"), added.txt and sub/a.txt.
    """

    async def test_a_checkout_holds_the_files_of_its_commit_and_nothing_else(
        self, world: tuple[Checkouts, str, str, str]
    ) -> None:
        checkouts, source, base, result = world
        for commit, names in (
            (base, ["gone.txt", "kept.txt", "sub/a.txt"]),
            (result, ["added.txt", "kept.txt", "sub/a.txt"]),
        ):
            async with checkouts.checkout(source, commit) as folder:
                assert files(folder) == names

    async def test_paths_are_put_back_as_they_are_on_the_base_or_taken_away(
        self, world: tuple[Checkouts, str, str, str]
    ) -> None:
        checkouts, source, base, result = world
        restored = ["kept.txt", "gone.txt", "added.txt"]
        async with checkouts.checkout(source, result, base=base, restored=restored) as folder:
            assert files(folder) == ["gone.txt", "kept.txt", "sub/a.txt"]
            assert Path(folder, "kept.txt").read_text() == "old"

    async def test_each_is_private_may_be_written_to_and_is_removed_at_the_end(
        self, world: tuple[Checkouts, str, str, str]
    ) -> None:
        checkouts, source, _, result = world
        async with checkouts.checkout(source, result) as one, checkouts.checkout(source, result) as other:
            Path(one, "kept.txt").write_text("changed")
            Path(one, "sub", "b.txt").write_text("made")
            assert Path(other, "kept.txt").read_text() == "new"
            assert not Path(other, "sub", "b.txt").exists()
        assert not Path(one).exists()
        assert not Path(other).exists()
        async with checkouts.checkout(source, result) as again:
            assert Path(again, "kept.txt").read_text() == "new"

    async def test_what_is_to_be_copied_comes_from_beside_and_never_in_place_of_the_commits_own(
        self, world: tuple[Checkouts, str, str, str], tmp_path: Path
    ) -> None:
        checkouts, source, base, _ = world
        beside = tmp_path / "beside"
        beside.mkdir()
        (beside / ".env").write_text("KEY=1")
        (beside / "kept.txt").write_text("another")
        async with checkouts.checkout(source, base, beside=str(beside)) as folder:
            assert files(folder) == [".env", "gone.txt", "kept.txt", "sub/a.txt"]
            assert Path(folder, "kept.txt").read_text() == "old"
        async with checkouts.checkout(source, base) as folder:
            assert ".env" not in files(folder)

    async def test_a_commit_that_is_not_there_is_an_error_of_the_work_area(
        self, world: tuple[Checkouts, str, str, str]
    ) -> None:
        checkouts, source, *_ = world
        with pytest.raises(WorkAreaError):
            async with checkouts.checkout(source, "f" * 40):
                pass


COPIED = (".env", "kept.txt", "not there")


def files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


class TestFolderCheckouts(CheckoutsContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> tuple[Checkouts, str, str, str]:
        made = FolderCheckouts(tmp_path, copied=COPIED)
        made.add("base", {"kept.txt": "old", "gone.txt": "", "sub/a.txt": ""})
        made.add("result", {"kept.txt": "new", "added.txt": "", "sub/a.txt": ""})
        return made, "/source", "base", "result"


@needs_git
class TestGitCheckouts(CheckoutsContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> tuple[Checkouts, str, str, str]:
        top = repository(tmp_path / "app", **{"kept.txt": "old", "gone.txt": "", "sub__a.txt": ""})
        base = git(top, "rev-parse", "HEAD")
        (top / "gone.txt").unlink()
        (top / "kept.txt").write_text("new")
        (top / "added.txt").write_text("")
        git(top, "add", "-A")
        git(top, "commit", "-q", "-m", "second")
        made = GitCommits(Git(ENV["PATH"]), tmp_path, copied=lambda: COPIED)
        return made, str(top / ".git"), base, git(top, "rev-parse", "HEAD")
