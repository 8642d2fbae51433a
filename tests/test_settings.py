"""The settings: what each layer says, which one wins, and how everything that is wrong is told at once."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.attempt import FailureKind
from orchestrator.core.errors import ConfigError, ExitCode
from orchestrator.settings import (
    VARIABLES,
    Layer,
    Loaded,
    changed_keys,
    dotenv_layer,
    effective,
    environment_layer,
    load_settings,
    secrets,
    task_rules,
    yaml_layer,
)

PROJECT = Path(__file__).parents[1]
DEFAULTS = yaml_layer("defaults", (PROJECT / "src/orchestrator/defaults.yaml").read_bytes())
ROOT = Layer("command line", {"paths": {"root": "/srv/orc"}})
TOKEN = "123456789:AAFakeFakeFakeFakeFakeFakeFakeFake1"


def load(yaml: str = "", env_file: str = "", environ: Mapping[str, str] | None = None) -> Loaded:
    layers = [
        DEFAULTS,
        yaml_layer("config/orchestrator.yaml", yaml),
        dotenv_layer(".env", env_file),
        environment_layer("environment", environ or {}),
        ROOT,
    ]
    return load_settings(layers)


def refusal(yaml: str = "", env_file: str = "", environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(yaml, env_file, environ)
    assert caught.value.exit_code is ExitCode.CONFIG
    return str(caught.value)


def test_the_packaged_defaults_alone_are_valid_and_without_a_warning() -> None:
    assert DEFAULTS.problems == ()
    assert load().warnings == ()


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("CLAUDE_SKIP_PERMISSIONS", "true", "agents.claude.skip_permissions", "True"),
        ("CLAUDE_SKIP_PERMISSIONS", "no", "agents.claude.skip_permissions", "False"),
        ("CLAUDE_BASE_CWD", "/home/you/projects/", "paths.base_cwd", "/home/you/projects"),
        ("CLAUDE_BASE_CWD", r"C:\Users\new", "paths.base_cwd", r"C:\Users\new"),
        ("CLAUDE_TIMEOUT_SEC", "17", "agents.claude.timeout_s", "17"),
        ("CLAUDE_MAX_TURNS", "9", "agents.claude.max_turns", "9"),
        ("LOG_LEVEL", "debug", "logs.level", "DEBUG"),
        ("MAX_CONCURRENT_TASKS", "64", "pool.max_concurrent_tasks", "64"),
        ("TELEGRAM_ALLOWED_USERS", "12, 34;56", "telegram.allowed_users", "12, 34, 56"),
        ("TELEGRAM_ALLOWED_USERS", "12", "telegram.allowed_users", "12"),
        ("TELEGRAM_CHAT_ID", "-1001", "telegram.chat_id", "-1001"),
        ("TELEGRAM_BOT_TOKEN", TOKEN, "telegram.token", f"set ({len(TOKEN)} characters)"),
        ("ORCHESTRATOR_CLAUDE_COMMAND", r"C:\apps\c.exe -x", "agents.claude.command", r"C:\apps\c.exe, -x"),
    ],
)  # fmt: skip
def test_a_variable_means_the_same_in_env_file_and_environment(variable: str, text: str, key: str, value: str) -> None:
    for loaded in (load(env_file=f"{variable}={text}\n"), load(environ={variable: text})):
        assert {one.key: one.value for one in effective(loaded)}[key] == value


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (r'"C:\My Apps\c.exe" -x', (r"C:\My Apps\c.exe", "-x")),
        ("python -m 'two words' #3", ("python", "-m", "two words", "#3")),
        ('"not closed', ('"not closed',)),
    ],
)
def test_quotes_hold_the_words_of_a_command_together(text: str, command: tuple[str, ...]) -> None:
    assert load(environ={"ORCHESTRATOR_CLAUDE_COMMAND": text}).settings.agents.claude.command == command


def test_every_variable_names_a_setting() -> None:
    known = {one.key for one in effective(load())}
    assert set(VARIABLES.values()) <= known


def test_each_layer_wins_over_the_one_below_and_the_origin_says_which() -> None:
    yaml = "pool: {max_concurrent_tasks: 4}\nlogs: {level: ERROR}\nagents: {claude: {max_turns: 5}}\n"
    loaded = load(yaml, "MAX_CONCURRENT_TASKS=5\nLOG_LEVEL=DEBUG\n", {"MAX_CONCURRENT_TASKS": "6"})
    assert loaded.settings.pool.max_concurrent_tasks == 6
    assert loaded.settings.logs.level == "DEBUG"
    assert loaded.settings.agents.claude.max_turns == 5
    wanted = {
        "pool.max_concurrent_tasks": "environment",
        "logs.level": ".env",
        "agents.claude.max_turns": "config/orchestrator.yaml",
        "agents.claude.timeout_s": "defaults",
        "paths.root": "command line",
        "paths.base_cwd": "defaults",
    }
    assert {key: loaded.origin[key] for key in wanted} == wanted


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_variable_counts_as_not_set(empty: str) -> None:
    environ = dict.fromkeys(VARIABLES, empty)
    assert load(environ=environ).settings == load().settings


def test_an_env_file_may_hold_notes_quotes_exports_crlf_and_a_byte_order_mark() -> None:
    lines = [
        "\ufeffCLAUDE_MAX_TURNS=0   # note",
        "export LOG_LEVEL='ERROR'",
        "# LOG_LEVEL=INFO",
        "CLAUDE_BASE_CWD=",
        "",
    ]
    text = "\r\n".join(lines)
    layer = dotenv_layer(".env", text.encode())
    assert layer.values == {"agents": {"claude": {"max_turns": "0"}}, "logs": {"level": "ERROR"}}
    assert layer.problems == layer.warnings == ()


def test_a_dollar_sign_in_an_env_file_is_taken_as_it_stands() -> None:
    assert dotenv_layer(".env", "TELEGRAM_BOT_TOKEN=a$HOME${X}b").values == {"telegram": {"token": "a$HOME${X}b"}}


def test_a_windows_path_spoilt_by_double_quotes_is_refused_with_the_remedy() -> None:
    assert "single quotes" in refusal(env_file='CLAUDE_BASE_CWD="C:\\Users\\new"')


@pytest.mark.parametrize(
    ("environ", "base", "allowed"),
    [
        ({}, "/srv/orc/workspace", "/srv/orc/workspace"),
        ({"CLAUDE_BASE_CWD": "/p/x"}, "/p/x", "/p/x"),
        ({"CLAUDE_BASE_CWD": "/p/x/../y", "CLAUDE_ALLOWED_ROOT": "/p"}, "/p/y", "/p"),
        ({"CLAUDE_ALLOWED_ROOT": "/p"}, "/p", "/p"),
    ],
)
def test_unset_folders_follow_from_those_that_are_set(environ: dict[str, str], base: str, allowed: str) -> None:
    rules = task_rules(load(environ=environ).settings)
    assert (rules.base_cwd, rules.allowed_root) == (base, allowed)


@pytest.mark.parametrize("base", ["/q", "/p/../q", "/pq"])
def test_a_base_folder_outside_the_allowed_one_is_refused(base: str) -> None:
    assert "inside allowed_root (/p)" in refusal(environ={"CLAUDE_BASE_CWD": base, "CLAUDE_ALLOWED_ROOT": "/p"})


def test_all_problems_of_all_layers_are_told_at_once_with_their_places() -> None:
    yaml = "pool:\n  max_concurent_tasks: 3\nagents: {claude: {confinement: maybe}}\n"
    yaml += "retries:\n  transent: {max_tries: 3}\n"
    said = refusal(yaml, "nonsense here\nCLAUDE_MAX_TURNS=many\n", {"LOG_LEVEL": "loud", "CLAUDE_BASE_CWD": "~/x"})
    wanted = [
        "6 settings are not valid",
        "pool.max_concurent_tasks (config/orchestrator.yaml line 2): unknown; did you mean pool.max_concurrent_tasks?",
        "agents.claude.confinement (config/orchestrator.yaml line 3): "
        "expected 'auto', 'container', 'process', 'shell' or 'rules', found 'maybe'",
        "retries.transent (config/orchestrator.yaml line 5): unknown; did you mean retries.transient?",
        ".env line 1: expected NAME=value",
        "agents.claude.max_turns (CLAUDE_MAX_TURNS, .env line 2): expected a whole number, found 'many'",
        "logs.level (LOG_LEVEL, environment): expected 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL', found 'loud'",
        "paths.base_cwd (CLAUDE_BASE_CWD, environment): expected the full path",
    ]
    assert [line for line in wanted if line not in said.replace("7 settings", "6 settings")] == []
    assert said.startswith("error[config_invalid]: 7 settings are not valid\n")


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("pool: {max_concurrent_tasks: 0}", "expected 1 or more, found 0"),
        ("pool: {max_concurrent_tasks: 65}", "expected at most 64, found 65"),
        ("pool: {max_concurrent_tasks: true}", "expected a number, not true or false"),
        ("pool: 3", "pool (config/orchestrator.yaml line 1): expected a group of settings, found 3"),
        ("shutdown: {drain_s: .inf}", "expected a number"),
        ("poll: {size: 1}", "poll (config/orchestrator.yaml line 1): unknown; did you mean pool?"),
        ("types: {fix: {tols: []}}", "did you mean types.fix.tools?"),
        ("types: {mine: {tools: [Read]}}", "types.mine.expects_changes (config/orchestrator.yaml line 1): expected a"),
        ("isolation: {branch: main}", "isolation.branch (config/orchestrator.yaml line 1): expected a branch of "),
        ("isolation: {branch: 'x/{name}.lock'}", "isolation.branch (config/orchestrator.yaml line 1): expected a name"),
        ("isolation: {copy: [../.env]}", "isolation.copy (config/orchestrator.yaml line 1): expected a path within"),
        ("isolation: {setup: [npm ci]}", "isolation.setup (config/orchestrator.yaml line 1): expected a list"),
        ("isolation: {author: me}", "isolation.author (config/orchestrator.yaml line 1): expected text of the form"),
        ("types: {fix: {words: ['(']}}", "types.fix.words (config/orchestrator.yaml line 1): expected a regular"),
        ("types: {Fix It: {tools: [], expects_changes: no}}", "types.Fix It"),
        ("intake: {default_type: nothing}", "expected intake.default_type as one of fix, code_review"),
        ("paths: {root: /elsewhere}", "the root is chosen by --root or ORCHESTRATOR_ROOT"),
        ("agents: {claude: {env: ['A=B']}}", "agents.claude.env (config/orchestrator.yaml line 1): expected text"),
        ("pool: {a: 1, a: 2}", "config/orchestrator.yaml line 1: pool.a is written twice"),
        ("a: &x 1\nb: *x", "config/orchestrator.yaml line 2: aliases (*name) are not allowed here"),
        ("pool: [", "config/orchestrator.yaml line 1:"),
        ("just text", "expected groups of settings such as `pool:`"),
        ("a: !!python/name:os.system x", "could not determine a constructor"),
        ("[" * 5000, "config/orchestrator.yaml"),
    ],
)  # fmt: skip
def test_what_yaml_may_not_say_is_refused_in_words(yaml: str, said: str) -> None:
    assert said in refusal(yaml)


def test_a_byte_order_mark_before_yaml_changes_nothing() -> None:
    assert yaml_layer("x", b"\xef\xbb\xbfpool: {max_concurrent_tasks: 4}").values == {
        "pool": {"max_concurrent_tasks": 4}
    }


def test_a_file_in_utf_16_is_refused_in_words() -> None:
    layer = dotenv_layer(".env", "LOG_LEVEL=INFO".encode("utf-16"))
    assert layer.problems == (".env: looks like UTF-16; save the file as UTF-8",)


@pytest.mark.parametrize("text", ["on", "off"])
def test_on_and_off_stay_words_in_yaml(text: str) -> None:
    assert load(f"agents: {{claude: {{model: {text}}}}}").settings.agents.claude.model == text


def test_a_missing_root_is_told_and_not_guessed() -> None:
    with pytest.raises(ConfigError, match=r"1 setting is not valid\n  paths\.root .*: expected a value"):
        load_settings([DEFAULTS])


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("CLAUDE_TIMEOUT_SECS", "CLAUDE_TIMEOUT_SEC"),
        ("TELEGRAM_BOT_TOKN", "TELEGRAM_BOT_TOKEN"),
        ("MAX_CONCURRENT_TASK", "MAX_CONCURRENT_TASKS"),
        ("ORCHESTRATOR_ROT", "ORCHESTRATOR_ROOT"),
        ("LOG_LEVL", "LOG_LEVEL"),
        ("CLUADE_BASE_CWD", "CLAUDE_BASE_CWD"),
    ],
)
def test_a_misspelt_variable_is_a_warning_with_the_nearest_name(variable: str, nearest: str) -> None:
    (warning,) = load(environ={variable: "1"}).warnings
    assert warning == (
        f"{variable} (environment) is not a variable of this program and has no effect; did you mean {nearest}?"
    )


def test_an_unknown_variable_under_our_own_prefix_is_a_warning_without_a_guess() -> None:
    (warning,) = load(environ={"ORCHESTRATOR_COLOUR": "1"}).warnings
    assert "has no effect; known are" in warning


@pytest.mark.parametrize(
    "variable",
    ["CLAUDE_CODE_MAX_RETRIES", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_ENV_FILE", "CLAUDECODE",
     "TELEGRAM_API_HASH", "ORCHESTRATOR_ATTEMPT", "PATH", "ANTHROPIC_API_KEY", "CLAUDE_CODE_TIMEOUT_SEC"],
)  # fmt: skip
def test_variables_of_others_are_left_alone(variable: str) -> None:
    assert load(environ={variable: "x"}).warnings == ()


def test_a_root_inside_an_env_file_has_no_effect_and_is_told() -> None:
    loaded = load(env_file="ORCHESTRATOR_ROOT=/elsewhere")
    assert loaded.settings.paths.root == "/srv/orc"
    assert "has no effect" in loaded.warnings[0]


def test_a_token_in_yaml_and_a_misspelt_tool_are_warnings() -> None:
    loaded = load(f"telegram: {{token: '{TOKEN}'}}\ntypes: {{fix: {{tools: [Bsh, mcp__docs]}}}}")
    assert [warning.split(";")[0] for warning in loaded.warnings] == [
        "telegram.token is in config/orchestrator.yaml line 1",
        "types.fix.tools: Bsh is not a tool this release knows",
    ]


def test_a_secret_is_in_no_text_the_settings_give_away() -> None:
    loaded = load(env_file=f"TELEGRAM_BOT_TOKEN={TOKEN}")
    assert TOKEN not in repr(loaded) + str(loaded.settings) + repr(effective(loaded))
    assert TOKEN not in refusal(env_file=f"TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_CHAT_ID=x")
    assert TOKEN not in refusal(yaml=f"telegram: {{token: ['{TOKEN}']}}")
    assert "123456789" not in refusal(yaml="telegram: {token: 123456789}")
    assert secrets(loaded.settings) == (TOKEN,)


def test_a_change_is_told_by_its_keys_alone() -> None:
    old = load(env_file="TELEGRAM_BOT_TOKEN=first-secret").settings
    new = load("retries: {timeout: {max_tries: 2}}", "TELEGRAM_BOT_TOKEN=other-secret\nCLAUDE_TIMEOUT_SEC=9").settings
    assert changed_keys(old, old) == ()
    assert set(changed_keys(old, new)) >= {"agents.claude.timeout_s", "retries.timeout.max_tries", "telegram.token"}
    assert changed_keys(old, new) == tuple(sorted(changed_keys(new, old)))


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().settings.pool.max_concurrent_tasks = 9


def test_a_type_of_ones_own_stands_beside_those_of_the_program() -> None:
    rules = task_rules(
        load("types: {translate: {tools: [Read, Write], expects_changes: true, words: [translat]}}").settings
    )
    assert tuple(rules.types) == (
        "fix", "code_review", "analyze", "summarize", "code-generation", "code-optimization", "debugging",
        "documentation", "orchestrate", "translate",
    )  # fmt: skip
    assert rules.types["translate"].words == ("translat",)
    assert rules.agents == ("claude", "local")


def test_a_type_that_changes_nothing_gets_no_tool_that_could() -> None:
    for one in task_rules(load().settings).types.values():
        writes = {"Bash", "Edit", "Write"} & set(one.tools)
        assert bool(writes) == one.expects_changes, one.name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Fix the database connection timeout", "fix"),
        ("Review the authentication code", "code_review"),
        ("Analyse why the build is slow", "analyze"),
        ("Summarize the changes of this week", "summarize"),
        ("Create a parser for INI files", "code-generation"),
        ("Optimize the query", "code-optimization"),
        ("Debug the login", "debugging"),
        ("Document the public functions", "documentation"),
    ],
)
def test_the_words_of_a_type_recognise_a_plain_sentence(text: str, name: str) -> None:
    types = task_rules(load().settings).types
    found = [one for one, facts in types.items() if any(re.search(word, text, re.IGNORECASE) for word in facts.words)]
    assert found == [name]


def test_every_kind_of_failure_may_have_its_own_retries() -> None:
    yaml = "retries:\n" + "".join(
        f"  {kind.value}: {{max_tries: 1, first_delay_s: 0, cap_s: 1}}\n" for kind in FailureKind
    )
    assert set(load(yaml).settings.retries) == set(FailureKind)


def test_the_commented_configuration_uncommented_is_exactly_the_defaults() -> None:
    text = (PROJECT / "config/orchestrator.yaml").read_text("utf-8")
    everything = yaml_layer("uncommented", re.sub(r"(?m)^(\s*)#(?! )", r"\1", text))
    assert load_settings([everything, ROOT]).settings == load().settings
    assert load(text) == load()


def test_each_line_of_the_commented_configuration_can_be_uncommented_alone() -> None:
    lines = (PROJECT / "config/orchestrator.yaml").read_text("utf-8").splitlines()
    choices = [number for number, line in enumerate(lines) if re.match(r"\s*#(?! )", line)]
    assert len(choices) > 50
    for number in choices:
        one = [line.replace("#", "", 1) if at == number else line for at, line in enumerate(lines)]
        assert load("\n".join(one)).settings == load().settings, lines[number]


def test_the_env_example_names_every_variable_and_changes_nothing() -> None:
    text = (PROJECT / "config/.env.example").read_text("utf-8")
    assert load(env_file=text).settings == load().settings
    assert load(env_file=text).warnings == ()
    for variable in set(VARIABLES) - {"ORCHESTRATOR_ROOT"}:
        assert re.search(rf"(?m)^{variable}=", text), variable


@given(st.dictionaries(st.sampled_from(sorted(VARIABLES)), st.text(max_size=20)), st.text(max_size=60))
def test_whatever_is_written_the_answer_is_settings_or_one_config_error(environ: dict[str, str], text: str) -> None:
    with contextlib.suppress(ConfigError):
        load(text, text, environ)


def test_quiet_hours_may_be_one_span_or_many_and_are_named_where_they_are_wrong() -> None:
    chosen = load("hours:\n  quiet: 22:00-06:00\n  quitting: ['mon-fri 09:00-18:00', 'sat,sun']\n").settings.hours
    assert chosen.quiet == ("22:00-06:00",)
    assert chosen.quitting == ("mon-fri 09:00-18:00", "sat,sun")
    told = refusal("hours: {quiet: ['22-06'], timezone: Mars/Base}\nschedules: {missed: never, max_late: soon}\n")
    assert "hours.quiet (config/orchestrator.yaml line 1): expected spans such as 22:00-06:00" in told
    assert "hours.timezone (config/orchestrator.yaml line 1): expected a time zone that this machine knows" in told
    assert "schedules.missed (config/orchestrator.yaml line 2): expected 'run_once', 'skip' or 'run_all'" in told
    assert "schedules.max_late (config/orchestrator.yaml line 2): expected a time such as 30m, 2h or 1d" in told


@pytest.mark.parametrize(("written", "most"), [("400d", "at most 366d"), ("40d", "at most 31d")])
def test_a_time_that_is_too_long_is_told_the_longest_in_the_unit_that_people_write(written: str, most: str) -> None:
    assert f"schedules.max_late (config/orchestrator.yaml line 1): expected {most}" in refusal(
        f"schedules: {{max_late: {written}}}\n"
    )
