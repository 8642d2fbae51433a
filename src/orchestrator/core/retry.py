"""What follows a failure: try again and when, hold the agent, or give up. A value that somebody else carries out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.attempt import AttemptRecord, Failed
from orchestrator.core.attempt import FailureKind as K
from orchestrator.core.events import Json
from orchestrator.core.proof import Proof
from orchestrator.core.question import ANSWERED
from orchestrator.core.task import JOINED

DAY_S = 86_400.0
SHORTEST_HOLD_S = 60.0
LONGEST_HOLD_S = 8 * DAY_S  # the longest allowance is a week
JITTER = 0.5  # of tasks that fail together, half of the wait keeps the next tries apart


class Remedy(StrEnum):
    """The three things that can follow a failure."""

    TRY_AGAIN = "try_again"  # the task waits and costs itself a try
    HOLD_AGENT = "hold_agent"  # nothing is started on this agent for a while; costs nobody a try
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How one kind of failure is treated.

    *max_tries* counts the first one. Delays in seconds: the first, doubled each time, up to *cap_s*.
    *resume*: the next try continues the agent's own session. *hint* tells a person what to do.
    """

    remedy: Remedy
    max_tries: int
    first_delay_s: float
    cap_s: float
    resume: bool
    hint: str


def _again(tries: int, first_s: float, cap_s: float, hint: str, *, resume: bool = False) -> RetryPolicy:
    return RetryPolicy(Remedy.TRY_AGAIN, tries, first_s, cap_s, resume, hint)


def _hold(first_s: float, cap_s: float, hint: str, *, resume: bool = True) -> RetryPolicy:
    return RetryPolicy(Remedy.HOLD_AGENT, 1, first_s, cap_s, resume, hint)


def _never(hint: str) -> RetryPolicy:
    return RetryPolicy(Remedy.GIVE_UP, 1, 0.0, 0.0, resume=False, hint=hint)


POLICIES: Mapping[K, RetryPolicy] = {
    K.TRANSIENT: _again(5, 30, 600, "The provider or the network failed; `retry` it when they are well.", resume=True),
    K.RATE_LIMITED: _hold(60, 900, "Too many requests at once; it goes on by itself."),
    K.USAGE_LIMIT: _hold(900, 3600, "The account's allowance is used up; it goes on by itself after the reset."),
    K.AUTH: _hold(300, 300, "Log in: run `claude` and type /login, or set ANTHROPIC_API_KEY in .env."),
    K.BILLING: _hold(900, 900, "The account has no credit left; add some, it goes on by itself."),
    K.AGENT_MISSING: _hold(60, 60, "Install the Claude Code CLI, or `python main.py demo` once to bring it."),
    K.AGENT_OUTDATED: _hold(60, 60, "Update the Claude Code CLI (`claude update`)."),
    K.AGENT_UNTRUSTED: _hold(
        300, 300, "What holds the agent had no effect when it was tried; `python main.py doctor` tries it again."
    ),
    # Not resumed: the session itself may be what it refuses.
    K.START_REFUSED: _hold(
        300, 300, "The agent refuses this configuration; `python main.py doctor` tells the fix.", resume=False
    ),
    K.BUDGET: _never("The task's budget is used up; raise budget_usd in the task, then `retry`."),
    K.DAY_BUDGET: _hold(60, 60, "It goes on the next day; raise budget.per_day_usd, or `resume budget`, for today."),
    K.TREE_BUDGET: _hold(60, 60, "It goes on while its lineage has money: tree_budget_usd of the task it began with."),
    K.MAX_TURNS: _never("Raise max_turns in the task or split the task."),
    K.TIMEOUT: _again(2, 10, 60, "Raise timeout_sec in the task, or CLAUDE_TIMEOUT_SEC, or split the task."),
    K.STALLED: _again(3, 30, 300, "The agent fell silent; see its output in the attempt folder.", resume=True),
    K.CRASH: _again(3, 10, 120, "The agent crashed; see stderr.log in the attempt folder.", resume=True),
    K.KILLED: _again(2, 60, 600, "Something killed the agent, most often for lack of memory; run fewer at once."),
    K.TOO_MANY_PROCESSES: _again(
        2, 60, 300, "It started more processes at once than agents.claude.max_processes; raise that, or ask for less."
    ),
    K.NO_RESULT: _again(3, 10, 120, "The agent ended without its final message; see the attempt folder.", resume=True),
    K.BAD_OUTPUT: _again(
        2, 10, 60, "The agent's final message was not as agreed; see whether doctor accepts the CLI's version."
    ),
    K.BAD_REQUEST: _never("The provider refuses the request as it is; see the detail."),
    K.PROMPT_TOO_LONG: _never("Shorten the prompt or name files instead of quoting them."),
    K.MODEL_NOT_FOUND: _never("Correct `model` in the task or in config/orchestrator.yaml."),
    K.SHORTAGE: _hold(10, 60, "The machine lacks space or descriptors; it goes on by itself when they are back."),
    K.PREPARE_FAILED: _again(3, 30, 300, "Create the folder or correct `cwd`, then `retry`."),
    K.AGENT_ERROR: _again(2, 30, 300, "The agent reports an error; see the detail.", resume=True),
    K.EMPTY_ANSWER: _again(2, 10, 60, "The agent said nothing; make the prompt more concrete."),
    K.ASKED_A_QUESTION: _never("Answer the question in the task's text and drop the file again."),
    K.UNANSWERED: _never("Say in the task what it asked for, or give more time with answer_within; then `retry`."),
    K.GAVE_UP: _never("Read why in the answer; change the task, then drop it again."),
    K.PERMISSION_DENIED: _never("Allow what was denied (doctor tells how), or change the task."),
    K.NO_CHANGES: _never("Read the answer: if nothing had to change, use type `analyze`; else say what must change."),
    # The same session is told which check failed and how: the setting proof.rounds sets the number of tries.
    K.CHECK_FAILED: _again(
        3, 1, 1, "See what the check printed; correct the work or the check, then `retry`.", resume=True
    ),
    K.UNPROVEN: _never("Look at what could not be verified; `accept` it as it is, or `retry`."),
    K.NOT_DELIVERED: _never("The work is kept: `recover` brings it back; see the detail for what stood in the way."),
    K.DEADLINE: _never("Give it a later deadline, or start it earlier; then `retry`."),
    K.PLAN_FAILED: _again(2, 10, 60, "Ask for less at once, or say yourself how to split it."),
    K.CHILDREN_FAILED: _never("See which sub-tasks failed; `retry` the job, or `accept` what there is."),
    K.MERGE_CONFLICT: _never("Two results contradict each other; merge their branches by hand, then `retry`."),
    K.INTERRUPTED_TOO_OFTEN: _never("Each run ended with the daemon; find out what ends it, then `retry`."),
}


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """*not_before* is seconds since the epoch; *hint* is for people."""

    remedy: Remedy
    not_before: float
    hint: str


