"""Text from strangers: shown safely (`printable`), turned into a file name (`slug`), freed of controls."""

import hashlib
import re
import unicodedata

SUFFIX = ".task.md"
NAME_CHARS = 64
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})
_JOINERS = "\u200c\u200d"  # letters of some scripts and of many emoji need them; they move nothing
_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # strings: window title, links
    r"|\x1b[ -/]*[0-~]?"
)


def printable(text: str) -> str:
    r"""Return *text* as one line that a terminal, a log or a chat shows as it is.

    Control characters, line separators, lone surrogates and all invisible formatting (bidi overrides, zero
    width spaces, tags) become escapes such as ``\x1b`` or ``\u202e``; everything else stays. For reading by
    people: not meant to be read back.
    """
    if text.isprintable():
        return text
    return "".join(_shown(char) for char in text)


def without_controls(text: str) -> str:
    """Return *text* without terminal escape sequences and control characters; a tab or line end becomes a space."""
    bare = _ESCAPE_SEQUENCE.sub("", text)
    spaced = re.sub(r"[\t\n\r\v\f\x85\u2028\u2029]", " ", bare)
    return "".join(char for char in spaced if unicodedata.category(char) not in ("Cc", "Cs"))


def has_controls(text: str) -> bool:
    """Return whether *text* holds a control character other than a tab or a line end."""
    if text.isprintable():
        return False
    return any(unicodedata.category(char) == "Cc" and char not in "\t\n\r\x85" for char in text)


def slug(file_name: str) -> str:
    """Return the stem of *file_name* as a portable name: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`, never empty.

    The suffix `.task.md` (in any case) goes. Accents are dropped from letters; any other run of characters
    outside the pattern becomes one dash. When letters or digits were lost that way, eight hex digits of the
    name's SHA-256 are added, so that two names in another script stay two. Names that Windows reserves get
    the prefix `task-`.
    """
    stem = file_name[: -len(SUFFIX)] if file_name.lower().endswith(SUFFIX) else file_name
    plain = "".join(c for c in unicodedata.normalize("NFKD", stem) if not unicodedata.combining(c))
    lost = any(c.isalnum() or "\ud800" <= c <= "\udfff" for c in plain if not c.isascii())
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")
    if is_reserved(name):
        name = f"task-{name}"
    if lost or not name:
        mark = hashlib.sha256(file_name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        name = f"{name[: NAME_CHARS - 9].rstrip('-._') or 'task'}-{mark}"
    return name[:NAME_CHARS].rstrip("-._")


def is_reserved(name: str) -> bool:
    """Return whether Windows takes *name*, with or without an extension, for a device."""
    return name.partition(".")[0].rstrip().lower() in _DEVICES


def _shown(char: str) -> str:
    if unicodedata.category(char) not in _UNSHOWN or char in _JOINERS:
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
