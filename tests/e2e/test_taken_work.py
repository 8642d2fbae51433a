"""Results that a person takes or leaves: real git, a real daemon, real commands; refusals change nothing."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.bridges.git_rig import git, needs_git, picture, repository
from tests.e2e.command_root import CommandRoot, script
from tests.harness import drop, result, task_text

pytestmark = needs_git

HUMAN = "- [ ] (human) it reads well\n"
GUARD = "- [ ] exists: `hello.txt`\n"


class Root(CommandRoot):
    """A root beside a person's repository."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.top = repository(path / "project", app__py="answer = 41\n", other__py="x = 1\n")
        self.env |= {"CLAUDE_ALLOWED_ROOT": str(self.top), "PATH": os.environ["PATH"]}

    def ended(self, name: str, criteria: str, *writes: tuple[str, str], more: str = "retries: 0\n") -> None:
        """Run a task that writes files to its end."""
        steps = [{"write": {"path": path, "text": text}} for path, text in writes]
        prompt = script({"init": 0}, *steps, {"result": "All is done."})
        with self.daemon() as running:
            drop(self.path, name, f"{task_text(name, prompt, more=more)}\n**Success Criteria:**\n{criteria}")
            self.wait(name)
            assert running.stop() == 0

    def refused(self, *words: str, code: int = 6) -> str:
        """Return what a command says that must change nothing in the person's repository."""
        before = picture(self.top), git(self.top, "for-each-ref", "refs/heads")
        said = self.call(*words, code=code).stderr
        assert (picture(self.top), git(self.top, "for-each-ref", "refs/heads")) == before
        return said

    def head(self) -> str:
        return git(self.top, "rev-parse", "HEAD")

    def commit(self, path: str, text: str) -> str:
        (self.top / path).write_text(text)
        git(self.top, "add", "-A")
        git(self.top, "commit", "-q", "-m", "by the person")
        return self.head()


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def test_what_waits_for_a_person_is_accepted_once_and_then_a_branch_and_a_success(root: Root) -> None:
    root.ended("hello", HUMAN, ("hello.txt", "hello\n"))
    assert (result(root.path, "hello")["status"], result(root.path, "hello")["reason"]) == ("failed", "unproven")
    assert root.archived("hello", "failed")
    assert git(root.top, "branch", "--format=%(refname:short)") == "main"
    assert "accept" in root.refused("merge", "hello")
    said = root.call("accept", "hello").stdout
    assert "It is the branch orchestrator/hello." in said
    assert git(root.top, "show", "orchestrator/hello:hello.txt") == "hello"
    with root.daemon() as running:
        root.wait_event("artifacts_written", 2)
        assert running.stop() == 0
    found = result(root.path, "hello")
    assert (found["status"], found["reason"]) == ("succeeded", "")
    assert found["accepted"]["was"] == "unproven"
    assert ["it reads well" in one for one in found["accepted"]["open"]] == [True]
    assert found["criteria"][0]["verdict"] == "human"
    assert found["work"]["delivered"]
    assert found["work"]["head"] == git(root.top, "rev-parse", "orchestrator/hello")
    assert (root.archived("hello", "processed"), root.archived("hello", "failed")) == (True, False)
    assert "Accepted by" in (root.path / "summaries" / "hello_summary.txt").read_text()
    assert root.json("validate-artifacts")["files"][0]["ok"]
    assert "there is nothing to accept" in root.refused("accept", "hello")
    root.call("merge", "hello")
    assert (root.top / "hello.txt").read_text() == "hello\n"


def test_a_failed_check_can_be_accepted_and_any_other_failure_not(root: Root) -> None:
    root.ended("wrong", "- [ ] exists: `never.txt`\n", ("hello.txt", "hello\n"))
    assert result(root.path, "wrong")["reason"] == "check_failed"
    assert root.json("accept", "wrong")["accepted"]["was"] == "check_failed"
    assert root.json("show", "wrong")["criteria"][0]["verdict"] == "failed"
    root.run_to_end(broken=script({"init": 0}, {"error": "it broke"}))
    assert "that is no matter of proof" in root.refused("accept", "broken")
    assert "no task is called" in root.refused("accept", "nobody", code=4)


def test_the_patch_applies_and_is_that_of_the_last_attempt_where_nothing_was_brought(root: Root) -> None:
    root.ended("hello", HUMAN, ("hello.txt", "h\u00e9llo\n"), ("app/py", "answer = 42\n"))
    before = picture(root.top)
    patch = root.call("diff", "hello").stdout
    assert patch.startswith("diff --git a/app/py b/app/py\n")
    assert "\x1b" not in patch
    assert root.call("diff", "hello", "--stat").stdout.endswith("2 files changed, 2 insertions(+), 1 deletion(-)\n")
    assert root.json("diff", "hello")["patch"] == patch
    assert picture(root.top) == before
    git(root.top, "apply", data=patch.encode())
    assert (root.top / "app" / "py").read_text() == "answer = 42\n"
    assert (root.top / "hello.txt").read_text() == "h\u00e9llo\n"


