"""Where a written path leads, decided by its letters alone.

Whether something is there, or is a link, is not asked here. A root such as `C:\\work` makes the rules those of
Windows (both slashes, case ignored), any other root those of POSIX. A backslash counts as a separator under
both: a path that would escape on one system is refused on all.
"""

import re
from pathlib import PurePosixPath, PureWindowsPath

_DRIVE = re.compile(r"[A-Za-z]:")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_VARIABLE = re.compile(r"\$|%[^%/\\]+%|~")
MAX_CHARS = 4096


def is_windows(path: str) -> bool:
    """Return whether *path* is absolute by the rules of Windows: a drive or a share."""
    return bool(_DRIVE.match(path)) or path.startswith("\\\\")


def resolve(path: str, *, base: str, root: str) -> str | None:
    """Return *path* as an absolute path under *root*, or None when it leads elsewhere.

    A relative path starts at *base*. "", `~`, variables, URLs, shares, drives without a slash and paths from
    the root of a drive lead elsewhere. An empty *root* stands for *base*.
    """
    root = root or base
    if not path or not root or _VARIABLE.match(path) or len(path) > MAX_CHARS:
        return None
    return _windows(path, base or root, root) if is_windows(root) else _posix(path, base or root, root)


def _posix(path: str, base: str, root: str) -> str | None:
    if _DRIVE.match(path) or path.startswith("\\") or _SCHEME.match(path):
        return None
    within = _folded(root, "/")
    if within is None or _escapes(path, base, within) or (full := _folded(_joined(base, path), "/")) is None:
        return None
    return str(PurePosixPath("/", *full)) if full[: len(within)] == within else None


def _escapes(path: str, base: str, within: list[str]) -> bool:
    """Return whether *path* leaves the root once its backslashes are separators too."""
    if "\\" not in path:
        return False
    full = _folded(_joined(base, path.replace("\\", "/")), "/")
    return full is None or full[: len(within)] != within


def _joined(base: str, path: str) -> str:
    return path if path.startswith("/") else f"{base}/{path}"


def _windows(path: str, base: str, root: str) -> str | None:
    written = PureWindowsPath(path)
    if (written.drive or written.root) and not written.is_absolute():
        return None
    full, within = PureWindowsPath(base) / written, PureWindowsPath(root)
    if full.drive.startswith(("\\\\?", "\\\\.")) or full.drive.casefold() != within.drive.casefold():
        return None
    parts = _folded("/".join(full.parts[1:]), "/")
    roots = _folded("/".join(within.parts[1:]), "/")
    if parts is None or roots is None or any(":" in part for part in parts):
        return None
    if [part.casefold() for part in parts[: len(roots)]] != [part.casefold() for part in roots]:
        return None
    return str(PureWindowsPath(full.anchor, *parts))


def _folded(path: str, separator: str) -> list[str] | None:
    """Return the parts of an absolute path with `.` and `..` worked out; None when `..` leaves its top."""
    parts: list[str] = []
    for part in path.split(separator):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts
