"""Figures on a job or a period as one JSON document (analytics.schema.json), and the pages of a job's folder. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.analytics import Analysis, Bar, Group, Sum, analyse, edges_of
from orchestrator.core.events import Json, TaskUid
from orchestrator.core.measures import Measured
from orchestrator.core.picture import picture
from orchestrator.core.report import COMMAND
from orchestrator.core.report_analytics import analytics_text
from orchestrator.validation.result import iso, result_bytes

SCHEMA_VERSION = 1
KIND = "analytics"
MOST = 2000  # attempts in the timeline, tasks of the critical path; the counts count all
EFFICIENCY = "work_s / (wall_s * slots_used)"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is analysed: a *job* by its id, or what ended *since* (seconds since the epoch; 0.0: a job). *left_out*
    tasks were too many to be looked at."""

    job: str = ""
    since: float = 0.0
    left_out: int = 0

    @property
    def title(self) -> str:
        return f"Job {self.job}" if self.job else f"Tasks that ended since {iso(self.since)}"


def job_pages(subject: Subject, tasks: Sequence[Measured], until: float, command: str = COMMAND) -> Mapping[str, bytes]:
    """Return the pages on a job for the folder of its reports, by file name: `analytics.json` (analytics.schema.json),
    `analytics.md`, and `picture.html` with the timeline and the dependency graph.

    `job_pages(Subject(job="…"), [measured(task, attempts, believed=is_proven(task, attempts), needs=…, parent=…,
    depth=…) for every task of the job], until=now)`: *needs* are the uids a task waits for, sub-tasks included;
    `engine.analysis.measure` makes all of it from a store. *until* is what running attempts count to (seconds since
    the epoch). Words of strangers must be redacted before; they are escaped here. The same arguments give the same
    bytes.
    """
    found = analyse(tasks, until)
    told = build_analytics(subject, found, tasks, until)
    return {
        "analytics.json": result_bytes(told),
        "analytics.md": analytics_text(told, command).encode("utf-8", "backslashreplace"),
        "picture.html": picture(subject.title, found, tasks, edges_of(tasks)).encode("utf-8", "backslashreplace"),
    }


def build_analytics(subject: Subject, found: Analysis, tasks: Sequence[Measured], until: float) -> dict[str, Json]:
    """Return *found* as JSON; *tasks* are those it is about, *until* when that was."""
    names = {task.uid: task.name for task in tasks}
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "subject": {
            "job": subject.job,
            "since": iso(subject.since) if subject.since else None,
            "until": iso(until),
            "title": subject.title,
            "tasks_left_out": subject.left_out,
        },
        "counts": {
            "tasks": found.tasks,
            "ended": found.ended,
            "succeeded": found.succeeded,
            "proven": found.proven_tasks,
            "states": dict(sorted(found.states.items())),
        },
        "rates": _rates(found, tasks),
        "efficiency": _efficiency(found),
        "bottleneck": _bottleneck(found, names),
        "resources": _resources(found),
        "by_type": [_group(one) for one in found.by_type],
        "by_model": [_group(one) for one in found.by_model],
        "agents": _agents(found),
        "errors": _errors(found),
        "timeline": [_bar(one) for one in found.bars[:MOST]],
        "timeline_left_out": max(0, len(found.bars) - MOST),
        "complete": True,
    }


def _rates(found: Analysis, tasks: Sequence[Measured]) -> dict[str, Json]:
    ended = [task for task in tasks if task.ended]
    return {
        "success": _share(found.succeeded, found.ended),
        "proven_tasks": _share(found.proven_tasks, found.ended),
        "proven_criteria": _share(sum(task.proven for task in ended), sum(task.runnable for task in ended)),
        "tasks_per_hour": _rounded(found.per_hour),
    }


def _efficiency(found: Analysis) -> dict[str, Json]:
    one = found.efficiency
    return {
        "formula": EFFICIENCY,
        "value": _rounded(one.value),
        "work_s": round(one.work_s, 3),
        "wall_s": round(one.wall_s, 3),
        "slots_used": one.slots,
        "start": iso(found.start_ts) if found.bars else None,
        "end": iso(found.end_ts) if found.bars else None,
    }


def _bottleneck(found: Analysis, names: Mapping[TaskUid, str]) -> dict[str, Json]:
    one = found.bottleneck
    path: list[Json] = [{"uid": uid, "name": names.get(uid, uid)} for uid in one.path[:MOST]]
    return {
        "path": path,
        "tasks": len(one.path),
        "seconds": round(one.seconds, 3),
        "share_of_wall": _rounded(one.of_wall),
        "share_of_work": _rounded(one.of_work),
    }


def _resources(found: Analysis) -> dict[str, Json]:
    use = found.use
    return {
        "attempts": use.attempts,
        "work_s": round(use.work_s, 3),
        "waited_s": round(use.waited_s, 3),
        "blocked_s": round(use.blocked_s, 3),
        "turns": _sum(use.turns),
        "input_tokens": _sum(use.input_tokens),
        "output_tokens": _sum(use.output_tokens),
        "cost_usd": _sum(use.cost_usd),
    }


def _agents(found: Analysis) -> list[Json]:
    return [
        {
            "agent": one.agent,
            "attempts": one.attempts,
            "work_s": round(one.work_s, 3),
            "at_work_mean": _rounded(one.at_work),
            "at_work_most": one.most,
            "utilisation": _share(one.at_work or 0.0, one.most),
        }
        for one in found.agents
    ]


def _errors(found: Analysis) -> list[Json]:
    rows = sorted(found.failures.items(), key=lambda one: (-one[1], one[0]))
    return [{"kind": kind, "attempts": times, "rate": _share(times, found.ended_runs)} for kind, times in rows]


def _group(one: Group) -> dict[str, Json]:
    return {
        "key": one.key,
        "tasks": one.tasks,
        "succeeded": one.succeeded,
        "proven_tasks": one.proven_tasks,
        "proven_task_rate": _share(one.proven_tasks, one.tasks),
        "criteria_runnable": one.runnable,
        "criteria_proven": one.proven,
        "proven_criteria_rate": _share(one.proven, one.runnable),
        "attempts": one.attempts,
        "cost_usd": _sum(one.cost_usd),
        "median_cost_usd": _rounded(one.median_cost_usd, 6),
        "median_s": _rounded(one.median_s, 3),
        "p90_s": _rounded(one.p90_s, 3),
    }


def _bar(one: Bar) -> dict[str, Json]:
    return {
        "uid": one.uid,
        "name": one.name,
        "attempt": one.number,
        "agent": one.agent,
        "model": one.model,
        "slot": one.slot,
        "start": iso(one.start_ts),
        "end": None if one.running else iso(one.end_ts),
        "seconds": round(one.end_ts - one.start_ts, 3),
        "waited_s": round(one.waited_s, 3),
        "outcome": one.outcome,
        "failure": one.failure,
    }


def _sum(one: Sum) -> dict[str, Json]:
    """What is not known whole is null, with what is known beside it."""
    return {"total": _rounded(one.total, 6), "known": round(one.known, 6), "attempts_unknown": one.unknown}


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)
