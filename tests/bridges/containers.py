"""The containers of this machine, as parameters of tests, and what an attempt has left in one."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.bridges import cgroup_find
from orchestrator.bridges.bubblewrap import pid_namespace
from orchestrator.bridges.process import Launch

KINDS = ("none", "namespace", "cgroup", "namespace and cgroup")


def parts(kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words and the control groups of the container *kind*. Skips the test where there is no such thing."""
    words: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    if "namespace" in kind:
        if (bwrap := shutil.which("bwrap")) is None:
            pytest.skip("bubblewrap (bwrap) is not installed")
        words = pid_namespace(bwrap)
    if "cgroup" in kind and not (groups := cgroup_find.find(settle=False)):
        pytest.skip("no control groups may be made here")
    return words, groups


def held(order: Launch, kind: str) -> Launch:
    """Return *order* in the container *kind*. Skips the test where this machine has no such thing."""
    words, groups = parts(kind)
    return replace(order, container=words or order.container, cgroups=groups or order.cgroups)


def carrying(word: str) -> list[int]:
    """Return the living processes with *word* in their arguments, whatever else they did to hide."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and word.encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue  # gone meanwhile
    return [pid for pid in found if pid != os.getpid()]


def groups_of(order: Launch) -> list[str]:
    """Return the control groups of *order* that are still there."""
    return [folder for folder in order.cgroups if Path(folder, order.mark).exists()]
