"""What the Telegram door says: values to messages, pure."""

import re
from collections.abc import Mapping, Sequence

from orchestrator.api.render import call_name, duration, hold_lines, moment, money, scope_name, short
from orchestrator.core.budget import dollars
from orchestrator.core.chat import ChatButton, Outgoing, Words
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.events import Event, EventKind, Json
from orchestrator.core.lifecycle import ACTIVE, PENDING, State
from orchestrator.core.notice import Act
from orchestrator.core.plan import SWITCHED_OFF
from orchestrator.core.task import ACCEPTABLE, Task, TaskSpec
from orchestrator.engine.service import Status

COMMANDS: tuple[tuple[str, str], ...] = (
    ("task", "run a task: /task fix the login page in /website"),
    ("status", "what runs, waits and ended"),
    ("progress", "follow a task: /progress TASK"),
    ("answer", "answer a question: /answer TASK TEXT"),
    ("cancel", "end a task: /cancel TASK"),
    ("retry", "run an ended task again: /retry TASK"),
    ("report", "what ended: /report, or /report 12h"),
    ("pause", "start nothing more, or not one task: /pause TASK"),
    ("resume", "go on"),
    ("help", "what you can say here"),
)
SHOWN = 10
EXAMPLE = "fix the login page in /website"
_EXAMPLES = (
    "Fix the database connection timeout in /backend",
    "Review the authentication code in /auth-system",
    "Add a test for the parser, no rush",
)
_TYPED = re.compile(r"python main\.py (task|status|answer|cancel|retry|report|pause|resume)\b")


def hello(name: str) -> Outgoing:
    """Return the answer to /start."""
    words = Words().bold("AI Task Orchestrator").plain(f"\nYou are in: this bot ({name}) takes tasks from you.\n\n")
    words = words.plain("Just write what is to be done, for example\n")
    words = words.code(_EXAMPLES[0]).plain("\n\nYou see what was understood before it runs. /help tells more.")
    return Outgoing(words.text, words.marks)


def help_text() -> Outgoing:
    """Return the answer to /help."""
    words = Words().bold("Write what is to be done").plain(", and confirm it:\n")
    for example in _EXAMPLES:
        words = words.plain("• ").code(example).plain("\n")
    words = words.plain("\n“in /name” is a folder under the root of your projects; a whole task file works too.\n\n")
    for name, about in COMMANDS:
        words = words.plain(f"/{name} - {about}\n")
    words = words.plain("\nTASK is its id, or the last 8 digits of its uid. Reply to a question to answer it.")
    return Outgoing(words.text, words.marks)


def refusal(error: OrchestratorError) -> Outgoing:
    """Return an expected error, with what to do, in the words of this door."""
    hint = _TYPED.sub(r"/\1", error.hint).replace("`", "")
    return Outgoing(f"{error.message}{f'{chr(10)}{hint}' if hint else ''}")


def understood(spec: TaskSpec) -> Words:
    """Return what was understood of a request, and what was not used of it."""
    words = Words().bold(short(spec.title, 200)).plain("\n")
    words = words.plain("id ").code(spec.id).plain(f" · {spec.type} · priority {spec.priority.value}\n")
    if spec.cwd:
        words = words.plain("folder ").code(short(spec.cwd, 200)).plain("\n")
    else:
        words = words.plain("folder: the configured one\n")
    if spec.target_files:
        words = words.plain("files ").code(short(", ".join(spec.target_files), 300)).plain("\n")
    for guess in spec.inferred:
        if guess.field in ("type", "priority", "cwd"):
            words = words.plain(f"{'folder' if guess.field == 'cwd' else guess.field}: {short(guess.why, 160)}\n")
    for limit, text in _limits(spec):
        words = words.plain(f"{limit} {text}\n")
    for n, criterion in enumerate(spec.criteria[:SHOWN], 1):
        words = words.plain(f"criterion {n}: {short(criterion.text, 160)}\n")
    for notice in spec.notices:
        if notice.code not in _TO_BE_EXPECTED:
            words = words.plain(f"⚠ {short(notice.message, 200)}\n")
    return words


_TO_BE_EXPECTED = frozenset({"front_matter_missing", "prompt_label_missing", "prompt_from_title"})


def is_doubtful(spec: TaskSpec) -> bool:
    """Return whether something of the words was not used, so that a person should look before it runs."""
    return any(notice.code not in _TO_BE_EXPECTED for notice in spec.notices)


def _limits(spec: TaskSpec) -> Sequence[tuple[str, str]]:
    found = (
        ("agent", spec.agent),
        ("model", spec.model),
        ("budget", money(spec.budget_usd) if spec.budget_usd is not None else ""),
        ("timeout", duration(spec.timeout_s) if spec.timeout_s else ""),
    )
    return [(name, short(text, 60)) for name, text in found if text]


def draft(spec: TaskSpec, number: int) -> Outgoing:
    """Return the question whether *spec* is what was meant."""
    words = understood(spec)
    words = words.plain("\nRun it?")
    row = tuple(ChatButton(label, f"{verb}:{number}") for label, verb in (("Run", "run"), ("Change", "change")))
    return Outgoing(words.text, words.marks, ((*row, ChatButton("Drop", f"drop:{number}")),))


def progress(task: Task, now: float, since: float, last: Sequence[str], facts: Mapping[str, Json]) -> Outgoing:
    """Return how it stands with *task*; *since* is when its attempt began, *last* its last words or its question.

    *facts* is the result of an ended task, {} for any other.
    """
    words = Words().bold(call_name(task)).plain(f"  {_standing(task, now, since)}\n")
    words = words.plain(f"{short(task.spec.title, 120)}\n")
    if task.state in ACTIVE or task.state in PENDING:
        for line in last:
            words = words.plain(f"· {short(line, 300)}\n")
    else:
        words = _ended(words, task, facts)
    return Outgoing(words.text.rstrip(), words.marks, buttons_of(task, facts))


def _standing(task: Task, now: float, since: float) -> str:
    state = task.state.value.replace("_", " ")
    if task.state in ACTIVE and since:
        return f"{state}, attempt {task.attempt}, {duration(now - since)}"
    if task.state in PENDING:
        return f"{state}{f' ({task.reason})' if task.reason else ''}"
    return state.upper()


def _ended(words: Words, task: Task, facts: Mapping[str, Json]) -> Words:
    why = task.detail if task.detail.startswith(task.reason) else f"{task.reason}: {task.detail}".removesuffix(": ")
    if why:
        words = words.plain(f"{short(why, 400)}\n")
    for row in _rows(facts.get("criteria"))[:SHOWN]:
        words = words.plain(f"[{row.get('verdict')}] {short(str(row.get('text', '')), 120)}\n")
    work = facts.get("work")
    if isinstance(work, Mapping) and work.get("delivered") and work.get("branch"):
        words = words.plain("branch ").code(str(work["branch"])).plain("\n")
    usage = facts.get("usage")
    if isinstance(usage, Mapping):
        words = words.plain(f"cost {money(usage.get('cost_usd'))}\n")
    return words


def _rows(value: Json) -> Sequence[Mapping[str, Json]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, (list, tuple)) else []


def buttons_of(task: Task, facts: Mapping[str, Json]) -> tuple[tuple[ChatButton, ...], ...]:
    """Return the buttons that make sense while *task* stands as it does."""
    acts: list[tuple[Act, str]] = []
    work = facts.get("work")
    has_branch = isinstance(work, Mapping) and bool(work.get("delivered")) and bool(work.get("branch"))
    if task.state is State.SUCCEEDED and has_branch:
        acts = [(Act.MERGE, "Merge"), (Act.DISCARD, "Discard")]
    elif task.state in (State.FAILED, State.CANCELLED):
        acts = [(Act.RETRY, "Retry")]
        if task.reason in ACCEPTABLE:
            acts.insert(0, (Act.ACCEPT, "Accept as it is"))
    elif task.state in PENDING or (task.state in ACTIVE and task.state is not State.CANCELLING):
        acts = [(Act.CANCEL, "Cancel")]
        if task.state is State.HELD:
            acts.insert(0, (Act.RESUME, "Resume"))
        if task.state is State.NEEDS_INPUT:
            acts.insert(0, (Act.ANSWER, "Answer"))
    return (tuple(ChatButton(label, button_data(act, task.uid)) for act, label in acts),) if acts else ()


