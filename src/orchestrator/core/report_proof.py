"""What a summary tells of proof: each criterion with its evidence, then what could not be verified."""

from collections import Counter
from collections.abc import Mapping, Sequence

from orchestrator.core.events import Json
from orchestrator.core.task import ACCEPTABLE

Row = Mapping[str, Json]
TAIL_LINES = 10
_COUNTED = {"proven": "proven", "holds": "held", "failed": "failed", "unproven": "unproven", "human": "for a person"}
_SETTLED = ("proven", "holds")
EDITED_CHECK = (
    "If the task was to change a file that its check goes by, name that file under Target Files, or check it by "
    "contains: or output:, and retry"
)


def verdict_words(rows: Sequence[Row]) -> str:
    """Return how the criteria of a task that succeeded stand, "" when there are none."""
    counts = Counter(str(row.get("verdict")) for row in rows)
    still_open = sum(count for verdict, count in counts.items() if verdict not in _SETTLED)
    if still_open and still_open == counts["unproven"] == len(rows):
        count = "1 criterion is" if still_open == 1 else f"{still_open} criteria are"
        return f"{count} unproven, please look"
    told = ", ".join(f"{counts[verdict]} {words}" for verdict, words in _COUNTED.items() if counts[verdict])
    return f"{told}{': please look' if still_open else ''}"


def criterion_lines(row: Row) -> list[tuple[str, str]]:
    """Return the lines of one criterion, each as indent and text."""
    optional = " (optional)" if row.get("mandatory") is False and "(optional)" not in str(row.get("text")) else ""
    lines = [("  ", f"[{row.get('verdict')}] {row.get('text')}{optional}")]
    if row.get("opinion"):
        lines.append(("      ", str(row["opinion"])))
    if not isinstance(row.get("check"), Mapping):
        return lines
    lines.append(("      ", str(row.get("why"))))
    runs = [(name, run) for name in ("base", "result") if isinstance(run := row.get(name), Mapping)]
    lines += [("      ", _run_words(name, run)) for name, run in runs]
    if row.get("verdict") == "failed" and runs and runs[-1][0] == "result":
        lines += [("      | ", line) for line in _last_lines(runs[-1][1])]
    return lines


def _run_words(name: str, run: Row) -> str:
    passed = run.get("passed")
    how = "passed" if passed else "failed" if passed is False else "no answer"
    commit = f" {str(run.get('commit'))[:10]}" if run.get("commit") else ""
    code = f", exit code {run.get('exit_code')}" if run.get("exit_code") is not None else ""
    seconds = run.get("duration_s")
    after = f" after {seconds:.1f} s" if isinstance(seconds, (int, float)) and seconds else ""
    held = f" [{run['confinement']}]" if name == "result" and run.get("confinement") else ""
    return f"{name}{commit}: {how}{code}{after}{held}"


def _last_lines(run: Row) -> list[str]:
    return [line for line in str(run.get("tail", "")).splitlines() if line.strip()][-TAIL_LINES:]


def digest_words(digest: Row) -> str:
    """Return the result in a model's words, marked as that, or why there are none; "" where none was asked."""
    if not digest:
        return ""
    if digest.get("problem"):
        return f"No summary by a model: {digest['problem']}"
    return f"In the words of the model {digest.get('model')}, which nobody has checked: {digest.get('text')}"


def accepted_words(accepted: Row) -> str:
    """Return who took the result as it is, "" when nobody had to."""
    return f"Accepted by {accepted.get('by')} at {accepted.get('at')}, as it is" if accepted else ""


