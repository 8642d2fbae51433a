"""Figures and forecasts at the command line: the same facts as text, JSON and a page, from a real service."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.api.world import World

from orchestrator.core.agents import AgentProfile
from orchestrator.core.dependencies import Need
from orchestrator.core.errors import AmbiguousError, NotFoundError, UsageError
from orchestrator.core.events import Event, EventKind, Json, TaskUid
from orchestrator.core.hours import Hours, Span
from orchestrator.core.job import Job
from orchestrator.core.ports import NewTask, Pause
from orchestrator.core.task import Priority, Task, TaskSpec
from orchestrator.engine.analysis import Analysis
from orchestrator.validation.schema import analytics_problems, forecast_problems

JOB = "f" * 24 + "0000abcd"


LEFT_OF_DAY_S = 24 * 3600 - 3600  # a rest of every day, from midnight to one hour before the next
EVER = Span(frozenset(range(7)), 0, 23 * 60)


def spec(task_id: str, *needs: str, **given: Any) -> TaskSpec:
    plain = TaskSpec(task_id, "analyze", Priority.MEDIUM, f"Title of {task_id}", "Do.", depends_on=needs)
    return replace(plain, **given)


async def accept(world: World, given: TaskSpec, *needs: TaskUid, **more: Any) -> Task:
    """Accept a task of the job JOB that waits for *needs*."""
    uid, now = world.clock.new_uid(), world.clock.now()
    task = Task(uid, given.id, given, "0" * 64, now, job=JOB, **more)
    waits = [Need(uid, "key", on) for on in needs]
    job = Job(JOB, "backend", now, "test")
    new = NewTask(task, b"", [Event(EventKind.RECEIVED, now, uid)], waits)
    return (await world.store.accept([new], [job]))[0]


async def work(world: World, task: Task, seconds: float, usd: float | None, *, ends: EventKind) -> Task:
    """Let one attempt of *task* work for so long."""
    attempt, epoch = task.attempt + 1, task.epoch + 1
    started = Event(EventKind.STARTED, world.clock.now(), task.uid, attempt, task.epoch, {"agent": "claude"})
    await world.store.commit([started])
    world.clock.advance(seconds)
    usage: dict[str, Any] = {"cost_usd": usd, "turns": 2, "input_tokens": 100, "output_tokens": 10}
    told: dict[str, Any] = {"kind": "finished", "report": {"model": "opus", "usage": usage}}
    now = world.clock.now()
    finished = Event(EventKind.FINISHED, now, task.uid, attempt, epoch, {"outcome": told})
    judged = Event(EventKind.VALIDATED, now, task.uid, attempt, epoch, {"passed": ends is EventKind.SUCCEEDED})
    end = Event(ends, now, task.uid, attempt, epoch, {"reason": "" if ends is EventKind.SUCCEEDED else "no_changes"})
    return (await world.store.commit([finished, judged, end]))[0]


async def backend(world: World) -> None:
    """A job of three: auth, then api, while docs fails and is run again."""
    auth, docs = await accept(world, spec("auth")), await accept(world, spec("docs"))
    auth = await work(world, auth, 60, 0.5, ends=EventKind.SUCCEEDED)
    api = await accept(world, spec("api", "auth"), auth.uid)
    now = world.clock.now()
    blocked = Event(EventKind.BLOCKED, now, api.uid, 0, 0, {"on": ["auth"]})
    free = Event(EventKind.UNBLOCKED, now, api.uid, 0, 0, {"met": ["key"]})
    (api,) = (await world.store.commit([blocked, free]))[-1:]
    await work(world, api, 30, 0.25, ends=EventKind.SUCCEEDED)
    failed = await work(world, docs, 10, None, ends=EventKind.FAILED)
    again = await accept(world, spec("docs"), rerun_of=failed.uid)
    await work(world, again, 20, 0.125, ends=EventKind.SUCCEEDED)


async def test_a_job_is_told_as_text_json_and_page() -> None:
    world = World()
    await backend(world)
    code, text, _ = await world.call("report", "--job", "backend")
    assert code == 0
    assert text.startswith("# Job backend\n\n**3 tasks**: 3 succeeded. 3 ended, 0 of them proven.")
    told = await world.json("report", "--job", "backend")
    assert analytics_problems(told) == []
    assert told["efficiency"]["work_s"] == 120
    assert [one["name"] for one in told["bottleneck"]["path"]] == ["auth", "api"]
    assert told["bottleneck"]["seconds"] == 90
    code, page, _ = await world.call("report", "--job", "0000abcd", "--html")
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")


async def test_a_task_that_was_run_again_is_one_task_and_what_its_first_run_cost_is_not_forgotten() -> None:
    world = World()
    await backend(world)
    told = await world.json("report", "--job", "backend")
    assert (told["counts"]["tasks"], told["counts"]["succeeded"], told["resources"]["attempts"]) == (3, 3, 4)
    assert told["resources"]["cost_usd"] == {"total": None, "known": 0.875, "attempts_unknown": 1}
    assert told["errors"] == [{"kind": "no_changes", "attempts": 1, "rate": 0.25}]


async def test_what_ended_since_a_time_is_told_with_the_same_figures() -> None:
    world = World()
    await backend(world)
    world.clock.advance(3600)
    told = await world.json("report", "--since", "2h", "--analytics")
    assert analytics_problems(told) == []
    assert told["subject"]["job"] == ""
    assert told["counts"]["tasks"] == 3
    assert (await world.json("report", "--since", "30m", "--analytics"))["counts"]["tasks"] == 0


async def test_the_report_on_a_batch_stays_what_it_was() -> None:
    assert (await World().json("report"))["kind"] == "batch_report"


@pytest.mark.parametrize("words", [("--analytics",), ("--html",), ("--since", "1h", "--html")])
async def test_figures_without_a_subject_are_refused_with_what_to_add(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as raised:
        await World().call("report", *words)
    assert "--job JOB" in raised.value.hint


async def test_an_unknown_job_is_not_found_and_half_a_uid_not_guessed() -> None:
    world = World()
    with pytest.raises(NotFoundError):
        await world.call("report", "--job", "nothing")
    await backend(world)
    other = Job("f" * 24 + "0000ffff", "other", 0.0, "test")
    await world.store.accept([], [other])
    with pytest.raises(AmbiguousError) as raised:
        await world.call("report", "--job", "fffff")
    assert "0000ffff (other)" in raised.value.message


async def test_secrets_reach_no_page() -> None:
    world = World()
    task = await accept(world, spec("auth-hush", title="The hush word"))
    await work(world, task, 60, 0.5, ends=EventKind.SUCCEEDED)
    await accept(world, spec("next"), task.uid)

    def redact(value: Json) -> Json:
        found: Json = json.loads(json.dumps(value).replace("hush", "***"))
        return found

    analysis = Analysis(world.store, world.clock, lambda: world.policy, redact)
    pages = await analysis.of_job("backend")
    assert all(b"***" in page and b"hush" not in page for page in pages.values())
    assert (
        b"hush"
        in (await Analysis(world.store, world.clock, lambda: world.policy, lambda v: v).of_job("backend"))[
            "picture.html"
        ]
    )


# --- forecast ----------------------------------------------------------------------------------------------------


async def forecast(world: World, *specs: TaskSpec) -> dict[str, Any]:
    world.files = {f"{one.id}.task.md": one for one in specs}
    told: dict[str, Any] = await world.json("forecast", *world.files)
    assert forecast_problems(told) == []
    return told


async def test_without_history_the_command_says_so_and_gives_no_figure() -> None:
    world = World(files={"a.task.md": spec("a")})
    code, text, _ = await world.call("forecast", "a.task.md")
    assert code == 0
    assert "No history: no task has ended here yet" in text
    assert "$" not in text
    told = await forecast(world, spec("a"))
    assert (told["time_s"], told["ends"], told["cost_usd"], told["rounds"]) == (None, None, None, 0)


async def test_a_batch_is_forecast_from_what_ended() -> None:
    world = World()
    await backend(world)
    told = await forecast(world, spec("x"), spec("y", "x"), spec("z"))
    assert (told["tasks"], told["history"], told["slots"]) == (3, 4, 3)
    assert told["critical_path"]["names"] == ["x", "y"]
    assert 20 < told["time_s"]["p50"] < 200
    assert told["time_s"]["p10"] < told["time_s"]["p50"] < told["time_s"]["p90"]
    assert [one["like"] for one in told["basis"]] == ["type and model"]
    assert told == await forecast(world, spec("x"), spec("y", "x"), spec("z"))


async def test_the_text_says_the_range_and_what_it_rests_on() -> None:
    world = World(files={"x.task.md": spec("x"), "y.task.md": spec("y", "x")})
    await backend(world)
    _, text, _ = await world.call("forecast", "x.task.md", "y.task.md")
    assert text.startswith("Forecast of 2 tasks on 3 slots")
    assert "(between " in text
    assert "Longest chain: x → y" in text
    assert "2 x analyze on claude: 4 ended tasks of the same type, agent and model, few: hence the width" in text


async def test_a_cancelled_task_is_no_history() -> None:
    world = World()
    gone = await world.add("gone", EventKind.STARTED)
    world.clock.advance(60)
    about = (world.clock.now(), gone.uid, gone.attempt, gone.epoch)
    asked, ended = (Event(kind, *about) for kind in (EventKind.CANCEL_REQUESTED, EventKind.CANCELLED))
    await world.store.commit([asked, ended])
    assert (await forecast(world, spec("a")))["history"] == 0


async def test_what_the_figures_leave_out_is_said() -> None:
    world = World()
    await backend(world)
    await world.add("other")
    held = Event(EventKind.AGENT_HELD, world.clock.now(), data={"agent": "claude"})
    await world.store.pause(Pause("claude", 0.0, "paused", "paused by request"), held)
    world.policy = replace(world.policy, day_budget_usd=0.01)
    notes = (await forecast(world, spec("x", "elsewhere")))["notes"]
    assert [note.partition(":")[0] for note in notes] == [
        "claude is held until it is resumed (paused by request)",
        "tasks that the batch waits for and that are not in it",
        "the budget of a day, $0.01",
        "1 other task runs or waits",
    ]


async def test_an_agent_that_the_batch_does_not_run_on_is_no_news_to_it() -> None:
    world = World()
    await backend(world)
    world.policy = replace(world.policy, agents={**world.policy.agents, "local": AgentProfile("local", enabled=False)})
    assert (await forecast(world, spec("x")))["notes"] == []
    assert len((await forecast(world, spec("x", agent="local")))["notes"]) == 1


async def test_an_agent_that_is_held_for_a_time_starts_after_it() -> None:
    world = World()
    await backend(world)
    until = world.clock.now() + 7200
    held = Event(EventKind.AGENT_HELD, world.clock.now(), data={"agent": "claude"})
    await world.store.pause(Pause("claude", until, "usage_limit", ""), held)
    assert (await forecast(world, spec("x")))["time_s"]["p10"] > 7200


async def test_quiet_hours_and_quitting_time_are_in_the_time() -> None:
    world = World()
    await backend(world)
    plain = (await forecast(world, spec("x")))["time_s"]["p50"]
    for hours in (Hours(quiet=(EVER,), timezone="UTC"), Hours(quitting=(EVER,), timezone="UTC")):
        world.policy = replace(world.policy, hours=hours)
        rested = (await forecast(world, spec("x")))["time_s"]["p50"]
        assert rested - plain == pytest.approx(LEFT_OF_DAY_S - world.clock.now() % 86_400, abs=1)


async def test_a_task_with_a_time_of_its_own_is_named() -> None:
    world = World()
    await backend(world)
    (note,) = (await forecast(world, spec("x", after="22:00"), spec("y")))["notes"]
    assert note == "1 task with `after` or `schedule`: taken to run once, and at once"


async def test_places_of_an_agent_bound_what_runs_at_once() -> None:
    world = World()
    await backend(world)
    many = [spec(f"t{n}") for n in range(12)]
    free = (await forecast(world, *many))["time_s"]["p50"]
    world.policy = replace(world.policy, agents={"claude": AgentProfile("claude", places=1)})
    assert (await forecast(world, *many))["time_s"]["p50"] > 2 * free


async def test_two_tasks_of_one_id_are_two_tasks() -> None:
    world = World(files={"a.task.md": spec("same"), "b.task.md": spec("SAME")})
    await backend(world)
    assert (await world.json("forecast", "a.task.md", "b.task.md"))["tasks"] == 2


async def test_a_circle_is_refused_and_spelled_out() -> None:
    world = World(files={"a.task.md": spec("a", "b"), "b.task.md": spec("b", "a")})
    with pytest.raises(UsageError) as raised:
        await world.call("forecast", "a.task.md", "b.task.md")
    assert "a → b → a" in raised.value.message


async def test_a_file_that_is_no_task_is_named_and_the_others_are_forecast() -> None:
    world = World(files={"a.task.md": spec("a")})
    await backend(world)
    code, text, _ = await world.call("forecast", "a.task.md", "broken.task.md")
    assert code == 1
    assert text.startswith("Forecast of 1 task on 3 slots")
    assert "broken.task.md is no task: it does not say what to do" in text
