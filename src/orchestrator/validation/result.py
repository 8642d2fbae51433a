"""The result of a task as JSON, built from stored facts only, so that it can be built again byte for byte."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.core.attempt import AttemptRecord, FailureKind
from orchestrator.core.codec import to_json
from orchestrator.core.events import Json
from orchestrator.core.lifecycle import State
from orchestrator.core.plan_words import plan_lines
from orchestrator.core.planning import PLAN, plan_in, why_one
from orchestrator.core.retry import POLICIES
from orchestrator.core.subtask import read_plan
from orchestrator.core.task import Task
from orchestrator.validation.proof import unchecked

SCHEMA_VERSION = 1
_TOO_EARLY = "the task did not get as far as being checked"
_SUMS = ("turns", "input_tokens", "output_tokens", "cost_usd")


def build_result(task: Task, attempts: Sequence[AttemptRecord]) -> dict[str, Json]:
    """Return the result of an ended task (result.schema.json)."""
    verdict: Mapping[str, Json] = attempts[-1].verdict if attempts else {}
    reports = [_mapping(record.outcome.get("report")) for record in attempts]
    last = reports[-1] if reports else {}
    return {
        "schema_version": SCHEMA_VERSION,
        "status": task.state.value,
        "reason": task.reason,
        "detail": task.detail,
        "hint": hint_for(task),
        "task": _task_part(task, attempts),
        "criteria": verdict.get("criteria") or _unjudged(task),
        "findings": verdict.get("findings") or [],
        "checks": verdict.get("checks") or [],
        "accepted": verdict.get("accepted"),
        "opinion": verdict.get("opinion"),
        "digest": verdict.get("digest"),
        "answer": _answer(attempts, last),
        "changes": _changes_part(verdict, last),
        "work": _work_part(attempts),
        "usage": _sums([_mapping(report.get("usage")) for report in reports]),
        "timing": _timing_part(task, attempts),
        "attempts": [_attempt_part(record, report) for record, report in zip(attempts, reports, strict=True)],
        "complete": True,
    }


def result_bytes(result: Mapping[str, Json]) -> bytes:
    """Return the file's exact bytes: ASCII only, so that lone surrogates and any terminal are safe."""
    return (json.dumps(result, indent=2, allow_nan=False, ensure_ascii=True) + "\n").encode("ascii")


def hint_for(task: Task) -> str:
    """Return what a person can do now about how *task* ended, "" when nothing is needed."""
    if task.state is State.FAILED and task.reason in list(FailureKind):
        return POLICIES[FailureKind(task.reason)].hint
    if task.state is State.CANCELLED:
        return "`retry` runs it again."
    return ""


