"""Mutate the bad inputs and feed them to the reader: `python -m tests.fuzz_taskfile --seconds 60 --seed 1`.

Prints how many files were read, how they ended, and for each broken promise the bytes that break it.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.data.bad_inputs import CASES, RULES

from orchestrator.core.errors import TaskFileError
from orchestrator.core.reasons import TASK_FILE_NOTICES, TASK_FILE_REASONS
from orchestrator.core.source import source_of
from orchestrator.core.task import TaskSpec
from orchestrator.core.taskfile import parse_task_file, render_task_file

MAX_SEED_BYTES = 8_000
CRITERIA = (
    b"---\nid: a\ntype: fix\npriority: low\n---\n**Prompt:**\nx\n\n"
    b"**Success Criteria:**\n- [ ] tests pass: `pytest -q 'a b'`\n"
    b"- [x] (optional) exists: `docs/a.md`\n- [ ] contains: `a` ``b`c``\n- [ ] output: `a -v` matches `^a \\d$`\n"
    b'- [ ] json: `a.json` `/b/0` equals `"c"`\n- [ ] (human) nice\n  and more: `make`\n- [ ] see: `README.md`\n'
)
TOKENS = (
    (
        "---\n¦...\n¦\n¦\r¦\r\n¦\t¦ ¦    ¦\0¦\ufeff¦\u2028¦\x85¦\x1b[31m¦\u202e¦id: ¦type: ¦created: ¦"
        "timeout: ¦cwd: ¦title: ¦tags: [¦"
        "? ¦- ¦: ¦<<: ¦&a ¦*a ¦!!int ¦%YAML 1.1\n¦'¦\"¦\\¦|¦>¦{¦}¦[¦]¦#¦|\n¦null¦~¦999999999999999999999¦é¦🚀¦\u0301¦"
        "# ¦## Prompt\n¦**Prompt:**¦**Context:**\n¦**Target Files:**\n- ¦- [ ] ¦"
        "**Success Criteria:**\n- [ ] ¦: `¦exists: `¦json: `¦` equals `¦(human) ¦$(¦"
        "> ¦1. ¦```\n¦~~~~¦<!--¦-->¦../¦/etc/passwd¦C:\\x¦`¦===\n"
    )
    .encode()
    .split("¦".encode())
)


@dataclass(slots=True)
class Tally:
    """How a run went: *ends* counts by reason ("" for accepted)."""

    executions: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[str, bytes]] = field(default_factory=list)


def mutate(data: bytes, corpus: list[bytes], chance: random.Random) -> bytes:
    """Return *data* with one to six changes."""
    for _ in range(chance.randint(1, 6)):
        at = chance.randint(0, len(data))
        to = min(len(data), at + chance.choice((1, 1, 4, 30)))
        match chance.randrange(6):
            case 0:
                data = data[:at] + chance.choice(TOKENS) * chance.choice((1, 1, 1, 3, 40)) + data[at:]
            case 1:
                data = data[:at] + data[to:]
            case 2:
                data = data[:at] + data[at:to] * 2 + data[to:]
            case 3:
                data = data[:at] + bytes([chance.randrange(chance.choice((128, 128, 256)))]) + data[at + 1 :]
            case 4:
                other = chance.choice(corpus)
                data = data[:at] + other[chance.randint(0, len(other)) :]
            case _:
                data = data[:at] + chance.choice(TOKENS) + data[to:]
    return data[: 4 * MAX_SEED_BYTES]


def broken_promise(data: bytes) -> tuple[str, str]:
    """Return (the promise that reading *data* breaks or "", how it ended: the reason or "")."""
    try:
        spec = parse_task_file(data, file_name="fuzz.task.md", rules=RULES)
    except TaskFileError as error:
        lines = len(source_of(data.decode("utf-8", "replace")).lines)
        if error.reason not in TASK_FILE_REASONS:
            return f"unknown reason {error.reason}", error.reason
        if not 0 <= error.line <= lines or not error.message or not error.hint:
            return f"line {error.line} of {lines}, {error.message!r}, {error.hint!r}", error.reason
        return "", error.reason
    except Exception as error:  # noqa: BLE001 - the promise is that there is none
        return f"raised {error!r}", "crash"
    if parse_task_file(data, file_name="fuzz.task.md", rules=RULES) != spec:
        return "reads differently the second time", ""
    unknown = {notice.code for notice in spec.notices} - set(TASK_FILE_NOTICES)
    return f"unknown notices {unknown}" if unknown else _comes_back(spec), ""


def essence(spec: TaskSpec) -> TaskSpec:
    """Return what a spec asks for: without line numbers and without how it was found."""
    criteria = tuple(replace(criterion, line=0) for criterion in spec.criteria)
    return replace(spec, criteria=criteria, inferred=(), notices=())


def run(more: Callable[[int], bool], seed: int) -> Tally:
    """Fuzz while *more*, asked with the number of executions so far, says so."""
    chance = random.Random(seed)
    corpus = [data for case in CASES if len(data := case.content()) <= MAX_SEED_BYTES]
    corpus += [CRITERIA] * (len(corpus) // 10)
    tally = Tally()
    while more(tally.executions):
        data = mutate(chance.choice(corpus), corpus, chance)
        promise, end = broken_promise(data)
        tally.executions += 1
        tally.ends[end] += 1
        if promise:
            tally.broken.append((promise, data))
    return tally


def _comes_back(spec: TaskSpec) -> str:
    try:
        text = render_task_file(spec)
    except ValueError as error:
        return f"cannot be written: {error}"
    try:
        again = parse_task_file(text.encode(), file_name="again.task.md", rules=RULES)
    except TaskFileError as error:
        return f"does not read back: {error}"
    return "" if essence(again) == essence(spec) else f"reads back as {essence(again)}, not {essence(spec)}"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    end = time.monotonic() + given.seconds
    tally = run(lambda _: time.monotonic() < end, given.seed)
    print(f"{tally.executions} files, {tally.ends['']} accepted, {len(tally.broken)} broken promises")
    for reason, count in tally.ends.most_common():
        print(f"  {count:8} {reason or 'accepted'}")
    for promise, data in tally.broken[:5]:
        print(f"\n{promise}\n  {data!r}")
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