def button_data(act: Act, uid: str, n: int = -1) -> str:
    """Return what a button carries: what it does, to which task, and which of several answers it gives."""
    return f"{act.value}:{uid}:{n}" if n >= 0 else f"{act.value}:{uid}"


def event_line(event: Event, said: str) -> str:
    """Return an event as a line of progress, "" for one that tells nothing new there."""
    shown = (EventKind.PROGRESS, EventKind.STARTED, EventKind.RETRY, EventKind.LIMITED, EventKind.INTERRUPTED)
    return said if event.kind in shown else ""


def status(look: Status, now: float) -> Outgoing:
    """Return the state of everything."""
    words = Words()
    for pause in (one for one in look.pauses if one.reason != SWITCHED_OFF):  # a person chose that, it is no news
        words = words.plain("⏸ ").plain(hold_lines(pause, now, "python main.py")[0].partition(";")[0]).plain("\n")
    waiting = (("Waiting", look.waiting), ("Scheduled", look.scheduled), ("Held", look.held))
    groups = (("Ask you", look.asking), ("Running", look.active), *waiting)
    for title, tasks in groups:
        if tasks:
            words = words.bold(f"{title} ({len(tasks)})").plain("\n")
            for task in tasks[:SHOWN]:
                words = words.plain("· ").code(call_name(task)).plain(f" {_about(task, look, now)}\n")
    if look.ended:
        words = words.bold("Ended last").plain("\n")
        for task in look.ended[:SHOWN]:
            why = f" - {short(task.reason, 40)}" if task.reason else ""
            ago = duration(now - task.ended_ts)
            words = words.plain("· ").code(call_name(task)).plain(f" {task.state.value}{why}, {ago} ago\n")
    if look.budget is not None:
        words = words.plain(f"spent today {dollars(look.budget.spent_usd)} of {dollars(look.budget.limit_usd)}\n")
    text = words if words.text else words.plain("Nothing runs, waits or has ended yet. Write what is to be done.")
    return Outgoing(text.text.rstrip(), text.marks)


def _about(task: Task, look: Status, now: float) -> str:
    if task.state in ACTIVE:
        return f"{task.state.value}, attempt {task.attempt}"
    why = look.waits.get(task.uid, "")
    if not why and task.not_before > now:
        due = task.not_before
        retries = task.state is State.RETRY_WAIT
        why = f"next try in {duration(due - now)}" if retries else f"starts {moment(due, now)}"
    if task.state is State.SCHEDULED:
        return f"next run {moment(task.not_before, now)}"
    return f"{task.state.value.replace('_', ' ')}{f': {short(why, 80)}' if why else ''}"


def paused(scope: str, task: Task | None, *, changed: bool, running: int) -> str:
    """Return what a pause came to."""
    already = "" if changed else " already"
    if task is not None:
        return f"{call_name(task)} is held{already}: it is not started until /resume {task.uid[-8:]}"
    goes_on = f" What runs goes on: {running}." if running else ""
    again = "/resume" if scope == "*" else f"/resume {scope}"
    return f"{_sentence(scope_name(scope))} is paused{already}: nothing more is started.{goes_on} Go on: {again}"


def resumed(scope: str, task: Task | None, *, changed: bool, still: Sequence[str]) -> str:
    """Return what a resume came to; *still* is what holds the same work nevertheless."""
    if task is not None:
        name = call_name(task)
        again = "makes its runs again" if task.spec.schedule else "is queued"
        said = f"{name} {again}." if changed else f"{name} is not held: it is {task.state.value}."
    else:
        name = _sentence(scope_name(scope))
        said = f"{name} goes on." if changed else f"{name} is not held."
    return "\n".join([said, *still])


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
