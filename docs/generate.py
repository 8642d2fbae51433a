"""Write docs/lifecycle.md, workflow.md and errors.md from the code: `python docs/generate.py`; `--check` only compares.

The meanings are the comments beside the enum members and the docstrings of the errors, so they are written once.
"""

import importlib
import importlib.util
import inspect
import io
import sys
import tokenize
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "src"))

from orchestrator.core import attempt, errors, events, lifecycle, remedies, workflow  # noqa: E402 - the package lies in src

NOTICE = "<!-- Written by docs/generate.py from the code; a test fails when it is stale. -->"
REASONS = "orchestrator.core.reasons"


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check return 1 when one is stale."""
    stale = [name for name, page in pages().items() if read(DOCS / name) != page]
    if "--check" in arguments:
        print("".join(f"stale: docs/{name}\n" for name in stale) or "docs are current\n", end="")
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(pages()[name], encoding="utf-8")
        print(f"wrote docs/{name}")
    return 0


def pages() -> Mapping[str, str]:
    """Return the text of every generated page by its file name."""
    return {"lifecycle.md": lifecycle_page(), "workflow.md": workflow_page(), "errors.md": errors_page()}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def comments(enum: type[Enum]) -> Mapping[str, str]:
    """Return the comment on the line of each member, by member name; "" where there is none."""
    found = dict.fromkeys(enum.__members__, "")
    name = ""
    for token in tokenize.generate_tokens(io.StringIO(inspect.getsource(enum)).readline):
        if token.type == tokenize.NAME and token.string in found and token.start[1] == 4:
            name = token.string
        elif token.type == tokenize.COMMENT and name:
            found[name] = token.string.lstrip("# ")
        elif token.type == tokenize.NEWLINE:
            name = ""
    return found


def table(*rows: tuple[object, ...]) -> str:
    """Return a Markdown table whose first row is its head."""
    lines = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def lifecycle_page() -> str:
    """Return the state diagram, and what every state and event means."""
    meanings = comments(lifecycle.State)
    states = [(f"`{s}`", meanings[s.name], ends(s), stays(s)) for s in lifecycle.State]
    said = comments(events.EventKind)
    kinds = [(f"`{kind}`", said[kind.name]) for kind in events.EventKind]
    return "\n".join(
        [
            "# The life of a task",
            NOTICE,
            "",
            "```mermaid",
            "stateDiagram-v2",
            *arrows(),
            "```",
            "",
            "## States",
            "",
            table(("state", "who moves it on, and what a crash leaves", "ended", "noted without a change"), *states),
            "",
            "## Events",
            "",
            "Who commits an event stands before the colon; `daemon_*` and what follows belong to no task.",
            "",
            table(("event", "meaning"), *kinds),
            "",
        ]
    )


def arrows() -> Iterator[str]:
    """Yield the lines of the diagram: one arrow for all events that lead from one state to another."""
    yield f"    [*] --> {lifecycle.State.QUEUED}"
    for state, row in lifecycle.NEXT.items():
        for after in dict.fromkeys(row.values()):
            kinds = [kind for kind, target in row.items() if target is after]
            if after is not state:
                yield f"    {state} --> {after}: {', '.join(kinds)}"
    for state in lifecycle.State:
        if state in lifecycle.TERMINAL:
            yield f"    {state} --> [*]"


def ends(state: lifecycle.State) -> str:
    return "yes" if state in lifecycle.TERMINAL else "no"


def stays(state: lifecycle.State) -> str:
    return ", ".join(f"`{kind}`" for kind, after in lifecycle.NEXT[state].items() if after is state)


WORKFLOW_WORDS = """
`show TASK --workflow` tells a task in these words, with its history; `--json` gives the history as rows with
`from_state`, `to_state`, `timestamp` and `metadata`. Nothing is stored for it: it is a view over the events of a task,
so it is there for every task of every age. A task rests in one word; an event may pass through another one on its way.

A word that needs several transactions elsewhere may be over here in the moment of one, and is then only in the history.
The pull request comes behind the validation, as nothing that was not validated is brought anywhere. Progress is the
milestone, no forecast: it falls when a task goes back.
"""


def workflow_page() -> str:
    """Return the view of the states as those of a workflow."""
    said = comments(workflow.Workflow)
    words = [(f"`{w}`", said[w.name], f"{workflow.PERCENT[w]}%", resting(w), passing(w)) for w in workflow.Workflow]
    return "\n".join(
        [
            "# A task as a workflow",
            NOTICE,
            WORKFLOW_WORDS,
            table(("word", "meaning", "progress", "states that rest in it", "events that pass through it"), *words),
            "",
            "A failure passes through `validation_failed` where the result was looked at: "
            f"{', '.join(f'`{reason}`' for reason in sorted(workflow.JUDGED))}.",
            "",
        ]
    )


def resting(word: workflow.Workflow) -> str:
    if word in (workflow.Workflow.PR_CREATED, workflow.Workflow.MERGED):
        return f"`{lifecycle.State.SUCCEEDED}`, when `{events.EventKind.TAKEN}` says so"
    return ", ".join(f"`{state}`" for state in lifecycle.State if workflow.RESTING[state] is word)


def passing(word: workflow.Workflow) -> str:
    return ", ".join(f"`{kind}`" for kind in events.EventKind if workflow.PASSES.get(kind) is word)


def errors_page() -> str:
    """Return every error, exit status, kind of failure and reason to refuse a task file."""
    parts = [
        "# Errors",
        NOTICE,
        "",
        "The same word stands on the command line (`error[word]`), in `<name>.error.json`, in events and over HTTP.",
        "",
        table(("code", "exit status", "HTTP", "meaning"), *map(error_row, known_errors())),
        *section("Exit statuses", ("status", "name", "meaning"), exit_rows),
        *section("Kinds of failure", ("kind", "class", "meaning"), failure_rows),
    ]
    if importlib.util.find_spec(REASONS):
        parts += section("Why a task file is refused", ("reason", "meaning: because", "what to do"), reason_rows)
    return "\n".join([*parts, ""])


def section(title: str, head: tuple[str, ...], rows: Callable[[], Iterator[tuple[object, ...]]]) -> list[str]:
    return ["", f"## {title}", "", table(head, *rows())]


def known_errors() -> list[type[errors.OrchestratorError]]:
    """Return every expected error that core/errors.py defines, in the order of that file."""
    classes = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, errors.OrchestratorError)]
    return [c for c in classes if c is not errors.OrchestratorError]


def error_row(error: type[errors.OrchestratorError]) -> tuple[object, ...]:
    meaning = " ".join((inspect.getdoc(error) or "").split("\n\n")[0].split())
    return f"`{error.code}`", f"{error.exit_code.value} {error.exit_code.name}", error.http_status, meaning


def exit_rows() -> Iterator[tuple[object, ...]]:
    said = comments(errors.ExitCode)
    return ((code.value, code.name, said[code.name]) for code in errors.ExitCode)


def failure_rows() -> Iterator[tuple[object, ...]]:
    said = comments(attempt.FailureKind)
    return ((f"`{kind}`", remedies.CLASS_OF[kind].value, said[kind.name]) for kind in attempt.FailureKind)


def reason_rows() -> Iterator[tuple[object, ...]]:
    reasons = importlib.import_module(REASONS).TASK_FILE_REASONS
    return ((f"`{word}`", reason.meaning, reason.hint) for word, reason in reasons.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
