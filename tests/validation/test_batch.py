"""The batch report as a document: what counts as proven, what waits for a person, what is not known stays unknown."""

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.core.attempt import AttemptRecord
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.ports import Pause
from orchestrator.core.report_batch import batch_text, report_ended, report_name, seq_of
from orchestrator.core.task import Priority, Task, TaskSpec
from orchestrator.validation.batch import Now, Period, build_batch, joined_in, limit_rows, task_row
from orchestrator.validation.overlaps import overlaps
from orchestrator.validation.schema import batch_problems, file_problems

NOON = 1_800_000_000.0
PERIOD = Period(3, 40, NOON - 60, NOON)


def task(name: str, state: State = State.SUCCEEDED, reason: str = "", detail: str = "") -> Task:
    spec = TaskSpec(id=name, type="fix", priority=Priority.HIGH, title=f"Title of {name}", prompt="Do.")
    uid = TaskUid(name.encode().hex().rjust(32, "0")[-32:])
    return Task(uid, name, spec, "0" * 64, NOON - 50, state=state, reason=reason, detail=detail, ended_ts=NOON)


def attempt(one: Task, verdict: dict[str, Json] | None = None, *, cost_usd: float | None = 0.5) -> AttemptRecord:
    outcome: dict[str, Json] = {"report": {"usage": {"cost_usd": cost_usd}}}
    return AttemptRecord(one.uid, 1, 1, "claude", "s", NOON - 10, NOON, outcome, verdict or {})


def criterion(verdict: str, **more: Json) -> dict[str, Json]:
    return {"text": f"it is {verdict}", "verdict": verdict, "why": "so", **more}


def row(name: str, *criteria: dict[str, Json], **verdict: Json) -> dict[str, Json]:
    one = task(name)
    return task_row(one, [attempt(one, {"criteria": criteria, **verdict})])


def report(*rows: dict[str, Json], now: Now | None = None, limits: Any = (), together: Any = ()) -> dict[str, Json]:
    built = build_batch(PERIOD, rows, limits, now or Now(), together)
    assert batch_problems(built) == []
    return built


@pytest.mark.parametrize(
    ("criteria", "wanted"),
    [
        ([], "unproven"),
        ([criterion("unproven")], "unproven"),
        ([criterion("proven")], "proven"),
        ([criterion("proven"), criterion("holds")], "proven"),
        ([criterion("holds")], "unproven"),
        ([criterion("proven"), criterion("human")], "unproven"),
        ([criterion("proven"), criterion("unproven", mandatory=False)], "proven"),
        ([criterion("proven"), criterion("a_word_of_tomorrow")], "unproven"),
    ],
)
def test_proven_is_what_every_mandatory_criterion_says(criteria: list[dict[str, Json]], wanted: str) -> None:
    assert row("a", *criteria)["class"] == wanted


def test_a_finding_that_taints_makes_a_proof_none_until_it_is_accepted() -> None:
    finding: dict[str, Json] = {"kind": "test_deleted", "path": "tests/test_a.py", "detail": "gone", "taints": True}
    assert row("a", criterion("proven"), findings=[finding])["class"] == "unproven"
    assert row("a", criterion("proven"), findings=[finding], accepted=True)["class"] == "proven"
    assert row("a", criterion("proven"), findings=[{**finding, "taints": False}])["class"] == "proven"


def test_what_cannot_be_believed_waits_for_a_decision() -> None:
    one = task("liar", State.FAILED, "unproven", "its checks cannot be believed")
    built = report(task_row(one, [attempt(one)]))
    assert built["counts"] == {
        **dict.fromkeys(("proven", "failed", "cancelled", "rejected", "not_started", "running"), 0),
        "ended": 1,
        "unproven": 1,
        "decisions": 1,
    }
    text = batch_text(built)
    assert "python main.py accept liar" in text
    assert "## Failed" not in text


def test_what_waits_for_a_person_says_its_own_reason() -> None:
    one = task("look", State.FAILED, "unproven", "1 criterion is open: (human) it reads well")
    assert "1 criterion is open: (human) it reads well; look, then" in batch_text(report(task_row(one, [attempt(one)])))
    finding: Json = {"kind": "test_deleted", "path": "t.py", "detail": "gone"}
    tainted = task_row(one, [attempt(one, {"findings": [finding]})])
    assert "what it changed makes its checks unbelievable" in batch_text(report(tainted))
    discarded = Event(EventKind.TAKEN, NOON, data={"how": "discard", "ok": True, "by": "me"})
    assert report(task_row(one, [attempt(one)], [discarded]))["decisions"] == []


