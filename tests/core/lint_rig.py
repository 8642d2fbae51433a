"""Tasks for tests of the lint, and what was said about them in short."""

from collections.abc import Sequence

from orchestrator.core.lint import LintTask, Remark, Weight
from orchestrator.core.task import Criterion, Notice, Priority, TaskSpec


def task(
    task_id: str = "one",
    *criteria: Criterion,
    changes: bool = True,
    on: tuple[str, ...] = (),
    targets: tuple[str, ...] = (),
    file: str = "",
    notices: tuple[Notice, ...] = (),
    policy: str = "block",
    group: str = "",
    after: str = "",
    deadline: str = "",
    schedule: str = "",
) -> LintTask:
    spec = TaskSpec(
        task_id,
        "fix",
        Priority.MEDIUM,
        "T",
        "Do.",
        criteria=criteria,
        notices=notices,
        depends_on=on,
        after=after,
        deadline=deadline,
        schedule=schedule,
        timezone="UTC",
    )
    return LintTask(
        file or f"{task_id}.task.md", spec, "/w", targets, expects_changes=changes, policy=policy, group=group
    )


def said(remarks: Sequence[Remark]) -> list[tuple[Weight, str]]:
    return [(one.weight, one.code) for one in remarks]
