"""What this machine has of what an attempt lacked."""

from pathlib import Path

import pytest

from orchestrator.bridges.machine import Needs, ThisMachine

MANY = 1 << 60


def machine(folder: Path, *, disk: int = 0, memory: int = 0, free_kb: str = "1048576") -> ThisMachine:
    meminfo = folder / "meminfo"
    meminfo.write_text(f"MemTotal: 9999999 kB\nMemAvailable:   {free_kb} kB\nBuffers: 1 kB\n")
    return ThisMachine(lambda: Needs(folder, disk, memory), meminfo=meminfo)


@pytest.mark.parametrize(
    ("kind", "disk", "memory", "said"),
    [
        ("killed", 0, 1 << 30, ""),
        ("killed", 0, (1 << 30) + 1, "memory: 1024 MiB of 1024 MiB are free"),
        ("killed", MANY, 0, ""),
        ("shortage", 1, 1, ""),
        ("shortage", 1, 1 << 31, "memory: 1024 MiB of 2048 MiB are free"),
    ],
)
async def test_what_is_short_is_told_with_figures(tmp_path: Path, kind: str, disk: int, memory: int, said: str) -> None:
    assert await machine(tmp_path, disk=disk, memory=memory).lacks(kind) == said


async def test_a_full_disk_is_a_shortage(tmp_path: Path) -> None:
    assert (await machine(tmp_path, disk=MANY).lacks("shortage")).startswith("disk: ")


async def test_where_nobody_can_tell_it_is_still_short(tmp_path: Path) -> None:
    blind = ThisMachine(lambda: Needs(tmp_path, 0, 1), meminfo=tmp_path / "none")
    assert await blind.lacks("killed") == "this system does not tell how much memory is free"
    assert "does not tell" in await machine(tmp_path, memory=1, free_kb="?").lacks("killed")


async def test_this_very_machine_has_enough_for_a_test(tmp_path: Path) -> None:
    assert await ThisMachine(lambda: Needs(tmp_path, 1, 0)).lacks("shortage") == ""
