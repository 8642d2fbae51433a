"""What `doctor` says of that which holds an agent."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bridges.findings import levels

from orchestrator.bridges.probes_confinement import (
    SandboxFacts,
    privilege_finding,
    project_finding,
    sandbox_facts,
    sandbox_findings,
)
from orchestrator.core.finding import Level

FAIL, PASS, WARN = Level.FAIL, Level.PASS, Level.WARN
Which = Callable[[str], str | None]


def nothing(_: str) -> str | None:
    return None


def everything(name: str) -> str | None:
    return f"/usr/bin/{name}"


def dnf_only(name: str) -> str | None:
    return "/usr/bin/dnf" if name == "dnf" else None


@pytest.mark.parametrize(
    ("facts", "which", "wanted"),
    [
        (SandboxFacts("auto", False), nothing, {"confinement": WARN, "programs": WARN}),
        (SandboxFacts("process", False), nothing, {"confinement": FAIL, "programs": FAIL}),
        (SandboxFacts("rules", True), everything, {"confinement": WARN}),
        (SandboxFacts("container", False), everything, {"confinement": WARN}),
        (SandboxFacts("shell", True), everything, {"confinement": WARN, "programs": PASS, "user namespaces": PASS}),
        (SandboxFacts("auto", True), everything, {"confinement": PASS, "programs": PASS, "user namespaces": PASS}),
        (SandboxFacts("auto", False), everything, {"confinement": WARN, "programs": PASS, "user namespaces": WARN}),
        (SandboxFacts("process", False), everything, {"confinement": FAIL, "programs": PASS, "user namespaces": FAIL}),
        (  # what was tried counts: a profile of its own lets bubblewrap do what others may not
            SandboxFacts("auto", True, apparmor_restricts=1),
            everything,
            {"confinement": PASS, "programs": PASS, "user namespaces": PASS},
        ),
    ],
)
def test_confinement_is_judged_by_what_was_tried_and_what_was_wanted(
    facts: SandboxFacts, which: Which, wanted: dict[str, Level]
) -> None:
    assert levels(sandbox_findings(facts, which)) == wanted


@pytest.mark.parametrize(
    ("facts", "fix"),
    [
        (SandboxFacts("auto", False, max_user_namespaces=0), "sudo sysctl user.max_user_namespaces=15000"),
        (SandboxFacts("auto", False, unprivileged=0), "sudo sysctl kernel.unprivileged_userns_clone=1"),
        (SandboxFacts("auto", False, apparmor_restricts=1), "sudo apt install -y apparmor-profiles, or sudo sysctl"),
        (SandboxFacts("auto", False, uid=0, apparmor_restricts=1, unprivileged=0), "In a container, allow it"),
        (SandboxFacts("auto", False), "In a container, allow it namespaces (docker: --security-opt seccomp=unconfined"),
    ],
)
def test_forbidden_namespaces_are_told_with_what_is_lost_and_what_allows_them(facts: SandboxFacts, fix: str) -> None:
    finding = sandbox_findings(replace(facts, without="bubblewrap does not work here: no"), everything)[-1]
    assert finding.message == "bubblewrap does not work here: no: agents get file edits only, no shell"
    assert finding.fix.startswith(fix)


@pytest.mark.parametrize(
    ("uid", "which", "fix"),
    [
        (1000, nothing, "sudo apt install -y bubblewrap socat"),
        (0, nothing, "sudo apt install -y bubblewrap socat util-linux"),
        (1000, dnf_only, "sudo dnf install -y bubblewrap socat"),
    ],
)
def test_missing_confinement_names_what_is_lost_and_the_one_command(uid: int, which: Which, fix: str) -> None:
    finding = sandbox_findings(SandboxFacts("auto", False, uid=uid), which)[-1]
    assert finding.message.endswith("not on the PATH: agents get file edits only, no shell")
    assert finding.fix == fix


def test_kernel_settings_are_read_where_there_are_any(tmp_path: Path) -> None:
    (tmp_path / "sys/user").mkdir(parents=True)
    (tmp_path / "sys/user/max_user_namespaces").write_text("96365\n")
    facts = sandbox_facts("auto", 7, tmp_path, available=True)
    assert facts == SandboxFacts("auto", True, uid=7, max_user_namespaces=96365)


@pytest.mark.parametrize(
    ("wanted", "uid", "available", "skip", "allowed", "level"),
    [
        ("auto", 1000, True, False, False, PASS),
        ("auto", 0, True, False, False, WARN),
        ("auto", 1000, True, True, False, WARN),
        ("auto", 1000, False, True, False, FAIL),
        ("auto", 1000, False, True, True, WARN),
        ("shell", 1000, True, True, False, FAIL),
        ("container", 1000, False, True, False, WARN),
        ("auto", 1000, True, False, True, WARN),
    ],
)
def test_skipped_permissions_are_judged_by_what_holds_the_agent(
    wanted: str, uid: int, available: bool, skip: bool, allowed: bool, level: Level
) -> None:
    found = privilege_finding(SandboxFacts(wanted, available, uid=uid), skip_permissions=skip, allow_unconfined=allowed)
    assert found.level is level


@pytest.mark.parametrize(
    ("loaded", "notes", "level", "words"),
    [
        (False, True, PASS, "are not loaded; its CLAUDE.md and AGENTS.md reach the agent as text"),
        (False, False, PASS, "are not loaded; nor are its notes passed on"),
        (True, True, WARN, "loaded: a project's hooks, servers and variables run with the agent"),
    ],
)
def test_doctor_says_what_a_project_may_say_and_run(loaded: bool, notes: bool, level: Level, words: str) -> None:
    found = project_finding(loaded=loaded, notes=notes)
    assert (found.level, words in found.message) == (level, True)
    assert bool(found.fix) is loaded
