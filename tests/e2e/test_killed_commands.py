"""Commands that take or leave a result, killed in the middle: typed again they do what they should have done."""

from pathlib import Path

import pytest
from tests.bridges.git_rig import git, needs_git
from tests.e2e.test_taken_work import GUARD, HUMAN, Root
from tests.harness import left_running, result, wait_until

from orchestrator.kit.failpoints import VARIABLE

pytestmark = needs_git


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def killed(root: Root, point: str, *words: str) -> None:
    root.call(*words, code=-9, **{VARIABLE: f"{point}:1:kill"})
    wait_until(lambda: left_running(root.path) == [], what="the end of all that ran")


def test_an_acceptance_that_was_killed_is_made_by_the_next(root: Root) -> None:
    root.ended("hello", HUMAN, ("hello.txt", "hello\n"))
    for point in ("deliver.committed", "deliver.fetched", "store.written"):
        killed(root, point, "accept", "hello")
        assert root.json("show", "hello")["status"] == "failed"
        root.call("recover", "hello", "--to", str(root.path / point))
        assert (root.path / point / "hello.txt").read_text() == "hello\n"
    root.call("accept", "hello")
    heads = git(root.top, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    assert heads == ["main", "orchestrator/hello"]
    assert git(root.top, "show", "orchestrator/hello:hello.txt") == "hello"
    with root.daemon() as running:
        root.wait_event("artifacts_written", 2)
        assert running.stop() == 0
    assert result(root.path, "hello")["status"] == "succeeded"


def test_a_merge_that_was_killed_has_merged_or_has_not(root: Root) -> None:
    root.ended("hello", GUARD + "- [ ] it is there: `test -e hello.txt`\n", ("hello.txt", "hello\n"))
    mine = root.commit("mine.txt", "mine\n")  # so that it is proven again
    for point in ("take.prepared", "prove.checkout", "prove.check"):
        killed(root, point, "merge", "hello")
        assert (root.head(), git(root.top, "status", "--porcelain", "--", ".")) == (mine, "")
    killed(root, "take.forwarded", "merge", "hello")
    assert (root.top / "hello.txt").read_text() == "hello\n"
    assert git(root.top, "log", "--format=%s", "-2").split("\n")[1] == "by the person"
    assert "has it already" in root.call("merge", "hello").stdout
    assert git(root.top, "status", "--porcelain", "--", ".") == ""
    left = root.path / ".orchestrator" / "tmp"
    assert [path.name[:6] for path in left.iterdir()] != []  # of a command; nobody could take it away
    with root.daemon() as running:
        root.wait_event("daemon_started", 2)
        assert running.stop() == 0
    assert list(left.iterdir()) == []


def test_a_discarded_branch_is_gone_and_can_be_had_again_though_nobody_was_told(root: Root) -> None:
    root.ended("hello", GUARD, ("hello.txt", "hello\n"))
    killed(root, "take.discarded", "discard", "hello")
    assert git(root.top, "branch", "--format=%(refname:short)") == "main"
    assert "Its work stays as refs/orchestrator/results/" in root.refused("discard", "hello")
    root.call("recover", "hello")
    assert git(root.top, "show", "recovered/hello-1:hello.txt") == "hello"
