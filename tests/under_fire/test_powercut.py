"""Power cuts in short, on file systems in images; the long run is `python -m tests.under_fire.powercut`."""

from pathlib import Path

import pytest
from tests.under_fire import loop_image, mutations
from tests.under_fire.powercut import cut_rounds

SEED = 1


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the images lie; pytest's own folder is on a disk, where each flush takes its time."""
    return tmp_path_factory.mktemp("cut")


def needs(kind: str, folder: Path) -> None:
    if why := loop_image.why_not(kind, folder):
        pytest.skip(why)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", loop_image.KINDS)
def test_a_power_cut_takes_nothing_that_was_acknowledged(folder: Path, kind: str) -> None:
    needs(kind, folder)
    figures = cut_rounds(kind, 1, mutation=mutations.NONE, folder=folder, seed=SEED)
    assert figures.breaches == []
    assert figures.acknowledged > 0


@pytest.mark.timeout(300)
def test_the_same_cuts_find_a_product_that_does_not_sync(folder: Path) -> None:
    needs("ext4", folder)
    figures = cut_rounds("ext4", 1, mutation=mutations.NOTHING_SYNCED, folder=folder, seed=SEED)
    assert figures.breaches, "the harness is blind"
