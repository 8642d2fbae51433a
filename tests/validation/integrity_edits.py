"""How the tables of honest and dishonest edits are written: what a change did, and what is to be found in it."""

from dataclasses import dataclass

from orchestrator.core.proof import CheckKind, CheckSpec, Finding, Suspicion
from orchestrator.validation.integrity import ChangedFile, findings

PYTEST = ("pytest", "-q")


@dataclass(frozen=True, slots=True)
class Edit:
    """*kinds* are those of the findings that taint, *seen* those that do not."""

    about: str
    files: tuple[ChangedFile, ...]
    kinds: frozenset[Suspicion] = frozenset()
    seen: frozenset[Suspicion] = frozenset()
    check: tuple[str, ...] = PYTEST
    targets: tuple[str, ...] = ()

    def found(self) -> tuple[Finding, ...]:
        """Return what is found in it."""
        return findings(self.files, checks=[CheckSpec(CheckKind.COMMAND, self.check)], targets=self.targets)


def was(path: str, base: str, result: str, *, mode: str = "100644") -> ChangedFile:
    """Return the file at *path*, edited."""
    return ChangedFile(path, "M", base, result, base_mode="100644", result_mode=mode)


def new(path: str, result: str, *, mode: str = "100644") -> ChangedFile:
    """Return the file at *path*, added."""
    return ChangedFile(path, "A", None, result, result_mode=mode)


def gone(path: str, base: str) -> ChangedFile:
    """Return the file at *path*, deleted."""
    return ChangedFile(path, "D", base, None, base_mode="100644")
