"""The figures as one SVG: a group of bars for each, ours in colour. Readable on a light and on a dark page. Pure."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from benchmarks.figures import Figure, Series, number

_WIDTH, _LABELS, _BARS = 860, 330, 380
_BAR, _TITLE, _GAP = 20, 30, 18
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.unit, .value { fill: #59636e }
.ours { fill: #0969da } .theirs { fill: #afb8c1 } .p99 { stroke: #1f2328; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .unit, .value { fill: #9198a1 }
  .ours { fill: #4493f8 } .theirs { fill: #656c76 } .p99 { stroke: #f0f6fc }
}
"""


def svg(figures: Sequence[Figure]) -> str:
    """Return docs/benchmarks.svg: bars are medians, the fine line is the 99th percentile where there is one."""
    parts: list[str] = []
    top = _GAP
    for figure in figures:
        parts.append(_group(figure, top))
        top += _TITLE + _BAR * len(figure.series) + _GAP
    says = "; ".join(f"{figure.title}: {_in_words(figure)}" for figure in figures)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}"'
        ' role="img">'
        f"\n<title>Benchmarks</title>\n<desc>{escape(says)}</desc>\n<style>{_STYLE}</style>\n"
        + "".join(parts)
        + "</svg>\n"
    )


def _in_words(figure: Figure) -> str:
    return ", ".join(f"{series.label} {number(series.median)} {figure.unit}" for series in figure.series)


def _group(figure: Figure, top: int) -> str:
    longest = max(series.p99 or series.median for series in figure.series) or 1.0
    title = (
        f'<text x="0" y="{top + 14}" class="title">{escape(figure.title)}'
        f'<tspan class="unit" font-weight="400" dx="8">{escape(figure.unit)}, {figure.better} is better</tspan>'
        "</text>\n"
    )
    bars = [_bar(series, top + _TITLE + _BAR * n, _BARS / longest) for n, series in enumerate(figure.series)]
    return title + "".join(bars)


def _bar(series: Series, y: int, scale: float) -> str:
    length = max(1.0, series.median * scale)
    kind = "ours" if series.versus else "theirs"
    p99, end = "", length
    value = number(series.median)
    if series.p99 is not None:
        end = max(end, series.p99 * scale)
        p99 = f'<line class="p99" x1="{_LABELS + end:.1f}" x2="{_LABELS + end:.1f}" y1="{y}" y2="{y + _BAR - 6}"/>'
        value += f" (p99 {number(series.p99)})"
    return (
        f'<text x="{_LABELS - 8}" y="{y + 11}" text-anchor="end">{escape(series.label)}</text>'
        f'<rect class="{kind}" x="{_LABELS}" y="{y}" width="{length:.1f}" height="{_BAR - 6}" rx="2"/>{p99}'
        f'<text class="value" x="{_LABELS + end + 6:.1f}" y="{y + 11}">{value}</text>\n'
    )
