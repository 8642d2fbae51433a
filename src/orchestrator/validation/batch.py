"""What became of many tasks, as one JSON document (batch.schema.json), built from stored facts only. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.attempt import AttemptRecord, FailureKind
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import State
from orchestrator.core.plan import EVERYTHING, SWITCHED_OFF
from orchestrator.core.ports import Pause
from orchestrator.core.proof import Proof
from orchestrator.core.question import question_in
from orchestrator.core.report_proof import digest_words
from orchestrator.core.retry import hint_for as hint_of_reason
from orchestrator.core.task import Task
from orchestrator.validation.result import hint_for, iso

SCHEMA_VERSION = 1
MOST = 500  # rows of a section; the counts count all
SECTIONS = ("proven", "unproven", "failed", "cancelled", "rejected")
_NEXT = 12  # commands
_OPEN = 10  # criteria and findings of one task
_BELIEVED = (Proof.PROVEN.value, Proof.HOLDS.value)
_NOT_BELIEVED = "unproven"  # the reason of a task that failed only because its checks cannot be believed
_ANSWERS = frozenset({FailureKind.ASKED_A_QUESTION.value, FailureKind.PERMISSION_DENIED.value})


@dataclass(frozen=True, slots=True)
class Period:
    """Events above *after_seq* up to *through_seq*, the last end in it. Times in seconds since the epoch, 0 none."""

    after_seq: int
    through_seq: int
    after_ts: float
    until_ts: float


@dataclass(frozen=True, slots=True)
class Now:
    """How things stand when the report is made: tasks *held*, tasks *waiting* with the reason, pauses, what runs.

    *asking* are the tasks that wait for an answer, each with the stored verdict of the attempt that asked.
    """

    held: Sequence[Task] = ()
    asking: Sequence[tuple[Task, Mapping[str, Json]]] = ()
    waiting: Sequence[tuple[Task, str]] = ()
    pauses: Sequence[Pause] = ()
    running: int = 0
    more_waiting: int = 0


def build_batch(
    period: Period,
    rows: Sequence[Mapping[str, Json]],
    limits: Sequence[Mapping[str, Json]],
    now: Now,
    together: Sequence[Json] = (),
    joined: Collection[str] = (),
) -> dict[str, Json]:
    """Return the report on tasks that ended in *period*. *rows* are those of `task_row`, in the order of their ends;
    *together* is what `overlaps` says of them. *joined* are the uids of sub-tasks whose results are in that of their
    parent: who decides on that one has decided on them."""
    by_class = {name: [row for row in rows if row["class"] == name] for name in SECTIONS}
    waiting_for_you = (*_of_pauses(now.pauses), *_of_asking(now.asking), *_of_held(now.held))
    decisions = [*waiting_for_you, *(one for row in rows if row["uid"] not in joined for one in _of_row(row))]
    not_started = [_not_started(task, why) for task, why in now.waiting]
    counts: dict[str, Json] = {name: len(found) for name, found in by_class.items()}
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "batch_report",
        "period": {
            "after_seq": period.after_seq,
            "through_seq": period.through_seq,
            "from": iso(period.after_ts) if period.after_ts else None,
            "until": iso(period.until_ts),
        },
        "counts": {
            "ended": len(rows),
            **counts,
            "decisions": len(decisions),
            "not_started": len(not_started) + now.more_waiting,
            "running": now.running,
        },
        "decisions": decisions[:MOST],
        **{name: found[:MOST] for name, found in by_class.items()},
        "not_started": not_started[:MOST],
        "overlaps": list(together),
        "limits": list(limits),
        "usage": _sums(rows),
        "next": _next(decisions, by_class),
        "complete": True,
    }


def task_row(task: Task, attempts: Sequence[AttemptRecord], taken: Sequence[Event] = ()) -> dict[str, Json]:
    """Return what a report says of an ended task; *taken* are its events `result_taken`."""
    verdict: Mapping[str, Json] = attempts[-1].verdict if attempts else {}
    criteria, findings = _rows(verdict.get("criteria")), _rows(verdict.get("findings"))
    row: dict[str, Json] = {
        "uid": task.uid,
        "id": task.spec.id,
        "name": task.name or task.spec.id,
        "title": task.spec.title[:200],
        "class": _class_of(task, criteria, findings, accepted=bool(verdict.get("accepted"))),
        "status": task.state.value,
        "reason": task.reason,
        "detail": task.detail[:500],
        "hint": hint_for(task),
        "ended": iso(task.ended_ts),
        "attempts": len(attempts),
        "criteria": dict(Counter(str(one.get("verdict", Proof.UNPROVEN.value)) for one in criteria)),
        "open": [_open_one(one) for one in criteria if one.get("verdict") not in _BELIEVED][:_OPEN],
        "findings": [dict(one) for one in findings][:_OPEN],
        **_used(attempts),
    }
    if task.job:
        row["job"] = task.job[-8:]
    if taken:
        row["taken"] = [_taken(event.data) for event in taken]
    discarded = any(event.data.get("how") == "discard" for event in taken)
    if accepted := _mapping(verdict.get("accepted")):
        row["accepted"] = {"by": str(accepted.get("by", "")), "at": str(accepted.get("at", ""))}
    if (digest := _mapping(verdict.get("digest"))).get("text"):
        row["digest"] = digest_words(digest)
    if isinstance(work := verdict.get("work"), Mapping) and work:
        row["work"] = {**_work(work), **({"delivered": False} if discarded else {})}
    if task.state is not State.REJECTED:
        row["result"] = f"results/{task.name}_result.json"
    return row


def joined_in(ended: Sequence[tuple[Task, Mapping[str, Json]]]) -> frozenset[str]:
    """Return the uids of the sub-tasks among *ended* whose results are in that of their parent, which is there to be
    taken or accepted. Each task with the part `work` of its result."""
    found: set[tuple[str, int, str]] = set()
    for task, work in ended:
        if work.get("delivered") is True or task.reason == FailureKind.CHILDREN_FAILED.value:
            found |= {(task.job, task.depth + 1, str(one)) for one in _list(work.get("merged"))}
    return frozenset(one.uid for one, _ in ended if (one.job, one.depth, one.spec.id) in found and one.depth)


def is_proven(task: Task, attempts: Sequence[AttemptRecord]) -> bool:
    """Return whether *task* succeeded, with every mandatory criterion proven or holding and one at least proven."""
    verdict: Mapping[str, Json] = attempts[-1].verdict if attempts else {}
    criteria, findings = _rows(verdict.get("criteria")), _rows(verdict.get("findings"))
    return _class_of(task, criteria, findings, accepted=bool(verdict.get("accepted"))) == Proof.PROVEN.value


def _taken(data: Mapping[str, Json]) -> dict[str, Json]:
    words: dict[str, Json] = {key: str(data.get(key, "")) for key in ("how", "by", "branch", "detail")}
    return {**words, "ok": data.get("ok") is True}


def limit_rows(events: Sequence[Event]) -> list[Mapping[str, Json]]:
    """Return which limits held an agent or the queue, and how often; pauses by a person are none."""
    found: dict[tuple[str, str], dict[str, Json]] = {}
    for event in events:
        agent, reason = str(event.data.get("agent", "")), str(event.data.get("reason", ""))
        if event.kind is not EventKind.AGENT_HELD or reason in ("", "paused"):
            continue
        row = found.setdefault((agent, reason), {"agent": agent, "reason": reason, "times": 0})
        times = row["times"]
        row["times"] = (times if isinstance(times, int) else 0) + 1
        row["detail"] = str(event.data.get("detail", ""))[:300]
        row["last"] = iso(event.ts)
    return list(found.values())


def _class_of(
    task: Task, criteria: Sequence[Mapping[str, Json]], findings: Sequence[Mapping[str, Json]], *, accepted: bool
) -> str:
    if task.state is State.FAILED and task.reason == _NOT_BELIEVED:
        return "unproven"
    if task.state is not State.SUCCEEDED:
        return task.state.value
    mandatory = [str(one.get("verdict")) for one in criteria if one.get("mandatory", True)]
    proven = Proof.PROVEN.value in mandatory and all(verdict in _BELIEVED for verdict in mandatory)
    tainted = not accepted and any(one.get("taints", True) for one in findings)
    return "proven" if proven and not tainted else "unproven"


def _open_one(one: Mapping[str, Json]) -> dict[str, Json]:
    words: dict[str, Json] = {key: str(one.get(key, ""))[:300] for key in ("verdict", "text", "why")}
    opinion: dict[str, Json] = {"opinion": str(one["opinion"])[:400]} if one.get("opinion") else {}
    return {**words, **opinion, "mandatory": bool(one.get("mandatory", True))}


def _work(work: Mapping[str, Json]) -> dict[str, Json]:
    files = work.get("files")
    counted: Json = len(files) if isinstance(files, (list, tuple)) else files
    keys = ("branch", "delivered", "base", "head", "insertions", "deletions", "patch")
    kept = {key: work[key] for key in keys if key in work}
    return {**kept, "files": counted} if isinstance(counted, int) else kept


def _used(attempts: Sequence[AttemptRecord]) -> dict[str, Json]:
    costs = [_mapping(_mapping(record.outcome.get("report")).get("usage")).get("cost_usd") for record in attempts]
    known = [cost for cost in costs if isinstance(cost, (int, float)) and not isinstance(cost, bool)]
    running_s = sum(max(0.0, record.ended_ts - record.started_ts) for record in attempts if record.ended_ts)
    return {
        "known_cost_usd": round(sum(known), 6),
        "attempts_without_cost": len(costs) - len(known),
        "running_s": round(running_s, 3),
    }


def _sums(rows: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Return the sums of `task_row`; *cost_usd* is null where a part is unknown, never a smaller sum."""
    sums = {
        key: sum(value for row in rows if isinstance(value := row.get(key), (int, float)))
        for key in ("known_cost_usd", "attempts_without_cost", "attempts", "running_s")
    }
    known = round(sums["known_cost_usd"], 6)
    return {
        "cost_usd": None if sums["attempts_without_cost"] else known,
        "known_cost_usd": known,
        "attempts_without_cost": sums["attempts_without_cost"],
        "attempts": sums["attempts"],
        "running_s": round(sums["running_s"], 3),
    }


