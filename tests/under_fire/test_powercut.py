"""Power cuts in short, on file systems in images; the long run is `python -m tests.under_fire.powercut`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.harness import SOURCE
from tests.under_fire import loop_image, mutations

TOP = SOURCE.parent
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def cut(tmp_path: Path, kind: str, mutation: str) -> dict[str, Any]:
    """Cut the power twice or three times, in a process with mounts of its own. Returns the figures."""
    if why := loop_image.why_not(kind, tmp_path):
        pytest.skip(why)
    words = [f"--fs={kind}", "--cuts=1", "--seed=1", f"--mutation={mutation}", f"--report={tmp_path / 'report'}"]
    command = [sys.executable, "-m", "tests.under_fire.powercut", *words]
    env = {"PATH": PATH, "PYTHONPATH": str(SOURCE)}
    ran = subprocess.run(command, cwd=TOP, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode in (0, 1), ran.stderr
    figures: list[dict[str, Any]] = json.loads((tmp_path / "report").read_text())
    return figures[0]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", loop_image.KINDS)
def test_a_power_cut_takes_nothing_that_was_acknowledged(tmp_path: Path, kind: str) -> None:
    figures = cut(tmp_path, kind, mutations.NONE)
    assert figures["breaches"] == []
    assert figures["acknowledged"] > 1


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mutation", [mutations.NOTHING_SYNCED, mutations.FOLDERS_UNSYNCED])
def test_the_same_cuts_find_a_product_that_does_not_sync(tmp_path: Path, mutation: str) -> None:
    assert cut(tmp_path, "ext4", mutation)["breaches"], "the harness is blind"
