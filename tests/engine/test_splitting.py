"""Tasks that are planned: one becomes many, and one again; and no request is lost to a bad plan."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.agents import DONE, FakeAgent
from tests.engine.plan_rig import TWO, TYPES, children, of_type, planned, planner, sub_task, told, until_state
from tests.rig import FIX, Open

from orchestrator.bridges.workspace import InPlaceWorkspace
from orchestrator.core.attempt import AgentReport, Failed, FailureKind, Interrupted, Usage, WorkOrder
from orchestrator.core.events import Event, EventKind
from orchestrator.core.job import Job
from orchestrator.core.lifecycle import State
from orchestrator.core.question import Source
from orchestrator.core.split_request import read_request
from orchestrator.core.subtask import plan_facts
from orchestrator.core.work import Area, Isolation
from orchestrator.engine.splits import structured_in
from orchestrator.engine.unblocking import Unblocking
from orchestrator.validation.schema import result_problems

ASK: dict[str, Any] = {"type": "orchestrate", "prompt": "Build it."}


async def test_a_planned_task_becomes_sub_tasks_in_their_order_and_is_done_by_them_without_an_agent(
    open_engine: Open,
) -> None:
    async with open_engine(planner(TWO), **of_type()) as engine:
        task = await engine.add("t", **ASK, max_depth=2, budget_usd=3.01)
        done = await until_state(engine, task, State.SUCCEEDED)
        assert [order.task_id for order in engine.agent.starts] == ["t", "t.a", "t.b"], "no agent for the end"
        first = engine.agent.starts[0]
        assert first.tools == ("Read", "Glob")
        assert "Build it.\n\n---\n\nDo not do this yourself." in first.prompt
        assert json.loads(first.schema)["properties"]["tasks"]["maxItems"] == 7
        below = await children(engine, task)
        a, b = below["a"], below["b"]
        assert (a.state, b.state) == (State.SUCCEEDED, State.SUCCEEDED)
        assert (a.parent, a.root, a.depth, b.spec.depends_on) == (task.uid, task.uid, 1, ("t.a",))
        assert a.path > b.path, "what others wait for goes first"
        assert (a.spec.budget_usd, a.spec.max_depth) == (1.0, 2)
        assert (done.tries, done.attempt) == (1, 2)
        verdicts = await told(engine, task)
        assert [one.get("stage") for one in verdicts] == ["split", None]
        assert [one["id"] for one in verdicts[0]["children"]] == ["t.a", "t.b"]
        attempts = await engine.store.attempts(task.uid)
        answer = attempts[1].outcome["report"]["answer"]  # type: ignore[index, call-overload]
        assert "2 of 2 sub-tasks of 't' succeeded." in str(answer)


async def test_the_result_of_a_planned_task_counts_what_its_planning_cost_and_nothing_for_joining(
    open_engine: Open,
) -> None:
    async with open_engine(planner(TWO), **of_type()) as engine:
        task = await engine.add("t", **ASK)
        await until_state(engine, task, State.SUCCEEDED)
        result = await engine.service.result(await engine.task(task.uid))
        assert result_problems(result) == []
        assert result["usage"]["cost_usd"] == 0.01  # type: ignore[index, call-overload]


BAD: dict[str, Any] = {
    "no plan": (DONE, "its agent gave no plan"),
    "one piece": (planned(one_piece="It is small."), "it was planned as one piece of work: It is small."),
    "a cycle": (
        planned(sub_task("a", depends_on=["b"]), sub_task("b", depends_on=["a"])),
        "the sub-tasks wait for each other in a circle: a → b → a",
    ),
    "too many": (planned(*(sub_task(f"t{n}") for n in range(8))), "the plan has 8 sub-tasks, 7 may be"),
    "nonsense": (
        replace(DONE, report=replace(DONE.report, structured="[1]")),
        "the plan is no object but [1]",
    ),
    "never valid": (Failed(FailureKind.BAD_OUTPUT, "no valid plan after 5 tries", DONE.report), "no valid plan"),
    "no such model": (Failed(FailureKind.MODEL_NOT_FOUND, "no such model", DONE.report), "no such model"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_plan_that_cannot_be_used_leaves_one_task_that_says_why(open_engine: Open, name: str) -> None:
    outcome, why = BAD[name]
    async with open_engine(planner(outcome), **of_type()) as engine:
        task = await engine.add("t", type="orchestrate", prompt="Look at it.")
        done = await until_state(engine, task, State.SUCCEEDED)
        first, second = engine.agent.starts
        assert (second.schema, second.tools) == ("", ("Read",)), "the tools of the type that its words say"
        assert "Do not do this yourself." not in second.prompt
        assert await engine.store.children(task.uid) == []
        plan = (await told(engine, task))[0]
        assert plan["stage"] == "one"
        assert why in plan["why"]
        (event,) = [e for e in await engine.store.events_of(done.uid, limit=99) if e.kind is EventKind.RETRY]
        assert (event.data["reason"], why in str(event.data["detail"])) == ("plan_failed", True)
        result = await engine.service.result(done)
        assert [one["code"] for one in result["task"]["notices"]] == ["planned_as_one"]  # type: ignore[index, union-attr, call-overload]
        said = "it was to be split, and is done as one task of the type analyze: "
        assert said in json.dumps(result["task"])
        assert first.resume is second.resume is False


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"max_depth": 0}, "a task at this depth is not split any more"),
        ({"max_tree": 2}, "its whole tree takes in 1 more tasks, and a split has 2 at least"),
    ],
)
async def test_where_nothing_may_be_split_no_agent_is_asked_for_a_plan(
    open_engine: Open, changes: dict[str, int], why: str
) -> None:
    async with open_engine(planner(), **of_type(**changes)) as engine:
        task = await engine.add("t", **ASK | {"prompt": "Look at it."})
        await until_state(engine, task, State.SUCCEEDED)
        (only,) = engine.agent.starts
        assert only.schema == ""
        assert why in (await told(engine, task))[0]["why"]


async def test_a_request_done_as_one_that_changes_nothing_is_no_success(open_engine: Open) -> None:
    async with open_engine(planner(), **of_type(max_depth=0)) as engine:
        task = await engine.add("t", **ASK)
        done = await until_state(engine, task, State.FAILED)
        assert done.reason == "no_changes", "its words name no type: it was to change files"
        assert engine.agent.starts[0].tools == FIX.tools


async def test_a_sub_task_of_a_planning_type_is_planned_again_as_deep_as_may_be(open_engine: Open) -> None:
    again = planned(sub_task("a", type="orchestrate"), sub_task("b"))
    agent = FakeAgent({"t": [again], "t.a": [again], "t.a.a": [again]})
    async with open_engine(agent, **of_type(max_depth=2)) as engine:
        task = await engine.add("t", **ASK)
        await until_state(engine, task, State.SUCCEEDED)
        tree = await engine.store.tree(task.uid)
        assert {(one.spec.id, one.depth, one.spec.type) for one in tree} == {
            ("t", 0, "orchestrate"),
            ("t.a", 1, "orchestrate"),
            ("t.b", 1, "analyze"),
            ("t.a.a", 2, "fix"),  # no deeper, and its words name no type
            ("t.a.b", 2, "analyze"),
        }
        assert {one.lineage for one in tree} == {task.uid}


async def test_a_plan_that_is_to_be_approved_waits_for_a_person_and_then_runs_without_a_second_one(
    open_engine: Open,
) -> None:
    async with open_engine(planner(TWO), **of_type()) as engine:
        task = await engine.add("t", **ASK, approve="plan")
        waiting = await until_state(engine, task, State.NEEDS_INPUT)
        question = await engine.service.question(waiting)
        assert question is not None
        assert (question.options, question.source) == (("approve", "reject"), Source.PLAN)
        assert "1. a: Part a" in question.text
        assert "2. b: Part b (analyze, medium, 15 min, after a)" in question.text
        assert await engine.store.children(task.uid) == []
        await engine.service.answer("t", "1", door="cli")
        done = await until_state(engine, task, State.SUCCEEDED)
        assert [order.task_id for order in engine.agent.starts] == ["t", "t.a", "t.b"]
        assert done.tries == 1


async def test_a_rejected_plan_ends_the_task_and_starts_nothing(open_engine: Open) -> None:
    async with open_engine(planner(TWO), **of_type(approve=True)) as engine:
        task = await engine.add("t", **ASK)
        await until_state(engine, task, State.NEEDS_INPUT)
        await engine.service.answer("t", "reject", door="cli")
        ended = await until_state(engine, task, State.FAILED)
        assert (ended.reason, ended.detail) == ("plan_failed", "a person has rejected the plan")
        assert len(engine.agent.starts) == 1
        assert await engine.store.children(task.uid) == []


async def test_other_words_than_yes_and_no_are_wishes_and_it_is_planned_again_in_the_same_session(
    open_engine: Open,
) -> None:
    three = planned(sub_task("a"), sub_task("b"), sub_task("c"))
    async with open_engine(planner(TWO, three), **of_type(approve=True)) as engine:
        task = await engine.add("t", **ASK)
        await until_state(engine, task, State.NEEDS_INPUT)
        await engine.service.answer("t", "Add a third part.", door="cli")
        waiting = await until_state(engine, task, State.NEEDS_INPUT)
        first, second = engine.agent.starts
        assert (second.resume, second.session_id) == (True, first.session_id)
        assert second.continue_prompt.startswith("Add a third part.\n\nGive the whole plan again")
        assert second.schema
        question = await engine.service.question(waiting)
        assert question is not None
        assert "May this plan of 3 sub-tasks run?" in question.text


async def test_a_failed_sub_task_makes_its_parent_partial_and_says_which(open_engine: Open) -> None:
    lost = Failed(FailureKind.BAD_REQUEST, "refused", AgentReport(usage=Usage(cost_usd=0.0)))
    async with open_engine(planner(planned(sub_task("a"), sub_task("b")), b=[lost]), **of_type()) as engine:
        task = await engine.add("t", **ASK)
        ended = await until_state(engine, task, State.FAILED)
        assert ended.reason == "children_failed"
        assert ended.detail == "1 of 2 sub-tasks did not succeed: t.b failed"
        assert len(engine.agent.starts) == 3


async def test_a_job_that_is_done_again_joins_what_had_succeeded_and_the_new_run_of_the_rest(open_engine: Open) -> None:
    lost = Failed(FailureKind.BAD_REQUEST, "refused", AgentReport(usage=Usage(cost_usd=0.0)))
    async with open_engine(planner(planned(sub_task("a"), sub_task("b")), b=[lost]), **of_type()) as engine:
        await engine.store.accept([], [Job("a" * 32, "night", 1.0, "test")])
        task = await engine.add("t", **ASK, job_uid="a" * 32)
        await until_state(engine, task, State.FAILED)
        again = {one.spec.id: one for one in await engine.service.jobs.retry("night")}
        assert sorted(again) == ["t", "t.b"]
        done = await until_state(engine, again["t"], State.SUCCEEDED)
        assert [order.task_id for order in engine.agent.starts[3:]] == ["t.b"], "nothing is planned or done twice"
        attempts = await engine.store.attempts(done.uid)
        answer = attempts[-1].outcome["report"]["answer"]  # type: ignore[index, call-overload]
        assert "2 of 2 sub-tasks of 't' succeeded." in str(answer)


async def test_a_daemon_that_dies_before_the_verdict_splits_once_on_the_plan_that_was_paid_for(
    open_engine: Open,
) -> None:
    async with open_engine(planner(TWO), **of_type()) as engine:
        task = await engine.add("t", **ASK)
        started = (await engine.store.commit([engine.executor.starting(task)]))[0]
        left = planner(TWO)
        engine.agent.left[f"{task.uid}.1"] = TWO
        await engine.recover()
        assert (await engine.task(task.uid)).state is State.SPLIT
        await engine.recover()
        assert len(await engine.store.children(task.uid)) == 2
        assert left.starts == engine.agent.starts == []
        assert started.attempt == 1


class Contradicting(InPlaceWorkspace):
    """A workspace in which the results of sub-tasks do not fit together."""

    async def prepare(self, order: WorkOrder, allowed_root: str, *, fresh: bool) -> Area:
        area = await super().prepare(order, allowed_root, fresh=fresh)
        return replace(area, conflicts=("app.py",)) if order.merges else area


async def test_results_that_contradict_each_other_go_to_an_agent_that_may_change_files(
    open_engine: Open, tmp_path: Path
) -> None:
    place = Contradicting(base_cwd=lambda: tmp_path / "work", own=frozenset())
    async with open_engine(planner(TWO), workspace=place, **of_type()) as engine:
        task = await engine.add("t", type="orchestrate", prompt="Fix it.")
        engine.policy = replace(engine.policy, types={**TYPES, "fix": replace(FIX, words=(r"\bfix\b",))})
        await until_state(engine, task, State.SUCCEEDED)
        last = engine.agent.starts[-1]
        assert (last.task_id, last.resume, last.schema, last.tools) == ("t", True, "", FIX.tools)
        assert "- app.py" in last.continue_prompt
        assert "Do not do this yourself." not in last.prompt


# --- a running worker that splits its own task


def wish(task: Any, *titles: str) -> Event:
    rows = [{"title": title, "prompt": f"Do {title}."} for title in titles]
    plan, faults = read_request({"why": "Large.", "tasks": rows}, default_type="analyze")
    assert not faults
    return Event(EventKind.SPLIT_REQUESTED, 1.0, task.uid, task.attempt, task.epoch, plan_facts(plan))


async def test_a_worker_that_wished_for_sub_tasks_waits_for_them_and_goes_on_in_its_session(
    open_engine: Open,
) -> None:
    async with open_engine(FakeAgent(), **of_type(tool=True)) as engine:
        task = await engine.add("t")
        running = (await engine.store.commit([engine.executor.starting(task)]))[0]
        await engine.store.commit([wish(running, "one", "two")])
        engine.agent.left[f"{task.uid}.1"] = DONE
        await engine.recover()
        split = await engine.task(task.uid)
        assert (split.state, split.tries) == (State.SPLIT, 0)
        assert sorted(await children(engine, task)) == ["one", "two"]
        await until_state(engine, task, State.SUCCEEDED)
        last = engine.agent.starts[-1]
        assert (last.task_id, last.resume) == ("t", True)
        assert last.continue_prompt.startswith(
            "The sub-tasks of 't' have ended.\n\nDone:\n- t.one (succeeded): one\n> All is done."
        )


async def test_a_worker_that_was_cut_off_after_its_wish_has_wished_all_the_same(open_engine: Open) -> None:
    async with open_engine(FakeAgent({"t": [DONE]}), **of_type(tool=True)) as engine:
        task = await engine.add("t")
        running = (await engine.store.commit([engine.executor.starting(task)]))[0]
        await engine.store.commit([wish(running, "one", "two")])
        engine.agent.left[f"{task.uid}.1"] = Interrupted("killed")
        await engine.recover()
        await until_state(engine, task, State.SPLIT, State.SUCCEEDED)
        assert sorted(await children(engine, task)) == ["one", "two"]


async def test_a_wish_that_is_not_granted_leaves_one_task_whose_agent_is_told_why(open_engine: Open) -> None:
    async with open_engine(FakeAgent(), **of_type(tool=True)) as engine:
        task = await engine.add("t")
        running = (await engine.store.commit([engine.executor.starting(task)]))[0]
        await engine.store.commit([wish(running, "one", "two")])
        engine.agent.left[f"{task.uid}.1"] = DONE
        engine.policy = replace(engine.policy, splits=replace(engine.policy.splits, max_tree=2))
        await engine.recover()
        await until_state(engine, task, State.SUCCEEDED)
        (again,) = engine.agent.starts
        assert "The sub-tasks you asked for were not made: the plan has 2 sub-tasks" in again.prompt
        assert await engine.store.children(task.uid) == []


def test_in_a_plan_the_planners_own_copy_of_the_folder_is_called_by_the_name_of_the_original() -> None:
    area = Area("/areas/x", "/areas/x", "/home/me/app", Isolation.CLONE)
    plan = replace(DONE, report=replace(DONE.report, structured='{"summary": "See /areas/x/a.py"}'))
    assert structured_in(plan, area) == {"summary": "See /home/me/app/a.py"}
    broken = replace(DONE, report=replace(DONE.report, structured="{"))
    assert structured_in(broken, area) is None


async def test_a_join_that_a_crash_cut_off_is_begun_again_as_one_whatever_is_left_of_the_account(
    open_engine: Open,
) -> None:
    plan = planned(sub_task("a"), sub_task("b"))
    async with open_engine(planner(plan), **of_type()) as engine:
        task = await engine.add("t", **ASK, tree_budget_usd=1.0)
        await engine.run_until(lambda: all(map(engine.archived, ("t.a", "t.b"))), "the sub-tasks")
        given: dict[str, Any] = {"clock": engine.clock, "bell": engine.bell, "cancel": engine.service.cancel}
        await Unblocking(store=engine.store, policy=lambda: engine.policy, **given).look()
        joining = await engine.task(task.uid)
        await engine.store.commit([engine.executor.starting(joining, cap_usd=1.0)])
        await engine.executor.recover(await engine.task(task.uid))
        again = await engine.task(task.uid)
        assert (again.state, again.reason) == (State.QUEUED, "joined")
        assert await engine.executor.cap(again, free_slots=1), "of the account nothing is left"
        await until_state(engine, task, State.SUCCEEDED)


async def test_the_budget_of_a_tree_is_one_account_and_no_share_that_one_unknown_cost_uses_up(
    open_engine: Open,
) -> None:
    lost = Failed(FailureKind.CRASH, "it is gone", AgentReport(usage=Usage()))
    plan = planned(sub_task("a"), sub_task("b"))
    async with open_engine(planner(plan, a=[lost, DONE]), **of_type()) as engine:
        task = await engine.add("t", **ASK, tree_budget_usd=9.0)
        await until_state(engine, task, State.SUCCEEDED)
        below = await children(engine, task)
        assert [(one.spec.budget_usd, one.attempt) for one in below.values()] == [(None, 2), (None, 1)]
        assert engine.agent.starts[0].budget_usd == 9.0, "to plan it is held to the account as well"


async def test_a_planned_task_that_is_done_again_joins_the_new_runs_and_is_not_planned_once_more(
    open_engine: Open,
) -> None:
    gave_up = Failed(FailureKind.GAVE_UP, "no", DONE.report)
    async with open_engine(planner(TWO, b=[gave_up]), **of_type()) as engine:
        job = Job(engine.clock.new_uid(), "night", engine.clock.now(), "test")
        await engine.store.accept([], [job])
        task = await engine.add("t", **ASK, job_uid=job.uid)
        assert (await until_state(engine, task, State.FAILED)).reason == "children_failed"
        starts = len(engine.agent.starts)
        again = {one.spec.id: one for one in await engine.service.jobs.retry("night")}
        assert set(again) == {"t", "t.b"}
        await until_state(engine, again["t"], State.SUCCEEDED)
        assert [order.task_id for order in engine.agent.starts[starts:]] == ["t.b"]
        attempts = await engine.store.attempts(again["t"].uid)
        assert "2 of 2 sub-tasks of 't' succeeded." in str(attempts[-1].outcome)
