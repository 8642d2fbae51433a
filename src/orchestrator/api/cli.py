"""The command line: words to functions. One function per command; each returns an exit code."""

import argparse
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, TypeAlias

from orchestrator import __version__
from orchestrator.api import (
    cli_analytics,
    cli_answer,
    cli_control,
    cli_files,
    cli_jobs,
    cli_lint,
    cli_notify,
    cli_orchestrate,
    cli_parse,
    cli_report,
    cli_results,
    cli_run,
    cli_service,
    cli_tasks,
    cli_telegram,
    cli_work,
    cli_workflow,
)
from orchestrator.api.output import Output
from orchestrator.api.program import Program
from orchestrator.core.errors import UsageError

Command = Callable[[Program, Output, argparse.Namespace], Awaitable[int]]

_EXIT_CODES = (
    "exit codes: 0 ok, 1 the answer is no (a task failed, doctor found a failure), 2 usage, 3 configuration,\n"
    "4 not found, 5 no daemon runs, 6 conflict with the task's state, 74 disk error, 75 another daemon owns the root,\n"
    "124 timeout, 130 interrupted"
)
_DOCUMENT = "one JSON document on stdout"
_OF_MAIN = "main.py itself also knows: setup (make .venv and nothing more), test (lint, types, layers and all tests)"


class _Parser(argparse.ArgumentParser):
    """argparse with examples left as written."""

    def __init__(self, **given: object) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **given)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"`python {self.prog} --help` shows how it is written.")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the parsed command line; its `run` is the command's function. Raises UsageError."""
    parser = _Parser(
        prog="main.py",
        description="Drop task files in tasks/, go away, come back to verified results.\n"
        "Without a command the daemon runs until it is stopped.",
        epilog=f"{_EXIT_CODES}\n\n{_OF_MAIN}\n\nexample:\n  python main.py create-sample && python main.py",
    )
    parser.add_argument("--root", default="", metavar="DIR", help="the folder that holds tasks/ and everything else")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, for programs")
    parser.add_argument("--no-color", action="store_true", help="plain text; NO_COLOR does the same")
    parser.add_argument("--version", action="version", version=f"orchestrator {__version__}")
    parser.set_defaults(run=cli_run.daemon, command="")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _task_commands(commands)
    _job_commands(commands)
    _control_commands(commands)
    _file_commands(commands)
    _words_command(commands)
    _run_commands(commands)
    if (word := _first_word(argv)) and word not in commands.choices:
        raise _unknown(word, commands)
    args = parser.parse_args(list(argv))
    if args.command == "help":
        if args.topic and args.topic not in commands.choices:
            raise _unknown(args.topic, commands)
        args.text = (commands.choices[args.topic] if args.topic else parser).format_help().rstrip()
    args.json = args.json or getattr(args, "json_here", False)
    args.root = getattr(args, "root_here", "") or args.root
    return args


def _first_word(argv: Sequence[str]) -> str:
    words = iter(argv)
    for word in words:
        if word == "--root":
            next(words, "")
        elif not word.startswith("-"):
            return word
    return ""


