"""The commands of checks read as a shell reads them: which files are run, which decide, which are only looked at."""

import re
import shlex
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from posixpath import basename, join, normpath

from orchestrator.validation.integrity_paths import clean

SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "ash")
_INTERPRETERS = re.compile(
    r"(?:python|pypy|node|deno|bun|ruby|perl|php|lua|luajit|rscript|tclsh|ts-node|tsx|java|bats|busted)[\d.]*$"
)
_RUNS = ("run", "exec")  # `go run x.go`, `deno run x.ts`, `uv run x.py`
_READERS = frozenset(
    {
        *("cat", "head", "tail", "wc", "ls", "stat", "test", "[", "[[", "file", "du", "sort", "uniq", "tr", "cut"),
        *("nl", "od", "xxd", "hexdump", "strings", "grep", "egrep", "fgrep", "zgrep", "rg", "ag", "ack", "sed", "awk"),
        *(
            "gawk",
            "jq",
            "yq",
            "xmllint",
            "tree",
            "basename",
            "dirname",
            "realpath",
            "readlink",
            "find",
            "echo",
            "printf",
        ),
        *("tee", "mkdir", "touch", "cp", "mv", "rm", "rmdir", "md5sum", "sha1sum", "sha256sum", "shasum"),
        *("cksum", "column"),
    }
)
_PROGRAM_IN_A_FILE = frozenset({"grep", "egrep", "fgrep", "rg", "sed", "awk", "gawk", "jq"})  # by -f
_COMPARERS = frozenset({"diff", "cmp", "comm", "sdiff", "wdiff", "colordiff", "dwdiff"})
_SUMS = frozenset({"md5sum", "sha1sum", "sha256sum", "sha512sum", "shasum", "cksum", "b2sum"})
_RUNNERS = frozenset(
    {"pytest", "py.test", "unittest", "nose2", "behave", "jest", "vitest", "mocha", "ava", "tap", "rspec", "phpunit",
     "prove", "bats", "ctest", "busted", "pester", "robot"}
)  # fmt: skip
_FRONT = frozenset(
    {"env", "nice", "time", "exec", "command", "eval", "nohup", "xargs", "!", "if", "then", "else", "elif", "do",
     "while", "until", "{", "npx", "bunx", "ionice", "stdbuf", "builtin", "setsid"}
)  # fmt: skip
_TWO_WORDS = frozenset({("uv", "run"), ("poetry", "run"), ("pipenv", "run"), ("bundle", "exec"), ("pnpm", "exec")})
_STEERING = re.compile(
    r"-{1,2}(?:c|f|p|file|from-file|config[\w-]*|conf|rcfile|rules[\w-]*|project|settings|makefile|expect\w*|check\w*)$"
)
_INNER = re.compile(r"[$<>]\(([^()]*)\)|`([^`]*)`")
_INNER_MARK = "$SUBSTITUTED"
_VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+|[@*#?!-]))")
_SET = re.compile(r"^(\w+)=(.*)$", re.DOTALL)
_ENDS = frozenset({";", "&", "&&", "|", "||", ";;", "(", ")", "|&", ";&", "();", "))", "((", ");"})
MOST = 16  # folders, and values of a variable, that are followed


class Role(Enum):
    """What a file that a command names is to the check."""

    RUN = "it is run"
    DECIDES = "it says what is right: the check compares with it, or is told by it"
    READ = "its contents are looked at, by what stands in the command"
    GIVEN = "a program gets it that may do anything with it"


@dataclass(frozen=True, slots=True)
class Named:
    """A file that a command names, relative to the repository. *path* may be a pattern with `*`."""

    path: str
    role: Role


@dataclass(slots=True)
class _Shell:
    """What is known while a script is read on: folders it may be in, values its variables may have."""

    folders: list[str]
    variables: dict[str, list[str]] = field(default_factory=dict)
    compares: bool = False


def named_in(argv: Sequence[str], inside: str = "") -> tuple[tuple[Named, ...], tuple[tuple[str, ...], ...]]:
    """Return the files that the command *argv* names, and all simple commands in it, scripts of shells read as well.

    *inside* is the folder of the repository that it starts in. A script that is no shell's is read as far as it goes.
    """
    shell = _Shell(list(dict.fromkeys((clean(inside), ""))))
    simple: list[tuple[str, ...]] = []
    found = list(_command(argv, shell, simple, 4))
    if shell.compares:
        found = [Named(one.path, Role.DECIDES if one.role is not Role.RUN else one.role) for one in found]
    return tuple(dict.fromkeys(found)), tuple(simple)


def _script(text: str, shell: _Shell, simple: list[tuple[str, ...]], depth: int) -> Iterator[Named]:
    """Read the commands of a script, one after the other."""
    if depth <= 0:
        return
    while found := _INNER.search(text):
        yield from _script(found[1] or found[2] or "", shell, simple, depth - 1)
        text = f"{text[: found.start()]}{_INNER_MARK}{text[found.end() :]}"
    try:
        lexer = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, ""
        words = list(lexer)
    except ValueError:
        words = text.split()
    current: list[str] = []
    for word in [*words, ";"]:
        if word in _ENDS:
            yield from _command(current, shell, simple, depth - 1)
            current = []
        else:
            current.append(word)


def _command(argv: Sequence[str], shell: _Shell, simple: list[tuple[str, ...]], depth: int) -> Iterator[Named]:
    words = list(_bare(list(_without_redirections(argv)), shell))
    if not words:
        return
    if words[0] in ("for", "select") and len(words) > 2:
        shell.variables[words[1]] = [value for word in words[3:] for value in _expanded(word, shell)][:MOST]
        return
    words = [value for word in words for value in _expanded(word, shell)] if depth < 4 else words
    simple.append(tuple(words))
    program = basename(words[0]).lower()
    if program in ("cd", "pushd") and len(words) > 1:
        there = [clean(join(folder, words[-1])) for folder in shell.folders]
        shell.folders = list(dict.fromkeys([*there, *shell.folders]))[:MOST]
    elif program in SHELLS and (at := _code_at(words)):
        yield from _script(words[at], shell, simple, depth - 1)
    else:
        if program in ("test", "[", "[[") and sum(_INNER_MARK in word for word in words) > 1:
            shell.compares = True  # what two commands print is compared: either may be what is right
        if _is_interpreter(program) and all(word.startswith("-") for word in words[1:]):
            shell.compares = True  # it runs what another command prints or names: `cat x | sh`, `ls x | xargs sh`
        for path, role in _roles(program, words, shell):
            yield from (Named(one, role) for one in _places(path, shell))


def _is_interpreter(program: str) -> bool:
    return program in SHELLS or bool(_INTERPRETERS.match(program))


def _without_redirections(argv: Sequence[str]) -> Iterator[str]:
    """Yield the words of a command, of redirections only the files that are read."""
    before = ""
    for word in argv:
        if not (word and set(word) <= set("<>&")) and ">" not in before:
            yield word
        before = word if set(word) <= set("<>&") else ""


def _bare(argv: Sequence[str], shell: _Shell) -> Sequence[str]:
    """Return the words of a command without what stands before its program."""
    words = [word for word in argv if word]
    while words:
        if found := _SET.match(words[0]):
            shell.variables[found[1]] = [found[2]]
        elif words[0].lower() == "timeout":
            while len(words) > 2 and re.fullmatch(r"-.*|[\d.]+[smhd]?|[A-Z]+", words[1]):
                words = [words[0], *words[2:]]
        elif tuple(words[:2]) in _TWO_WORDS:
            words = words[1:]
        elif words[0] not in _FRONT:
            break
        words = words[1:]
        while len(words) > 1 and words[0].startswith("-"):
            words = words[1:]
    return words


def _code_at(words: Sequence[str]) -> int:
    """Return where the script of `sh -c` stands, 0 where there is none."""
    for at, word in enumerate(words[1:], start=1):
        if not word.startswith("-"):
            return 0
        if not word.startswith("--") and "c" in word and at + 1 < len(words):
            return at + 1
    return 0


def _expanded(word: str, shell: _Shell) -> Iterator[str]:
    found = _VARIABLE.search(word)
    if not found or word == _INNER_MARK or _INNER_MARK in word:
        yield word
        return
    values = shell.variables.get(found[1] or found[2], ["*"])
    values = ["*" if _INNER_MARK in value else value for value in values]
    for value in values[:MOST]:
        yield _VARIABLE.sub("*", f"{word[: found.start()]}{value.replace('$', '')}{word[found.end() :]}")


def _roles(program: str, words: Sequence[str], shell: _Shell) -> Iterator[tuple[str, Role]]:
    """Yield each word of a command that may name a file, with what that file is to the check."""
    rest = list(words[1:])
    if program in _COMPARERS or (program in _SUMS and {"-c", "--check"} & set(rest)) or "--no-index" in rest:
        shell.compares = True
    if program in (".", "source") or _is_interpreter(program):
        yield from _interpreted(rest, program)
        return
    if program not in _READERS:
        yield words[0], Role.RUN
    if len(rest) > 1 and rest[0] in _RUNS:
        yield rest[1], Role.RUN
    given = Role.READ if program in _READERS else Role.DECIDES if _is_runner(program, rest) else Role.GIVEN
    steers = program not in _READERS
    for before, word in zip(["", *rest], rest, strict=False):
        told = before in ("-f", "--file") if program in _PROGRAM_IN_A_FILE else steers and _STEERING.match(before)
        if program == "find" and before in ("-name", "-iname", "-path"):
            yield f"**/{word}", Role.RUN if "-exec" in rest or "-execdir" in rest else Role.READ
        elif word.startswith("-"):
            yield word.partition("=")[2], Role.DECIDES if _STEERING.match(word.partition("=")[0]) else given
        else:
            yield word, Role.DECIDES if told else given
            yield word.partition("=")[2], given
            yield word.partition("::")[0], given


def _is_runner(program: str, rest: Sequence[str]) -> bool:
    return program in _RUNNERS and not any("doctest" in word for word in rest)


def _interpreted(rest: Sequence[str], program: str) -> Iterator[tuple[str, Role]]:
    """Yield the program that an interpreter gets, then what that program gets."""
    role, before = Role.RUN, ""
    for at, word in enumerate(rest):
        if before in ("-W", "-X", "-r", "--require", "-I", "-o") and role is Role.RUN:
            yield word, Role.RUN if before in ("-r", "--require") else Role.GIVEN
        elif before in ("-c", "-e", "-E", "--eval") and role is Role.RUN:
            role = Role.GIVEN  # code in the command itself
        elif before == "-m" and role is Role.RUN:
            yield from ((one, Role.RUN) for one in modules(word))
            role = Role.DECIDES if _is_runner(word, rest[at + 1 :]) else Role.GIVEN
        elif not word.startswith("-") and word not in _RUNS:
            yield word, role
            yield word.partition("::")[0], role
            if role is Role.RUN:
                role = Role.DECIDES if program in _RUNNERS else Role.GIVEN
        before = word


def modules(name: str) -> Iterator[str]:
    """Yield where the module *name* that `python -m` starts may lie."""
    path = name.replace(".", "/")
    yield from (f"{top}{path}{end}" for top in ("", "src/") for end in (".py", "/__main__.py", "/__init__.py"))


def _places(word: str, shell: _Shell) -> Iterator[str]:
    """Yield where *word* may lie, from each folder that the command may be in."""
    plain = re.sub(r"\*|\?|\[[^\]]*\]|/|\.", "", word)
    if not word or "\0" in word or _INNER_MARK in word or not plain.strip():
        return
    for folder in shell.folders:
        if path := clean(join(folder, word)):
            yield path


def is_pattern(path: str) -> bool:
    """Whether *path* is a pattern for the paths that a shell puts in its place."""
    return any(mark in path for mark in "*?[")


def fits(path: str, pattern: str) -> bool:
    """Whether a shell would find *path* by *pattern*: `*` ends at a `/`, `**/` does not."""
    made = _made(pattern)
    return bool(made and made.fullmatch(path))


@lru_cache(maxsize=256)
def _made(pattern: str) -> re.Pattern[str] | None:
    parts = re.split(r"(\*\*/|\*|\?|\[!?[^\]/]+\])", normpath(pattern))
    said = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    whole = "".join(
        said.get(part) or (part if part.startswith("[") and part[1:] else re.escape(part)) for part in parts
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(whole.replace("[!", "[^"))
    except re.error:
        return None
