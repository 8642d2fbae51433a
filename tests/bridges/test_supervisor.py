"""What the supervisor leaves in the attempt's folder, what it costs, and how it does without Linux."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.bridges.attempts import launch, nothing_of

from orchestrator.bridges import supervisor
from orchestrator.bridges.exit_file import is_final, to_json
from orchestrator.bridges.order import Order
from orchestrator.bridges.process import supervise

ROOT = str(Path(supervisor.__file__).parents[2])


def _umask() -> int:
    before = os.umask(0o022)
    os.umask(before)
    return before


async def test_every_file_of_an_attempt_is_for_its_owner_only_but_the_agents_work_is_as_usual(tmp_path: Path) -> None:
    order = launch(tmp_path, {"write": {"path": str(tmp_path / "made"), "text": "x"}}, {"result": "fine"})
    async with supervise(order) as program:
        await program.wait()
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in order.attempt_dir.iterdir()}
    expected = ["exit.json", "lock", "manifest.json", "prompt", "stderr.log", "stdout.ndjson"]
    assert names == dict.fromkeys(expected, 0o600)
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o666 & ~_umask()


async def test_the_exit_record_says_what_was_used(tmp_path: Path) -> None:
    order = launch(tmp_path, argv=("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 7"))
    async with supervise(order) as program:
        told = await program.wait()
    record = json.loads((order.attempt_dir / "exit.json").read_text())
    assert record["exit_code"] == told.exit_code == 7
    assert record["ended_ts"] >= record["started_ts"]
    assert record["duration_s"] >= record["cpu_s"] > 0
    assert record["max_rss_kb"] > 0
    assert record["container"] == "subreaper+mark"


async def test_the_manifest_says_who_runs_and_the_secrets_are_in_no_file_and_no_argument(tmp_path: Path) -> None:
    order = launch(tmp_path, argv=("sh", "-c", "cat /proc/$PPID/cmdline; cat /proc/$PPID/environ"))
    secret = "canary-7391"
    object.__setattr__(order, "env", {**order.env, "TOKEN": secret})
    async with supervise(order) as program:
        await program.wait()
    manifest = json.loads((order.attempt_dir / "manifest.json").read_text())
    assert manifest["mark"] == order.mark
    assert manifest["pid"] != manifest["agent_pid"]
    assert manifest["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    for path in order.attempt_dir.iterdir():
        assert secret.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("output", "final"),
    [
        (b'{"type":"result"}\n', True),
        (b'x\n{"type":"result"}\n', True),
        (b'{"type":"result","text":"' + b"x" * 200_000 + b'"}\n', True),
        (b'{"type":"result"}', False),
        (b'{"type":"result"}\n{"type":"assistant"}\n', False),
        (b"", False),
    ],
)
def test_an_output_is_final_when_its_last_whole_line_is_a_result(tmp_path: Path, output: bytes, final: bool) -> None:
    (tmp_path / "stdout.ndjson").write_bytes(output)
    fixed = [os.fsencode(tmp_path), b"/", b"m.1", b"", b'"type":"result"', *[b"0"] * 10]
    assert is_final(Order(b"\0".join(fixed))) is final


def test_starting_a_supervisor_imports_next_to_nothing() -> None:
    code = f"import sys; sys.path.append({ROOT!r}); import orchestrator.bridges.supervisor; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    costly = {"json", "re", "enum", "signal", "ctypes", "subprocess", "dataclasses", "typing", "pathlib", "asyncio"}
    assert not costly & set(loaded.stdout.split())


@pytest.mark.parametrize("text", ["", 'a"b\\c\n\t\0', "é\u2028😀", "\ud800"])
def test_the_record_is_valid_json_whatever_a_detail_contains(text: str) -> None:
    record: dict[str, object] = {"detail": text, "exit_code": None, "duration_s": 0.25, "pid": -9}
    assert json.loads(to_json(record)) == record


async def test_an_attempt_with_no_way_to_adopt_orphans_still_ends_its_group_and_what_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on systems that have no subreaper: the supervisor is started with its prctl taken away."""
    from orchestrator.bridges import process

    without = process._BOOT.replace(
        "import main;", "import main; import orchestrator.bridges.supervisor as s; s.load_prctl = lambda: None;"
    )
    monkeypatch.setattr(process, "_BOOT", without)
    orphan = {"orphan": {"pid_file": str(tmp_path / "orphan.pid")}}
    order = launch(tmp_path, orphan, {"child": 600}, {"result": "fine"})
    async with supervise(order) as program:
        record = await program.wait()
    assert record.container == "mark"
    assert nothing_of(order)