def test_an_unknown_cost_is_no_sum() -> None:
    one, other = task("a"), task("b")
    built = report(task_row(one, [attempt(one)]), task_row(other, [attempt(other, cost_usd=None)]))
    usage = built["usage"]
    assert isinstance(usage, dict)
    assert (usage["cost_usd"], usage["known_cost_usd"], usage["attempts_without_cost"]) == (None, 0.5, 1)
    assert "cost $0.5000, and of 1 attempts it is unknown" in batch_text(built)


def test_what_holds_until_a_person_acts_is_a_decision_and_a_switch_is_none() -> None:
    pauses = [Pause("*", 0.0, "paused", "paused by request"), Pause("claude", NOON + 9, "usage_limit", "used up")]
    off = Pause("other", 0.0, "switched_off", "agents.other.enabled is false")
    text = batch_text(report(now=Now(held=[task("b", State.HELD)], pauses=[*pauses, off])))
    assert "python main.py resume\n" in text
    assert "python main.py resume b" in text
    assert "resume other" not in text
    assert "resume claude" not in text


def test_work_with_a_branch_names_it_and_how_to_take_it() -> None:
    work: Json = {"branch": "orchestrator/a", "head": "f" * 40, "files": 3, "insertions": 9, "deletions": 1}
    text = batch_text(report(row("a", criterion("proven"), work=work)))
    assert "branch `orchestrator/a`, commit `ffffffffffff`, 3 files changed, +9 -1" in text
    assert "python main.py merge a" in text


def test_work_that_was_not_brought_names_no_branch() -> None:
    work: Json = {"branch": "orchestrator/a", "delivered": False, "head": "f" * 40, "files": 1}
    text = batch_text(report(row("a", criterion("failed"), work=work)))
    assert "  - commit `ffffffffffff`, 1 file changed, +? -?\n" in text
    assert "orchestrator/a" not in text
    assert "nothing was changed" in batch_text(report(row("a", work={"branch": "b", "delivered": False, "files": 0})))


def test_what_a_person_has_accepted_says_so_and_is_there_to_be_merged() -> None:
    work: Json = {"branch": "orchestrator/a", "head": "f" * 40, "files": 1}
    accepted: Json = {"by": "me", "at": "2026-01-01T00:00:00Z", "was": "unproven", "open": []}
    text = batch_text(report(row("a", criterion("unproven"), work=work, accepted=accepted)))
    assert "  - accepted by me at 2026-01-01T00:00:00Z, as it is\n" in text
    assert "- `a`: accepted, on the branch orchestrator/a\n" in text
    assert "python main.py merge a`" in text
    assert "please look" not in text


def test_a_branch_with_words_only_is_merged_by_who_has_looked() -> None:
    work: Json = {"branch": "orchestrator/a", "head": "f" * 40, "files": 1}
    text = batch_text(report(row("a", criterion("unproven"), work=work)))
    assert "python main.py diff a`\n  - `python main.py merge a --unproven`" in text


def test_results_that_changed_the_same_files_are_named_before_anybody_merges_them() -> None:
    def work(*paths: str, folder: str = "/app", delivered: bool = True) -> dict[str, Json]:
        return {"folder": folder, "delivered": delivered, "files": [{"path": path} for path in paths]}

    works = [("a", work("x", "y")), ("b", work("y", "z")), ("c", work("y", folder="/other"))]
    found = overlaps([*works, ("d", work("y", delivered=False)), ("e", {}), ("f", work("z", "y"))])
    assert found == [
        {"tasks": ["a", "b"], "folder": "/app", "paths": ["y"], "files": 1},
        {"tasks": ["a", "f"], "folder": "/app", "paths": ["y"], "files": 1},
        {"tasks": ["b", "f"], "folder": "/app", "paths": ["y", "z"], "files": 2},
    ]
    text = batch_text(report(row("a"), together=found))
    assert "## Changed the same files (3)\n\n- `a` and `b`: `y`; after the first is merged" in text
    built = {**work("y"), "merged": ["b"], "task_id": "g"}
    rerun = ("b.1234abcd", {**work("y"), "task_id": "b"})
    assert overlaps([rerun, ("g", built)]) == [], "a sub-task and its parent, or what came after it"
    assert len(overlaps([(f"t{number}", work("y")) for number in range(3000)])) == 100


def test_limits_are_counted_by_agent_and_reason_and_a_pause_is_none() -> None:
    def held(reason: str, ts: float) -> Event:
        data: dict[str, Json] = {"agent": "claude", "reason": reason, "detail": f"since {ts:g}"}
        return Event(EventKind.AGENT_HELD, ts, data=data)

    found = limit_rows([held("usage_limit", 1), held("paused", 2), held("usage_limit", 3)])
    assert found == [
        {
            "agent": "claude",
            "reason": "usage_limit",
            "times": 2,
            "detail": "since 3",
            "last": "1970-01-01T00:00:03.000Z",
        }
    ]
    assert "- claude: usage_limit, 2 times: since 3" in batch_text(report(row("a"), limits=found))


