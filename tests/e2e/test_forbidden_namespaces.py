"""bubblewrap is installed and the kernel lets it make nothing: every door says so, none claims a confinement."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.command_root import CommandRoot
from tests.harness import environment, orchestrator, result, wait_until

from orchestrator.bridges.claude_find import locate

WHY = "No permissions to create a new namespace"
BWRAP = f"#!/bin/sh\necho 'bwrap: {WHY}' >&2\nexit 1\n"


def forbid(path: Path) -> str:
    """Return a PATH on which bubblewrap comes first as it is where user namespaces are forbidden."""
    folder = path / "bin"
    folder.mkdir()
    programs = {"bwrap": BWRAP, "socat": "#!/bin/sh\n"}  # for what is looked for by name only, one that does nothing
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return f"{folder}:{environment(path)['PATH']}"


def confined(path: Path, wanted: str) -> CommandRoot:
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("unshare or setpriv (util-linux) is missing: namespaces are not what is lost here")
    root = CommandRoot(path)
    root.env |= {"PATH": forbid(path), "ORCHESTRATOR_CONFINEMENT": wanted}
    (path / "tasks").mkdir()
    return root


def told(root: CommandRoot, group: str, code: int | None = None) -> dict[str, dict[str, Any]]:
    findings = json.loads(root.call("doctor", "--json", code=code).stdout)["findings"]
    return {one["name"]: one for one in findings if one["group"] == group}


def claude(root: CommandRoot) -> dict[str, Any]:
    (found,) = [one for one in root.json("status")["components"] if one["name"] == "claude"]
    return dict(found)


def test_doctor_status_and_the_result_agree_that_there_is_no_shell(tmp_path: Path) -> None:
    root = confined(tmp_path, "auto")
    said = told(root, "sandbox")
    assert said["confinement"]["message"] == "file edits only, no shell: tests and builds cannot be run"
    assert said["user namespaces"]["level"] == "warn"
    assert said["user namespaces"]["message"].startswith("bubblewrap does not work here: ")
    assert said["user namespaces"]["message"].endswith(f"{WHY}: agents get file edits only, no shell")
    assert said["user namespaces"]["fix"]
    assert WHY in told(root, "container")["processes"]["message"]
    assert claude(root)["words"].endswith(", file edits only, no shell")
    with root.daemon() as running:
        root.drop("t")
        root.wait("t")
        assert running.stop() == 0
    (attempt,) = result(tmp_path, "t")["attempts"]
    assert attempt["confinement"] == "file edits only, no shell"
    assert "namespace" not in attempt["container"]
    assert "claude    2.1.329 (" in (log := (tmp_path / "daemon.out").read_text())
    assert ", file edits only, no shell\n" in log


def test_a_confinement_that_was_asked_for_is_not_claimed_and_nothing_is_started(tmp_path: Path) -> None:
    root = confined(tmp_path, "process")
    said = told(root, "sandbox", code=1)
    assert said["confinement"]["level"] == said["user namespaces"]["level"] == "fail"
    assert said["confinement"]["message"] == "process is asked for and cannot be had here: no task is started"
    assert (claude(root)["usable"], "does not work" in claude(root)["words"]) == (False, True)
    with root.daemon() as running:
        root.drop("t")
        wait_until(lambda: root.events("agent_held"), what="the hold")
        assert running.stop() == 0
    assert "does not work" in json.dumps(root.events("agent_held"))
    assert root.events("task_succeeded") == []


@pytest.mark.real_cli
def test_the_demo_does_without(tmp_path: Path) -> None:
    env = environment(tmp_path, ORCHESTRATOR_CLAUDE_COMMAND=locate((), "").command[0], TMPDIR=str(tmp_path))
    done = orchestrator(tmp_path, "demo", env=env | {"PATH": forbid(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
