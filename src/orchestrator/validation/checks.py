"""Outcome and facts to verdict. Pure; the one place that decides what is called done.

Success is exit code 0 and a final result message without error (the agent bridge vouches for both by
`Finished`), and an answer that is one, and, where the task type expects changes, changes that the daemon saw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.core.attempt import AgentReport, AttemptRecord, Failed, FailureKind, Finished
from orchestrator.core.codec import outcome_from_json, to_json
from orchestrator.core.digest import Digest
from orchestrator.core.events import Json
from orchestrator.core.evidence import Changes, Unresolved
from orchestrator.core.opinion import Opinion, opinion_facts
from orchestrator.core.proof import CriterionProof, Finding
from orchestrator.core.question import Question, Source
from orchestrator.core.task import TaskSpec, TaskType
from orchestrator.validation.answer import asks, is_about_checking, is_empty, question_of, surrenders
from orchestrator.validation.conflicts import left_words, question_words
from orchestrator.validation.proof import NOT_RUN, open_because, unchecked


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the daemon itself looked at. *passed* None means it could not be decided; *detail* says why."""

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """*failure* is None for success, else why not. *criteria* has one entry for each line the author wrote.

    *question* is what a person has to answer; then *failure* is what the attempt is without an answer.
    """

    failure: Failed | None
    checks: tuple[Check, ...]
    criteria: tuple[CriterionProof, ...]
    changes: Changes
    findings: tuple[Finding, ...] = ()
    opinion: Opinion | None = None  # of criteria in words, where a model was asked: it decides nothing
    question: Question | None = None
    digest: Digest | None = None  # in few words, by a model


def judge(
    spec: TaskSpec,
    task_type: TaskType,
    outcome: Finished | Failed,
    changes: Changes,
    proofs: Sequence[CriterionProof] | None = None,
    findings: Sequence[Finding] = (),
) -> Verdict:
    """Return the verdict on an ended attempt. The first check that fails names the failure.

    *proofs* are what was found out about the criteria of *spec*, in their order; None: none of their checks was run.
    A task with a mandatory criterion that is open has never succeeded.
    """
    why = NOT_RUN if isinstance(outcome, Finished) else "the agent failed, so its check was not run"
    criteria = unchecked(spec.criteria, why) if proofs is None else tuple(proofs)
    findings, changes = tuple(findings), _own(outcome.report, changes)
    if isinstance(outcome, Failed):
        ended = Check("agent ended well", passed=False, detail=outcome.detail)
        return Verdict(outcome, (ended,), criteria, changes, findings)
    report = outcome.report
    ended_how = "no agent was needed" if report.no_agent else "exit code 0, final message without error"
    checks = [Check("agent ended well", passed=True, detail=ended_how)]
    failure: Failed | None = None
    for check, kind in _looks(task_type, report, changes):
        checks.append(check)
        if check.passed is False and failure is None:
            failure = Failed(kind, check.detail, report)
    still_open = open_because(criteria, findings, report)
    if still_open or any(proof.check is not None for proof in criteria):
        detail = still_open.detail if still_open else ""
        checks.append(Check("every mandatory criterion is met", passed=still_open is None, detail=detail))
    asked = _question(failure, report, changes.unresolved) if failure else None
    return Verdict(failure or still_open, tuple(checks), criteria, changes, findings, question=asked)


def verdict_facts(verdict: Verdict, *, passed: bool) -> dict[str, Json]:
    """Return *verdict* as the data of a `validated` event, but for the work."""
    facts: dict[str, Json] = {
        "passed": passed,
        "criteria": to_json(verdict.criteria),
        "checks": to_json(verdict.checks),
        "changes": to_json(verdict.changes),
        "findings": to_json(verdict.findings),
    }
    facts |= {"opinion": opinion_facts(verdict.opinion)} if verdict.opinion else {}
    return facts | ({"digest": to_json(verdict.digest)} if verdict.digest else {})


def _looks(task_type: TaskType, report: AgentReport, changes: Changes) -> list[tuple[Check, FailureKind]]:
    if report.no_agent or (report.structured and report.question is None):
        return []  # what it says is data, and read by who asked for it
    changed = _changed(report, changes)
    looks: list[tuple[Check, FailureKind]] = []
    if report.denials:
        expected = task_type.expects_changes
        looks.append((_worked_around(report, changed=changed, expected=expected), FailureKind.PERMISSION_DENIED))
    if report.question is not None:
        looks.append((_asked_in_form(report.question), FailureKind.ASKED_A_QUESTION))
    looks.append((_answered(report), FailureKind.EMPTY_ANSWER))
    looks.append((_no_question(report, changed=changed), FailureKind.ASKED_A_QUESTION))
    if changes.unresolved is not None:
        left = left_words(changes.unresolved.paths)
        looks.append((Check("merge conflicts are resolved", passed=False, detail=left), FailureKind.MERGE_CONFLICT))
    looks.append((_no_surrender(report, changed=changed), FailureKind.GAVE_UP))
    if task_type.expects_changes:
        claims = all(check.passed is not False for check, _ in looks)  # no question, no surrender: it calls this done
        looks.append((_something_changed(report, changes, changed=changed, claims=claims), FailureKind.NO_CHANGES))
    return looks