def _decision(what: str, why: str, *commands: str) -> dict[str, Json]:
    return {"what": what, "why": why, "commands": list(commands)}


def _of_pauses(pauses: Sequence[Pause]) -> list[dict[str, Json]]:
    """Return what holds until a person acts."""
    found = []
    for pause in pauses:
        if pause.until == 0 and pause.reason != SWITCHED_OFF:
            what = "the whole queue" if pause.scope == EVERYTHING else pause.scope
            words = f"{pause.detail or pause.reason} {hint_of_reason(pause.reason)}".strip()
            found.append(_decision(what, words, "resume" if pause.scope == EVERYTHING else f"resume {pause.scope}"))
    return found


def _of_held(held: Sequence[Task]) -> list[dict[str, Json]]:
    why = "held until you resume it"
    return [_decision(task.name, why, f"resume {task.name}", f"cancel {task.name}") for task in held]


def _of_asking(asking: Sequence[tuple[Task, Mapping[str, Json]]]) -> list[dict[str, Json]]:
    found = []
    for task, verdict in asking:
        question = question_in(verdict)
        words = " ".join(question.text.split())[:400] if question else task.detail
        offered = f" ({', '.join(question.options)})" if question and question.options else ""
        until = f" Answer until {iso(task.not_before)}." if task.not_before else ""
        name = task.name
        found.append(_decision(name, f"it asks: {words}{offered}{until}", f"answer {name} 'TEXT'", f"show {name}"))
    return found


