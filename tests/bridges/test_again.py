"""What the machine refuses is tried again, longer where something is short; what is wrong is not."""

import errno
from pathlib import Path

import pytest
from tests.bridges.git_rig import Rig, git, needs_git, repository

from orchestrator.bridges.again import TRIES, again
from orchestrator.bridges.git_commits import GitCommits
from orchestrator.core import failpoint
from orchestrator.core.errors import WorkAreaError


class Refusing:
    """Refuses with *number* the first *times* times."""

    def __init__(self, number: int, times: int) -> None:
        self.number, self.times, self.calls = number, times, 0

    async def act(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise OSError(self.number, "refused")
        return "done"


async def test_a_shortage_is_waited_out_and_another_refusal_is_tried_a_few_times() -> None:
    assert await again("it", Refusing(errno.ENOSPC, 50).act, pause_s=0) == "done"
    assert await again("it", Refusing(errno.EIO, TRIES - 1).act, pause_s=0) == "done"
    lasting = Refusing(errno.EIO, TRIES)
    with pytest.raises(OSError, match="refused"):
        await again("it", lasting.act, pause_s=0)
    assert lasting.calls == TRIES


@needs_git
async def test_a_disk_that_is_full_for_a_moment_costs_no_verdict_and_leaves_nothing(tmp_path: Path) -> None:
    top = repository(tmp_path / "top", app__py="answer = 41\n")
    commits = GitCommits(Rig(tmp_path).git, tmp_path / "tmp")
    refusals = iter([OSError(errno.ENOSPC, "the disk is full")])

    def full_once(name: str) -> None:
        if name == "prove.checkout" and (refusal := next(refusals, None)):
            raise refusal

    failpoint.install(full_once)
    try:
        async with commits.checkout(str(top / ".git"), git(top, "rev-parse", "HEAD")) as folder:
            assert Path(folder, "app", "py").read_text() == "answer = 41\n"
            assert len(list((tmp_path / "tmp").iterdir())) == 1
        with pytest.raises(WorkAreaError, match="there is no clean checkout"):
            async with commits.checkout(str(top / ".git"), "0" * 40):
                pass
    finally:
        failpoint.install(None)
    assert list((tmp_path / "tmp").iterdir()) == []