def unverified(criteria: Sequence[Row], checks: Sequence[Row], findings: Sequence[Row]) -> list[str]:
    """Return, each in a sentence, what nobody has verified."""
    lines = [f"{row.get('text')}: {row.get('why')}" for row in criteria if row.get("verdict") in ("unproven", "human")]
    lines += [f"{row.get('name')}: {row.get('detail')}" for row in checks if row.get("passed") is None]
    for row in findings:
        place = f"{row.get('path')}:{row['line']}" if row.get("line") else row.get("path")
        parts = (str(row.get("kind")).replace("_", " "), place, row.get("detail"))
        lines.append(": ".join(str(part) for part in parts if part))
    if any(row.get("kind") == "check_edited" and row.get("taints") for row in findings):
        lines.append(EDITED_CHECK)
    return lines


def work_lines(work: Row) -> list[str]:
    """Return where the task worked and what came of it as a commit, then each note; [] where nothing is known."""
    folder = str(work.get("folder") or "")
    if not folder:
        return []
    notes = work.get("notes")
    told = [str(note) for note in notes] if isinstance(notes, Sequence) and not isinstance(notes, str) else []
    if not work.get("base"):
        return [f"In {folder} itself: nothing of it is kept elsewhere", *told]
    base, head = str(work["base"])[:12], str(work.get("head") or "")[:12]
    if not head:
        return [f"Nothing was changed in its own {work.get('isolation')} of {folder} at {base}", *told]
    counted = work.get("files_changed")
    files = "1 file" if counted == 1 else f"{counted} files"
    change = f"{base}..{head}, {files}, +{work.get('insertions')} -{work.get('deletions')}"
    if work.get("delivered") is True and work.get("branch"):
        return [f"Branch {work['branch']} in {folder} ({change})", *told]
    kept = f"; kept as {work['kept']}" if work.get("kept") else ""
    return [f"No branch; in its own {work.get('isolation')} of {folder} ({change}){kept}", *told]


def next_words(result: Row, work: Row) -> list[str]:
    """Return the commands that take, complete or bring back the work of a result, without the task they are about."""
    changed, unproven = bool(work.get("head")), result.get("reason") in ACCEPTABLE
    words = ["diff"] if changed else []
    taken = _taken(result)
    if any(one.get("how") == "discard" for one in taken):
        return words
    if result.get("status") == "succeeded" and work.get("delivered") is True and work.get("branch"):
        merge = "merge --unproven" if why_unproven(result) else "merge"
        merged = any(one.get("how") == "merge" and one.get("ok") for one in taken)
        return [*words, *([] if merged else [merge]), "discard"]
    if result.get("status") != "succeeded" and unproven:
        words.append("accept")
    if result.get("status") != "succeeded" and work.get("kept"):
        words.append("recover")
    return words


def why_unproven(verdict: Row) -> str:
    """Return why a result must not be merged unseen, "" when it may. What a person has accepted is settled."""
    if verdict.get("accepted"):
        return ""
    rows = [row for row in _rows(verdict.get("criteria")) if row.get("mandatory") is not False]
    if not rows:
        return "it has no criterion that the daemon could check"
    if still := [f"[{row.get('verdict')}] {row.get('text')}" for row in rows if row.get("verdict") not in _SETTLED]:
        return "; ".join(still)[:1000]
    found = [f"{row.get('kind')} {row.get('path')}".strip() for row in _rows(verdict.get("findings"))]
    return f"its change was found suspicious: {'; '.join(found)[:1000]}" if found else ""


def taken_lines(result: Row) -> list[str]:
    """Return what was done with a result since it ended, each in a sentence."""
    lines = []
    for one in _taken(result):
        how, by, what = str(one.get("how")), one.get("by"), one.get("branch") or ""
        if one.get("ok") is not True:
            lines.append(f"{how} by {by} was refused: {one.get('detail')}")
        else:
            done = {"merge": "Merged into", "push": "Pushed as", "pr": "Pull request for", "discard": "Discarded"}
            lines.append(f"{done.get(how, how)} {what} by {by}".replace("  ", " "))
    return lines


def _taken(result: Row) -> list[Row]:
    return _rows(result.get("taken"))


def _rows(rows: Json) -> list[Row]:
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, (list, tuple)) else []
