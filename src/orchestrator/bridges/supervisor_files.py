"""The files a supervisor leaves: whole or not at all, in JSON that is written without importing json.

Imported by every supervisor, so of the standard library only, and little of it.
"""

# ruff: noqa: PTH104 - importing pathlib takes 6 ms, at every start of an agent

import os

from orchestrator.core.failpoint import hit


def quote(value: object) -> str:
    if not isinstance(value, str):
        return "null" if value is None else repr(value)
    units = value.encode("utf-16-be", "surrogatepass")
    codes = [units[i] << 8 | units[i + 1] for i in range(0, len(units), 2)]
    return '"' + "".join(chr(c) if 32 <= c < 127 and c not in (34, 92) else f"\\u{c:04x}" for c in codes) + '"'


def to_json(record: dict[str, object]) -> bytes:
    return ("{" + ", ".join(f"{quote(key)}: {quote(value)}" for key, value in record.items()) + "}\n").encode()


def write_file(folder: bytes, name: bytes, content: bytes, *, durable: bool) -> None:
    """Put *content* in place as *name* in *folder*, its bytes on the disk first where it is to be *durable*."""
    path = folder + b"/" + name
    temporary = path + b".tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while content:
            content = content[os.write(fd, content) :]
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)
    hit("supervisor.written")
    os.rename(temporary, path)
