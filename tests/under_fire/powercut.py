"""Power cuts: the real daemon on a file system of its own, frozen, its image copied as it is, and recovered.

    python -m tests.under_fire.powercut --fs ext4,xfs,btrfs --cuts 25 --report FILE.json
    python -m tests.under_fire.powercut --fs xfs --cuts 8 --mutation files_unsynced

What a cut models, and what it does not, is told in docs/adr/0016-power-cuts.md. The exit code is 0 if every promise
was kept; with a mutation, if at least one breach was noticed.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness import environment, scripted_command, wait_until
from tests.under_fire import loop_image, mutations
from tests.under_fire.cut_oracle import Promises, after_drain, at_mount, durable_ends, runs, table

from orchestrator.bridges.root_lock import holder

HERE = Path(__file__).resolve().parent
CONFIG = (
    "agents:\n  claude:\n    env: [SCRIPTED_JOURNAL]\nintake:\n  min_free_bytes: 1048576\n"
    "pool:\n  max_concurrent_tasks: 4\nlogs:\n  level: WARNING\n"
)
WORK_S = (0.4, 2.0)  # from the first accepted task to the cut
RECOVERY_S = (0.0, 1.2)  # from the start of the new daemon to a cut in its recovery
DRAIN_S = 120.0


@dataclass
class Figures:
    """What the cuts on one file system came to."""

    fs: str
    mutation: str
    seed: int
    cuts: int = 0
    acknowledged: int = 0
    synced: int = 0
    completed_twice: int = 0
    seconds: float = 0.0
    breaches: list[str] = field(default_factory=list)

    def kinds(self) -> dict[str, int]:
        """Return how many breaches there were of each kind."""
        found = Counter(match[1] for one in self.breaches if (match := re.search(r"(\w+): ", one)))
        return dict(found.most_common())


class Machine:
    """One image with one root on it, and what is kept outside of it: promises and the agents' journal."""

    def __init__(self, folder: Path, kind: str, mutation: str, chance: random.Random) -> None:
        self.folder, self.mutation, self.chance = folder, mutation, chance
        self.point, self.image = folder / "disk", folder / "0.img"
        self.root = self.point / "root"
        self.told, self.seen, self.journal = folder / "told", folder / "seen", folder / "journal"
        self.promises = Promises()
        self.cuts = 0
        self.breaches: list[str] = []
        loop_image.make(self.image, kind)

    def env(self) -> dict[str, str]:
        """A clean environment, with a boot id that changes at each cut as that of a machine would."""
        command = scripted_command()
        return environment(self.folder, ORCHESTRATOR_CLAUDE_COMMAND=command, SCRIPTED_JOURNAL=str(self.journal))

    @contextmanager
    def daemon(self, mutation: str) -> Iterator["subprocess.Popen[bytes]"]:
        words = [sys.executable, str(HERE / "mutations.py"), mutation, "--root", str(self.root)]
        with self._started(words, **self.env(), BOOT_ID=f"boot-{self.cuts}") as process:
            yield process

    @contextmanager
    def actor(self, *words: object) -> Iterator["subprocess.Popen[bytes]"]:
        with self._started([sys.executable, str(HERE / "cut_actors.py"), *map(str, words)], **self.env()) as process:
            yield process

    @contextmanager
    def _started(self, words: Sequence[str], **env: str) -> Iterator["subprocess.Popen[bytes]"]:
        with open(self.folder / "out", "ab") as out:
            process = subprocess.Popen(words, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
            try:
                yield process
            finally:
                end(process)

    def put_and_cut(self) -> None:
        """Put one file while nobody else works on this file system, then lose power."""
        with loop_image.mounted(self.image, self.point) as device:
            (self.root / "tasks").mkdir(parents=True)
            (self.root / "config").mkdir()
            (self.root / "config" / "orchestrator.yaml").write_text(CONFIG)
            loop_image.run("sync", "--file-system", str(self.point))  # it was set up some while ago
            with self.actor("put", self.root, self.told, self.mutation) as process:
                assert process.wait() == 0, (self.folder / "out").read_text()
            self._cut(device, [], 0.0)

    def work_and_cut(self) -> None:
        """Work for a while, then lose power."""
        with loop_image.mounted(self.image, self.point) as device, ExitStack() as stack:
            running = [stack.enter_context(self.daemon(self.mutation))]
            running.append(stack.enter_context(self.actor("watch", self.root, self.seen)))
            for number in range(2):
                told, seed = self.told, self.chance.random()
                actor = self.actor("produce", self.root, told, seed, f"p{number}-", self.mutation)
                running.append(stack.enter_context(actor))
            wait_until(lambda: self.seen.exists(), what="a first accepted task")
            self._cut(device, running, self.chance.uniform(*WORK_S))

    def recover_and_cut(self, mutation: str) -> None:
        """Lose power once more, at some moment of the recovery from the last cut."""
        with loop_image.mounted(self.image, self.point) as device, ExitStack() as stack:
            running = [stack.enter_context(self.daemon(mutation))]
            running.append(stack.enter_context(self.actor("watch", self.root, self.seen)))
            pid = running[0].pid
            wait_until(lambda: _owner(self.root) == pid, what="the new daemon to own the root")
            self._cut(device, running, self.chance.uniform(*RECOVERY_S))

    def _cut(self, device: str, running: Sequence["subprocess.Popen[bytes]"], after_s: float) -> None:
        threading.Event().wait(after_s)
        frozen = freeze([process.pid for process in running])
        self.promises.read(self.told, self.seen, first=len(running) > 2)
        self.cuts += 1
        copy = self.folder / f"{self.cuts}.img"
        loop_image.copy_as_cut(self.image, device, copy)
        for pid in frozen:
            _signal(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(_alive, frozen)), what="the killed processes to be gone")
        for process in running:
            process.wait()
        self._next = copy

    def look(self) -> None:
        """Go on with the copy, and see what is there before anybody mends it."""
        self.image.unlink()
        self.image = self._next
        with loop_image.mounted(self.image, self.point):
            self.breaches += [f"cut {self.cuts}, at mount, {one}" for one in at_mount(self.root, self.promises)]
            self.promises.ended |= durable_ends(self.root)
            self._before = self.journal.read_text().count("\n") if self.journal.exists() else 0

    def drain(self, mutation: str) -> None:
        """Let a new daemon bring everything to its end; then every promise must have been kept."""
        with loop_image.mounted(self.image, self.point):
            with self.daemon(mutation) as process:
                try:
                    wait_until(lambda: process.poll() is not None or self._drained(), what="all", deadline_s=DRAIN_S)
                except AssertionError:
                    self.breaches.append("stuck: the new daemon does not come to an end")
                process.send_signal(signal.SIGTERM)
                if (code := process.wait(60)) != 0:
                    self.breaches.append(f"stuck: the new daemon ended with {code}")
            self.breaches += after_drain(self.root, self.promises, self.journal)
            lines = self.journal.read_text().splitlines() if self.journal.exists() else []
            again = {line.split()[1] for line in lines[self._before :] if line.startswith("start ")}
            self.breaches += [f"run_again: {uid} had ended well" for uid in sorted(again & self.promises.ended)]

    def _drained(self) -> bool:
        if any((self.root / "tasks").glob("*.task.md")):
            return False
        open_ones = table(self.root, "SELECT uid FROM task WHERE ended_ts = 0 OR archived = 0 LIMIT 1")
        return not open_ones


