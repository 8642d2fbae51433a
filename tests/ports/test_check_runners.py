"""The conformance suite of the port CheckRunner, and who passes it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.fakes_of_proof import ScriptedChecks

from orchestrator.bridges.check_runner import CheckConfig, ConfinedChecks
from orchestrator.core.ports import CheckRunner
from orchestrator.core.proof import CheckKind, CheckSpec

ENVIRON: Mapping[str, str] = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
GOOD = CheckSpec(CheckKind.COMMAND, argv=("test", "-f", "a.txt"))
BAD = CheckSpec(CheckKind.COMMAND, argv=("test", "-f", "b.txt"))
HERE = CheckSpec(CheckKind.FILE_EXISTS, path="a.txt")
PERSON = CheckSpec(CheckKind.HUMAN)


@pytest.fixture(params=["fake", "confined", "not confined"])
def runner(request: pytest.FixtureRequest, tmp_path: Path) -> CheckRunner:
    if request.param == "fake":
        return ScriptedChecks({GOOD: lambda folder: (folder / "a.txt").is_file(), BAD: lambda _: False})
    bwrap = shutil.which("bwrap") or ""
    if request.param == "confined" and not bwrap:
        pytest.skip("bubblewrap (bwrap) is not installed")
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    config = CheckConfig(ENVIRON, str(tmp), timeout_s=30, bwrap=bwrap if request.param == "confined" else "")
    return ConfinedChecks(lambda: config)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "checkout" / "sub"
    made.mkdir(parents=True)
    (made / "a.txt").write_text("x")
    return made.parent


async def test_each_check_gets_its_run_in_order(runner: CheckRunner, folder: Path) -> None:
    runs = await runner.run([BAD, HERE, GOOD, PERSON], str(folder), inside="sub", commit="c1")
    assert [run.passed for run in runs] == [False, True, True, None]
    assert {run.commit for run in runs} == {"c1"}
    assert all(run.confinement for run in runs[:3])
    assert runs[0].detail
    assert runs[3].detail


async def test_what_it_runs_counts_from_the_folder_it_is_told(runner: CheckRunner, folder: Path) -> None:
    runs = await runner.run([GOOD, HERE], str(folder), inside="", commit="")
    assert [run.passed for run in runs] == [False, False]


async def test_a_folder_that_this_commit_does_not_have_is_an_answer(runner: CheckRunner, folder: Path) -> None:
    runs = await runner.run([GOOD, HERE], str(folder), inside="gone", commit="")
    assert [run.passed for run in runs] == [False, False]


async def test_nothing_to_run_gives_nothing(runner: CheckRunner, folder: Path) -> None:
    assert list(await runner.run([], str(folder), inside="", commit="")) == []
