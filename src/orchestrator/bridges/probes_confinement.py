"""Looks at what can hold an agent here, for `doctor`: programs, kernel, root, skipped permissions."""

from dataclasses import dataclass
from pathlib import Path

from orchestrator.bridges.claude_levels import Level, in_force, programs, refusal, words
from orchestrator.bridges.probes_programs import Which
from orchestrator.core.finding import Finding, failed, passed, warned

GROUP = "sandbox"
_INSTALLERS = {
    "apt": "sudo apt install -y",
    "dnf": "sudo dnf install -y",
    "pacman": "sudo pacman -S --noconfirm",
    "zypper": "sudo zypper install -y",
    "apk": "sudo apk add",
}
_PACKAGES = {"bwrap": "bubblewrap", "socat": "socat", "unshare": "util-linux", "setpriv": "util-linux"}


@dataclass(frozen=True, slots=True)
class SandboxFacts:
    """*wanted* is agents.claude.confinement; *available* as in `claude_levels`, tried and not only looked at; *without*
    says why bubblewrap makes nothing here. The others are the user and kernel settings; None where there is none."""

    wanted: str
    available: bool
    without: str = ""
    uid: int = 1000
    max_user_namespaces: int | None = None
    apparmor_restricts: int | None = None
    unprivileged: int | None = None


def sandbox_facts(wanted: str, uid: int, proc: Path, *, available: bool, without: str = "") -> SandboxFacts:
    """Read what `sandbox_findings` needs to know of the kernel. *proc* is /proc."""

    def number(name: str) -> int | None:
        try:
            return int((proc / "sys" / name).read_text("ascii"))
        except (OSError, ValueError):
            return None

    return SandboxFacts(
        wanted,
        available,
        without,
        uid,
        number("user/max_user_namespaces"),
        number("kernel/apparmor_restrict_unprivileged_userns"),
        number("kernel/unprivileged_userns_clone"),
    )


def sandbox_findings(facts: SandboxFacts, which: Which) -> tuple[Finding, ...]:
    """Report on what holds an agent, and on what is lost where something is missing."""
    wanted = Level(facts.wanted)
    missing = [name for name in programs(as_root=facts.uid == 0) if which(name) is None]
    findings = [_level_finding(in_force(wanted, available=facts.available), available=facts.available)]
    if wanted in (Level.RULES, Level.CONTAINER):
        return tuple(findings)
    say = warned if wanted is Level.AUTO else failed
    lost = "agents get file edits only, no shell" if wanted is Level.AUTO else "no task is started"
    if missing:
        return (
            *findings,
            say(GROUP, "programs", f"{' and '.join(missing)} not on the PATH: {lost}", _install(missing, which)),
        )
    findings.append(passed(GROUP, "programs", "bwrap and socat are there"))
    if facts.available:
        findings.append(passed(GROUP, "user namespaces", "allowed: bubblewrap has made some"))
    else:
        findings.append(say(GROUP, "user namespaces", f"{facts.without}: {lost}", _permission(facts)))
    return tuple(findings)


def _level_finding(level: Level, *, available: bool) -> Finding:
    name, said = "confinement", words(level, skip_permissions=False)
    if level in (Level.PROCESS, Level.SHELL) and not available:
        fix = "Do what the next lines say, or set agents.claude.confinement: auto."
        return failed(GROUP, name, f"{level} is asked for and cannot be had here: no task is started", fix)
    if level is Level.PROCESS:
        return passed(GROUP, name, f"{said}; the CLI itself reaches the network, as it needs its provider")
    if level is Level.SHELL:
        fix = "Set agents.claude.confinement: auto; docs/confinement.md has the table."
        return warned(GROUP, name, f"{said}: the agent's shell can read your files", fix)
    if level is Level.CONTAINER:
        return warned(GROUP, name, f"{said}: nothing of ours holds the agent", "Set it to auto, unless this is one.")
    return warned(GROUP, name, f"{said}: tests and builds cannot be run", "See docs/confinement.md.")


def project_finding(*, loaded: bool, notes: bool) -> Finding:
    """Report on what a project may say to an agent, and whether it may run code beside it."""
    name = "project settings"
    if loaded:
        fix = "Set agents.claude.project_settings: false, unless you trust every project that tasks work in."
        return warned(GROUP, name, "loaded: a project's hooks, servers and variables run with the agent", fix)
    told = "its CLAUDE.md and AGENTS.md reach the agent as text" if notes else "nor are its notes passed on"
    return passed(GROUP, name, f"a project's settings, hooks and servers are not loaded; {told}")


def _install(missing: list[str], which: Which) -> str:
    """The one command for the package manager that is here; that of Debian where none is known."""
    packages = list(dict.fromkeys(_PACKAGES[name] for name in missing))
    manager = next((name for name in _INSTALLERS if which(name)), "apt")
    return f"{_INSTALLERS[manager]} {' '.join(packages)}"


def _permission(facts: SandboxFacts) -> str:
    """Return what lets bubblewrap make namespaces here, as far as the kernel's settings tell."""
    if facts.max_user_namespaces == 0:
        return "sudo sysctl user.max_user_namespaces=15000"
    if facts.unprivileged == 0 and facts.uid:
        return "sudo sysctl kernel.unprivileged_userns_clone=1"
    if facts.apparmor_restricts == 1 and facts.uid:
        return "sudo apt install -y apparmor-profiles, or sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    return (
        "In a container, allow it namespaces (docker: --security-opt seccomp=unconfined --security-opt "
        "apparmor=unconfined); else see what says more: bwrap --dev-bind / / --unshare-user --unshare-pid true"
    )


def privilege_finding(facts: SandboxFacts, *, skip_permissions: bool, allow_unconfined: bool) -> Finding:
    """Report on root and on skipped permissions."""
    name, level = "permissions", in_force(Level(facts.wanted), available=facts.available)
    reason = refusal(level, available=True, skip_permissions=skip_permissions, allow_unconfined=allow_unconfined)
    if reason:
        return failed(GROUP, name, "CLAUDE_SKIP_PERMISSIONS without confinement: no task is started", reason)
    if skip_permissions:
        said = words(level, skip_permissions=True)
        return warned(GROUP, name, said, "Set CLAUDE_SKIP_PERMISSIONS=false, unless tasks cannot do without.")
    if allow_unconfined:
        return warned(GROUP, name, "ORCHESTRATOR_ALLOW_UNCONFINED has no effect now", "Unset it.")
    if facts.uid == 0:
        return warned(GROUP, name, "running as root: an agent's mistake reaches more", "Run as an ordinary user.")
    return passed(GROUP, name, "an ordinary user, permissions are asked for")
