"""What the looks at a change have in common: a changed file with its two sides, and how a finding is made."""

from dataclasses import dataclass

from orchestrator.core.proof import Finding, Suspicion

LINK = "120000"  # git's mode of a symbolic link; the text is then where it leads
LARGEST = 1_000_000  # characters; more is read by lines only, never parsed


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """One file that differs between base and result.

    *path* is relative to the repository with `/`. *status* is git's letter: A M D T (a rename is a D and an A). *base*
    and *result* are the texts, None where the file is not there or is binary. Modes are git's six digits ("100644",
    "100755", "120000"), "" where unknown or not there; of a symbolic link the text is its target.
    """

    path: str
    status: str
    base: str | None = None
    result: str | None = None
    binary: bool = False
    base_mode: str = ""
    result_mode: str = ""

    @property
    def same(self) -> bool:
        """Whether nothing can be told apart: such a file is no change."""
        return self.status == "M" and not self.binary and (self.base, self.base_mode) == (self.result, self.result_mode)

    @property
    def is_link(self) -> bool:
        """Whether the result is a symbolic link."""
        return self.result_mode == LINK


def weakened(path: str, detail: str, line: int = 0) -> Finding:
    """Return the finding that a test or its configuration tells less than on the base."""
    return Finding(Suspicion.TEST_WEAKENED, path, detail, line)


def short(text: str, limit: int = 100) -> str:
    """Return *text* on one line, cut."""
    words = " ".join(text.split())
    return words if len(words) <= limit else f"{words[: limit - 1]}…"
