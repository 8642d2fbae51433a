"""Takes secrets out of what an attempt wrote, once nobody writes there any more."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from orchestrator.bridges.files import sync_file
from orchestrator.bridges.strays import STDERR, STDOUT

WHOLE_BYTES = 8 << 20  # a secret of several lines is found in a file up to this size, in a larger one line by line


def redact_output(attempt_dir: Path, redact: Callable[[str], str]) -> None:
    """Rewrite the output of an ended attempt without secrets. Old file or new one, never half; may be repeated.

    What the disk refuses stays as it was, readable for the owner alone.
    """
    for name in (STDOUT, STDERR):
        with suppress(OSError):
            _redact(attempt_dir / name, redact)


def _redact(path: Path, redact: Callable[[str], str]) -> None:
    clean = path.with_name(f".{path.name}.clean")
    changed = False
    try:
        with path.open("rb") as source, open(clean, "wb", opener=_private) as target:
            for piece in _pieces(source, path.stat().st_size):
                text = piece.decode("utf-8", "surrogateescape")
                cleaned = redact(text)
                changed = changed or cleaned != text
                target.write(cleaned.encode("utf-8", "surrogateescape"))
            target.flush()
            sync_file(target.fileno())
        if changed:
            clean.rename(path)
    finally:
        clean.unlink(missing_ok=True)


def _pieces(source: BinaryIO, size: int) -> Iterator[bytes]:
    if size <= WHOLE_BYTES:
        yield source.read()
        return
    yield from source


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
