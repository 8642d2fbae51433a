"""What is known of each success criterion: the check it names, how that ran on base and result, the verdict."""

from dataclasses import dataclass
from enum import StrEnum


class CheckKind(StrEnum):
    """What a criterion may name as its check. All but HUMAN are run by the daemon, never by the agent."""

    COMMAND = "command"  # exit code 0
    OUTPUT_MATCHES = "output_matches"  # exit code 0 and a regular expression found in what it prints
    FILE_EXISTS = "file_exists"
    FILE_CONTAINS = "file_contains"
    JSON_EQUALS = "json_equals"
    HUMAN = "human"  # a person says so


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A check. *argv* for commands, no shell; *path* relative to the work area for files; *pointer* a JSON pointer
    (RFC 6901); *expected* the regular expression, text or JSON value."""

    kind: CheckKind
    argv: tuple[str, ...] = ()
    path: str = ""
    pointer: str = ""
    expected: str = ""


class Proof(StrEnum):
    """The verdict on one criterion."""

    PROVEN = "proven"  # its check fails on the base and passes on the result
    HOLDS = "holds"  # its check passes on both: it guards, and proves nothing new
    FAILED = "failed"  # its check fails on the result
    UNPROVEN = "unproven"  # words only, or what was measured cannot be believed
    HUMAN = "human"  # a person has to look


@dataclass(frozen=True, slots=True)
class CheckRun:
    """One run of a check on one commit. *passed* None: it could not be run, and *detail* says why.

    *tail* is the end of what it printed, redacted. *confinement* says what held it.
    """

    passed: bool | None
    commit: str
    exit_code: int | None = None
    duration_s: float = 0.0
    tail: str = ""
    detail: str = ""
    confinement: str = ""


@dataclass(frozen=True, slots=True)
class CriterionProof:
    """A criterion with everything that is known of it. *opinion* is a model's, never evidence."""

    text: str
    verdict: Proof
    why: str
    mandatory: bool = True
    check: CheckSpec | None = None
    base: CheckRun | None = None
    result: CheckRun | None = None
    opinion: str = ""


class Suspicion(StrEnum):
    """What in a change makes its checks unbelievable, or must not be merged unseen."""

    TEST_DELETED = "test_deleted"
    TEST_SKIPPED = "test_skipped"  # a skip or expected failure was added
    ASSERTION_REMOVED = "assertion_removed"
    TEST_WEAKENED = "test_weakened"
    CHECK_EDITED = "check_edited"  # a script or configuration that a check runs by
    WROTE_OUTSIDE = "wrote_outside"  # of the work area
    PROCESS_LEFT = "process_left"
    HOOK_CHANGED = "hook_changed"  # what runs in somebody's next git, editor or shell
    AGENT_SETTINGS_CHANGED = "agent_settings_changed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One suspicious thing in a change. *taints*: checks that pass no longer prove anything; else it only stops an
    automatic merge. *line* 0 where there is none."""

    kind: Suspicion
    path: str
    detail: str
    line: int = 0
    taints: bool = True
