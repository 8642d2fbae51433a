"""Secrets that stand in a variable or in a file, and what of an address is secret."""

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

MOST_BYTES = 16_384
SHORTEST = 6  # a shorter piece of an address is no secret worth the name


class NoSecretError(Exception):
    """There is none; the words say why and where it was looked for."""


def secret_from(environ: Mapping[str, str], variable: str | None, file: str | None) -> str:
    """Return the secret in *variable* or, where that is None, in *file*: its text without white space around it.

    Raises NoSecretError.
    """
    if variable is not None:
        if value := environ.get(variable, "").strip():
            return value
        raise NoSecretError(f"the variable {variable} is not set")
    if file is None:
        raise NoSecretError("neither a variable nor a file is named")
    try:
        with Path(file).open("rb") as source:
            data = source.read(MOST_BYTES + 1)
    except OSError as error:
        raise NoSecretError(f"the file {file} cannot be read: {error.strerror or error}") from None
    text = data.decode("utf-8-sig", "surrogateescape").strip()
    if not text or len(data) > MOST_BYTES:
        raise NoSecretError(f"the file {file} is {'too large' if text else 'empty'}")
    return text


def open_to_others(file: str) -> bool:
    """Return whether others than its owner may read *file*."""
    try:
        return bool(os.stat(file).st_mode & (stat.S_IRWXG | stat.S_IRWXO))  # noqa: PTH116 - a plain call
    except OSError:
        return False


def secrets_in(environ: Mapping[str, str], value: str, variable: str | None, file: str | None) -> Sequence[str]:
    """Return what must never be shown of *value* or, where that is "", of what the variable or the file holds."""
    if not (value or variable or file):
        return []
    try:
        return list(parts_of(value or secret_from(environ, variable, file)))
    except NoSecretError:
        return []


def parts_of(url: str) -> Iterable[str]:
    """Yield *url* and those pieces of it that may be tokens, topics or passwords: all but scheme and host."""
    yield url
    try:
        parts = urlsplit(url)
        pieces = [parts.username or "", parts.password or "", *parts.path.split("/"), parts.fragment]
        pieces += [value for _, value in parse_qsl(parts.query)]
    except ValueError:
        return
    for piece in pieces:
        for form in {piece, unquote(piece)}:
            if len(form) >= SHORTEST:
                yield form
