"""Commands about tasks: status, show, cancel, retry, tail-events."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING

from orchestrator.api.cli_jobs import family_json, family_lines
from orchestrator.api.output import Output
from orchestrator.api.program import Component, Owner, Program
from orchestrator.api.render import (
    active_rows,
    budget_line,
    call_name,
    duration,
    ended_rows,
    event_text,
    event_words,
    held_rows,
    hold_lines,
    money,
    refusal_text,
    release_words,
    short,
    task_json,
    waiting_rows,
)
from orchestrator.api.render_questions import answer_command, asking_rows, question_json, question_lines
from orchestrator.api.render_times import next_words, scheduled_rows, time_lines, times_json
from orchestrator.core.errors import ExitCode
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import TERMINAL, State
from orchestrator.core.plan import EVERYTHING, in_force
from orchestrator.core.ports import Pause
from orchestrator.core.question import Question
from orchestrator.core.report import summary_text
from orchestrator.core.retry import hint_for
from orchestrator.core.task import Task

if TYPE_CHECKING:
    from orchestrator.engine.service import Orchestrator, Status

SCHEMA_VERSION = 1


async def status(program: Program, out: Output, _: argparse.Namespace) -> int:
    """Show what runs, what waits, what ended last, and the parts found."""
    owner, now = program.owner(), program.now()
    async with program.open_service() as service:
        look = await service.status()
        last = {task.uid: await service.recent_events(lines=1, key=task.uid) for task in look.active}
        held = _what_holds(service, look, now)
        asked: dict[str, Question | None] = {task.uid: await service.question(task) for task in look.asking}
        since: dict[str, float] = {task.uid: (await service.attempts(task))[-1].started_ts for task in look.active}
    components = await program.components()
    if out.as_json:
        out.data(_status_json(program, owner, look, components, asked))
        return ExitCode.OK
    out.say(_headline(program, owner, look, now))
    for pause in look.pauses:
        for line in hold_lines(pause, now, program.command):
            out.say(line)
    if (day := look.budget) is not None:
        out.say(budget_line(day.spent_usd, day.reserved_usd, day.limit_usd, day.zone))
    words: Mapping[str, str] = {uid: event_words(events[-1]) for uid, events in last.items() if events}
    for table in (
        active_rows(look.active, since, words, now),
        asking_rows(look.asking, asked, now),
        held_rows(look.held, now, program.command),
        scheduled_rows(look.scheduled, now),
        waiting_rows(look.waiting, now, held, _what_is_ahead(look), runs=owner is not None, waits=look.waits),
        waiting_rows(look.blocked, now, waits=look.waits),
        ended_rows(look.ended, now),
    ):
        if table.rows:
            out.say()
            out.table(table)
    out.say()
    for component in components:
        out.say(f"{component.name:<8}  {component.words}")
    for line in _what_next(program.command, owner, look):
        out.say(line)
    return ExitCode.OK


async def show(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Show one task: its summary when it has ended, else where it stands and its last events."""
    async with program.open_service() as service:
        task = await service.going_on(args.task)
        if task.state in TERMINAL and task.state is not State.REJECTED:
            result = await service.result(task)
            events = await service.recent_events(lines=200, key=task.uid)
            if taken := [dict(event.data) for event in events if event.kind is EventKind.TAKEN]:
                result["taken"] = taken
            if out.as_json:
                out.data(result)
            else:
                out.say(summary_text(result, program.command).rstrip())
            return ExitCode.OK
        events = await service.recent_events(lines=10, key=task.uid)
        waits_for = await service.waits_for(task)
        family = await service.family(task)
        question = await service.question(task)
    if out.as_json:
        told: dict[str, Json] = {**task_json(task), **times_json(task), "waits_for": waits_for, **family_json(family)}
        told |= {"question": question_json(task, question)} if question else {}
        out.data({"schema_version": SCHEMA_VERSION, "task": told})
        return ExitCode.OK
    out.say(f"{call_name(task)}: {task.state.value}{f' - {task.reason}' if task.reason else ''}")
    for line in (*_standing(program, task, events, question, waits_for), *family_lines(task, family)):
        out.say(line)
    out.say()
    for event in events:
        out.say(event_text(event, task))
    return ExitCode.OK


