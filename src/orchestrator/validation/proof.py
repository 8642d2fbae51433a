"""From what was run and found to a verdict on each criterion, and to whether the task is open. Pure.

A check that fails on the base and passes on the result proves something. One that passes on both only guards. What
makes a change suspicious makes every check that passes worth nothing until a person has accepted it.
"""

from collections.abc import Mapping, Sequence

from orchestrator.core.attempt import AgentReport, Failed, FailureKind
from orchestrator.core.proof import CheckKind, CheckRun, CheckSpec, CriterionProof, Finding, Proof
from orchestrator.core.task import Criterion

IN_WORDS = "in words only: the daemon cannot check it, please look"
FOR_A_PERSON = "a person has to look"
NOT_RUN = "its check was not run"
DETAIL_CHARS = 400

Runs = Mapping[CheckSpec, CheckRun]


def checks_of(criteria: Sequence[Criterion]) -> tuple[CheckSpec, ...]:
    """Return what there is to run for *criteria*, each once."""
    return tuple(dict.fromkeys(one.check for one in criteria if one.check is not None and one.runs))


def proofs_of(
    criteria: Sequence[Criterion],
    *,
    base: Runs,
    result: Runs,
    findings: Sequence[Finding] = (),
    no_base: str = "there is no base to compare with",
    not_run: str = NOT_RUN,
) -> tuple[CriterionProof, ...]:
    """Return the verdict on each criterion, in order.

    *no_base* says why a check did not run on the base, *not_run* why it did not on the result.
    """
    taint = next((finding for finding in findings if finding.taints), None)
    return tuple(_proof(one, base, result, taint, no_base=no_base, not_run=not_run) for one in criteria)


def unchecked(criteria: Sequence[Criterion], why: str = NOT_RUN) -> tuple[CriterionProof, ...]:
    """Return the verdict on criteria of which no check was run, for the reason *why*."""
    return proofs_of(criteria, base={}, result={}, not_run=why)


def _proof(
    criterion: Criterion, base: Runs, result: Runs, taint: Finding | None, *, no_base: str, not_run: str
) -> CriterionProof:
    check = criterion.check
    if check is None:
        return CriterionProof(criterion.text, Proof.UNPROVEN, IN_WORDS, criterion.mandatory)
    if check.kind is CheckKind.HUMAN:
        return CriterionProof(criterion.text, Proof.HUMAN, FOR_A_PERSON, criterion.mandatory, check)
    before, after = base.get(check), result.get(check)
    verdict, why = _verdict(before, after, no_base, not_run)
    if taint is not None and verdict in (Proof.PROVEN, Proof.HOLDS):
        verdict, why = Proof.UNPROVEN, f"{why}, but that cannot be believed: {finding_words(taint)}"
    return CriterionProof(criterion.text, verdict, why, criterion.mandatory, check, before, after)


def _verdict(before: CheckRun | None, after: CheckRun | None, no_base: str, not_run: str) -> tuple[Proof, str]:
    if after is None:
        return Proof.UNPROVEN, not_run
    if after.passed is None:
        return Proof.UNPROVEN, f"its check gave no answer on the result: {after.detail or 'nobody knows why'}"
    if before is None or before.passed is None:
        so = no_base if before is None else f"it gave no answer on the base: {before.detail or 'nobody knows why'}"
        if after.passed:
            return Proof.HOLDS, f"it passes on the result; {so}"
        return Proof.FAILED, f"it fails on the result: {_how(after)}; {so}"
    if not after.passed:
        broken = "it passed on the base: this work broke it" if before.passed else "it failed on the base too"
        return Proof.FAILED, f"it fails on the result: {_how(after)}; {broken}"
    if before.passed:
        return Proof.HOLDS, "it passes on the result and did so on the base: it guards, and proves nothing new"
    return Proof.PROVEN, f"it fails on the base ({_how(before)}) and passes on the result"


def _how(run: CheckRun) -> str:
    return run.detail or ("exit code unknown" if run.exit_code is None else f"exit code {run.exit_code}")


def finding_words(finding: Finding) -> str:
    """Return *finding* for people: what, where."""
    place = f"{finding.path}:{finding.line}" if finding.line else finding.path
    return ": ".join(part for part in (finding.kind.value.replace("_", " "), place, finding.detail) if part)


def is_open(proof: CriterionProof) -> bool:
    """Return whether the task cannot have succeeded because of it: mandatory, with a check, neither proven nor held."""
    return proof.mandatory and proof.check is not None and proof.verdict not in (Proof.PROVEN, Proof.HOLDS)


def open_because(
    proofs: Sequence[CriterionProof], findings: Sequence[Finding] = (), report: AgentReport | None = None
) -> Failed | None:
    """Return why the task has not succeeded though its agent ended well, None when nothing is open.

    A check that fails comes first (check_failed): the agent can do something about it. Then what nobody but a person
    can settle (unproven): a criterion without an answer, one that a person has to look at, a finding that taints.
    """
    failed = [proof for proof in proofs if is_open(proof) and proof.verdict is Proof.FAILED]
    if failed:
        detail = _said(failed, "1 check fails", "{0} checks fail")
        return Failed(FailureKind.CHECK_FAILED, detail, report or AgentReport())
    unsettled = [proof for proof in proofs if is_open(proof)]
    taints = [finding for finding in findings if finding.taints]
    if not unsettled and not taints:
        return None
    parts = [_said(unsettled, "1 criterion is open", "{0} criteria are open")] if unsettled else []
    if taints:
        more = f" and {len(taints) - 1} more" if len(taints) > 1 else ""
        parts.append(f"{finding_words(taints[0])}{more}")
    return Failed(FailureKind.UNPROVEN, _cut("; ".join(parts)), report or AgentReport())


def _said(proofs: Sequence[CriterionProof], one: str, many: str) -> str:
    count = one if len(proofs) == 1 else many.format(len(proofs))
    first = proofs[0]
    return _cut(f"{count}: {_cut(first.text, 120)} ({first.why})")


def _cut(text: str, limit: int = DETAIL_CHARS) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
