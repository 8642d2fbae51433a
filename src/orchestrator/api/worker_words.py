"""How the worker's tool describes itself to an agent: words and JSON schemas, nothing else."""

from typing import Any

SPLIT_WORDS = (
    "Split your own task into sub-tasks. Each is given to another worker with nothing but what you write for it here; "
    "they work at the same time, except where depends_on says otherwise. Worth it when five or more separate parts "
    "could be worked on side by side, never for simple work. Call it once, before you change files. When it is "
    "accepted, end your turn: you are resumed with the results of all sub-tasks."
)
LIMITS_WORDS = "What split_task would accept from you now: how many sub-tasks, how deep, of which types, for how much."
LIMITS_SCHEMA: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
_STRINGS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_SUB_TASK: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["title", "prompt"],
    "properties": {
        "title": {"type": "string", "description": "A few words; no two the same."},
        "prompt": {"type": "string", "description": "All that the worker needs to know. It sees nothing of your talk."},
        "type": {"type": "string", "description": "A task type out of my_limits; yours if left out."},
        "target_files": {**_STRINGS, "description": "Files it will change, relative to your folder; no two share one."},
        "criteria": {**_STRINGS, "description": "How anybody can tell that it is done."},
        "depends_on": {**_STRINGS, "description": "Titles of the sub-tasks here that have to be done before it."},
    },
}
SPLIT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["tasks", "why"],
    "properties": {
        "tasks": {"type": "array", "items": _SUB_TASK},
        "why": {"type": "string", "description": "Why it is better split, in one sentence."},
    },
}