def test_a_branch_is_deleted_only_as_it_was_brought_and_can_be_had_again(root: Root) -> None:
    root.ended("hello", GUARD, ("hello.txt", "hello\n"))
    branch = "orchestrator/hello"
    brought = git(root.top, "rev-parse", branch)
    git(root.top, "switch", "-q", branch)
    assert "is checked out" in root.refused("discard", "hello")
    mine = root.commit("mine.txt", "mine\n")
    git(root.top, "switch", "-q", "main")
    assert "Somebody works on it" in root.refused("discard", "hello")
    git(root.top, "update-ref", f"refs/heads/{branch}", brought, mine)
    gone = root.json("discard", "hello")["discarded"]
    assert git(root.top, "branch", "--format=%(refname:short)") == "main"
    assert git(root.top, "rev-parse", gone["ref"]) == gone["commit"] == brought
    git(root.top, "branch", branch, gone["commit"])
    assert "get it back: git -C" in root.call("discard", "hello").stdout
    assert "is not in" in root.refused("discard", "hello")


def test_a_proven_result_is_merged_by_moving_the_branch_on_with_the_persons_hooks(root: Root) -> None:
    root.ended("hello", GUARD, ("hello.txt", "hello\n"))
    hook = root.top / ".git" / "hooks" / "post-merge"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{root.path}/hooked'\n")
    hook.chmod(0o755)
    (root.top / "other" / "py").write_text("x = 2\n")  # of the person, not in the way
    said = root.call("merge", "hello").stdout
    assert root.head() == git(root.top, "rev-parse", "orchestrator/hello")
    assert "1 file changed" in said
    assert (root.top / "hello.txt").read_text() == "hello\n"
    assert (root.top / "other" / "py").read_text() == "x = 2\n"
    assert (root.path / "hooked").exists()
    before = picture(root.top)
    assert "has it already" in root.call("merge", "hello").stdout
    assert picture(root.top) == before


def test_what_is_not_proven_is_merged_only_when_that_is_asked_for(root: Root) -> None:
    root.ended("words", "- [ ] it reads well\n", ("hello.txt", "hello\n"))
    assert "is not proven: [unproven] it reads well" in root.refused("merge", "words")
    root.call("merge", "words", "--unproven")
    assert (root.top / "hello.txt").read_text() == "hello\n"


def test_a_merge_is_refused_where_the_checkout_is_not_fit_for_it(root: Root) -> None:
    root.ended("hello", GUARD, ("hello.txt", "hello\n"), ("app/py", "answer = 42\n"))
    (root.top / "hello.txt").write_text("mine\n")
    (root.top / "app" / "py").write_text("answer = 43\n")
    assert "changes of yours where it goes: app/py, hello.txt" in root.refused("merge", "hello")
    (root.top / ".git" / "info" / "exclude").write_text("hello.txt\n")
    git(root.top, "checkout", "-q", "app/py")
    assert "where it goes: hello.txt" in root.refused("merge", "hello")  # ignored, and still somebody's
    (root.top / "hello.txt").unlink()
    (root.top / "app" / "py").write_text("answer = 43\n")
    git(root.top, "add", "app/py")
    (root.top / "app" / "py").write_text("answer = 41\n")
    assert "where it goes: app/py" in root.refused("merge", "hello")  # in the index only
    git(root.top, "reset", "-q", "--hard")
    git(root.top, "switch", "-q", "--detach")
    assert "HEAD is detached" in root.refused("merge", "hello")
    git(root.top, "switch", "-q", "main")
    (root.top / ".git" / "MERGE_HEAD").write_text(f"{root.head()}\n")
    assert "a merge is under way" in root.refused("merge", "hello")
    (root.top / ".git" / "MERGE_HEAD").unlink()
    (root.top / ".git" / "rebase-merge").mkdir()
    assert "a rebase is under way" in root.refused("merge", "hello")
    (root.top / ".git" / "rebase-merge").rmdir()
    root.call("merge", "hello")
    assert (root.top / "app" / "py").read_text() == "answer = 42\n"


def test_a_result_goes_on_top_of_what_came_meanwhile_and_conflicts_change_nothing(root: Root) -> None:
    root.ended("hello", GUARD, ("hello.txt", "hello\n"), ("app/py", "answer = 42\n"))
    head = root.commit("new.txt", "new\n")
    said = root.call("merge", "hello").stdout
    assert "on top of what was new there" in said
    assert git(root.top, "rev-parse", "HEAD^") == head
    assert git(root.top, "log", "-1", "--format=%(trailers:key=Task-Id,valueonly)").strip() == "hello"
    assert (root.top / "new.txt").read_text() + (root.top / "hello.txt").read_text() == "new\nhello\n"
    assert git(root.top, "status", "--porcelain") == ""
    git(root.top, "reset", "-q", "--hard", head)
    root.commit("app/py", "answer = 40\n")
    assert "does not fit together: app/py" in root.refused("merge", "hello", "--unproven")
    git(root.top, "switch", "-q", "--orphan", "elsewhere")
    root.commit("new.txt", "another history\n")
    assert "does not fit together: app/py" in root.refused("merge", "hello", "--unproven")


