"""What a reader of task files needs to know of the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TaskType:
    """A configured task type.

    *tools* is the explicit list the agent gets. *expects_changes*: success without a changed file is not
    believed. *words* are the patterns by which the deterministic reader recognises the type in free text. *plans*: a
    task of this type is split by a plan, which its agent makes, instead of being done.
    """

    name: str
    tools: tuple[str, ...]
    expects_changes: bool
    words: tuple[str, ...] = ()
    plans: bool = False


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Caps on a task file, in bytes, characters or entries."""

    file_bytes: int = 1024 * 1024
    front_matter_bytes: int = 16 * 1024
    depth: int = 3
    nodes: int = 400
    prompt_bytes: int = 512 * 1024
    line_bytes: int = 64 * 1024
    list_entries: int = 200
    id_chars: int = 64


@dataclass(frozen=True, slots=True)
class TaskRules:
    """What the parser needs to know of the configuration.

    *base_cwd* is where relative paths start, *allowed_root* what no path may leave; both absolute.
    *strict* turns unknown keys into errors. *allow_commands*: whether a task by this door may bring commands to run.
    *timezone*: that of times in a file that names none; "" is that of this machine.
    """

    types: Mapping[str, TaskType]
    agents: tuple[str, ...]
    base_cwd: str
    allowed_root: str
    default_type: str = "analyze"
    strict: bool = False
    max_timeout_s: int = 86_400
    max_budget_usd: float = 1000.0
    limits: FileLimits = field(default_factory=FileLimits)
    allow_commands: bool = True
    timezone: str = ""
