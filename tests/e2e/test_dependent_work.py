"""Tasks that come after others in a real repository under a real daemon: branches, merges, a kill, a conflict."""

import os
from pathlib import Path

import pytest
from tests.bridges.git_rig import git, needs_git, picture, repository
from tests.e2e.command_root import CommandRoot, script
from tests.harness import drop, left_running, result, task_text, wait_until

from orchestrator.kit.failpoints import VARIABLE

pytestmark = needs_git


class Root(CommandRoot):
    """A root beside a person's repository."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.top = repository(path / "project", t="a\nb\nc\n")
        self.env |= {"CLAUDE_ALLOWED_ROOT": str(self.top), "PATH": os.environ["PATH"]}

    def writes(self, name: str, files: dict[str, str], *after: str) -> None:
        """Drop a task that writes *files* after the tasks *after*, and is proven by the last of them."""
        steps = [{"write": {"path": path, "text": text}} for path, text in files.items()]
        prompt = script({"init": 0}, *steps, {"result": f"{name} is done."})
        more = f"retries: 0\n{f'depends_on: [{chr(44).join(after)}]' if after else ''}\n"
        check = f"\n**Success Criteria:**\n- [ ] it is there: `test -e {list(files)[-1]}`\n"
        drop(self.path, name, task_text(name, prompt, more=more) + check)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def test_a_chain_runs_over_a_kill_each_on_the_merged_results_before_it_and_is_merged_by_its_last(root: Root) -> None:
    before = picture(root.top)
    root.writes("pay", {"pay": "1\n"}, "auth", "data")
    root.writes("auth", {"auth": "1\n"})
    root.writes("data", {"data": "1\n"})
    with root.daemon(**{VARIABLE: "area.merged:1:kill"}) as running:
        wait_until(lambda: running.process.poll() is not None, what="the daemon to die")
    wait_until(lambda: left_running(root.path) == [], what="the end of all that ran")
    with root.daemon() as running:
        root.wait("pay")
        assert running.stop() == 0
    assert picture(root.top, but=[".git/refs/heads/orchestrator"]) == before
    work = result(root.path, "pay")["work"]
    assert (work["merged"], [one["path"] for one in work["files"]]) == (["auth", "data"], ["pay"])
    assert git(root.top, "ls-tree", "--name-only", work["base"]).split() == ["auth", "data", "t"]
    heads = [git(root.top, "rev-parse", f"orchestrator/{name}") for name in ("auth", "data")]
    assert sorted(git(root.top, "show", "-s", "--format=%P", work["base"]).split()) == sorted(heads)
    assert result(root.path, "pay")["criteria"][0]["verdict"] == "proven"
    assert "auth" not in root.call("diff", "pay").stdout
    said = root.call("merge", "pay").stdout
    assert "With it came what it was built on: auth, data." in said
    assert {"auth", "data", "pay"} <= {path.name for path in root.top.iterdir()}
    assert "has it already" in root.call("merge", "auth").stdout


def test_results_that_contradict_each_other_are_a_question_with_branches_and_an_answer_ends_it(root: Root) -> None:
    for name in ("auth", "data"):
        root.writes(name, {"t": f"a\n{name}\nc\n"})
    root.writes("pay", {"pay": "1\n"}, "auth", "data")
    with root.daemon() as running:
        wait_until((root.path / "tasks/waiting/pay.question.md").exists, what="the question")
        text = (root.path / "tasks/waiting/pay.question.md").read_text()
        for words in ("- t", "orchestrator/auth", "orchestrator/data", "answer: done"):
            assert words in text
        area = Path(text.partition("edit them yourself in\n> ")[2].partition(",")[0])
        (area / "t").write_text("a\nboth\nc\n")
        root.call("answer", "pay", "done")
        root.wait("pay")
        assert running.stop() == 0
    assert result(root.path, "pay")["status"] == "succeeded"
    assert git(root.top, "show", "orchestrator/pay:t") == "a\nboth\nc"
    assert root.json("validate-artifacts")["files"][0]["ok"]
