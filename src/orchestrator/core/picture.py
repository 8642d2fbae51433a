"""A job as one HTML file: timeline by slot, dependency graph, key figures. Nothing in it is loaded from anywhere. Pure.

Readable on a light and on a dark page, and on paper: what failed is dashed, not only red. Beyond DRAWN attempts those
of a slot are drawn together, to cells of CELL pixels, and the page says so.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from orchestrator.core.analytics import Analysis, Bar
from orchestrator.core.events import TaskUid
from orchestrator.core.measures import Measured
from orchestrator.core.picture_graph import graph
from orchestrator.core.picture_style import HEAD, WORDS, class_of_run, shown
from orchestrator.core.report_analytics import money, share, span

DRAWN = 600  # attempts that are drawn one by one
ROWS = 40  # slots that get a row each; beyond that the picture shows how many worked at once
CELL = 2
WIDTH, LEFT, RIGHT, ROW, TOP, LEGEND = 960, 64, 24, 24, 28, 26
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
_TICKS = 8
_PATH_SHOWN = 15
_LABEL_PX = 7  # of one character
_NAME_LEAST = 6  # characters: of a name that is cut shorter nobody can tell whose it is


def picture(title: str, found: Analysis, tasks: Sequence[Measured], edges: Mapping[TaskUid, Sequence[TaskUid]]) -> str:
    """Return the page. *tasks* and *edges* are what *found* was folded from: see `core.analytics`."""
    known = {task.uid: task for task in tasks}
    parts = [
        HEAD.format(title=escape(shown(title, 200))),
        f"<h1>{escape(shown(title, 200))}</h1>\n",
        _facts(found),
        "<h2>Timeline</h2>\n",
        timeline_svg(found),
        "<h2>What waited for what</h2>\n",
        graph(known, edges, found.bottleneck.path),
        _path(found, known),
        "</main></body></html>\n",
    ]
    return "".join(parts)


def _facts(found: Analysis) -> str:
    cost = found.use.cost_usd
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(found.states.items()))
    rows = [
        ("Tasks", f"{found.tasks:,}: {states}" if states else "0"),
        ("Proven", f"{found.proven_tasks:,} of {found.ended:,} that ended"),
        ("Time", f"{span(found.efficiency.wall_s)}, from {_clock(found.start_ts)}" if found.bars else "none"),
        ("Work", f"{span(found.efficiency.work_s)} on {found.efficiency.slots} slots at most"),
        ("Parallel efficiency", f"{share(found.efficiency.value)}: work / (time × slots)"),
        ("Critical path", f"{span(found.bottleneck.seconds)}, {share(found.bottleneck.of_wall)} of the time"),
        ("Cost", money({"known": cost.known, "attempts_unknown": cost.unknown})),
    ]
    cells = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>' for name, text in rows)
    return f"<table>{cells}</table>\n"


def timeline_svg(found: Analysis) -> str:
    """Return the timeline as SVG: a row for each slot, time to the right."""
    if not found.bars:
        return "<p>No attempt has begun yet.</p>\n"
    many_rows = found.efficiency.slots > ROWS
    rows = 6 if many_rows else found.efficiency.slots
    height = TOP + ROW * rows + 8
    scale = (WIDTH - LEFT - RIGHT) / max(found.efficiency.wall_s, 1e-3)
    if many_rows:
        body, note = _density(found, scale), "How many worked at once, not which."
    elif len(found.bars) > DRAWN:
        body = _together(found, scale)
        note = f"Drawn together in cells of {span(CELL / scale)}; a cell with a failure in it is drawn as one."
    else:
        body, note = _each(found, scale), ""
    legend = "" if many_rows else _legend({class_of_run(bar) for bar in found.bars}, height + 6)
    about = f"{len(found.bars):,} attempts on {found.efficiency.slots} slots in {span(found.efficiency.wall_s)}"
    about += f", {sum(found.failures.values()):,} of them failed or were not believed" if found.failures else ""
    words = f"{about}. {note}".strip()
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {height + LEGEND}" width="{WIDTH}" role="img"'
        ' aria-labelledby="time-t time-d">'
        f'<title id="time-t">Timeline by slot</title><desc id="time-d">{escape(words)}</desc>\n'
        f"{_axis(found, scale, height)}{_slot_names(0 if many_rows else rows)}{body}{legend}</svg>"
        f"<figcaption>{escape(words)}</figcaption></figure>\n"
    )


def _axis(found: Analysis, scale: float, height: int) -> str:
    wall = found.efficiency.wall_s
    step = next((step for step in _STEPS if wall / step <= _TICKS), 86_400 * math.ceil(wall / _TICKS / 86_400))
    parts = []
    for n in range(int(wall // step) + 1):
        x = LEFT + n * step * scale
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height}"/>'
            f'<text class="muted" x="{x:.1f}" y="14" text-anchor="middle">{_offset(n * step)}</text>\n'
        )
    return "".join(parts)


def _offset(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    if seconds >= 60:
        return f"{seconds // 60}m{seconds % 60:02d}"
    return f"{seconds}s" if seconds else "0"


def _slot_names(rows: int) -> str:
    return "".join(
        f'<text class="muted" x="{LEFT - 8}" y="{TOP + ROW * n + 15}" text-anchor="end">slot {n + 1}</text>\n'
        for n in range(rows)
    )


def _legend(kinds: Collection[str], y: int) -> str:
    parts, x = [], LEFT
    for kind, words in WORDS.items():
        if kind in kinds:
            parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="12" height="12"/>')
            parts.append(f'<text x="{x + 18}" y="{y + 10}">{words}</text>\n')
            x += 18 + _LABEL_PX * len(words) + 24
    return "".join(parts)


def _each(found: Analysis, scale: float) -> str:
    return "".join(_rect(bar, found.start_ts, scale, set(found.bottleneck.path)) for bar in found.bars)


def _rect(bar: Bar, start: float, scale: float, critical: set[TaskUid]) -> str:
    x, width = LEFT + (bar.start_ts - start) * scale, max(1.5, (bar.end_ts - bar.start_ts) * scale - 0.5)
    y = TOP + ROW * (bar.slot - 1)
    end = "still runs" if bar.running else bar.failure or bar.outcome or "end unknown"
    about = f"{bar.name}, attempt {bar.number}: {span(bar.end_ts - bar.start_ts)}, {end}; waited {span(bar.waited_s)}"
    fits = int((width - 8) / _LABEL_PX)
    label = ""
    if fits >= min(len(bar.name), _NAME_LEAST):
        label = f'<text class="on" x="{x + 4:.1f}" y="{y + 14}">{escape(_cut(bar.name, fits))}</text>'
    kind = class_of_run(bar) + (" path" if bar.uid in critical else "")
    return (
        f'<g><title>{escape(shown(about, 300))}</title><rect class="{kind}" x="{x:.1f}" y="{y}" '
        f'width="{width:.1f}" height="{ROW - 4}" rx="2"/>{label}</g>\n'
    )


def _cut(name: str, chars: int) -> str:
    text = shown(name, 80)
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def _together(found: Analysis, scale: float) -> str:
    """Cells in which anything ended badly are drawn as that: a picture must not hide a failure."""
    cells: dict[int, dict[int, str]] = defaultdict(dict)
    for bar in found.bars:
        kind = class_of_run(bar)
        first = int((bar.start_ts - found.start_ts) * scale / CELL)
        last = int((bar.end_ts - found.start_ts) * scale / CELL)
        row = cells[bar.slot]
        for cell in range(first, last + 1):
            if row.get(cell) != "bad":
                row[cell] = kind
    parts: dict[str, list[str]] = defaultdict(list)
    for slot, row in sorted(cells.items()):
        y = TOP + ROW * (slot - 1)
        for first, count, kind in _stretches(row):
            parts[kind].append(f"M{LEFT + first * CELL} {y}h{count * CELL}v{ROW - 4}h-{count * CELL}z")
    return "".join(f'<path class="{kind} many" d="{"".join(parts[kind])}"/>\n' for kind in sorted(parts))


def _stretches(row: Mapping[int, str]) -> Iterable[tuple[int, int, str]]:
    """Yield (first cell, cells, class) for what lies side by side and is of one class."""
    first = count = 0
    kind = ""
    for cell in sorted(row):
        if count and cell == first + count and row[cell] == kind:
            count += 1
            continue
        if count:
            yield first, count, kind
        first, count, kind = cell, 1, row[cell]
    if count:
        yield first, count, kind


def _density(found: Analysis, scale: float) -> str:
    """An area: the mean number of attempts at work in each cell."""
    columns = int((WIDTH - LEFT - RIGHT) / CELL) + 1
    changes = [0.0] * (columns + 2)
    work = [0.0] * (columns + 1)
    for bar in found.bars:
        begin, end = ((ts - found.start_ts) * scale / CELL for ts in (bar.start_ts, bar.end_ts))
        first, last = int(begin), min(int(end), columns)
        if first == last:
            work[first] += end - begin
            continue
        work[first] += first + 1 - begin
        work[last] += end - last
        changes[first + 1] += 1
        changes[last] -= 1
    height, most, through = ROW * 6, found.efficiency.slots, 0.0
    points = [f"{LEFT} {TOP + height}"]
    for cell in range(columns + 1):
        through += changes[cell]
        points.append(f"{LEFT + cell * CELL} {TOP + height * (1 - (through + work[cell]) / most):.1f}")
    points.append(f"{LEFT + columns * CELL} {TOP + height}")
    names = (
        f'<text class="muted" x="{LEFT - 8}" y="{TOP + 10}" text-anchor="end">{most}</text>'
        f'<text class="muted" x="{LEFT - 8}" y="{TOP + height}" text-anchor="end">0</text>'
    )
    return f'<path class="ok many" d="M{"L".join(points)}z"/>{names}\n'


def _path(found: Analysis, known: Mapping[TaskUid, Measured]) -> str:
    path = found.bottleneck.path
    rows = [known[uid] for uid in path[:_PATH_SHOWN]]
    cells = "".join(
        f"<tr><td>{escape(shown(task.name, 80))}</td><td>{escape(task.state.value)}</td>"
        f'<td class="right">{span(task.seconds(found.end_ts))}</td></tr>\n'
        for task in rows
    )
    more = f"<p>… and {len(path) - len(rows)} more.</p>\n" if len(path) > len(rows) else ""
    if not rows:
        return ""
    head = '<tr><th scope="col">task</th><th scope="col">state</th><th scope="col" class="right">work</th></tr>'
    return f"<h2>Critical path</h2>\n<table>{head}\n{cells}</table>\n{more}"


def _clock(ts: float) -> str:
    return datetime.fromtimestamp(ts, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
