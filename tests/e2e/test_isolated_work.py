"""Tasks in a real repository under a real daemon: the branch that comes of them, and that no crash loses their work."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bridges.git_rig import git, needs_git, picture, repository
from tests.e2e.command_root import CommandRoot, script
from tests.harness import drop, left_running, result, task_text, wait_until

from orchestrator.kit.failpoints import VARIABLE

pytestmark = needs_git

WRITES = ({"init": 0}, {"write": {"path": "half.txt", "text": "half a day of work\n"}})
CRITERIA = "\n**Success Criteria:**\n- [ ] it is there: `sh -c 'sleep 0.2; test -e half.txt'`\n"
PHASES = (  # in each life of a task the daemon dies so often; each death by itself: under_fire/sweep.py
    ("area.cloned", "area.recorded", "prepare.spawned", "run.progress"),
    ("keep.snapshot", "keep.fetched", "finish.committed", "prove.checkout"),
    ("prove.check", "deliver.committed", "deliver.fetched", "finish.delivered"),
)


class Root(CommandRoot):
    """A root beside a person's repository."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.top = repository(path / "project", app__py="answer = 41\n")
        self.env |= {"CLAUDE_ALLOWED_ROOT": str(self.top), "PATH": os.environ["PATH"]}
        self.before = picture(self.top)

    def untouched(self) -> bool:
        return picture(self.top, but=[".git/refs/heads/orchestrator", ".git/refs/heads/recovered"]) == self.before

    def areas(self) -> list[Path]:
        return sorted((self.path / ".orchestrator" / "work").glob("*/repo"))

    def written(self) -> bool:
        return any((area / "half.txt").exists() for area in self.areas())


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    found = Root(tmp_path)
    yield found
    assert found.untouched()


def test_what_a_task_did_is_a_branch_and_the_result_says_what_and_where(root: Root) -> None:
    root.drop("hello", script(*WRITES, {"result": "All is done."}))
    with root.daemon() as running:
        root.wait("hello")
        assert running.stop() == 0
    work = result(root.path, "hello")["work"]
    assert (work["isolation"], work["folder"], work["delivered"]) == ("clone", str(root.top), True)
    assert work["files"] == [{"path": "half.txt", "status": "A", "added": 1, "removed": 0}]
    assert (work["files_changed"], work["insertions"], work["deletions"]) == (1, 1, 0)
    assert work["base"] == git(root.top, "rev-parse", "main")
    assert work["head"] == git(root.top, "rev-parse", work["branch"])
    assert Path(work["patch"]).read_text().endswith("+half a day of work\n")
    trailers = git(root.top, "log", "-1", "--format=%(trailers:only,unfold)", work["head"])
    uid = result(root.path, "hello")["task"]["uid"]
    assert trailers.split("\n")[:2] == ["Task-Id: hello", f"Task-Uid: {uid}"]
    assert "Agent: claude 2.1.329" in trailers
    assert "Attempt: 1" in trailers
    assert root.json("validate-artifacts")["files"][0]["ok"]


@pytest.mark.parametrize("points", PHASES, ids=lambda points: points[0])
def test_a_daemon_that_is_killed_in_any_phase_loses_no_work_and_delivers_once(
    root: Root, points: tuple[str, ...]
) -> None:
    prompt = script(*WRITES, {"say": "So."}, {"result": "All is done."})
    drop(root.path, "hello", task_text("hello", prompt, more="retries: 0\n") + CRITERIA)
    for point in points:
        with root.daemon(**{VARIABLE: f"{point}:1:kill"}) as running:
            wait_until(lambda: running.process.poll() is not None, what="the daemon to die")
        for ref in git(root.top, "for-each-ref", "--format=%(refname)", "refs/orchestrator").split():
            lock = root.top / ".git" / f"{ref}.lock"  # as a git leaves it that is killed at the worst moment
            lock.touch()
        wait_until(lambda: left_running(root.path) == [], what="the end of all that ran")
        if root.written():
            root.call("recover", "hello", "--to", str(root.path / point))
            assert (root.path / point / "half.txt").read_text() == "half a day of work\n"
    with root.daemon() as running:
        root.wait("hello")
        assert running.stop() == 0
    found = result(root.path, "hello")
    assert found["status"] == "succeeded"
    assert git(root.top, "show", f"{found['work']['branch']}:half.txt") == "half a day of work"
    heads = git(root.top, "for-each-ref", "--format=%(refname)", "refs/heads").split()
    assert heads == ["refs/heads/main", "refs/heads/orchestrator/hello"]
    assert found["criteria"][0]["verdict"] == "proven"
    assert left_running(root.path) == []
    assert list((root.path / ".orchestrator" / "tmp").iterdir()) == []
    for lock in (root.top / ".git" / "refs").rglob("*.lock"):
        lock.unlink()