def iso(ts: float) -> str:
    """Return seconds since the epoch as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(ts, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _task_part(task: Task, attempts: Sequence[AttemptRecord]) -> dict[str, Json]:
    spec = task.spec
    notices = [{"code": n.code, "message": n.message, "line": n.line, "field": n.field} for n in spec.notices]
    if why := why_one(attempts):
        message = f"it was to be split, and is {why}"
        notices.append({"code": "planned_as_one", "message": message, "line": 0, "field": ""})
    return {
        "uid": task.uid,
        "id": spec.id,
        "name": task.name,
        "type": spec.type,
        "priority": spec.priority.value,
        "title": spec.title,
        "created": spec.created.isoformat() if spec.created else None,
        "sha256": task.sha256,
        "revision": task.revision,
        "file_name": task.file_name.encode("utf-8", "backslashreplace").decode("utf-8"),
        "rerun_of": task.rerun_of,
        "tags": list(spec.tags),
        "target_files": list(spec.target_files),
        "inferred": [{"field": i.field, "value": i.value, "why": i.why} for i in spec.inferred],
        "notices": to_json(notices),
        **({"job": task.job[-8:]} if task.job else {}),
    }


def _answer(attempts: Sequence[AttemptRecord], last: Mapping[str, Json]) -> Json:
    """Return what the agent said at its end; a plan in the words of `plan show`, for its answer is a document."""
    told = last.get("answer", "")
    planned = plan_in(attempts[-1]).get(PLAN) if attempts else None
    if planned and str(told).lstrip().startswith("{"):
        return "\n".join(plan_lines(read_plan(planned)[0], ()))
    return told


def _unjudged(task: Task) -> list[Json]:
    """Return the criteria of a task that was never judged, in the words of the verdict."""
    rows = to_json([replace(proof, why=_TOO_EARLY) for proof in unchecked(task.spec.criteria)])
    return list(rows) if isinstance(rows, Sequence) else []


def _changes_part(verdict: Mapping[str, Json], last: Mapping[str, Json]) -> dict[str, Json]:
    seen = _mapping(verdict.get("changes"))
    return {
        "created": seen.get("created", []),
        "modified": seen.get("modified", []),
        "deleted": seen.get("deleted", []),
        "complete": seen.get("complete", False),
        "detail": seen.get("detail", "" if seen else "not compared"),
        "alone": seen.get("alone", True),
        "reported": last.get("files_changed", []),
    }


def _work_part(attempts: Sequence[AttemptRecord]) -> dict[str, Json]:
    """Return where the last attempt worked and what is kept of it; {} when it did not get that far."""
    if not attempts:
        return {}
    last = attempts[-1]
    return dict(_mapping(last.verdict.get("work")) or _mapping(last.outcome.get("work")))


def _sums(usages: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Sum each figure over the attempts; one unknown part makes the sum unknown, never smaller."""
    sums: dict[str, Json] = {}
    for key in _SUMS:
        parts = [usage.get(key) for usage in usages]
        known = [part for part in parts if isinstance(part, (int, float)) and not isinstance(part, bool)]
        total = sum(known) if len(known) == len(parts) else None
        sums[key] = round(total, 6) if isinstance(total, float) else total
    return sums


def _timing_part(task: Task, attempts: Sequence[AttemptRecord]) -> dict[str, Json]:
    running = sum(max(0.0, record.ended_ts - record.started_ts) for record in attempts if record.ended_ts)
    return {
        "accepted": iso(task.created_ts),
        "started": iso(attempts[0].started_ts) if attempts else None,
        "ended": iso(task.ended_ts),
        "running_s": round(running, 3),
    }


def _attempt_part(record: AttemptRecord, report: Mapping[str, Json]) -> dict[str, Json]:
    outcome = record.outcome
    return {
        "number": record.number,
        "agent": record.agent,
        "session_id": report.get("session_id") or record.session_id,
        "model": report.get("model", ""),
        "agent_version": report.get("agent_version", ""),
        "started": iso(record.started_ts),
        "ended": iso(record.ended_ts) if record.ended_ts else None,
        "outcome": outcome.get("kind", "unknown"),
        "failure": outcome.get("failure", ""),
        "detail": outcome.get("detail") or outcome.get("reason") or "",
        "exit_code": report.get("exit_code"),
        "container": report.get("container", ""),
        "confinement": report.get("confinement", ""),
        "project_notes": report.get("notes", []),
        "survivors_killed": report.get("survivors_killed", 0),
        "denials": report.get("denials", []),
        **_asked_part(record.verdict),
        **_recovery_part(record.verdict),
        "usage": report.get("usage", {}),
    }


def _recovery_part(verdict: Mapping[str, Json]) -> dict[str, Json]:
    """Return which strategy decided what follows the attempt, and what; nothing where the built-in policy did."""
    told = _mapping(verdict.get("recovery"))
    keys = ("strategy", "from_agent", "to_agent", "why")
    return {"recovery": {key: str(told.get(key, "")) for key in keys}} if told else {}


def _asked_part(verdict: Mapping[str, Json]) -> dict[str, Json]:
    """Return what the attempt asked, and what it was answered by whom; nothing where it asked nothing."""
    asked, answered = _mapping(verdict.get("question")), _mapping(verdict.get("answered"))
    if not asked:
        return {}
    question = {key: asked.get(key) for key in ("question", "options", "source")}
    told = {key: answered.get(key, "") for key in ("answer", "by", "door")} if answered else None
    return {"question": question, "answered": told}


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
