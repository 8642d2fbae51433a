"""The summary for the morning: readable in any terminal, whatever the agent wrote."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.events import Json
from orchestrator.core.report import WIDTH, summary_text

UID = "0" * 24 + "abcdef12"
CRITERION = {"text": "the tests pass", "verdict": "unproven", "why": "in words only"}
NASTY = "\x1b[31mred\x1b[0m \x9b2J \u202egnp.exe \x07 \u2066x\u2069 \x00 \r over"


def result(**changes: Any) -> dict[str, Json]:
    """Return the result of a task that ended well. *changes* replace single parts."""
    plain: dict[str, Json] = {
        "schema_version": 1,
        "status": "succeeded",
        "reason": "",
        "detail": "",
        "hint": "",
        "task": {
            "uid": UID,
            "id": "fix_db",
            "name": "fix_db",
            "type": "fix",
            "priority": "high",
            "title": "Fix the database",
            "inferred": [],
            "notices": [],
        },
        "criteria": [CRITERION],
        "checks": [{"name": "agent ended well", "passed": True, "detail": ""}],
        "answer": "I fixed it.\n\n    indented(code)",
        "changes": {"created": ["a.py"], "modified": ["b.py"], "deleted": ["c.py"], "complete": True, "detail": ""},
        "usage": {"turns": 3, "input_tokens": 100, "output_tokens": 20, "cost_usd": 0.05},
        "timing": {"accepted": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:01:00Z", "running_s": 12.5},
        "attempts": [
            {"number": 1, "agent": "claude", "agent_version": "2.1.329", "outcome": "finished", "confinement": "x"}
        ],
    }
    return {**plain, **changes}


def ends() -> Mapping[str, dict[str, Json]]:
    """Return a result for every way a task can end."""
    task = result()["task"]
    assert isinstance(task, Mapping)
    failed = {
        "status": "failed",
        "reason": "no_changes",
        "detail": "it says it is done " * 20,
        "hint": "Read it. " * 30,
    }
    unknown: dict[str, Json] = dict.fromkeys(("turns", "input_tokens", "output_tokens", "cost_usd"))
    return {
        "well": result(),
        "without criteria": result(criteria=[]),
        "failed": result(**failed, answer="x" * 5000, changes={"detail": NASTY * 5}),
        "cancelled, never started": result(
            status="cancelled", reason="file_removed", attempts=[], checks=[], answer="", usage=unknown, changes={}
        ),
        "wide": result(
            task={**task, "title": "T " * 300, "id": "i" * 64, "name": "n" * 64},
            criteria=[{**CRITERION, "text": "word " * 100}] * 3,
            changes={"created": [f"deep/{'x' * 200}/{n}.py" for n in range(30)], "complete": True},
        ),
        "hostile": result(
            task={**task, "title": NASTY, "inferred": [{"field": "type", "value": NASTY, "why": NASTY}],
                  "notices": [{"message": NASTY}]},
            reason=NASTY, detail=NASTY, answer=f"{NASTY}\n{NASTY}", hint=NASTY,
            criteria=[{**CRITERION, "text": NASTY},
                      {"text": NASTY, "why": NASTY, "verdict": "failed", "check": {},
                       "result": {"passed": False, "commit": NASTY, "tail": NASTY, "confinement": NASTY}}],
            findings=[{"kind": NASTY, "path": NASTY, "detail": NASTY}],
            checks=[{"name": "n", "passed": None, "detail": NASTY}],
            changes={"created": [NASTY], "modified": [], "deleted": [], "detail": NASTY},
            attempts=[{"number": 1, "agent": NASTY, "agent_version": NASTY, "failure": NASTY, "detail": NASTY}],
        ),
    }  # fmt: skip


def is_plain(text: str) -> bool:
    return all(char == "\n" or (char.isprintable() and char not in "\u202e\u2066\u2069") for char in text)


@pytest.mark.parametrize("end", ends())
def test_a_summary_fits_a_terminal_and_holds_nothing_that_moves_its_cursor(end: str) -> None:
    text = summary_text(ends()[end])
    assert [line for line in text.split("\n") if len(line) > WIDTH] == []
    assert is_plain(text)
    assert text.endswith("\n")
    assert "None" not in text


@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_no_answer_and_no_title_can_break_it(text: str) -> None:
    task = result()["task"]
    assert isinstance(task, Mapping)
    shown = summary_text(result(answer=text, detail=text, task={**task, "title": text}))
    assert max(map(len, shown.split("\n"))) <= WIDTH
    assert all(char == "\n" or ord(char) >= 32 for char in shown)
    assert not set(shown) & set("\x1b\x7f\x9b\u2028\u2029\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069")


def test_the_verdict_comes_first_and_says_what_is_left_to_look_at() -> None:
    assert summary_text(result()).startswith("fix_db: SUCCEEDED - 1 criterion is unproven, please look\n")
    assert summary_text(result(criteria=[CRITERION] * 2)).startswith("fix_db: SUCCEEDED - 2 criteria are unproven")
    assert summary_text(result(criteria=[])).startswith("fix_db: SUCCEEDED\n")
    assert summary_text(result(status="failed", reason="timeout")).startswith("fix_db: FAILED - timeout\n")


def test_criteria_come_before_checks_changes_and_what_the_agent_says() -> None:
    text = summary_text(result())
    parts = ["Success criteria", "What the daemon itself checked", "Files changed", "What the agent says", "Next"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "  [unproven] the tests pass\n" in text


CHECK: Json = {"kind": "command", "argv": ["pytest", "-q"]}


def run(passed: bool | None, commit: str, tail: str = "") -> dict[str, Json]:
    code = None if passed is None else int(not passed)
    told: dict[str, Json] = {"passed": passed, "commit": commit, "exit_code": code, "duration_s": 1.25}
    return {**told, "tail": tail, "detail": "", "confinement": "bubblewrap: no network"}


PROVEN: dict[str, Json] = {
    "text": "tests pass: `pytest -q`", "verdict": "proven", "why": "it fails on the base and passes on the result",
    "mandatory": True, "check": CHECK, "base": run(False, "c0ffee" * 6), "result": run(True, "decaf0" * 6),
}  # fmt: skip


def test_each_criterion_is_followed_by_its_evidence() -> None:
    text = summary_text(result(criteria=[PROVEN, CRITERION]))
    assert text.startswith("fix_db: SUCCEEDED - 1 proven, 1 unproven: please look\n")
    assert (
        "  [proven] tests pass: `pytest -q`\n"
        "      it fails on the base and passes on the result\n"
        "      base c0ffeec0ff: failed, exit code 1 after 1.2 s\n"
        "      result decaf0deca: passed, exit code 0 after 1.2 s [bubblewrap: no network]\n"
        "  [unproven] the tests pass\n"
    ) in text


def test_of_a_check_that_failed_the_end_of_its_output_is_shown() -> None:
    tail = "".join(f"line {n}\n\n" for n in range(40)) + NASTY
    failed = {**PROVEN, "verdict": "failed", "result": run(False, "decaf0", tail)}
    text = summary_text(result(status="failed", reason="check_failed", criteria=[failed]))
    assert text.startswith("fix_db: FAILED - check_failed\n")
    assert "      | line 39\n" in text
    assert text.count("      | line") == 8, "what follows has a line of its own and a carriage return"
    assert is_plain(text)


WORK: dict[str, Json] = {
    "isolation": "clone", "folder": "/home/me/app", "notes": ["HEAD is detached"], "base": "c0ffee" * 6,
    "head": "decaf0" * 6, "branch": "orchestrator/fix_db", "delivered": True,
    "kept": "refs/orchestrator/attempts/fix_db/1",
    "files_changed": 2, "insertions": 5, "deletions": 1,
}  # fmt: skip


def test_the_branch_is_named_with_what_to_type_to_take_or_leave_it() -> None:
    text = summary_text(result(work=WORK))
    assert (
        "Where its work lies\n"
        "  Branch orchestrator/fix_db in /home/me/app (c0ffeec0ffee..decaf0decaf0, 2 files, +5 -1)\n"
        "  HEAD is detached\n"
    ) in text
    assert commands(text) == ["show", "tail-events", "diff", "merge", "discard"]


@pytest.mark.parametrize(
    ("reason", "offered"), [("unproven", ["diff", "accept", "recover"]), ("timeout", ["diff", "recover"])]
)
def test_of_work_that_failed_it_says_where_it_is_kept_and_how_to_have_it(reason: str, offered: list[str]) -> None:
    text = summary_text(result(status="failed", reason=reason, hint="", work={**WORK, "delivered": False}))
    assert "; kept as refs/orchestrator/attempts/fix_db/1" in " ".join(text.split())
    assert commands(text)[2:-1] == offered


def test_work_in_place_says_that_it_is_kept_nowhere_else() -> None:
    text = summary_text(result(work={"isolation": "in place", "folder": "/home/me/app", "notes": []}))
    assert "  In /home/me/app itself: nothing of it is kept elsewhere\n" in text
    assert "merge" not in text


def commands(text: str) -> list[str]:
    return [line.split()[2] for line in text.split("Next\n")[1].splitlines()]


def test_what_could_not_be_verified_comes_after_the_criteria_and_before_all_else() -> None:
    found: dict[str, Json] = {"kind": "test_deleted", "path": "tests/a.py", "line": 3, "detail": "gone", "taints": True}
    unclear: dict[str, Json] = {"name": "files were changed", "passed": None, "detail": "too many to compare"}
    text = summary_text(result(criteria=[PROVEN, CRITERION], checks=[unclear], findings=[found], status="failed"))
    part = text.split("What could not be verified\n")[1].split("\n\n")[0]
    assert part.splitlines() == [
        "  the tests pass: in words only",
        "  files were changed: too many to compare",
        "  test deleted: tests/a.py:3: gone",
    ]
    assert text.index("Success criteria") < text.index("What could not") < text.index("What the daemon itself checked")
    assert "could not be verified" not in summary_text(result(criteria=[PROVEN]))


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (["proven", "proven"], "2 proven"),
        (["proven", "holds"], "1 proven, 1 held"),
        (["holds", "failed"], "1 held, 1 failed: please look"),
        (["proven", "human", "unproven"], "1 proven, 1 unproven, 1 for a person: please look"),
    ],
)
def test_the_headline_of_a_success_counts_verdicts(verdicts: list[str], words: str) -> None:
    rows: list[Json] = [{**PROVEN, "verdict": verdict} for verdict in verdicts]
    assert summary_text(result(criteria=rows)).startswith(f"fix_db: SUCCEEDED - {words}\n")


def test_a_task_that_waits_for_a_person_says_how_it_is_accepted() -> None:
    text = summary_text(result(status="failed", reason="unproven"))
    assert "  python main.py accept fix_db\n" in text
    assert "accept" in summary_text(result(status="failed", reason="check_failed"))
    assert "accept" not in summary_text(result(status="failed", reason="timeout"))


@pytest.mark.parametrize(
    ("changes", "typed"),
    [
        ({"criteria": [CRITERION | {"verdict": "proven"}]}, "merge fix_db"),
        ({"criteria": []}, "merge --unproven fix_db"),
        ({"criteria": [CRITERION | {"verdict": "unproven"}]}, "merge --unproven fix_db"),
        ({"criteria": [], "accepted": {"by": "me", "at": "today"}}, "merge fix_db"),
    ],
)
def test_the_merge_that_is_named_is_one_that_is_not_refused(changes: Any, typed: str) -> None:
    work = {"head": "a" * 40, "delivered": True, "branch": "fix_db", "folder": "/p"}
    assert f"  python main.py {typed}\n" in summary_text(result(work=work, **changes))


def test_a_parent_whose_sub_tasks_failed_names_the_retry_of_its_job() -> None:
    told = result(status="failed", reason="children_failed")
    assert "  python main.py accept fix_db\n  python main.py retry abcdef12\n" in summary_text(told)
    told["task"] = {**told["task"], "job": "12345678"}  # type: ignore[dict-item]
    text = summary_text(told)
    assert "  python main.py accept fix_db\n  python main.py job retry 12345678\n" in text
    assert "main.py retry" not in text


def test_what_is_unknown_is_called_unknown_and_never_nothing() -> None:
    text = summary_text(ends()["cancelled, never started"])
    assert "Used     usage unknown\n" in text
    assert "It was never started." in text
    assert "The agent left no answer." in text


def test_the_next_commands_can_be_typed_as_they_stand() -> None:
    text = summary_text(result())
    assert "  python main.py show fix_db\n  python main.py tail-events --task fix_db\n" in text
    assert "retry" not in text
    assert "  python main.py retry abcdef12\n" in summary_text(result(status="failed", reason="timeout"))


def test_the_indentation_of_code_in_an_answer_is_kept() -> None:
    assert "  | I fixed it.\n  |\n  |     indented(code)\n" in summary_text(result())


def test_many_changed_files_are_counted_and_the_first_named() -> None:
    text = summary_text(ends()["wide"])
    assert "Files changed (30)" in text
    assert "... and 10 more: see the result file" in text


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        ({}, "usage unknown"),
        ({"turns": 3, "cost_usd": 0.5}, "3 turns, cost $0.5000 (tokens in, tokens out unknown)"),
        (
            {"turns": 1, "input_tokens": 2, "output_tokens": 0, "cost_usd": 0},
            "1 turn, 2 tokens in, 0 tokens out, cost $0.0000",
        ),
    ],
)
def test_what_was_used_is_said_as_far_as_it_is_known(usage: Json, words: str) -> None:
    assert f"Used     {words}\n" in summary_text(result(usage=usage))


def test_every_command_to_type_names_the_root_and_the_task() -> None:
    text = summary_text(
        result(status="failed", hint="`python main.py doctor` tells more."), "python main.py --root /srv/x"
    )
    assert text.count("python main.py") == text.count("python main.py --root /srv/x") == 4
    assert "show fix_db" in text
    assert "tail-events --task fix_db" in text
    assert "retry abcdef12" in text
