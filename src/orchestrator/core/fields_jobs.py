"""The fields of a task file that say what it belongs to: dependencies, job, branch, and what may come of it by a split.

Ids are written as a list or as words with commas between them.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.core.dependencies import DependencyPolicy
from orchestrator.core.errors import TaskFileError
from orchestrator.core.frontmatter import Entry, Many, Scalar
from orchestrator.core.source import Source, line_of_key
from orchestrator.core.task import Notice, TaskRules, TaskSpec, id_key
from orchestrator.core.text import NAME, has_controls, printable

Read = tuple[Any, tuple[Notice, ...]]
JOB_CHARS = 80
BRANCH_CHARS = 200
MAX_DEPTH, MAX_CHILDREN = 16, 100
MAX_TREE_USD = 1_000_000.0
PLAN = "plan"  # the only thing that `approve` can ask for
JOB_ALIASES: Mapping[str, str] = {
    "dependencies": "depends_on",
    "branch_name": "branch",
    "max_recursion_depth": "max_depth",
}
_NOT_IN_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_NUMBER = re.compile(r"\$?\s*(?:[0-9]{1,9}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})\Z")


class Given(Protocol):
    """What is needed of a value that is about to be read."""

    @property
    def key(self) -> str: ...

    @property
    def entry(self) -> Entry: ...

    @property
    def rules(self) -> TaskRules: ...

    @property
    def text(self) -> str: ...

    @property
    def shown(self) -> str: ...

    def fault(self, reason: str, message: str, *, expected: str = "", hint: str = "") -> TaskFileError: ...


def without_effect(values: Mapping[str, Any], source: Source) -> tuple[Notice, ...]:
    """Return the notice for a `job` beside a `schedule`: a job is done once, and a schedule comes again and again."""
    if not values.get("job") or not values.get("schedule"):
        return ()
    message = "`job` has no effect beside `schedule`: a job is done once, and the runs of a schedule belong to none"
    return (Notice("job_of_schedule", message, line_of_key(source, "job"), 0, "job"),)


def depends_on_field(given: Given) -> Read:
    """Read ids. Raises depends_on_invalid."""
    value = given.entry.value
    if isinstance(value, Many):
        texts = [item.text.strip() for item in value.items if isinstance(item, Scalar)]
        if len(texts) != len(value.items):
            raise given.fault("depends_on_invalid", "`depends_on` holds a list or a map", expected="ids of tasks")
    else:
        texts = given.text.split(",")
    try:
        return read_ids(texts, most=given.rules.limits.list_entries), ()
    except ValueError as error:
        expected = "ids of tasks, as a list or with commas between them"
        raise given.fault("depends_on_invalid", f"`depends_on`: {error}", expected=expected) from None


def read_ids(texts: Sequence[str], *, most: int) -> tuple[str, ...]:
    """Return *texts* as ids, each once. Raises ValueError, in words, for what is none."""
    ids = {id_key(one): one for text in texts if (one := text.strip())}
    bad = next((one for one in ids.values() if not is_id(one)), None)
    if bad is not None:
        raise ValueError(f"'{printable(bad[:60])}' is no id")
    if len(ids) > most:
        raise ValueError(f"there are {len(ids)} ids, and {most} may be written")
    return tuple(ids.values())


def is_id(text: str) -> bool:
    """Return whether *text* can be the id of a task."""
    return NAME.match(text) is not None and not text.endswith(".")


def on_dependency_field(given: Given) -> Read:
    """Read a policy. Raises on_dependency_invalid."""
    word = given.text.lower().replace("-", "_")
    if word in tuple(DependencyPolicy):
        return word, ()
    raise given.fault("on_dependency_invalid", f"`on_dependency` is {given.shown}", expected=POLICIES)


POLICIES = ", ".join(policy.value for policy in DependencyPolicy)


def job_field(given: Given) -> Read:
    """Read the name of a job. Raises job_invalid."""
    if is_job_name(given.text):
        return given.text, ()
    expected = f"at most {JOB_CHARS} characters in one line"
    raise given.fault("job_invalid", f"{given.shown} cannot name a job", expected=expected)


def is_job_name(text: str) -> bool:
    """Return whether *text* can name a job."""
    return 0 < len(text) <= JOB_CHARS and text == text.strip() and not has_controls(text) and text.isprintable()


def branch_field(given: Given) -> Read:
    """Read the name of a branch. Raises branch_invalid."""
    if is_branch(given.text):
        return given.text, ()
    raise given.fault("branch_invalid", f"{given.shown} cannot name a branch", expected="a name such as feature/login")


def is_branch(text: str) -> bool:
    """Return whether git takes *text* for the name of a branch (`git check-ref-format --branch`)."""
    if not 0 < len(text) <= BRANCH_CHARS or not text.isprintable() or _NOT_IN_BRANCH.search(text):
        return False
    parts = text.split("/")
    odd = text in ("@", "HEAD") or text.startswith(("-", "refs/")) or text.endswith(".")
    return not odd and all(part and not part.startswith(".") and not part.endswith(".lock") for part in parts)


def tree_budget_field(given: Given) -> Read:
    """Read what a whole tree may cost. Raises tree_budget_out_of_range."""
    text = given.text
    if _NUMBER.match(text):
        number = float(text.removeprefix("$"))
        if math.isfinite(number) and 0 < number <= MAX_TREE_USD:
            return number, ()
    expected = f"US dollars above 0, at most {MAX_TREE_USD:g}"
    raise given.fault("tree_budget_out_of_range", f"`tree_budget_usd` is {given.shown}", expected=expected)


def approve_field(given: Given) -> Read:
    """Read what a person is to approve. Raises approve_invalid."""
    if given.text.lower() == PLAN:
        return PLAN, ()
    raise given.fault("approve_invalid", f"`approve` is {given.shown}", expected=PLAN)


def depends_on_itself(values: Mapping[str, Any]) -> str:
    """Return the id of a task that depends on itself, by its *values*; "" of any other."""
    own = str(values.get("id", ""))
    return own if own and id_key(own) in map(id_key, values.get("depends_on", ())) else ""


def written(spec: TaskSpec) -> dict[str, Any]:
    """Return the fields of *spec* that stand in its front matter, by their keys there."""
    texts = ("on_dependency", "job", "branch", "approve")
    numbers = ("max_depth", "max_children", "tree_budget_usd")
    return {
        **({"depends_on": list(spec.depends_on)} if spec.depends_on else {}),
        **{key: value for key in texts if (value := getattr(spec, key))},
        **{key: value for key in numbers if (value := getattr(spec, key)) is not None},
    }


JOB_FIELDS: Mapping[str, Callable[[Given], Read]] = {
    "depends_on": depends_on_field,
    "on_dependency": on_dependency_field,
    "job": job_field,
    "branch": branch_field,
    "tree_budget_usd": tree_budget_field,
    "approve": approve_field,
}
