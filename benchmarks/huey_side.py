"""The other side of the comparison: huey with its SQLite storage, in processes of its own.

`python -m benchmarks.huey_side DATABASE consume SLOTS MODE STAMPS`   runs a consumer until it is ended
`python -m benchmarks.huey_side DATABASE enqueue COUNT`               prints the seconds that took
`python -m benchmarks.huey_side DATABASE fill COUNT`                  the same in one transaction, as preparation
`python -m benchmarks.huey_side DATABASE run COUNT`                   prints the seconds until all have their result,
    as the one queued before has
"""

import importlib
import subprocess
import sys
import time
from typing import Any

from benchmarks.places import agent_command
from benchmarks.waiting import wait_until


def main() -> None:
    database, act, *rest = sys.argv[1:]
    huey: Any = importlib.import_module("huey").SqliteHuey(filename=database)
    program = agent_command(rest[1], rest[2]) if act == "consume" else []

    def run_program() -> int:
        return subprocess.run([*program, "-p"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode

    task: Any = huey.task(name="run_program")(run_program)
    if act == "consume":
        huey.create_consumer(workers=int(rest[0]), worker_type="thread", initial_delay=0.01).run()
    else:
        print({"enqueue": _enqueue, "fill": _fill, "run": _run}[act](huey, task, int(rest[0])))


def _enqueue(_huey: Any, task: Any, count: int) -> float:
    began = time.monotonic()
    for _ in range(count):
        task()
    return time.monotonic() - began


def _fill(huey: Any, task: Any, count: int) -> float:
    began = time.monotonic()
    rows = [(huey.name, huey.serialize_task(task.s()), 0) for _ in range(count)]
    with huey.storage.db(commit=True) as cursor:
        cursor.executemany("insert into task (queue, data, priority) values (?, ?, ?)", rows)
    return time.monotonic() - began


def _run(huey: Any, task: Any, count: int) -> float:
    wait_until(lambda: huey.result_count() == 1, what="the result of the first task", deadline_s=60)
    began = time.monotonic()
    for _ in range(count):
        task()
    wait_until(lambda: huey.result_count() == count + 1, what=f"{count} results of huey")
    return time.monotonic() - began


if __name__ == "__main__":
    main()
