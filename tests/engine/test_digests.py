"""A summary by a model stands beside the verdict and touches nothing of it."""

from dataclasses import replace

import pytest
from tests.fakes_of_models import ScriptedSummarizer
from tests.fakes_of_proof import NoCommits

from orchestrator.core.attempt import AgentReport, Failed, FailureKind, Finished, WorkOrder
from orchestrator.core.digest import Digest
from orchestrator.core.events import TaskUid
from orchestrator.core.evidence import Changes
from orchestrator.core.proof import CriterionProof, Proof
from orchestrator.core.task import Priority, TaskSpec
from orchestrator.core.work import Area, Isolation
from orchestrator.engine.digest import Digests
from orchestrator.validation.checks import Verdict, verdict_facts

SPEC = TaskSpec("t", "fix", Priority.LOW, "Greet", "Do it.")
ORDER = WorkOrder(TaskUid("a" * 32), 1, 1, "t", "claude", "P", "/w", "s", "/a", ())
AREA = Area("/w", "/w", "/w", Isolation.IN_PLACE)
DONE = Finished(AgentReport("All done."))
PROOFS = (CriterionProof("it greets", Proof.PROVEN, "it passes"),)
GOOD = Verdict(None, (), PROOFS, Changes(created=("a.py",)))


async def on(summarizer: ScriptedSummarizer, verdict: Verdict, outcome: Finished | Failed = DONE) -> Verdict:
    return await Digests(summarizer, NoCommits()).on(verdict, SPEC, ORDER, outcome, area=AREA, head="")


async def test_it_is_told_what_was_found_out_and_changes_nothing_else() -> None:
    summarizer = ScriptedSummarizer(Digest("m", "It greets."))
    after = await on(summarizer, GOOD)
    assert replace(after, digest=None) == GOOD
    assert verdict_facts(after, passed=True)["digest"] == {"model": "m", "text": "It greets.", "problem": ""}
    (told,) = summarizer.told
    assert told.verdicts == ("proven: it greets: it passes",)
    assert told.change.endswith("created: a.py")


async def test_a_bug_in_it_costs_the_summary_only() -> None:
    after = await on(ScriptedSummarizer(KeyError("x")), GOOD)
    assert after.digest == Digest(problem="a bug of ours, please report it: KeyError")


@pytest.mark.parametrize(
    ("verdict", "outcome", "wanted"),
    [
        (GOOD, DONE, False),
        (GOOD, Failed(FailureKind.CRASH, "x"), True),
        (replace(GOOD, failure=Failed(FailureKind.CHECK_FAILED, "x")), DONE, True),
    ],
)
async def test_nobody_is_asked_about_what_is_no_result_yet(
    verdict: Verdict, outcome: Finished | Failed, wanted: bool
) -> None:
    summarizer = ScriptedSummarizer(Digest("m", "x"), wanted=wanted)
    assert await on(summarizer, verdict, outcome) == verdict
    assert summarizer.told == []