def _of_row(row: Mapping[str, Json]) -> list[dict[str, Json]]:
    name, uid = str(row["name"]), str(row["uid"])
    work = _mapping(row.get("work"))
    branch = work.get("branch") if work.get("delivered", True) is True else ""
    if any(one.get("how") in ("merge", "discard", "pr") and one.get("ok") for one in _rows(row.get("taken"))):
        return []
    if row["status"] == State.FAILED.value and row["reason"] == _NOT_BELIEVED:
        why = f"{row['detail']}; look, then accept or discard it"
        if row["findings"]:
            why = "what it changed makes its checks unbelievable; look, then accept or discard it"
        return [_decision(name, why, f"diff {name}", f"accept {name}", f"discard {name}")]
    if row["reason"] == FailureKind.CHILDREN_FAILED.value:
        again = f"job retry {row['job']}" if row.get("job") else f"retry {uid[-8:]}"
        why = f"{row['detail']}; do the rest again, or accept what there is"
        return [_decision(name, why, f"show {name}", again, f"accept {name}")]
    if row["reason"] in _ANSWERS:
        return [_decision(name, f"{row['detail']} {row['hint']}".strip(), f"show {name}", f"retry {uid[-8:]}")]
    if refused := [one for one in _rows(row.get("taken")) if one.get("ok") is False]:
        why = f"{refused[-1].get('how')} was refused: {refused[-1].get('detail')}"
        return [_decision(name, why, f"diff {name}", f"{refused[-1].get('how')} {name}")]
    if row["status"] == State.SUCCEEDED.value and branch and row["class"] == "proven":
        return [_decision(name, f"proven, on the branch {branch}", f"diff {name}", f"merge {name}")]
    if row["status"] == State.SUCCEEDED.value and branch and row.get("accepted"):
        return [_decision(name, f"accepted, on the branch {branch}", f"diff {name}", f"merge {name}")]
    if row["status"] == State.SUCCEEDED.value and branch:
        return [
            _decision(
                name, f"unproven, on the branch {branch}: please look", f"diff {name}", f"merge {name} --unproven"
            )
        ]
    return []


def _not_started(task: Task, why: str) -> dict[str, Json]:
    name = task.name or task.spec.id
    title, reason = task.spec.title[:200], why or "its turn has not come"
    return {"uid": task.uid, "id": task.spec.id, "name": name, "title": title, "why": reason}


def _next(decisions: Sequence[Mapping[str, Json]], by_class: Mapping[str, Sequence[Mapping[str, Json]]]) -> list[Json]:
    commands: list[Json] = [str(words) for one in decisions for words in _list(one.get("commands"))[:1]]
    commands += [f"show {row['name']}" for name in ("failed", "unproven") for row in by_class[name]]
    return list(dict.fromkeys(commands))[:_NEXT]


def _list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _rows(value: Json) -> list[Mapping[str, Json]]:
    return [one for one in _list(value) if isinstance(one, Mapping)]


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