def _unknown(word: str, commands: "Commands") -> UsageError:
    import difflib

    near = difflib.get_close_matches(word, commands.choices, n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    return UsageError(f"no command is called {word!r}", hint=f"{meant}Commands: {', '.join(commands.choices)}.")


Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def _add(
    commands: Commands, name: str, command: Command, about: str, example: str, *, json_is: str = _DOCUMENT
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=about, description=about[0].upper() + about[1:] + ".", epilog=f"example:\n  python main.py {example}"
    )
    parser.add_argument("--json", action="store_true", dest="json_here", help=json_is)
    parser.add_argument("--root", default="", dest="root_here", metavar="DIR", help="the folder to work on")
    parser.set_defaults(run=command)
    return parser


def _task_commands(commands: Commands) -> None:
    _add(commands, "status", cli_tasks.status, "show what runs, waits and ended last", "status --json")
    one = _add(commands, "show", cli_tasks.show, "show one task with its result", "show fix_db")
    one.add_argument("task", metavar="TASK", help="id, name, file name or the last 8 digits of the uid")
    workflow = "its state as a workflow, how far it is, and its history"
    one.add_argument("--workflow", action="store_const", dest="run", const=cli_workflow.show, help=workflow)
    _report_command(commands)
    one = _add(commands, "cancel", cli_tasks.cancel, "cancel a task, running or not", "cancel fix_db")
    one.add_argument("task", metavar="TASK", help="id, name, file name or the last 8 digits of the uid")
    one = _add(commands, "retry", cli_tasks.retry, "run an ended task again; the old result stays", "retry fix_db")
    one.add_argument("task", metavar="TASK", help="id, name, file name or the last 8 digits of the uid")
    answer = "answer the question of a task; it goes on in the same session"
    one = _add(commands, "answer", cli_answer.answer, answer, "answer fix_db 'use the second one'")
    one.add_argument("task", metavar="TASK", help="id, name, file name or the last 8 digits of the uid")
    one.add_argument("text", nargs="+", metavar="TEXT", help="the answer; of options, the number of one will do")
    _plan_commands(commands)
    _forecast_command(commands)
    _work_command(commands)
    _result_commands(commands)
    events = _add(
        commands,
        "tail-events",
        cli_tasks.tail_events,
        "show the last events",
        "tail-events --task fix_db --follow",
        json_is="one JSON document a line on stdout (NDJSON), as in logs/events.ndjson; nothing when there are none",
    )
    events.add_argument("--task", default="", metavar="TASK", help="only the events of one task")
    events.add_argument("--lines", type=_positive, default=20, metavar="N", help="how many (default 20)")
    events.add_argument("--follow", action="store_true", help="go on as new ones come, until interrupted")


def _job_commands(commands: Commands) -> None:
    _add(commands, "jobs", cli_jobs.jobs, "list the newest jobs and how far each is", "jobs --json")
    about = "show a job, cancel all of it, or do again what of it did not succeed"
    one = _add(commands, "job", cli_jobs.job, about, "job show night")
    one.add_argument("action", choices=cli_jobs.ACTIONS, metavar="|".join(cli_jobs.ACTIONS))
    one.add_argument("job", metavar="JOB", help="its name, or the last 8 digits of its uid")


def _report_command(commands: Commands) -> None:
    report = "tell what ended: proven, unproven, failed and why, what waits for you, cost"
    one = _add(commands, "report", cli_analytics.report_or_figures, report, "report --since 12h")
    when = one.add_mutually_exclusive_group()
    when.add_argument(
        "--batch", action="store_true", help="the batch that is going on, else the last one (the default)"
    )
    when.add_argument("--since", default="", metavar="WHEN", help=cli_report.FORMS)
    when.add_argument(
        "--job", default="", metavar="JOB", help="where the time and money of a job went: docs/analytics.md"
    )
    one.add_argument("--analytics", action="store_true", help="the same figures on what ended since WHEN")
    one.add_argument("--html", action="store_true", help="such figures as a page with timeline and dependency graph")


def _plan_commands(commands: Commands) -> None:
    about = "have a request planned, split into sub-tasks, and done by them"
    one = _add(commands, "orchestrate", cli_orchestrate.orchestrate, about, "orchestrate 'Add login, with tests'")
    one.add_argument("request", nargs="*", metavar="REQUEST", help="what is to be done, in words")
    one.add_argument("--input", default="", metavar="FILE", help='JSON with "request" and "config"; - is stdin')
    one.add_argument("--cwd", default="", metavar="DIR", help="the folder to work in (default: as configured)")
    one.add_argument("--max-workers", type=_positive, default=0, metavar="N", help="sub-tasks at once")
    one.add_argument("--max-depth", type=_positive, default=None, metavar="N", help="how often it is split again")
    one.add_argument("--budget", type=_usd, default=0.0, metavar="USD", help="what all of it together may cost")
    who = one.add_mutually_exclusive_group()
    who.add_argument("--approve", action="store_true", help="ask a person before the plan runs")
    who.add_argument("--yes", action="store_true", help="run the plan without asking")
    one.add_argument("--wait", action="store_true", help="show what happens until it has ended or asks")
    one.add_argument("--dry-run", action="store_true", help="only show what the planner would be asked")
    plan = "show how a task is split; approve or reject a plan that waits for you"
    one = _add(commands, "plan", cli_orchestrate.plan, plan, "plan show add_login")
    actions = cli_orchestrate.PLAN_ACTIONS
    one.add_argument("action", choices=actions, metavar="|".join(actions))
    one.add_argument("task", metavar="TASK", help="id, name, file name or the last 8 digits of the uid")


def _forecast_command(commands: Commands) -> None:
    about = "say what task files will take and cost, from what earlier ones took; runs nothing"
    one = _add(commands, "forecast", cli_analytics.forecast, about, "forecast tasks/")
    one.add_argument("files", nargs="*", metavar="FILE", help="files, and folders of them (default: tasks/)")


def _work_command(commands: Commands) -> None:
    about = "bring back what an attempt of a task left, also when it failed or was cancelled"
    recover = _add(commands, "recover", cli_work.recover, about, "recover fix_db --to ../fix_db")
    recover.add_argument("task", metavar="TASK", help="id, name, file name or the last 8 digits of the uid")
    recover.add_argument("--attempt", type=_positive, default=0, metavar="N", help="which one (default: the last)")
    where = recover.add_mutually_exclusive_group()
    where.add_argument("--to", default="", metavar="DIR", help="into a new folder")
    where.add_argument("--branch", default="", metavar="NAME", help="as a new branch (default: recovered/TASK-N)")


def _result_commands(commands: Commands) -> None:
    def of_task(name: str, command: Command, about: str, example: str) -> argparse.ArgumentParser:
        one = _add(commands, name, command, about, example)
        one.add_argument("task", metavar="TASK", help="id, name, file name or the last 8 digits of the uid")
        return one

    of_task("accept", cli_results.accept, "take a result that is not proven as it is", "accept fix_db")
    diff = of_task("diff", cli_results.diff, "show what a task changed, as a patch", "diff fix_db --stat")
    diff.add_argument("--stat", action="store_true", help="only which files and how much")
    about = "bring a proven result into the branch that is checked out"
    merge = of_task("merge", cli_results.merge, about, "merge fix_db")
    merge.add_argument("--unproven", action="store_true", help="also one that is not proven, or suspicious")
    of_task("discard", cli_results.discard, "delete the branch of a result; a hidden ref keeps it", "discard fix_db")
    push = of_task("push", cli_results.push, "push the branch of a result, with your own git", "push fix_db")
    pr = of_task("pr", cli_results.pr, "push it and open a pull request with the program gh", "pr fix_db")
    for one in (push, pr):
        one.add_argument("--remote", default="origin", metavar="NAME", help="where to (default: origin)")


def _control_commands(commands: Commands) -> None:
    scope = "an agent, or any name of a task; left out: the whole queue"
    pause = _add(commands, "pause", cli_control.pause, "start nothing more: all, an agent or a task", "pause claude")
    pause.add_argument("scope", nargs="?", default="", metavar="AGENT|TASK", help=scope)
    resume = _add(commands, "resume", cli_control.resume, "undo a pause, or end an agent's hold early", "resume claude")
    resume.add_argument("scope", nargs="?", default="", metavar="AGENT|TASK", help=scope)
    hold = _add(commands, "hold", cli_control.hold, "do not start one task until it is resumed", "hold fix_db")
    hold.add_argument("task", metavar="TASK", help="id, name, file name or the last 8 digits of the uid")


def _words_command(commands: Commands) -> None:
    about = "say what requirements in words ask for: items, order, risks; runs and stores nothing"
    one = _add(commands, "parse", cli_parse.parse, about, 'parse "Add a login page, then document it"')
    one.add_argument("text", nargs="+", metavar="TEXT", help="the requirements, in your own words")
    one.add_argument("--context", default="", metavar="FILE|TEXT", help="what is known of the project")
    one.add_argument("--rules", action="store_true", help="ask no model")
    one.add_argument(
        "--as-tasks", default="", metavar="DIR", help="also write a .task.md for each item; overwrites none"
    )


def _file_commands(commands: Commands) -> None:
    about = "read task files and say what is wrong; of a folder, also what may spoil the night"
    check = _add(commands, "check", cli_lint.check, about, "check tasks/")
    check.add_argument("files", nargs="+", metavar="FILE|FOLDER", help="files are only read, a folder is linted")
    check.add_argument("--lint", action="store_true", help="lint single files as well")
    check.add_argument("--no-run", action="store_true", help="run no check on its base")
    seconds = f"how long checks may run in all (default {cli_lint.SECONDS})"
    check.add_argument("--seconds", type=_positive, default=None, metavar="N", help=seconds)
    check.add_argument("--strict", action="store_true", help="exit with 1 for warnings too")
    sample = _add(
        commands,
        "create-sample",
        cli_files.create_sample,
        "put a sample task into tasks/",
        "create-sample --name hello",
    )
    sample.add_argument("--name", default="sample", help="file name without .task.md (default sample)")
    clean = _add(
        commands,
        "clean",
        cli_files.clean,
        "archive loose tasks, or remove old artifacts or work areas",
        "clean work --dry-run",
    )
    clean.add_argument("what", choices=("tasks", "artifacts", "work"), metavar="tasks|artifacts|work")
    older = f"artifacts older than N days (default {cli_files.DAYS}), areas of tasks that ended N days ago (0: all)"
    clean.add_argument("--days", type=_count, metavar="N", help=older)
    clean.add_argument("--dry-run", action="store_true", help="only say what would be done")
    _add(
        commands,
        "validate-artifacts",
        cli_files.validate_artifacts,
        "check every result file against its schema",
        "validate-artifacts",
    )


def _run_commands(commands: Commands) -> None:
    run = _add(
        commands, "run", cli_run.run, "run the daemon, or one FILE in the foreground", "run tasks/fix_db.task.md"
    )
    run.add_argument("file", nargs="?", default="", metavar="FILE", help="one task file, with live progress")
    doctor = _add(commands, "doctor", cli_run.doctor, "check everything the daemon needs", "doctor --quiet")
    doctor.add_argument("--quiet", "-q", action="store_true", help="only what is not in order")
    doctor.add_argument("--repair", action="store_true", help="mend a damaged database; refused while a daemon runs")
    kept = "keep the daemon running by systemd or launchd"
    service = _add(commands, "service", cli_service.service, kept, "service install --dry-run")
    service.add_argument("action", choices=cli_service.ACTIONS, metavar="|".join(cli_service.ACTIONS))
    service.add_argument("--dry-run", action="store_true", help="only say what would be written and run")
    tell = "send a test to those who are told what happens"
    told = _add(commands, "notify", cli_notify.notify, tell, "notify test")
    told.add_argument("action", choices=cli_notify.ACTIONS, metavar="test")
    told.add_argument("place", nargs="?", default="", metavar="NAME", help="only this place")
    walk = "walk through setting up your bot: token, your number and chat, a test message"
    one = _add(commands, "telegram", cli_telegram.telegram, walk, "telegram setup")
    one.add_argument("action", choices=cli_telegram.ACTIONS, metavar="setup")
    _add(commands, "demo", cli_run.demo, "run three tasks on a scripted model, no key needed", "demo")

    about = _add(commands, "help", _show_help, "show this help, or that of one command", "help check")
    about.add_argument("topic", nargs="?", default="", metavar="COMMAND")


async def _show_help(_: Program, out: Output, args: argparse.Namespace) -> int:
    out.say(args.text)
    return 0


def _count(text: str) -> int:
    return 0 if text == "0" else _positive(text)


def _usd(text: str) -> float:
    try:
        usd = float(text.removeprefix("$"))
    except ValueError:
        usd = 0.0
    if not 0 < usd < 1e6:
        raise argparse.ArgumentTypeError(f"expected US dollars above 0, found {text!r}")
    return usd


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 999999999, found {text!r}")
    return int(text)
