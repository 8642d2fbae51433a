"""What the supervisor writes into the attempt's folder: who runs it, and how it ended. The standard library only."""

# ruff: noqa: PTH104 - importing pathlib takes 6 ms, at every start of an agent

import os

from orchestrator.bridges import proctable
from orchestrator.bridges.order import Order
from orchestrator.core.failpoint import hit

MAX_FINAL_LINE = 16 << 20


def to_json(record: dict[str, object]) -> bytes:
    """Return *record* as one line. Importing json would take 6 ms."""
    return ("{" + ", ".join(f"{_quote(key)}: {_quote(value)}" for key, value in record.items()) + "}\n").encode()


def _quote(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_quote, value)) + "]"
    if not isinstance(value, str):
        return "null" if value is None else repr(value)
    units = value.encode("utf-16-be", "surrogatepass")
    codes = [units[i] << 8 | units[i + 1] for i in range(0, len(units), 2)]
    return '"' + "".join(chr(c) if 32 <= c < 127 and c not in (34, 92) else f"\\u{c:04x}" for c in codes) + '"'


def write_manifest(order: Order, agent: int) -> None:
    """Say who runs this attempt. Not synced: after a power cut nobody does."""
    ticks = [proctable.stat_fields(pid)[19:20] for pid in (os.getpid(), agent)]
    record: dict[str, object] = {
        "pid": os.getpid(),
        "start_ticks": int(ticks[0][0]) if ticks[0] else 0,
        "agent_pid": agent,
        "agent_start_ticks": int(ticks[1][0]) if ticks[1] else 0,
        "boot_id": proctable.boot_id(),
        "mark": order.mark,
        "argv_sha256": order.digest.decode(),
        "cgroups": [os.fsdecode(folder) for folder in order.cgroups],
    }
    try:
        _write_file(order, b"manifest.json", to_json(record))
    except OSError:
        return  # it helps a person to look, and recovery to find a control group; the mark finds the rest


def publish(order: Order, record: dict[str, object], life: int) -> None:
    """Make the exit record durable, after the output it speaks of, and tell the daemon if it is still there."""
    try:
        hit("supervisor.ended")
        if order.durable:
            os.fsync(1)
            os.fsync(2)
        _write_file(order, b"exit.json", to_json(record))
        if order.durable:
            folder = os.open(order.attempt_dir, os.O_RDONLY)
            os.fsync(folder)
    except OSError as error:
        record["detail"] = f"{record['detail']}; the exit record could not be written: {error.strerror}".lstrip("; ")
    hit("supervisor.published")
    try:
        os.write(life, to_json(record))
    except OSError:
        return


def is_final(order: Order) -> bool:
    """Return whether the last line of the output is complete and carries the agent's sign of being its last."""
    if not order.final:
        return False
    with open(order.attempt_dir + b"/stdout.ndjson", "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        tail = b""
        while len(tail) < min(size, MAX_FINAL_LINE) and tail.count(b"\n") < 2:
            step = min(size - len(tail), 1 << 16)
            stream.seek(size - len(tail) - step)
            tail = stream.read(step) + tail
    return tail.endswith(b"\n") and order.final in tail[:-1].rpartition(b"\n")[2]


def _write_file(order: Order, name: bytes, content: bytes) -> None:
    """Put *content* in place whole or not at all, and durably where the order asks for it."""
    path = order.attempt_dir + b"/" + name
    temporary = path + b".tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while content:
            content = content[os.write(fd, content) :]
        if order.durable and name != b"manifest.json":
            os.fsync(fd)
    finally:
        os.close(fd)
    hit("supervisor.written")
    os.rename(temporary, path)