def test_a_result_that_does_not_hold_on_what_came_meanwhile_is_not_merged(root: Root) -> None:
    check = "- [ ] it greets, and nothing stops it: `sh -c 'test -f hello.txt && test ! -f stop.txt'`\n"
    root.ended("hello", check, ("hello.txt", "hello\n"))
    root.commit("stop.txt", "stop\n")
    assert "it greets, and nothing stops it" in root.refused("merge", "hello")
    git(root.top, "rm", "-q", "stop.txt")
    git(root.top, "commit", "-q", "-m", "go on")
    root.call("merge", "hello")
    assert (root.top / "hello.txt").read_text() == "hello\n"


def test_the_branch_is_pushed_with_the_persons_git_and_proposed_with_gh(root: Root) -> None:
    root.ended("hello", GUARD, ("hello.txt", "hello\n"))
    assert "has no remote 'origin'" in root.refused("push", "hello")
    far = root.path / "far.git"
    subprocess.run(["git", "init", "-q", "--bare", str(far)], check=True, stdin=subprocess.DEVNULL)
    git(root.top, "remote", "add", "origin", str(far))
    assert "There is: origin." in root.refused("push", "hello", "--remote", "upstream")
    programs = root.path / "programs"
    programs.mkdir()
    for name in ("git", "python3", "sh"):
        where = next(Path(one, name) for one in os.environ["PATH"].split(":") if Path(one, name).exists())
        (programs / name).symlink_to(where)
    without = root.call("pr", "hello", code=6, PATH=str(programs)).stderr
    assert "needs the program gh" in without
    assert git(far, "for-each-ref") == ""
    gh = programs / "gh"
    gh.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{root.path}/asked'\necho https://example.org/pull/7\n")
    gh.chmod(0o755)
    said = root.call("pr", "hello", PATH=f"{programs}:{os.environ['PATH']}").stdout
    assert said == "A pull request for orchestrator/hello is open: https://example.org/pull/7\n"
    assert (root.path / "asked").read_text().startswith("pr\ncreate\n--head\norchestrator/hello\n")
    assert git(far, "rev-parse", "orchestrator/hello") == git(root.top, "rev-parse", "orchestrator/hello")
    root.call("push", "hello")


def test_two_tasks_that_name_the_same_target_file_do_not_run_at_once(root: Root) -> None:
    targets = "\n**Target Files:**\n- app/py\n"
    more = f"cwd: {root.top}\n"
    with root.daemon() as running:
        drop(root.path, "one", task_text("one", root.waiting_prompt(), more=more) + targets)
        root.wait_event("claude_started")
        drop(root.path, "two", task_text("two", root.waiting_prompt(), more=more) + targets.replace("app/py", "app"))
        drop(root.path, "three", task_text("three", more=more, prompt=root.waiting_prompt()))
        root.wait_event("claude_started", 2)
        waits = root.json("show", "two")["task"]["waits_for"]
        assert waits == f"waits for one, which names the same target file: {root.top}/app/py"
        assert [event["task_id"] for event in root.events("claude_started")] == ["one", "three"]
        root.open_gate()
        root.wait("one", "two", "three")
        assert running.stop() == 0
    seen = [(event["event"], event.get("task_id")) for event in root.events()]
    assert seen.index(("task_succeeded", "one")) < seen.index(("claude_started", "two"))


def test_a_proven_result_is_merged_by_itself_where_that_is_configured(root: Root) -> None:
    (root.path / "config").mkdir(exist_ok=True)
    config = root.path / "config" / "orchestrator.yaml"
    config.write_text(f"{config.read_text() if config.exists() else ''}\ntaking: {{when_proven: [merge]}}\n")
    steps: list[dict[str, object]] = [
        {"init": 0},
        {"write": {"path": "hello.txt", "text": "hello\n"}},
        {"result": "All is done."},
    ]
    with root.daemon() as running:
        drop(root.path, "hello", f"{task_text('hello', script(*steps))}\n**Success Criteria:**\n{GUARD}")
        drop(root.path, "words", f"{task_text('words', script(*steps))}\n**Success Criteria:**\n- [ ] it is nice\n")
        root.wait("hello")
        root.wait("words")
        root.wait_event("result_taken", 1)
        assert running.stop() == 0
    assert (root.top / "hello.txt").read_text() == "hello\n"
    assert git(root.top, "log", "-1", "--format=%(trailers:key=Task-Id,valueonly)").strip() == "hello"
    report = root.json("report")
    told = {row["name"]: row.get("taken") for row in [*report["proven"], *report["unproven"]]}
    assert told == {
        "hello": [{"how": "merge", "by": "configuration", "ok": True, "branch": "main", "detail": ""}],
        "words": None,
    }
    assert [one["commands"] for one in report["decisions"]] == [["diff words", "merge words --unproven"]]