def cut_rounds(kind: str, cuts: int, *, mutation: str, folder: Path, seed: int) -> Figures:
    """Cut the power *cuts* times on fresh file systems of *kind*; every second time once more in the recovery.

    A round is not broken off: there may be two cuts more.
    """
    figures, began = Figures(kind, mutation, seed), time.monotonic()
    chance = random.Random(seed)
    while figures.cuts < cuts:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            machine = Machine(Path(place), kind, mutation, chance)
            after = mutation if mutation == mutations.STORE_UNSYNCED else mutations.NONE
            machine.put_and_cut()
            machine.look()
            machine.work_and_cut()
            machine.look()
            if chance.random() < 0.5:
                machine.recover_and_cut(after)
                machine.look()
            if mutation == mutations.NONE or not machine.breaches:  # it is found out; no need to wait for its end
                machine.drain(after)
            figures.cuts += machine.cuts
            figures.acknowledged += len(machine.promises.names)
            figures.synced += len(machine.promises.durable)
            figures.completed_twice += sum(count > 1 for count in runs(machine.journal).values())
            figures.breaches += [f"round to cut {figures.cuts}, {one}" for one in machine.breaches]
    figures.seconds = round(time.monotonic() - began, 1)
    return figures


# --- processes ------------------------------------------------------------------------------------------------------


