"""The event log as a file: whole lines, each once, whatever happened to it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.bridges.event_file import EventFile


def line(seq: int, size: int = 20) -> tuple[int, bytes]:
    return seq, json.dumps({"seq": seq, "text": "x" * size}).encode()


def lines(first: int, last: int, size: int = 20) -> list[tuple[int, bytes]]:
    return [line(seq, size) for seq in range(first, last + 1)]


def seqs(folder: Path) -> Sequence[int]:
    rotated = sorted(path for path in folder.glob("events-*.ndjson"))
    everything = b"".join(path.read_bytes() for path in [*rotated, folder / "events.ndjson"])
    assert everything.endswith(b"\n") or not everything
    return [json.loads(one)["seq"] for one in everything.splitlines()]


async def test_lines_are_appended_and_the_file_knows_how_far_it_got(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "events.ndjson"
    assert await EventFile(path).last_seq() == 0
    assert await EventFile(path).append(lines(1, 3)) == 3
    assert await EventFile(path).last_seq() == 3
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_line_that_is_there_is_not_written_twice(tmp_path: Path) -> None:
    sink = EventFile(tmp_path / "events.ndjson")
    await sink.append(lines(1, 5))
    await sink.append(lines(3, 7))
    await EventFile(tmp_path / "events.ndjson").append(lines(1, 8))
    assert seqs(tmp_path) == list(range(1, 9))


@pytest.mark.parametrize("torn", [b"{", b'{"seq": 3, "text', b'{"seq": 3}', b"\0" * 5000, b"x" * 200_000])
async def test_a_torn_tail_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "events.ndjson"
    await EventFile(path).append(lines(1, 2))
    with path.open("ab") as file:
        file.write(torn)
    sink = EventFile(path)
    assert await sink.last_seq() == 2
    await sink.append(lines(3, 4))
    assert seqs(tmp_path) == [1, 2, 3, 4]


async def test_a_tail_torn_behind_our_back_is_cut_off_before_the_next_line(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    sink = EventFile(path)
    await sink.append(lines(1, 2))
    os.truncate(path, path.stat().st_size - 5)
    assert await sink.append(lines(2, 3)) == 3
    assert seqs(tmp_path) == [1, 2, 3]


async def test_long_lines_are_found_from_the_end(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    await EventFile(path).append(lines(1, 5, size=150_000))
    assert await EventFile(path).last_seq() == 5


async def test_a_line_without_a_number_is_looked_over(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    await EventFile(path).append(lines(1, 2))
    with path.open("ab") as file:
        file.write(b"a note of somebody\n[1]\n")
    assert await EventFile(path).last_seq() == 2


async def test_the_file_is_rotated_under_its_first_number_and_the_last_one_survives(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    sink = EventFile(path, rotate_bytes=500)
    for seq in range(1, 101):
        await sink.append([line(seq)])
    assert seqs(tmp_path) == list(range(1, 101))
    assert (tmp_path / "events-000000000001.ndjson").exists()
    assert all(path.stat().st_size < 600 for path in tmp_path.iterdir())
    path.unlink()
    newest = max(tmp_path.glob("events-*.ndjson"))
    assert await EventFile(path).last_seq() == json.loads(newest.read_bytes().splitlines()[-1])["seq"]


async def test_a_rotation_whose_name_is_taken_costs_no_line(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    (tmp_path / "events-000000000001.ndjson").write_bytes(b"")
    sink = EventFile(path, rotate_bytes=100)
    for seq in range(1, 11):
        assert await sink.append([line(seq)]) == seq
    assert seqs(tmp_path) == list(range(1, 11))


def test_a_full_disk_leaves_whole_lines_and_is_reported(tmp_path: Path) -> None:
    script = (
        "import asyncio, json, resource, signal, sys\n"
        "from pathlib import Path\n"
        "from orchestrator.bridges.event_file import EventFile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "sink = EventFile(Path(sys.argv[1]))\n"
        "one = lambda n: (n, json.dumps({'seq': n, 'text': 'x' * 300}).encode())\n"
        "asyncio.run(sink.append([one(1), one(2)]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "last = asyncio.run(sink.append([one(3), one(4), one(5)]))\n"
        "print(last, sink.trouble())\n"
    )
    env = {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    arguments = [sys.executable, "-c", script, str(tmp_path / "events.ndjson")]
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("2 events.ndjson: only ")
    assert seqs(tmp_path) == [1, 2]
    sink = EventFile(tmp_path / "events.ndjson")
    assert asyncio.run(sink.append([line(3)])) == 3
    assert sink.trouble() == ""


def test_a_writer_killed_at_any_moment_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    script = (
        "import asyncio, json, sys\n"
        "from pathlib import Path\n"
        "from orchestrator.bridges.event_file import EventFile\n"
        "async def main():\n"
        "    sink = EventFile(Path(sys.argv[1]), rotate_bytes=20_000)\n"
        "    seq = await sink.last_seq()\n"
        "    while True:\n"
        "        more = [(n, json.dumps({'seq': n, 'text': 'x' * 200}).encode()) for n in range(seq + 1, seq + 8)]\n"
        "        seq = await sink.append(more)\n"
        "        print(seq, flush=True)\n"
        "asyncio.run(main())\n"
    )
    env = {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    path = tmp_path / "events.ndjson"
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", script, str(path)], env=env, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        last = asyncio.run(EventFile(path).last_seq())
        assert last >= told[-1]
        assert seqs(tmp_path) == list(range(1, last + 1))
