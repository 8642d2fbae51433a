"""The dependency graph of a job as SVG: layers from left to right, the critical path drawn thick. Pure.

Beyond NODES tasks the layers are drawn, not the tasks: how many there are in each, in which states, and how many
dependencies go from one to another.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

from orchestrator.core.analytics import in_order
from orchestrator.core.events import TaskUid
from orchestrator.core.lifecycle import State
from orchestrator.core.measures import Measured
from orchestrator.core.picture_style import class_of, shown

NODES = 150
EDGES = 600  # counted by the layers they go through
LAYERS = 24  # that are drawn where layers are drawn; beyond that neighbours share a box
BOX_W, BOX_H, GAP_X, GAP_Y, EDGE_ROOM = 150, 36, 50, 10, 12
_SWEEPS = 4
_NAME_CHARS = 19
_LAYER_H = 96
_LAYER_W, _LAYER_GAP = 116, 44
_LEAST = 15  # pixels of a state, however few tasks are in it: a failure is not to be hidden

Edges = Mapping[TaskUid, Sequence[TaskUid]]


def graph(known: Mapping[TaskUid, Measured], edges: Edges, path: Sequence[TaskUid]) -> str:
    """Return the graph of the tasks *known*, or a sentence where none waited for another. *edges* lead from a task to
    those it came after; *path* is the critical one."""
    count = sum(len(needs) for needs in edges.values())
    if not count:
        return "<p>No task waited for another one.</p>\n"
    layers = layers_of(edges)
    spans = sum(layers[uid] - layers[need] for uid in layers for need in edges[uid])
    if len(known) <= NODES and spans <= EDGES:
        return _tasks(known, edges, layers, path)
    return _layers(known, edges, layers)


def layers_of(edges: Edges) -> Mapping[TaskUid, int]:
    """Return the layer of each task: 0 for one that comes after none, else one more than the last it comes after."""
    layers: dict[TaskUid, int] = {}
    for uid in in_order(edges):
        layers[uid] = max((layers[need] + 1 for need in edges[uid]), default=0)
    return layers


def _tasks(
    known: Mapping[TaskUid, Measured], edges: Edges, layers: Mapping[TaskUid, int], path: Sequence[TaskUid]
) -> str:
    ways = _ways(edges, layers)
    columns = _ordered(ways, layers)
    at, height = _places(columns)
    thick = set(pairwise(path))
    lines = [
        f'<path class="edge{" path" if pair in thick else ""}" d="{_route(way, at)}"/>'
        for pair, way in sorted(ways.items(), key=lambda one: one[0] in thick)  # the thick ones on top
    ]
    boxes = [_box(known[uid], *at[uid], critical=uid in path) for uid in layers]
    size = (len(columns) * (BOX_W + GAP_X) - GAP_X + 4, height)
    about = f"{len(layers)} tasks in {len(columns)} layers; the critical path is drawn thick"
    return _svg(size, about, "\n".join([*lines, *boxes]))


def _ways(edges: Edges, layers: Mapping[TaskUid, int]) -> Mapping[tuple[TaskUid, TaskUid], Sequence[str]]:
    """Return for each dependency what its line goes by: its two tasks, and a bend in every layer between them."""
    ways = {}
    for uid, needs in edges.items():
        for need in needs:
            if uid in layers and need in layers:
                bends = [f"{need}>{uid}>{layer}" for layer in range(layers[need] + 1, layers[uid])]
                ways[need, uid] = [need, *bends, uid]
    return ways


def _ordered(ways: Mapping[tuple[TaskUid, TaskUid], Sequence[str]], layers: Mapping[TaskUid, int]) -> list[list[str]]:
    """Return tasks and bends by layer, each as near as may be to the middle of its neighbours: fewer lines cross."""
    columns: list[list[str]] = [[] for _ in range(max(layers.values(), default=0) + 1)]
    for uid, layer in layers.items():
        columns[layer].append(uid)
    near: dict[str, list[str]] = defaultdict(list)
    for (first, _), way in ways.items():
        for layer, bend in enumerate(way[1:-1], layers[first] + 1):
            columns[layer].append(bend)
        for one, other in pairwise(way):
            near[one].append(other)
            near[other].append(one)
    place = {item: n / len(column) for column in columns for n, item in enumerate(column)}
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            middle = {one: sum(place[other] for other in near[one]) / len(near[one]) for one in column if near[one]}
            column[:] = [one for _, one in sorted((middle.get(one, place[one]), one) for one in column)]
            place |= {item: n / len(column) for n, item in enumerate(column)}
    return columns


def _places(columns: Sequence[Sequence[str]]) -> tuple[Mapping[str, tuple[float, float]], float]:
    """Return the left upper corner of each task, the left end of each bend, and the height of it all, in pixels."""
    heights = [sum(_height(item) for item in column) for column in columns]
    at = {}
    for n, column in enumerate(columns):
        y = (max(heights) - heights[n]) / 2 + 2
        for item in column:
            at[item] = (n * (BOX_W + GAP_X) + 2.0, y)
            y += _height(item)
    return at, max(heights) + 4


def _height(item: str) -> int:
    return EDGE_ROOM if _is_bend(item) else BOX_H + GAP_Y


def _is_bend(item: str) -> bool:
    return ">" in item  # no uid has it


def _route(way: Sequence[str], at: Mapping[str, tuple[float, float]]) -> str:
    parts: list[str] = []
    for one, other in pairwise(way):
        (x1, y1), (x2, y2) = at[one], at[other]
        y1 += EDGE_ROOM / 2 if _is_bend(one) else BOX_H / 2
        y2 += EDGE_ROOM / 2 if _is_bend(other) else BOX_H / 2
        x1 += BOX_W
        middle = (x1 + x2) / 2
        parts.append(
            f"{'L' if parts else 'M'}{x1:.0f} {y1:.0f}C{middle:.0f} {y1:.0f} {middle:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
        )
    return "".join(parts)


def _box(task: Measured, x: float, y: float, *, critical: bool) -> str:
    name = shown(task.name, 80)
    label = name if len(name) <= _NAME_CHARS else f"{name[: _NAME_CHARS - 1]}…"
    about = f"{name}: {task.state.value}{f', {task.reason}' if task.reason else ''}. {shown(task.title, 120)}"
    kind = class_of(task.state) + (" path" if critical else "")
    return (
        f'<g><title>{escape(shown(about, 300))}</title><rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{BOX_W}"'
        f' height="{BOX_H}" rx="4"/><text class="on" x="{x + 6:.0f}" y="{y + 15:.0f}">{escape(label)}</text>'
        f'<text class="on" x="{x + 6:.0f}" y="{y + 30:.0f}">{escape(task.state.value)}</text></g>'
    )


def _layers(known: Mapping[TaskUid, Measured], edges: Edges, layers: Mapping[TaskUid, int]) -> str:
    depth = max(layers.values(), default=0) + 1
    share = math.ceil(depth / LAYERS)
    states: dict[int, Counter[State]] = defaultdict(Counter)
    between: Counter[tuple[int, int]] = Counter()
    for uid, layer in layers.items():
        states[layer // share][known[uid].state] += 1
        between.update((layers[need] // share, layer // share) for need in edges[uid])
    inside = sum(count for (one, other), count in between.items() if one == other)
    most = max(between.values(), default=1)
    jumps = any(other > one + 1 for one, other in between)
    top = 4 + (EDGE_ROOM * 4 if jumps else 0)
    lines = [
        _thread(one, other, count, top, 1 + 7 * count / most)
        for (one, other), count in sorted(between.items())
        if one != other
    ]
    boxes = [_layer(n, share, states[n], top) for n in sorted(states)]
    size = (len(states) * (_LAYER_W + _LAYER_GAP) - _LAYER_GAP + 4, top + _LAYER_H + 20)
    folded = f" {share} layers share a box; {inside:,} dependencies lie inside one." if share > 1 else ""
    about = (
        f"{len(layers):,} tasks, drawn together as {depth:,} layers with {sum(between.values()):,} dependencies"
        f" between them.{folded}"
    )
    return _svg(size, about, "\n".join([*lines, *boxes]))


def _thread(one: int, other: int, count: int, top: int, width: float) -> str:
    """A dependency of the next layer goes straight; one that jumps over layers goes above them."""
    x1, x2 = one * (_LAYER_W + _LAYER_GAP) + _LAYER_W + 2, other * (_LAYER_W + _LAYER_GAP) + 2
    if other == one + 1:
        d = f"M{x1} {top + _LAYER_H / 2:.0f}L{x2} {top + _LAYER_H / 2:.0f}"
        label = f'<text class="muted" x="{(x1 + x2) / 2:.0f}" y="{top + _LAYER_H / 2 - 8:.0f}" text-anchor="middle">'
        number = f"{label}{count:,}</text>"
    else:
        lift = max(4, top - EDGE_ROOM * min(4, other - one))
        d, number = f"M{x1} {top + 12}C{x1 + 30} {lift} {x2 - 30} {lift} {x2} {top + 12}", ""
    about = f"<title>{count:,} dependencies</title>"
    return f'<g>{about}<path class="edge" style="stroke-width:{width:.1f}" d="{d}"/>{number}</g>'


def _layer(n: int, share: int, states: Counter[State], top: int) -> str:
    x, total, y = n * (_LAYER_W + _LAYER_GAP) + 2, sum(states.values()), float(top)
    name = f"layer {n + 1}" if share == 1 else f"layers {n * share + 1} to {(n + 1) * share}"
    parts = [f'<text x="{x}" y="{top + _LAYER_H + 15}">{name}: {total:,}</text>']
    for state, count in sorted(states.items(), key=lambda one: -one[1]):
        height = _LEAST + (_LAYER_H - _LEAST * len(states)) * count / total
        words = f"{count:,} {state.value}"
        label = f'<text class="on" x="{x + 6}" y="{y + height / 2 + 4:.0f}">{words}</text>'
        parts.append(
            f'<g><title>{name}: {words}</title><rect class="{class_of(state)}" x="{x}" y="{y:.1f}" width="{_LAYER_W}"'
            f' height="{height:.1f}"/>{label}</g>'
        )
        y += height
    return "\n".join(parts)


def _svg(size: tuple[float, float], about: str, body: str) -> str:
    width, height = size
    return (
        f'<figure><svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img"'
        f' aria-labelledby="graph-t graph-d"><title id="graph-t">Dependency graph</title>'
        f'<desc id="graph-d">{escape(about)}</desc>\n{body}</svg><figcaption>{escape(about)}</figcaption></figure>\n'
    )
