"""The settings of jobs: what dependents do, how many tasks of one run at once, whether its folder is written."""

from typing import Annotated

from pydantic import Field

from orchestrator.core.dependencies import DependencyPolicy
from orchestrator.settings_types import Group, Number


class JobSettings(Group):
    """*max_workers*: 0 is no bound but the slots. *workspace*: `workspace/job_<id>/` is written."""

    on_dependency: DependencyPolicy
    max_workers: Annotated[int, Number, Field(ge=0, le=1000)]
    workspace: bool