def decide_retry(
    failure: Failed,
    *,
    tries: int,
    uncharged: int,
    retries: int | None,
    now: float,
    chance: float,
    policies: Mapping[K, RetryPolicy] = POLICIES,
    sent_back: int | None = None,
) -> RetryDecision:
    """Return what follows *failure*.

    *tries* counts the charged tries so far, this one included; *uncharged* the ones that were not, so that
    holds without a known end grow longer. *retries* is the task's own wish: it replaces the number of tries of
    kinds that may be tried again at all. *chance* is uniform in [0, 1). Pure.

    Of a failed check only the rounds count, *sent_back* of them so far (`sent_back`; None: as many as there were
    tries), and the task's own wish makes them fewer, never more.
    """
    policy = policies[failure.kind]
    if failure.kind is K.CHECK_FAILED:
        tries = tries if sent_back is None else sent_back + 1
        retries = None if retries is None else min(retries, policy.max_tries - 1)
    if policy.remedy is Remedy.HOLD_AGENT:
        until = failure.resets_at or now + min(policy.first_delay_s * 2.0 ** min(uncharged, 20), policy.cap_s)
        if until <= now:  # a reset in the past must not become a storm
            until = now + min(SHORTEST_HOLD_S, policy.first_delay_s)
        return RetryDecision(policy.remedy, min(until, now + LONGEST_HOLD_S), policy.hint)
    allowed = policy.max_tries if retries is None else retries + 1
    if policy.remedy is Remedy.GIVE_UP or tries >= allowed:
        return RetryDecision(Remedy.GIVE_UP, 0.0, policy.hint)
    delay = min(policy.first_delay_s * 2.0 ** min(tries - 1, 20), policy.cap_s)
    return RetryDecision(Remedy.TRY_AGAIN, now + delay * (1 - JITTER * chance), policy.hint)


def sent_back(attempts: Sequence[AttemptRecord]) -> int:
    """Return how many of *attempts*, those judged before this one, had a mandatory criterion whose check failed."""
    return sum(any(map(_failed_its_check, _rows(record.verdict.get("criteria")))) for record in attempts)


def _failed_its_check(row: Json) -> bool:
    return isinstance(row, Mapping) and row.get("verdict") == Proof.FAILED.value and row.get("mandatory") is not False


def _rows(value: Json) -> Sequence[Json]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def hint_for(reason: str) -> str:
    """Return what a person can do about *reason*; "" for one that is no kind of failure."""
    return next((policy.hint for kind, policy in POLICIES.items() if kind == reason), "")


def resumes(reason: str) -> bool:
    """Return whether the try after *reason* continues the agent's session instead of beginning anew."""
    return reason in ("interrupted", ANSWERED, JOINED) or any(
        kind == reason and policy.resume for kind, policy in POLICIES.items()
    )