def test_what_a_dead_daemon_left_uncommitted_is_brought_back_without_starting_it_again(root: Root) -> None:
    root.drop("hello", script(*WRITES, {"wait_for": str(root.gate)}, {"result": "All is done."}))
    with root.daemon() as running:
        wait_until(root.written, what="the work to be half done")
        refused = root.call("recover", "hello", code=6)
        assert "runs: attempt 1 is not over" in refused.stderr
        running.kill()
    wait_until(lambda: left_running(root.path) == [], what="the agent to end with its daemon")
    back = root.path / "back"
    told = root.json("recover", "hello", "--to", str(back))["recovered"]
    assert (told["attempt"], told["files"], told["folder"]) == (1, 1, str(back))
    assert (back / "half.txt").read_text() == "half a day of work\n"
    assert (back / "app" / "py").read_text() == "answer = 41\n"
    assert not (back / ".git").exists()
    assert "is there already" in root.call("recover", "hello", "--to", str(back), code=6).stderr
    root.open_gate()
    with root.daemon() as running:
        root.wait("hello")
        assert running.stop() == 0
    assert result(root.path, "hello")["work"]["delivered"]


@pytest.mark.parametrize(
    ("ending", "more", "status"),
    [
        ({"error": "it broke"}, "retries: 0\n", "failed"),
        ({"hang": 0}, "retries: 0\ntimeout_sec: 1\n", "failed"),
        ({"signal": "KILL"}, "retries: 0\n", "failed"),
        ({"hang": 0.01}, "retries: 0\ntimeout_sec: 60\n", "cancelled"),
    ],
)
def test_work_is_kept_however_an_attempt_ends(root: Root, ending: dict[str, object], more: str, status: str) -> None:
    last = {"hang": 0} if status == "cancelled" else ending
    root.drop("hello", script(*WRITES, last), more)
    with root.daemon() as running:
        if status == "cancelled":
            wait_until(root.written, what="the work to be half done")
            root.call("cancel", "hello")
        root.wait("hello")
        assert running.stop() == 0
    found = result(root.path, "hello")
    assert found["status"] == status
    assert found["work"]["kept"] == "refs/orchestrator/attempts/hello/1"
    assert found["work"]["delivered"] is False
    assert git(root.top, "branch", "--format=%(refname:short)") == "main"
    said = root.call("recover", "hello").stdout
    assert said.startswith(f"attempt 1 is back as branch recovered/hello-1 of {root.top}: 1 file differs from where")
    assert git(root.top, "show", "recovered/hello-1:half.txt") == "half a day of work"
    assert root.call("recover", "hello", "--attempt", "7", code=4).stderr.count("Kept: 1.") == 1


def test_areas_of_ended_tasks_are_cleaned_only_where_all_in_them_is_kept(root: Root) -> None:
    for name in ("one", "two", "three"):
        root.drop(name, script(*WRITES, {"result": "All is done."}))
    with root.daemon() as running:
        for name in ("one", "two", "three"):
            root.wait(name)
        assert running.stop() == 0
    assert root.call("clean", "work").stdout == "0 work areas, 0.0 MB.\n"  # too young
    uids = {name: result(root.path, name)["task"]["uid"] for name in ("one", "two", "three")}
    work = root.path / ".orchestrator" / "work"
    (work / uids["two"] / "repo" / "later").write_text("by a person")
    git(root.top, "update-ref", "-d", "refs/orchestrator/attempts/three/1")
    told = {Path(area["path"]).name: area for area in root.json("clean", "work", "--days", "0", "--dry-run")["areas"]}
    assert {name: told[uid]["removed"] for name, uid in uids.items()} == {"one": True, "two": False, "three": False}
    assert told[uids["one"]]["size_bytes"] > 0
    assert "changed there since" in told[uids["two"]]["why"]
    assert "is not in" in told[uids["three"]]["why"]
    assert len(root.areas()) == 3
    said = root.call("clean", "work", "--days", "0").stdout
    assert f"removed: {work / uids['one']}" in said
    assert [area.parent.name for area in root.areas()] == sorted([uids["two"], uids["three"]])
    assert root.call("clean", "work", "--days", "0").stdout.endswith("0 work areas, 0.0 MB.\n")
    root.call("recover", "one", "--branch", "recovered/one")
    assert git(root.top, "show", "recovered/one:half.txt") == "half a day of work"
