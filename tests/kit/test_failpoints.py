"""Fail-points: free when unused, refused when mistyped, and never seen by an agent."""

import errno
import json
import re
import sqlite3
import sys
import timeit
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bridges.attempts import launch
from tests.harness import SOURCE

from orchestrator.bridges.process import supervise
from orchestrator.core import failpoint
from orchestrator.core.errors import ConfigError, StoreError
from orchestrator.kit import failpoints


@pytest.fixture(autouse=True)
def _nothing_installed() -> Iterator[None]:
    yield
    failpoint.install(None)


def test_every_point_is_named_in_the_list_and_stands_somewhere() -> None:
    text = "\n".join(path.read_text("utf-8") for path in (SOURCE / "orchestrator").rglob("*.py"))
    assert set(re.findall(r"\bhit\(\s*\"([a-z.]+)\"", text)) - {"claim.renamed"} == failpoint.POINTS.keys() - {
        "claim.renamed"
    }
    assert text.count('hit("claim.renamed")') == 2, "once for real, once in the docstring"


def test_a_point_costs_nothing_while_nobody_asks_for_it() -> None:
    assert min(timeit.repeat(lambda: failpoint.hit("store.begun"), number=10_000, repeat=5)) / 10_000 < 2e-6


@pytest.mark.parametrize("wanted", ["", "no.such.point:1:kill", "store.begun:x:kill", "store.begun:1:explode", "kill"])
def test_a_value_that_means_nothing_is_refused(wanted: str) -> None:
    with pytest.raises(ConfigError, match="not NAME:HIT:ACTION"):
        failpoints.act_of(wanted)


def test_the_error_comes_at_the_hit_that_was_asked_for_and_once(tmp_path: Path) -> None:
    failpoint.install(failpoints.act_of(f"claim.renamed:2:enospc:{tmp_path}"))
    failpoint.hit("claim.renamed")
    with pytest.raises(OSError, match=r"claim\.renamed") as caught:
        failpoint.hit("claim.renamed")
    assert caught.value.errno == errno.ENOSPC
    failpoint.hit("claim.renamed")
    assert (tmp_path / "claim.renamed").read_bytes() == b"..."


def test_what_is_raised_is_what_would_be_raised_there() -> None:
    for name, kind in (
        ("store.begun", sqlite3.OperationalError),
        ("run.progress", StoreError),
        ("files.temporary", OSError),
    ):
        failpoint.install(failpoints.act_of(f"{name}:1:busy"))
        with pytest.raises(kind, match=name):
            failpoint.hit(name)


async def test_a_supervisor_has_its_points_too_and_the_agent_knows_nothing_of_them(tmp_path: Path) -> None:
    reached = tmp_path / "reached"
    reached.mkdir()
    failpoints.install({"ORCHESTRATOR_FAILPOINT": f"supervisor.published:1:kill:{reached}"})
    argv = (sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))")
    async with supervise(launch(tmp_path, argv=argv)) as run:
        record = await run.wait()
    assert (record.exit_code, record.reason) == (0, "exited"), "killed after the record was durable: it counts"
    assert {"supervisor.begun", "supervisor.reaped", "supervisor.published"} <= {
        path.name for path in reached.iterdir()
    }
    (output,) = tmp_path.rglob("stdout.ndjson")
    assert "FAILPOINT" not in " ".join(json.loads(output.read_bytes()))
