"""How a page looks: colours by state for a light page, a dark one and paper; words of strangers made harmless."""

from orchestrator.core.analytics import Bar
from orchestrator.core.lifecycle import ACTIVE, State
from orchestrator.core.text import printable

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>
:root {{ --page: #ffffff; --ink: #1f2328; --muted: #59636e; --grid: #d1d9e0; --on: #ffffff;
  --ok: #1a7f37; --bad: #cf222e; --stop: #6e7781; --run: #0969da; --wait: #9a6700; color-scheme: light dark }}
@media (prefers-color-scheme: dark) {{ :root {{ --page: #0d1117; --ink: #f0f6fc; --muted: #9198a1; --grid: #3d444d;
  --on: #0d1117; --ok: #3fb950; --bad: #f85149; --stop: #9198a1; --run: #4493f8; --wait: #d29922 }} }}
@media print {{ :root {{ --page: #ffffff; --ink: #000000; --muted: #444444; --grid: #cccccc; --on: #ffffff;
  --ok: #1a7f37; --bad: #cf222e; --stop: #6e7781; --run: #0969da; --wait: #9a6700 }}
  * {{ print-color-adjust: exact }} svg {{ max-width: 100%; height: auto }} figure {{ break-inside: avoid }} }}
body {{ background: var(--page); color: var(--ink); font: 14px/1.5 system-ui, sans-serif; margin: 0 }}
main {{ max-width: 1000px; margin: 0 auto; padding: 16px }}
h1 {{ font-size: 20px }} h2 {{ font-size: 16px; margin: 24px 0 4px }}
table {{ border-collapse: collapse }} td, th {{ padding: 2px 16px 2px 0; text-align: left; font-weight: 400;
  vertical-align: top }} th {{ color: var(--muted) }} .right {{ text-align: right }}
figure {{ margin: 8px 0; overflow-x: auto }} figcaption {{ color: var(--muted) }}
svg text {{ font: 12px system-ui, sans-serif; fill: var(--ink) }} svg .muted {{ fill: var(--muted) }}
svg .on {{ fill: var(--on) }} .grid {{ stroke: var(--grid) }}
.ok {{ fill: var(--ok) }} .stop {{ fill: var(--stop) }} .run {{ fill: var(--run) }} .wait {{ fill: var(--wait) }}
.bad {{ fill: var(--bad); stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 4 2 }}
.bad.many {{ stroke: none }}
.edge {{ fill: none; stroke: var(--muted); stroke-width: 1; opacity: .6 }}
.edge.path {{ stroke: var(--ink); stroke-width: 2.5; opacity: 1 }}
rect.path {{ stroke: var(--ink); stroke-width: 2.5 }}
</style></head><body><main>
"""


WORDS = {"ok": "ended well", "bad": "failed or not believed", "stop": "interrupted", "run": "still runs"}  # of attempts


def class_of_run(bar: Bar) -> str:
    """Return the class of an attempt."""
    if bar.running:
        return "run"
    if bar.failure or bar.outcome == "failed":
        return "bad"
    return "ok" if bar.outcome == "finished" else "stop"


def class_of(state: State) -> str:
    """Return the class of a task."""
    if state is State.SUCCEEDED:
        return "ok"
    if state in (State.FAILED, State.REJECTED):
        return "bad"
    if state is State.CANCELLED:
        return "stop"
    return "run" if state in ACTIVE else "wait"


def shown(text: str, chars: int) -> str:
    """Return *text* as one line of at most so many characters, without what could move a cursor; not yet escaped."""
    return printable(" ".join(text.split()))[:chars]
