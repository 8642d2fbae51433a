"""From a task and the configuration to the order for one attempt."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestrator.core.agents import AgentProfile, choose_agent
from orchestrator.core.attempt import WorkOrder
from orchestrator.core.handover import conflict_words, merged_words
from orchestrator.core.notes import ProjectNote, given
from orchestrator.core.policy import RunPolicy
from orchestrator.core.prompt import continue_prompt_of, place_words, prompt_of
from orchestrator.core.question import Exchange
from orchestrator.core.task import Task, TaskSpec, TaskType
from orchestrator.core.work import Area


class Orders:
    """Asks for the configuration in force each time. *root_tag* marks the attempts of a root that is a copy."""

    def __init__(self, policy: Callable[[], RunPolicy], root_tag: str = "") -> None:
        self._policy = policy
        self._root_tag = root_tag

    def agent_of(self, task: Task) -> str:
        """Return the name of the agent that *task* runs on."""
        return task.agent or self._policy().default_agent

    def order(self, task: Task, *, resume: bool, budget_usd: float = 0.0, now: float = 0.0) -> WorkOrder:
        """*now* is when an attempt starts that is to be cut to the deadline of *task*; 0.0: it does not start."""
        policy, spec = self._policy(), task.spec
        profile = self.profile(task)
        return WorkOrder(
            uid=task.uid,
            attempt=task.attempt,
            epoch=task.epoch,
            task_id=spec.id,
            agent=profile.name,
            prompt=prompt_of(spec),
            continue_prompt=continue_prompt_of(spec),
            cwd=spec.cwd or policy.base_cwd,
            session_id=task.session_id,
            attempt_dir=f"{policy.attempts_dir}/{task.uid}.{task.attempt}",
            tools=self.type(task).tools,
            model=profile.model if task.on_agent else spec.model or profile.model,
            timeout_s=_within(task, spec.timeout_s or profile.timeout_s, now),
            max_turns=profile.max_turns if spec.max_turns is None else spec.max_turns,
            budget_usd=budget_usd,
            resume=resume,
            session_cost_usd=task.session_cost_usd,
            root_tag=self._root_tag,
            name=task.name,
            targets=spec.target_files,
            branch=spec.branch,
        )

    def profile(self, task: Task) -> AgentProfile:
        policy = self._policy()
        return choose_agent(task.agent, policy.agents, policy.default_agent)

    def type(self, task: Task) -> TaskType:
        """The configured type; one that has since been removed from the configuration keeps to reading."""
        reading = TaskType(task.spec.type, tools=("Read", "Grep", "Glob"), expects_changes=False)
        return self._policy().types.get(task.spec.type, reading)


def _within(task: Task, timeout_s: int, now: float) -> int:
    return max(1, min(timeout_s, int(task.deadline_ts - now))) if now and task.deadline_ts else timeout_s


def worded(
    order: WorkOrder, spec: TaskSpec, area: Area, notes: Sequence[ProjectNote], heard: Sequence[Exchange] = ()
) -> WorkOrder:
    """Return *order* with its prompt for the work area: target files as they are called there, *notes* of the project.

    *heard* is what was asked and answered before. What a resumed session is told instead names the same files, unless
    it is something else than the task again. Of other tasks whose results are in the area both tell.
    """
    there = replace(spec, target_files=area.targets or spec.target_files)
    place = place_words(spec, area)
    # What of its sub-tasks is in its area, and does not fit, a task is told by whoever joins them.
    merge = () if order.merges else (merged_words(area.merged), conflict_words(area.conflicts))
    others = (order.told, *merge)
    again = order.continue_prompt
    if again in (continue_prompt_of(spec), continue_prompt_of(spec, heard=heard)):
        again = continue_prompt_of(there, place, heard, others)
    prompt = prompt_of(there, notes, place, heard, others)
    return replace(order, prompt=prompt, continue_prompt=again, notes=given(notes))