def freeze(roots: Sequence[int]) -> list[int]:
    """Stop *roots* and everything below them, whoever is born meanwhile; returns all of their process ids."""
    frozen: list[int] = []
    while new := _stop_new(roots, frozen):
        wait_until(lambda new=new: all(map(_stands_still, new)), what="all to be frozen")  # type: ignore[misc]
    return frozen


def _stop_new(roots: Sequence[int], known: list[int]) -> list[int]:
    """Send SIGSTOP to those of the trees that are not *known* yet, and add them."""
    new = [pid for pid in _tree(roots) if pid not in known]
    for pid in new:
        _signal(pid, signal.SIGSTOP)
    known += new
    return new


def _stands_still(pid: int) -> bool:
    """Return whether no thread of *pid* runs; one that waits in vfork(2) for a stopped child cannot stop, nor go on."""
    threads = [thread.name for thread in Path(f"/proc/{pid}/task").glob("*")]
    states = {(_fields(f"{pid}/task/{name}") or ["X"])[0] for name in threads}
    if states <= set("TtZX"):
        return True
    return states <= set("TtZXD") and any(_state(child) in "Tt" for child in _tree([pid])[1:])


def _tree(roots: Sequence[int]) -> list[int]:
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _fields(int(folder.name))):
            parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found = list(roots)
    for pid in found:  # grows while we go through it
        found += parents.get(pid, [])
    return found


def _fields(pid: int | str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []


def _state(pid: int) -> str:
    return (_fields(pid) or ["X"])[0]


def _alive(pid: int) -> bool:
    return _state(pid) not in "ZX"


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process of ours with everything below it, if it is still there."""
    if process.poll() is None:
        found: list[int] = []
        while _stop_new([process.pid], found):  # so that nobody is born while we kill
            pass
        for pid in found:
            _signal(pid, signal.SIGKILL)
        process.wait()


def _owner(root: Path) -> int:
    found = holder(root / ".orchestrator")
    return found.pid if found else 0


# --- the command ----------------------------------------------------------------------------------------------------


def scratch() -> Path:
    """Return where images are put: memory where there is enough of it, for there a flush costs nothing."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 * loop_image.SIZE
    return memory if roomy else Path(tempfile.gettempdir())


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.under_fire.powercut")
    parser.add_argument("--fs", default=",".join(loop_image.KINDS))
    parser.add_argument("--cuts", type=int, default=25)
    parser.add_argument("--mutation", choices=[mutations.NONE, *mutations.MUTATIONS], default=mutations.NONE)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--report", type=Path)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)  # its mounts are nobody else's
    given = parser.parse_args(words)
    if not given.alone and os.geteuid() == 0 and shutil.which("unshare"):
        os.execvp("unshare", [*loop_image.ALONE, sys.executable, "-m", "tests.under_fire.powercut", "--alone", *words])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that mounts and loop devices are given back
    report = []
    with tempfile.TemporaryDirectory(prefix="powercut-", dir=scratch()) as place:
        for kind in given.fs.split(","):
            if why := loop_image.why_not(kind, Path(place)):
                print(f"{kind}: not tried: {why}")
                return 2
            figures = cut_rounds(kind, given.cuts, mutation=given.mutation, folder=Path(place), seed=given.seed)
            report.append(figures)
            shown = figures.breaches if given.mutation == mutations.NONE else figures.breaches[:1]
            print(_words(figures), *shown, sep="\n  ", flush=True)
    if given.report:
        facts = [{name: getattr(one, name) for name in Figures.__dataclass_fields__} for one in report]
        given.report.write_text(json.dumps(facts, indent=2) + "\n")
    breached = [bool(one.breaches) for one in report]
    return int(not any(breached)) if given.mutation != mutations.NONE else int(any(breached))


def _words(figures: Figures) -> str:
    return (
        f"{figures.fs}, {figures.mutation}: {figures.cuts} cuts, {figures.acknowledged} acknowledged "
        f"({figures.synced} of them synced by their producer), breaches: {figures.kinds() or 'none'}, "
        f"{figures.completed_twice} completed twice, {figures.seconds} s (seed {figures.seed})"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
