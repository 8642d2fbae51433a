"""How an attempt ended: every recorded way of ending has its kind."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bridges.claude_orders import SESSION, TRANSCRIPTS, exited

from orchestrator.bridges.claude_messages import (
    ApiRetry,
    AssistantText,
    Init,
    Message,
    RateLimit,
    Result,
    Tokens,
    ToolResult,
    ToolUse,
    decode_line,
)
from orchestrator.bridges.claude_outcome import Begun, Tally, outcome
from orchestrator.core.attempt import Failed, FailureKind, Finished, Interrupted, Outcome, Usage

K = FailureKind
BEGUN = Begun(SESSION)
INIT = Init(SESSION, "claude-x", "2.1.329", ())
# transcript -> (exit code of that run, kind); None: it is finished
ENDINGS: dict[str, tuple[int, FailureKind | None]] = {
    "00_json_ok": (0, None),
    "01_tools_ok": (0, None),
    "02_partial_messages": (0, None),
    "03_hook_events": (0, None),
    "04_permission_denied_default": (0, None),
    "06_max_tokens": (0, None),
    "07_refusal": (0, None),
    "08_empty_text": (0, None),
    "10_no_auth": (1, K.AUTH),
    "11_401": (143, K.CRASH),
    "12_403": (1, K.AUTH),
    "13_400_toolong": (1, K.PROMPT_TOO_LONG),
    "14_400_credit": (1, K.BILLING),
    "15_404_model": (1, K.MODEL_NOT_FOUND),
    "16_413": (1, K.PROMPT_TOO_LONG),
    "17_429_then_ok": (0, None),
    "18_529_then_ok": (0, None),
    "20_l_401": (1, K.AUTH),
    "20_l_429": (1, K.RATE_LIMITED),
    "20_l_429ra": (1, K.RATE_LIMITED),
    "20_l_500": (1, K.TRANSIENT),
    "20_l_503": (1, K.TRANSIENT),
    "20_l_529": (1, K.TRANSIENT),
    "20_l_529fb": (1, K.TRANSIENT),
    "20_l_cutbefore": (0, None),
    "20_l_cuthalf": (0, None),
    "20_l_cuthdr": (1, K.TRANSIENT),
    "20_l_refused": (1, K.TRANSIENT),
    "20_l_sseerr": (1, K.TRANSIENT),
    "21_429_unified": (1, K.RATE_LIMITED),
    "22_cut_half_always": (1, K.TRANSIENT),
    "22_cut_half_then_ok": (0, None),
    "23_fallback": (0, None),
    "24_h_fb5": (1, K.TRANSIENT),
    "24_h_hang5": (1, K.TRANSIENT),
    "24_h_stall": (0, None),
    "25_usage_limit_oauth": (1, K.USAGE_LIMIT),
    "26_usage_warning_oauth": (0, None),
    "27_usage_limit_midway": (1, K.USAGE_LIMIT),
    "28_error_midway_529": (1, K.TRANSIENT),
    "29_local_command": (0, K.BAD_REQUEST),
    "30_bash_hup": (129, K.CRASH),
    "30_bash_int": (0, K.CRASH),
    "30_bash_kill": (-9, K.KILLED),
    "30_bash_term": (143, K.CRASH),
    "31_stream_int": (0, K.CRASH),
    "31_stream_kill": (137, K.KILLED),
    "31_stream_term": (-15, K.CRASH),
    "34_bash_timeout_nobg": (0, None),
    "35_subagent": (0, None),
    "36_two_results": (0, None),
    "37_subagent_sync": (0, None),
    "40_max_turns": (1, K.MAX_TURNS),
    "41_max_budget": (1, K.BUDGET),
    "42_resume_unknown": (1, K.AGENT_ERROR),
    "43_startup_failure_result": (1, K.START_REFUSED),
    "44_compaction": (0, None),
    "50_perm_auto": (1, K.CRASH),
    "50_perm_reco": (0, None),
    "50_perm_sbx_nobwrap_fail": (1, K.START_REFUSED),
    "60_resume": (0, None),
    "61_resume_after_kill": (0, None),
    "73_schema_never_valid": (1, K.BAD_OUTPUT),
    "74_schema_never_called": (0, None),
    "82_mcp_down": (0, None),
    "90_two_prompts": (0, None),
}


def tally_of(name: str) -> Tally:
    return tally(*(m for line in (TRANSCRIPTS / f"{name}.jsonl").read_bytes().splitlines() for m in decode_line(line)))


def tally(*messages: Message) -> Tally:
    folded = Tally()
    for message in messages:
        folded.add(message)
    return folded


def result(text: str = "Done.", *, error: bool = False, cost: float | None = 0.01, **changes: object) -> Result:
    values: dict[str, object] = {
        "subtype": "success",
        "is_error": error,
        "text": text,
        "errors": (),
        "session_id": SESSION,
        "turns": 1,
        "cost_usd": cost,
        "tokens": Tokens(10, 5, 2, 1),
        "terminal_reason": "completed",
        "api_error": "",
        "api_status": 0,
        "startup_failure": "",
        "local_command": "",
        "denials": (),
    }
    return Result(**(values | changes))  # type: ignore[arg-type]


def kind_of(ended: Outcome) -> FailureKind | None:
    return ended.kind if isinstance(ended, Failed) else None


def test_every_transcript_has_its_row() -> None:
    files = {path.stem for path in TRANSCRIPTS.glob("*.jsonl") if not path.name.startswith("92_")}
    assert files == set(ENDINGS)


@pytest.mark.parametrize(("name", "code", "kind"), [(name, *row) for name, row in ENDINGS.items()])
def test_a_recorded_run_ends_as_it_ended(name: str, code: int, kind: FailureKind | None) -> None:
    ended = outcome(tally_of(name), exited(code), BEGUN)
    assert not isinstance(ended, Interrupted)
    assert kind_of(ended) is kind
    if isinstance(ended, Failed):
        assert ended.detail


@pytest.mark.parametrize("name", [name for name, (_, kind) in ENDINGS.items() if kind is None])
def test_a_good_result_is_no_success_unless_the_program_ended_well(name: str) -> None:
    for code in (1, -9, 143, None):
        assert isinstance(outcome(tally_of(name), exited(code), BEGUN), Failed)


@pytest.mark.parametrize("name", [name for name, (_, kind) in ENDINGS.items() if kind is not None])
def test_exit_code_0_does_not_make_a_success_of_a_bad_result(name: str) -> None:
    assert isinstance(outcome(tally_of(name), exited(0), BEGUN), Failed)


@given(st.sampled_from(sorted(ENDINGS)), st.integers(0, 40))
def test_an_output_torn_before_its_last_result_is_no_success(name: str, cut: int) -> None:
    lines = (TRANSCRIPTS / f"{name}.jsonl").read_bytes().splitlines()
    last = max((i for i, line in enumerate(lines) if b'"type":"result"' in line), default=len(lines))
    first = min((i for i, line in enumerate(lines) if b'"type":"result"' in line), default=last)
    kept = [message for line in lines[: min(cut, first)] for message in decode_line(line)]
    torn = decode_line(lines[first][:-10]) if first < len(lines) else ()
    assert isinstance(outcome(tally(*kept, *torn), exited(0), BEGUN), Failed)


def test_a_usage_limit_tells_when_it_ends() -> None:
    ended = outcome(tally_of("25_usage_limit_oauth"), exited(1), BEGUN)
    assert isinstance(ended, Failed)
    assert ended.resets_at == 1795270161.0


def test_a_rejected_allowance_makes_a_plain_429_a_usage_limit() -> None:
    limit = RateLimit("rejected", "seven_day", 1795270161.0, 1.0)
    ended = outcome(tally(INIT, limit, result(error=True, api_status=429)), exited(1), BEGUN)
    assert isinstance(ended, Failed)
    assert (ended.kind, ended.resets_at) == (K.USAGE_LIMIT, 1795270161.0)


def test_an_answer_without_a_single_turn_came_from_no_model() -> None:
    assert kind_of(outcome(tally(INIT, result(turns=0)), exited(0), BEGUN)) is K.BAD_REQUEST


def test_an_end_of_the_limit_is_told_for_no_other_kind() -> None:
    limit = RateLimit("allowed_warning", "five_hour", 1795270161.0, 0.9)
    ended = outcome(tally(INIT, limit, result(error=True, api_status=529)), exited(1), BEGUN)
    assert isinstance(ended, Failed)
    assert (ended.kind, ended.resets_at) == (K.TRANSIENT, 0.0)


def test_an_error_that_was_got_over_does_not_decide() -> None:
    messages = (INIT, AssistantText("", "billing_error"), AssistantText("Better."), result(error=True, api_status=500))
    assert kind_of(outcome(tally(*messages), exited(1), BEGUN)) is K.TRANSIENT


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("timeout", K.TIMEOUT),
        ("output_too_large", K.BAD_OUTPUT),
        ("spawn_failed", K.START_REFUSED),
        ("too_many_processes", K.TOO_MANY_PROCESSES),
        ("too_much_memory", K.KILLED),
        ("a_word_of_the_future", K.CRASH),
    ],
)
def test_a_process_ended_from_outside_is_a_failure_even_with_a_good_result(reason: str, kind: FailureKind) -> None:
    assert kind_of(outcome(tally(INIT, result()), exited(0, reason, "because"), BEGUN)) is kind


def test_an_agent_that_fell_silent_is_stalled() -> None:
    assert kind_of(outcome(tally(INIT), exited(-9, "stalled", "no output"), BEGUN)) is K.STALLED


@pytest.mark.parametrize("reason", ["lingered", "stalled", "stopped", "daemon_gone", "supervisor_killed"])
def test_an_agent_that_hung_after_its_final_message_is_what_that_says(reason: str) -> None:
    ended = outcome(tally(INIT, result("Good.")), exited(-9, reason), BEGUN)
    assert isinstance(ended, Finished)
    assert ended.report.answer == "Good."


@pytest.mark.parametrize("reason", ["timeout", "output_too_large", "too_many_processes", "too_much_memory"])
def test_a_limit_that_was_passed_counts_against_a_final_message(reason: str) -> None:
    assert isinstance(outcome(tally(INIT, result("Good.")), exited(-9, reason), BEGUN), Failed)


@pytest.mark.parametrize("reason", ["stopped", "daemon_gone", "supervisor_killed"])
def test_what_we_ended_ourselves_is_interrupted(reason: str) -> None:
    ended = outcome(tally(INIT), exited(143, reason, "the daemon ended"), BEGUN)
    assert isinstance(ended, Interrupted)
    assert ended.reason == "the daemon ended"


def test_a_process_stopped_because_it_stayed_after_its_result_is_finished() -> None:
    ended = outcome(tally(INIT, result("Good.")), exited(-9, "stopped"), BEGUN, lingered=True)
    assert isinstance(ended, Finished)
    assert ended.report.answer == "Good."


def test_a_process_stopped_after_a_bad_result_is_not_finished() -> None:
    ended = outcome(tally(INIT, result(error=True)), exited(-9, "stopped"), BEGUN, lingered=True)
    assert not isinstance(ended, Finished)


def test_a_credential_refused_again_and_again_is_a_login_problem() -> None:
    refusals = [ApiRetry(n, 4, 1.0, 401, "authentication_failed") for n in (1, 2, 3)]
    assert kind_of(outcome(tally(INIT, *refusals), exited(0, "stopped"), BEGUN)) is K.AUTH


def test_a_time_limit_during_a_wait_names_what_was_waited_for() -> None:
    ended = outcome(tally(INIT, ApiRetry(1, 4, 1.0, 529, "overloaded")), exited(143, "timeout"), BEGUN)
    assert isinstance(ended, Failed)
    assert "529, overloaded" in ended.detail


def test_a_refusal_to_start_carries_the_complaint() -> None:
    ended = outcome(tally(), exited(1), BEGUN, stderr="error: unknown option '--frobnicate'\n")
    assert isinstance(ended, Failed)
    assert ended.kind is K.START_REFUSED
    assert "--frobnicate" in ended.detail


def test_no_output_and_exit_code_0_is_no_result() -> None:
    assert kind_of(outcome(tally(), exited(0), BEGUN)) is K.NO_RESULT


def test_skipping_permissions_as_root_is_explained() -> None:
    ended = outcome(tally_of("43_startup_failure_result"), exited(1), BEGUN)
    assert isinstance(ended, Failed)
    assert "IS_SANDBOX=1" in ended.detail


@pytest.mark.parametrize(
    ("begun", "total", "share", "session"),
    [
        (Begun(SESSION), 0.5, 0.5, 0.5),
        (Begun(SESSION, resumed=True, spent_usd=0.2), 0.5, 0.3, 0.5),
        (Begun(SESSION, resumed=True, spent_usd=None), 0.5, None, 0.5),
        (Begun(SESSION, resumed=True, spent_usd=0.2), None, None, None),
        (Begun(SESSION, resumed=True, spent_usd=0.9), 0.5, 0.5, 0.5),
    ],
    ids=["new session", "resumed", "unknown before", "unknown now", "meter began anew"],
)
def test_an_attempt_costs_its_own_share(
    begun: Begun, total: float | None, share: float | None, session: float | None
) -> None:
    usage = outcome(tally(INIT, result(cost=total)), exited(), begun).report.usage
    assert usage.cost_usd == (None if share is None else pytest.approx(share))
    assert usage.session_cost_usd == session


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_cost_is_never_negative(spent: float, total: float) -> None:
    begun = Begun(SESSION, resumed=True, spent_usd=spent)
    cost = outcome(tally(INIT, result(cost=total)), exited(), begun).report.usage.cost_usd
    assert cost is not None
    assert cost >= 0


def test_the_cost_of_a_killed_run_is_unknown() -> None:
    usage = outcome(tally_of("30_bash_kill"), exited(-9), BEGUN).report.usage
    assert (usage.cost_usd, usage.session_cost_usd, usage.output_tokens) == (None, None, None)


def test_a_run_that_refused_to_start_cost_nothing_and_forgets_nothing() -> None:
    begun = Begun(SESSION, resumed=True, spent_usd=0.4)
    for name in ("42_resume_unknown", "43_startup_failure_result"):
        usage = outcome(tally_of(name), exited(1), begun).report.usage
        assert (usage.cost_usd, usage.session_cost_usd) == (0.0, 0.4)
    usage = outcome(tally(), exited(1), begun, stderr="no").report.usage
    assert (usage.cost_usd, usage.session_cost_usd) == (0.0, 0.4)


def test_of_two_results_the_last_counts_and_the_tokens_add_up() -> None:
    ended = outcome(tally_of("36_two_results"), exited(), BEGUN)
    assert ended.report.answer == "SECOND RESULT"
    assert ended.report.usage.turns == 3
    assert ended.report.usage.input_tokens == 300
    assert ended.report.usage.cost_usd == pytest.approx(0.0024)


def test_a_bad_result_after_a_good_one_is_a_failure() -> None:
    assert kind_of(outcome(tally(INIT, result(), result(error=True, api_status=529)), exited(1), BEGUN)) is K.TRANSIENT


def test_only_files_that_were_written_are_changed() -> None:
    def use(number: int, name: str, **arguments: str) -> ToolUse:
        return ToolUse(f"t{number}", name, arguments)

    folded = tally(
        INIT,
        use(1, "Write", file_path="/p/a.py"),
        ToolResult("t1", False, "ok"),
        use(2, "Edit", file_path="/p/b.py"),
        ToolResult("t2", True, "no such text"),
        use(3, "Edit", file_path="/p/a.py"),
        ToolResult("t3", False, "ok"),
        use(4, "NotebookEdit", notebook_path="/p/n.ipynb"),
        ToolResult("t4", False, "ok"),
        use(5, "Read", file_path="/p/c.py"),
        ToolResult("t5", False, "text"),
        use(6, "Write", file_path="/p/never-answered.py"),
        result(),
    )
    report = outcome(folded, exited(), BEGUN).report
    assert report.files_changed == ("/p/a.py", "/p/n.ipynb")
    assert report.tool_calls == {"Write": 2, "Edit": 2, "NotebookEdit": 1, "Read": 1}


def test_denials_are_reported() -> None:
    report = outcome(tally_of("04_permission_denied_default"), exited(), BEGUN).report
    assert report.denials == ("Write",)


def test_the_report_says_what_was_run_and_how() -> None:
    begun = Begun(SESSION, confinement="sandboxed Bash", version="2.1.329")
    report = outcome(tally_of("01_tools_ok"), exited(), begun).report
    assert report.confinement == "sandboxed Bash"
    assert report.container == "subreaper+mark"
    assert report.agent_version == "2.1.329"
    assert report.model.startswith("claude-")
    assert Path(report.files_changed[0]).name == "hello.txt"


@pytest.mark.parametrize(
    ("name", "input_tokens", "output_tokens", "cost"),
    [
        ("41_max_budget", 80_000, 16_000, 0.64),  # `usage` of an error result says less than the models' own count
        ("31_stream_int", 100, 10, 0.0006),  # `usage` is all zero beside a cost
        ("37_subagent_sync", 300, 60, 0.0024),  # with what the subagent used
        ("24_h_hang5", None, None, None),  # nothing came back whole: the provider bills what nobody counted
        ("22_cut_half_always", None, None, None),
        ("20_l_500", 0, 0, 0.0),  # refused by the provider: nothing was used
        ("10_no_auth", 0, 0, 0.0),
    ],
)
def test_usage_is_what_was_counted_and_never_a_zero_that_nobody_counted(
    name: str, input_tokens: int | None, output_tokens: int | None, cost: float | None
) -> None:
    usage = outcome(tally_of(name), exited(1), BEGUN).report.usage
    assert (usage.input_tokens, usage.output_tokens) == (input_tokens, output_tokens)
    assert usage.cost_usd == (None if cost is None else pytest.approx(cost))


@pytest.mark.parametrize("reason", ["timeout", "stopped", "supervisor_killed", "output_too_large"])
def test_a_run_that_was_ended_knows_no_zero(reason: str) -> None:
    ended_result = result(error=True, cost=0.0, tokens=Tokens(0, 0, 0, 0), terminal_reason="")
    usage = outcome(tally(INIT, ended_result), replace(exited(0), reason=reason), BEGUN).report.usage
    assert usage == Usage(turns=1)


def test_zeros_beside_a_cost_are_unknown_where_nothing_else_was_counted() -> None:
    raw = {"type": "result", "is_error": True, "total_cost_usd": 0.4, "usage": {"input_tokens": 0, "output_tokens": 0}}
    (message,) = decode_line(json.dumps(raw).encode())
    assert isinstance(message, Result)
    assert message.tokens == Tokens()