def _own(report: AgentReport, changes: Changes) -> Changes:
    """What changed while an agent worked that could not have changed it was somebody else's doing."""
    if not changes or changes.own or _could_write(report):
        return changes
    count = len(changes.created) + len(changes.modified) + len(changes.deleted)
    words = f"{count} changed in the folder meanwhile, not by this agent: it used no tool that writes"
    return Changes(complete=changes.complete, detail=words)


def _changed(report: AgentReport, changes: Changes) -> bool | None:
    """Whether this agent changed files; None when that cannot be known.

    A neighbour may work in the same folder: a change counts when a tool of this agent wrote that very file, or
    when it used a shell and was alone there. In an area of its own each change counts.
    """
    if changes.own and changes:
        return True
    if not _could_write(report):
        return False
    seen = {*changes.created, *changes.modified, *changes.deleted}
    if any(path == one or path.endswith(f"/{one}") for path in report.files_changed for one in seen):
        return True
    if not seen:
        return False if changes.complete else (True if report.files_changed else None)
    return True if changes.alone else None


def _could_write(report: AgentReport) -> bool:
    """Whether something it did may have written: an edit that succeeded, or a shell; one it was denied is no deed."""
    return bool(report.files_changed) or report.tool_calls.get("Bash", 0) > report.denials.count("Bash")


def _answered(report: AgentReport) -> Check:
    empty = is_empty(report.answer)
    return Check("answer is not empty", passed=not empty, detail="the agent said nothing" if empty else "")


def _question(failure: Failed, report: AgentReport, left: Unresolved | None) -> Question | None:
    """Return what a person has to answer so that it can go on."""
    if failure.kind is FailureKind.MERGE_CONFLICT and left is not None:
        return Question(question_words(left.paths, left.sides, left.place, report.answer), (), Source.CONFLICT)
    if failure.kind is FailureKind.PERMISSION_DENIED:
        said = question_of(report.answer)
        what = "; ".join(report.denied_for) or ", ".join(sorted(set(report.denials)))
        text = f"It was denied: {what}{chr(10) * 2 if said.text else ''}{said.text}"
        return Question(text, said.options, Source.DENIAL)
    if failure.kind is FailureKind.ASKED_A_QUESTION:
        return report.question or question_of(report.answer)
    return None


def _asked_in_form(question: Question) -> Check:
    words = " ".join(question.text.split())[:300]
    how = "by a tool" if question.source is Source.TOOL else "in its result"
    return Check("answer is not a question", passed=False, detail=f"it asks {how}: {words}")


def _worked_around(report: AgentReport, *, changed: bool | None, expected: bool) -> Check:
    """A denied tool was needed where it says so, or where nothing came of it though something had to."""
    names = ", ".join(sorted(set(report.denials)))
    if changed and (surrender := surrenders(report.answer)) and not is_about_checking(surrender):
        detail = f"the agent was denied {names}, and says: {surrender}"
        return Check("denied tools were not needed", passed=False, detail=detail)
    if changed:
        return Check(
            "denied tools were not needed", passed=True, detail=f"denied: {names}; files were changed all the same"
        )
    nothing_came = expected and changed is False
    if nothing_came or surrenders(report.answer) or asks(report.answer, did_work=False):
        return Check(
            "denied tools were not needed", passed=False, detail=f"the agent was denied {names} and stopped there"
        )
    return Check("denied tools were not needed", passed=None, detail=f"denied: {names}")


def _no_question(report: AgentReport, *, changed: bool | None) -> Check:
    question = asks(report.answer, did_work=bool(changed))
    return Check("answer is not a question", passed=not question, detail=f"it asks: {question}" if question else "")


def _no_surrender(report: AgentReport, *, changed: bool | None) -> Check:
    surrender = surrenders(report.answer)
    if surrender and changed and is_about_checking(surrender):
        return Check("agent did not give up", passed=None, detail=f"files were changed, but it says: {surrender}")
    return Check("agent did not give up", passed=not surrender, detail=f"it says: {surrender}" if surrender else "")


def _something_changed(report: AgentReport, changes: Changes, *, changed: bool | None, claims: bool) -> Check:
    name = "files were changed"
    if changed is None:
        neighbours = "" if changes.alone else "other tasks worked in the same folder at the same time"
        return Check(name, passed=None, detail=changes.detail or neighbours or "the work area could not be compared")
    if changed:
        seen = len(changes.created) + len(changes.modified) + len(changes.deleted)
        return Check(name, passed=True, detail=f"{seen} seen" if changes.complete else "as the agent's tools report")
    used = ", ".join(sorted(report.tool_calls)) or "no tool at all"
    return Check(
        name, passed=False, detail=f"{'it says it is done, but ' if claims else ''}no file was changed (it used {used})"
    )


def with_earlier(outcome: Finished | Failed, attempts: Sequence[AttemptRecord]) -> Finished | Failed:
    """Return *outcome* with what earlier attempts of the task did: an attempt may find the work already done."""
    report = outcome.report
    files, calls = list(report.files_changed), dict(report.tool_calls)
    for record in attempts:
        earlier = record.outcome.get("report")
        if record.ended_ts and isinstance(earlier, Mapping):
            said = outcome_from_json(record.outcome).report
            files += [path for path in said.files_changed if path not in files]
            calls = {name: max(calls.get(name, 0), said.tool_calls.get(name, 0)) for name in {*calls, *said.tool_calls}}
    return replace(outcome, report=replace(report, files_changed=tuple(files), tool_calls=calls))
