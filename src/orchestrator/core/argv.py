"""The command of a check, from text to argument list. No shell is ever started: what only a shell would understand is
refused, so that nothing runs that means something else than it says."""

import re
import shlex
from collections.abc import Callable
from pathlib import PurePosixPath

from orchestrator.core.errors import TaskFileError
from orchestrator.core.text import has_controls, printable

MAX_CHARS = 4000
SHOWN = 200
Fault = Callable[[str, str, str], TaskFileError]  # reason, message, expected
IN_A_SHELL = "a command without shell syntax, or sh -c '…' around it"

_OPERATORS = frozenset("|&;<>()`")
_EXPANDS = re.compile(r"\$[A-Za-z0-9_({@*#?!$-]")  # within double quotes too
_EXPANDS_BARE = re.compile(r"\$['\"]|\{[^{}\s]*(?:,|\.\.)[^{}\s]*\}|\*")
_AT_THE_START = frozenset("~#")  # of a word: the home folder, a comment
_BUILTINS = frozenset(
    {"!", ".", "[[", "alias", "case", "cd", "eval", "exec", "export", "for", "if", "source", "umask", "unset", "until"}
    | {"set", "ulimit", "while", "{"}
)
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
# A lone word that ends so names a file to look at, not a program to run.
_OF_PROGRAMS = frozenset({"bash", "bin", "cjs", "js", "mjs", "out", "php", "pl", "py", "rb", "run", "sh", "ts", "zsh"})
_EXTENSION = re.compile(r"\.([A-Za-z][A-Za-z0-9]{0,9})\Z")


def argv_of(command: str, fault: Fault) -> tuple[str, ...]:
    """Return the words of *command*, at least one. Raises the TaskFileError that *fault* makes: check_too_long,
    check_command_invalid, check_shell_syntax."""
    if len(command) > MAX_CHARS:
        raise fault("check_too_long", f"a check has {len(command):,} characters", f"at most {MAX_CHARS:,}")
    if has_controls(command):
        raise fault("check_command_invalid", "the command holds a control character", "a command")
    shown = f"`{printable(command[:SHOWN])}`"
    if syntax := _shell_syntax(command):
        raise fault("check_shell_syntax", f"{shown} needs a shell for {syntax}", IN_A_SHELL)
    try:
        words = shlex.split(command)
    except ValueError as error:
        said = str(error).rstrip(".").lower()
        raise fault("check_command_invalid", f"{shown}: {said}", "every quote closed") from None
    if not words or not words[0]:
        raise fault("check_command_invalid", "the command is empty", "a command such as `pytest -q`")
    if words[0] in _BUILTINS or _ASSIGNMENT.match(words[0]):
        raise fault("check_shell_syntax", f"{shown} begins with a word of the shell, not a program", IN_A_SHELL)
    if words[0].startswith("-"):
        raise fault("check_command_invalid", f"{shown} begins with an option", "a program first")
    return tuple(words)


def names_a_file(command: str) -> bool:
    """Return whether *command* is one word that people write for a file they mean, such as `docs/README.md`."""
    word = command.strip()
    if re.search(r"\s", word) or word.startswith(("/", "./", "../")):
        return False
    found = _EXTENSION.search(PurePosixPath(word).name)
    return found is not None and found[1].lower() not in _OF_PROGRAMS


def _shell_syntax(command: str) -> str:
    """Return the first thing that a shell would act on, "" when there is none. The quotes are those of POSIX."""
    quote, starts, skip = "", True, False
    for at, char in enumerate(command):
        if skip:
            skip, starts = False, False
        elif quote == "'":
            quote = "" if char == "'" else quote
        elif _acts(command, at, quoted=bool(quote)) or (starts and char in _AT_THE_START):
            return f"`{printable(char)}`" if char != "`" else "a backquote"
        elif char == "\\":
            skip = True
        elif quote:
            quote = "" if char == '"' else quote
        elif char in "'\"":
            quote, starts = char, False
        else:
            starts = char.isspace()
    return ""


def _acts(command: str, at: int, *, quoted: bool) -> bool:
    """Return whether a shell would act on the character there, which stands in double quotes or in none."""
    char, follows = command[at], command[at + 1 : at + 2]
    if char == "`" or _EXPANDS.match(command, at):
        return True
    if quoted:
        return char == "\\" and follows in ("$", "`")  # read otherwise by shlex than by a shell
    return char in _OPERATORS or bool(_EXPANDS_BARE.match(command, at))
