"""Figures and forecast on a real root: what a daemon has run, told by commands of other processes."""

import json
from pathlib import Path

import pytest
from tests.e2e.command_root import CommandRoot, script
from tests.harness import daemon, result, wait_until

from orchestrator.validation.schema import analytics_problems, forecast_problems


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    return CommandRoot(tmp_path)


def works(seconds: float) -> str:
    return script({"init": 0}, {"hang": seconds}, {"result": "All is done."})


def test_what_a_daemon_has_run_is_told_and_what_comes_next_is_forecast(root: CommandRoot) -> None:
    root.drop("schema", works(0.4))
    root.drop("api", works(0.2), more="depends_on: [schema]\nretries: 0\n")
    root.drop("docs", script({"init": 0}, {"error": "the scripted failure"}))
    with daemon(root.path, root.env):
        wait_until(lambda: len(list((root.path / "results").glob("*_result.json"))) == 3, what="three results")
    assert result(root.path, "docs")["status"] == "failed"

    told = json.loads(root.call("report", "--since", "1h", "--analytics", "--json").stdout)
    assert analytics_problems(told) == []
    assert (told["counts"]["tasks"], told["counts"]["succeeded"]) == (3, 2)
    assert [one["name"] for one in told["bottleneck"]["path"]] == ["schema", "api"]
    assert told["bottleneck"]["seconds"] >= 0.6
    assert told["resources"]["cost_usd"]["known"] > 0
    assert "`schema` → `api`" in root.call("report", "--since", "1h", "--analytics").stdout
    page = root.call("report", "--since", "1h", "--analytics", "--html").stdout
    assert page.startswith("<!doctype html>")
    assert "schema, attempt 1" in page

    root.drop("more", works(0.1))
    foretold = json.loads(root.call("forecast", "--json").stdout)
    assert forecast_problems(foretold) == []
    assert (foretold["tasks"], foretold["history"]) == (1, 3)
    assert 0 < foretold["time_s"]["p10"] < foretold["time_s"]["p90"] < 60