def test_sections_without_anything_are_left_out_and_counts_come_first() -> None:
    lines = batch_text(report(row("a", criterion("proven")))).splitlines()
    assert lines[2] == "**1 task ended**: 1 proven."
    assert [line for line in lines if line.startswith("## ")] == ["## Proven (1)", "## Cost and time"]


def test_many_rows_are_cut_and_all_are_counted() -> None:
    built = report(*(row(f"t{n}") for n in range(600)))
    unproven, counts = built["unproven"], built["counts"]
    assert isinstance(unproven, list)
    assert isinstance(counts, dict)
    assert (len(unproven), counts["unproven"], counts["ended"]) == (500, 600, 600)


def test_what_models_think_is_told_with_their_names_and_changes_no_class() -> None:
    opinion = "opinion of the model m-1, no evidence: met: it says hello"
    digest: dict[str, Json] = {"model": "m-2", "text": "It greets *now*.", "problem": ""}
    told = row("a", criterion("unproven", opinion=opinion), digest=digest)
    assert (told["class"], told["open"][0]["opinion"]) == ("unproven", opinion)  # type: ignore[index,call-overload]
    text = batch_text(report(told))
    assert f"    - {opinion}\n" in text
    assert "  - In the words of the model m-2, which nobody has checked: It greets" in text
    without = row("a", criterion("unproven", opinion=""), digest={**digest, "text": "", "problem": "down"})
    assert "digest" not in without
    assert "model" not in batch_text(report(without))


def test_what_a_stranger_wrote_is_no_markup() -> None:
    one = task("a", State.FAILED, "crash", "# <script>\n[x](http://x) \x1b[2J")
    text = batch_text(report(task_row(one, [])))
    assert "\x1b" not in text
    assert "\\<script\\>" in text
    assert "\n#" not in text.replace("\n## ", "")


def test_the_name_of_a_report_says_when_and_until_which_event() -> None:
    name = report_name("2026-11-27T10:15:02.518Z", 41)
    assert name == "report-20261127T101502Z-41"
    assert (seq_of(f"{name}.json"), seq_of(f"{name}.md"), seq_of("a_result.json")) == (41, 0, 0)
    assert (report_ended(f"{name}.md"), report_ended("x.md")) == ("2026-11-27T10:15:02Z", "")


def test_a_report_among_the_results_is_checked_by_its_own_schema() -> None:
    from orchestrator.validation.result import result_bytes

    built = report(row("a"))
    assert file_problems(result_bytes(built)) == []
    assert file_problems(result_bytes({**built, "counts": {}})) != []


def tree_report(parent: Task, **work: Json) -> list[Any]:
    """Return what waits for a person of a tree whose root joined `shop.a`, and not `shop.b`."""
    a, b = (replace(task(f"shop.{key}"), job="1" * 32, depth=1, parent=parent.uid) for key in "ab")
    parent = replace(parent, job="1" * 32)
    works: dict[str, dict[str, Json]] = {
        a.uid: {"branch": "a", "delivered": True},
        b.uid: {"branch": "b", "delivered": True, "merged": ["shop.a"]},  # it was built on a
        parent.uid: {"branch": "shop", "merged": ["shop.a"], **work},
    }
    ended = [(one, works[one.uid]) for one in (a, b, parent)]
    rows = [task_row(one, [attempt(one, {"work": found})]) for one, found in ended]
    built = build_batch(PERIOD, rows, (), Now(), (), joined_in(ended))
    assert batch_problems(built) == []
    found: Any = built["decisions"]
    return list(found)


def test_a_sub_task_that_its_parent_has_joined_waits_for_nobody() -> None:
    assert [one["what"] for one in tree_report(task("shop"), delivered=True)] == ["shop.b", "shop"]
    cancelled = task("shop", State.CANCELLED, "cancelled")
    assert [one["what"] for one in tree_report(cancelled, delivered=False)] == ["shop.a", "shop.b"]


def test_a_parent_without_all_of_its_sub_tasks_waits_with_what_can_be_done() -> None:
    *_, last = tree_report(task("shop", State.FAILED, "children_failed", "b failed"), delivered=False)
    assert last == {
        "what": "shop",
        "why": "b failed; do the rest again, or accept what there is",
        "commands": ["show shop", "job retry 11111111", "accept shop"],
    }