def _standing(
    program: Program, task: Task, events: Sequence[Event], question: Question | None, waits_for: str
) -> Iterator[str]:
    """Yield the lines on a task that has not ended, or that was refused."""
    if task.state is State.REJECTED:
        yield from (refusal_text(event) for event in events if event.kind is EventKind.REJECTED)
        return
    if question is not None:
        yield from question_lines(task, question, program.command, program.now())
    elif task.detail:
        yield short(task.detail, 200)
    yield from time_lines(task, program.now())
    if waits_for:
        yield f"not started yet: {short(waits_for, 200)}"
    yield f"{task.spec.type}, priority {task.spec.priority.value}: {short(task.spec.title, 100)}"


async def cancel(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Cancel a task."""
    async with program.open_service() as service:
        task = await service.cancel(args.task)
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "task": task_json(task)})
        return ExitCode.OK
    if task.state is State.CANCELLED:
        out.say(f"{call_name(task)} is cancelled.")
    elif program.owner() is None:
        out.say(f"{call_name(task)} will be cancelled when the daemon starts: {program.command}")
    else:
        out.say(f"{call_name(task)} is being cancelled; the daemon ends its processes now.")
    return ExitCode.OK


async def retry(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Queue an ended task again."""
    async with program.open_service() as service:
        task = await service.retry(args.task)
    if out.as_json:
        out.data({"schema_version": SCHEMA_VERSION, "task": task_json(task)})
        return ExitCode.OK
    if task.state is State.SCHEDULED:
        out.say(f"{call_name(task)} makes its runs again, the next one {next_words(task, program.now())}")
        return ExitCode.OK
    out.say(f"{call_name(task)} is queued again as {task.uid[-8:]}; its result will be results/{task.name}_result.json")
    if program.owner() is None:
        out.note(f"No daemon runs: start it with {program.command}")
    return ExitCode.OK


async def tail_events(program: Program, out: Output, args: argparse.Namespace) -> int:
    """Show the last events, and follow them when asked. Never blocks the daemon: it only reads."""
    async with program.open_service() as service:
        uid = (await service.task(args.task)).uid if args.task else None
        events = await service.recent_events(lines=args.lines, key=uid or "")
        after = events[-1].seq if events else (await service.status(limit=1)).last_seq
        for event in events:
            await _print_event(service, out, event)
        if args.follow:
            async for event in service.follow(after, uid=uid):
                await _print_event(service, out, event)
    if not events and not out.as_json:
        out.note("No events yet.")
    return ExitCode.OK


async def _print_event(service: Orchestrator, out: Output, event: Event) -> None:
    if out.as_json:
        out.raw(await service.line(event))
        return
    out.say(event_text(event, await service.task(event.uid) if event.uid else None))


def _status_json(
    program: Program,
    owner: Owner | None,
    look: Status,
    components: Sequence[Component],
    asked: Mapping[str, Question | None],
) -> dict[str, Json]:
    return {
        "schema_version": SCHEMA_VERSION,
        "root": program.root,
        "daemon": _owner_json(owner),
        "slots": {"used": len(look.active), "all": program.slots},
        "counts": {state.value: count for state, count in look.counts.items()},
        "holds": [pause_json(pause, program.command) for pause in look.pauses],
        "active": [task_json(task) for task in look.active],
        "asking": [{**task_json(task), "question": question_json(task, asked.get(task.uid))} for task in look.asking],
        "held": [task_json(task) for task in look.held],
        "scheduled": [{**task_json(task), **times_json(task)} for task in look.scheduled],
        "waiting": [{**task_json(task), "waits_for": look.waits.get(task.uid, "")} for task in look.waiting],
        "blocked": [{**task_json(task), "waits_for": look.waits.get(task.uid, "")} for task in look.blocked],
        "budget": _budget_json(look),
        "ended": [task_json(task) for task in look.ended],
        "components": [{"name": c.name, "usable": c.usable, "words": c.words} for c in components],
    }


def _budget_json(look: Status) -> dict[str, Json] | None:
    """None where no day has a budget; an amount is null where nobody knows it."""
    if (day := look.budget) is None:
        return None
    amounts = {"spent_usd": day.spent_usd, "reserved_usd": day.reserved_usd, "limit_usd": day.limit_usd}
    known: dict[str, Json] = {name: None if usd == inf else usd for name, usd in amounts.items()}
    return {**known, "day_ends": day.ends, "zone": day.zone}


def _headline(program: Program, owner: Owner | None, look: Status, now: float) -> str:
    running = f"running, pid {owner.pid}, up {duration(now - owner.started_ts)}" if owner else "not running"
    parts = [f"orchestrator  {running}", f"slots {len(look.active)}/{program.slots}"]
    parts.append(f"queued {look.counts.get(State.QUEUED, 0)}")
    if retrying := look.counts.get(State.RETRY_WAIT, 0):
        soon = f", next in {duration(look.next_wake - now)}" if look.next_wake > now else ""
        parts.append(f"retrying {retrying}{soon}")
    if asking := look.counts.get(State.NEEDS_INPUT, 0):
        parts.append(f"asking {asking}")
    if blocked := look.counts.get(State.BLOCKED, 0) + look.counts.get(State.SPLIT, 0):
        parts.append(f"blocked {blocked}")
    if templates := look.counts.get(State.SCHEDULED, 0):
        parts.append(f"scheduled {templates}")
    if held := look.counts.get(State.HELD, 0):
        parts.append(f"held {held}")
    ended = (State.SUCCEEDED, State.FAILED, State.REJECTED, State.CANCELLED)
    parts += [f"{state.value} {count}" for state in ended if (count := look.counts.get(state, 0))]
    return "    ".join(parts)


def _what_next(command: str, owner: Owner | None, look: Status) -> Sequence[str]:
    lines = [f"it waits for you: {answer_command(task, command)}" for task in look.asking[:1]]
    failed = next((task for task in look.ended if task.state is State.FAILED), None)
    if failed is not None:
        lines.append(f"why it failed: {command} show {call_name(failed)}")
    if owner is None:
        lines.append(f"start it: {command}")
    elif not look.active and not look.waiting and not look.ended and not look.scheduled:
        lines.append(f"a first task: {command} create-sample")
    return lines


def pause_json(pause: Pause, command: str) -> dict[str, Json]:
    """Return a pause as `status --json` has it."""
    told: dict[str, Json] = {"scope": pause.scope, "until": pause.until, "reason": pause.reason, "detail": pause.detail}
    return {**told, "hint": hint_for(pause.reason), "release": release_words(pause, command)}


def _what_is_ahead(look: Status) -> dict[str, str]:
    """Return, by id_key, the uid of the first task of that id that has not ended; of those looked at."""
    rows = sorted((*look.active, *look.asking, *look.held, *look.waiting), key=lambda task: task.order, reverse=True)
    return {task.id_key: task.uid for task in rows}


def _what_holds(service: Orchestrator, look: Status, now: float) -> dict[str, Pause]:
    """Return, by uid, the pause that a waiting task waits for."""
    found: dict[str, Pause] = {}
    for task in look.waiting:
        if holding := in_force(look.pauses, now, EVERYTHING, service.agent_of(task)):
            found[task.uid] = holding[0]
    return found


def _owner_json(owner: Owner | None) -> dict[str, Json] | None:
    if owner is None:
        return None
    return {"pid": owner.pid, "host": owner.host, "started": owner.started_ts, "version": owner.version}


def ended_line(task: Task, result: Mapping[str, Json]) -> str:
    """Return the last line of a foreground run."""
    usage = result.get("usage")
    cost = usage.get("cost_usd") if isinstance(usage, Mapping) else None
    return (
        f"{call_name(task)}: {task.state.value.upper()}{f' - {task.reason}' if task.reason else ''}, cost {money(cost)}"
    )
