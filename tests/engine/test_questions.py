"""Tasks that ask: they wait without a slot, are answered by any door, and go on in the same session."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.agents import DONE, FakeAgent
from tests.engine.question_rig import TEXT, asked, asking, file_of, kinds, write
from tests.rig import Open

from orchestrator.core.attempt import Failed, FailureKind, Finished, Interrupted
from orchestrator.core.errors import ConflictError, UsageError
from orchestrator.core.events import Event, EventKind
from orchestrator.core.lifecycle import State
from orchestrator.core.question import MAX_DEFAULTS, Question, QuestionRules, Source
from orchestrator.core.task import Priority, TaskSpec
from orchestrator.engine.asking import rules_for
from orchestrator.validation.schema import result_problems


async def test_a_task_that_asks_waits_without_a_slot_while_others_go_on(open_engine: Open) -> None:
    async with open_engine(asking(), slots=1) as engine:
        task = await engine.add("t")
        await engine.add("other")
        await engine.run_until(lambda: engine.archived("other") and file_of(engine).exists(), "the other task")
        waiting = await engine.task(task.uid)
        assert (waiting.state, waiting.reason, waiting.tries) == (State.NEEDS_INPUT, "asked_a_question", 0)
        (event,) = await kinds(engine, task, EventKind.QUESTION_ASKED)
        assert event.data["options"] == ["psycopg", "asyncpg"]
        assert (event.data["source"], event.data["deadline"]) == ("text", 0.0)
        assert await engine.service.question(waiting) == Question(TEXT, ("psycopg", "asyncpg"), Source.TEXT)
        text = file_of(engine).read_text()
        assert "> Which of the two should I use?" in text
        assert "2. asyncpg\n" in text
        assert text.endswith("## Answer\n\n")
        look = await engine.service.status()
        assert [one.uid for one in look.asking] == [task.uid]


async def test_an_answer_goes_into_the_same_session_word_for_word_and_costs_no_try(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine) as task:
        after = await engine.service.answer("t", "  use asyncpg, please ", door="cli")
        assert (after.state, after.reason) == (State.QUEUED, "answered")
        await engine.run_until(lambda: engine.archived("t"), "the end")
        first, second = engine.agent.starts
        assert (second.resume, second.session_id) == (True, first.session_id)
        assert second.continue_prompt == "use asyncpg, please"
        done = await engine.task(task.uid)
        assert (done.state, done.tries, done.attempt) == (State.SUCCEEDED, 1, 2)
        assert not file_of(engine).exists()
        result = json.loads((engine.root / "results" / "t_result.json").read_text())
        assert result_problems(result) == []
        assert result["attempts"][0]["answered"] == {
            "answer": "use asyncpg, please",
            "by": "person",
            "door": "cli",
        }
        summary = (engine.root / "summaries" / "t_summary.txt").read_text()
        assert "it asked: There are two drivers." in summary
        assert "answered by you (cli): use asyncpg, please" in summary


async def test_an_answer_without_a_word_or_without_measure_is_refused(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine) as task:
        for text in ("", " \n", "…", "x" * 32_001):
            with pytest.raises(UsageError):
                await engine.service.answer("t", text, door="cli")
        assert (await engine.task(task.uid)).state is State.NEEDS_INPUT
        other = await engine.add("other")
        with pytest.raises(ConflictError, match="waits for no answer: it is queued"):
            await engine.service.answer(other.uid, "yes", door="cli")


async def test_without_time_skip_fails_at_once_as_a_question(open_engine: Open) -> None:
    async with open_engine(asking()) as engine:
        task = await engine.add("t", if_unanswered="skip")
        await engine.run_until(lambda: engine.archived("t"), "the end")
        ended = await engine.task(task.uid)
        assert (ended.state, ended.reason) == (State.FAILED, "asked_a_question")
        assert await kinds(engine, task, EventKind.QUESTION_ASKED) == []


async def test_a_deadline_survives_the_daemon_and_then_skips(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine, if_unanswered="skip", answer_within_s=3600.0) as task:
        assert 3590 < task.not_before - engine.clock.now() < 3601
        assert "Without an answer until " in file_of(engine).read_text()
        event = Event(EventKind.RESCHEDULED, engine.clock.now(), task.uid, data={"not_before": 1.0})
        await engine.store.commit([event])
    async with open_engine() as engine:
        await engine.run_until(lambda: engine.archived("t"), "the end")
        ended = await engine.task(task.uid)
        assert (ended.state, ended.reason) == (State.FAILED, "unanswered")
        assert not file_of(engine).exists()
        assert "nobody answered" in (engine.root / "summaries" / "t_summary.txt").read_text()


async def test_an_answer_in_the_file_counts_though_the_deadline_passed_while_no_daemon_ran(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine, if_unanswered="skip", answer_within_s=3600.0) as task:
        await engine.store.commit(
            [Event(EventKind.RESCHEDULED, engine.clock.now(), task.uid, data={"not_before": 1.0})]
        )
        write(engine, "2")
    async with open_engine() as engine:
        await engine.run_until(lambda: engine.archived("t"), "the end")
        assert (await engine.task(task.uid)).state is State.SUCCEEDED


async def test_after_its_time_a_default_answers_for_a_person(open_engine: Open) -> None:
    async with open_engine(asking()) as engine:
        task = await engine.add("t", if_unanswered="default: use the first one", answer_within_s=0.3)
        await engine.run_until(lambda: engine.archived("t"), "the end")
        (asked_at,) = await kinds(engine, task, EventKind.QUESTION_ASKED)
        (answered,) = await kinds(engine, task, EventKind.ANSWERED)
        assert answered.ts - asked_at.ts >= 0.3
        assert answered.data == {"answer": "use the first one", "by": "default", "door": ""}
        assert engine.agent.starts[1].continue_prompt == "use the first one"


async def test_a_default_without_time_answers_at_once_and_at_most_three_times(open_engine: Open) -> None:
    async with open_engine(asking(times=9)) as engine:
        task = await engine.add("t", if_unanswered="default: decide yourself")
        await engine.run_until(lambda: engine.archived("t"), "the end")
        ended = await engine.task(task.uid)
        assert (ended.state, ended.reason) == (State.FAILED, "asked_a_question")
        assert len(engine.agent.starts) == MAX_DEFAULTS + 1
        assert len(await kinds(engine, task, EventKind.ANSWERED)) == MAX_DEFAULTS


async def test_an_answer_is_told_again_when_the_attempt_that_heard_it_was_cut_off(open_engine: Open) -> None:
    cut = asking(Interrupted("killed"), Failed(FailureKind.TIMEOUT, "too long"))
    async with open_engine(cut) as engine, asked(engine):
        await engine.service.answer("t", "use asyncpg", door="cli")
        await engine.run_until(lambda: engine.archived("t"), "the end")
        _, heard, again, anew = engine.agent.starts
        assert heard.continue_prompt == "use asyncpg"
        assert again.resume
        assert again.continue_prompt.endswith(f"Question: {TEXT}\nAnswer: use asyncpg")
        assert not anew.resume, "a timeout begins anew"
        assert anew.prompt.endswith(f"Question: {TEXT}\nAnswer: use asyncpg")


async def test_a_task_that_waits_for_an_answer_can_be_cancelled_and_not_held(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine) as task:
        with pytest.raises(ConflictError, match="waits for an answer"):
            await engine.service.hold("t")
        assert not (await engine.service.resume("t")).changed
        await engine.service.cancel("t")
        await engine.run_until(lambda: engine.archived("t") and not file_of(engine).exists(), "its files")
        assert (await engine.task(task.uid)).state is State.CANCELLED


async def test_a_later_task_of_the_same_id_stays_behind_one_that_asks(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine) as task:
        second = await engine.add("t")
        assert (await engine.service.waits_for(second)).startswith(f"waits behind {task.uid[-8:]}")
        assert await engine.store.ready(engine.clock.now(), limit=5) == []
        await engine.service.answer(task.uid, "2", door="cli")
        assert [one.uid for one in await engine.store.ready(engine.clock.now(), limit=5)] == [task.uid]


async def test_the_report_on_a_batch_names_the_question_and_the_command(open_engine: Open) -> None:
    async with open_engine(asking()) as engine, asked(engine):
        await engine.add("other")
        await engine.run_until(lambda: engine.archived("other"), "the other task")
        report: Any = await engine.service.report(after_seq=0)
        (decision,) = (one for one in report["decisions"] if one["what"] == "t")
        assert "Which of the two should I use?" in decision["why"]
        assert report["next"][0] == "answer t 'TEXT'"


async def test_an_agent_that_was_denied_what_it_needed_asks_too(open_engine: Open) -> None:
    said = replace(DONE.report, answer="I could not write the file.", denials=("Write",))
    denied = Finished(replace(said, denied_for=("Write /etc/hosts: Path is outside",)))
    async with open_engine(FakeAgent({"t": [denied]})) as engine, asked(engine) as task:
        assert task.reason == "permission_denied"
        question = await engine.service.question(task)
        assert question is not None
        assert question.source is Source.DENIAL
        assert question.text.startswith("It was denied: Write /etc/hosts: Path is outside")


async def test_a_task_without_budget_left_fails_instead_of_waiting(open_engine: Open) -> None:
    async with open_engine(asking()) as engine:
        task = await engine.add("t", budget_usd=0.001)
        await engine.run_until(lambda: engine.archived("t"), "the end")
        ended = await engine.task(task.uid)
        assert (ended.state, ended.reason) == (State.FAILED, "asked_a_question")


def test_what_a_task_says_comes_before_what_is_configured() -> None:
    spec = TaskSpec("t", "analyze", Priority.MEDIUM, "t", "Do it.")
    configured = QuestionRules("skip", 60.0)
    assert rules_for(spec, configured) == configured
    assert rules_for(replace(spec, if_unanswered="wait"), configured) == QuestionRules("wait", 60.0)
    assert rules_for(replace(spec, answer_within_s=0.0), configured) == QuestionRules("skip", 0.0)
