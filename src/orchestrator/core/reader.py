"""The deterministic reader: type, priority, folder, files and title of a task from the words of its text.

It fills in what the author left out, never what he wrote, and says for every choice why it was made. The words
of the types come from the configuration. It is careful with paths: one that would not lie under the allowed
root is reported and not used.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.core.paths import is_windows, resolve
from orchestrator.core.reader_title import cut_title, title_of
from orchestrator.core.task import Inference, Notice, Priority, TaskRules, TaskType
from orchestrator.core.text import printable

READ_CHARS = 4000  # what a task is about stands at its beginning
MAX_TARGETS = 20
_TOKEN_CHARS = 260
_URGENCY: tuple[tuple[Priority, re.Pattern[str]], ...] = (
    (
        Priority.LOW,
        re.compile(
            r"\b(?:not urgent|no rush|no hurry|low[- ]priority|(?:when|if) you have time|when(?:ever)? possible|"
            r"can wait|when(?:ever)? you (?:get (?:around )?to it|find the time)|"
            r"nice to have|some ?day|minor|prio(?:rity)?(?: is| =|:)? ?low|p[345])\b",
            re.IGNORECASE,
        ),
    ),
    (
        Priority.HIGH,
        re.compile(
            r"\b(?:urgent(?:ly)?|asap|as soon as possible|immediately|right away|blocker|emergency|hotfix|"
            r"critical(?! (?:look|eye|review|reading|path|section))|(?:very|is|really) important|"
            r"(?:do|fix) (?:it|this) first|(?:high|top)[- ]prio(?:rity)?|prio(?:rity)?(?: is| =|:)? ?high|"
            r"outage|p[01]|(?:needed|done|solved|fixed|ready) (?:today|tonight|by tonight|now)|"
            r"(?:production|prod|the site|everything) is down)\b",
            re.IGNORECASE,
        ),
    ),
)
_LEADS = frozenset(
    {
        *("in", "inside", "under", "within", "at", "of", "from", "for"),
        *("folder", "directory", "dir", "project", "repo", "repository", "path"),
    }
)
# Behind these a rooted name is an address of a web server: the folder is another one.
_ROUTES = frozenset(
    {
        *("endpoint", "endpoints", "route", "routes", "page", "pages", "url", "urls", "request", "requests", "call"),
        *("calls", "handler", "path", "resource", "link", "screen", "view", "get", "post", "put", "delete", "patch"),
    }
)
_FOLDERS = frozenset({"service", "project", "app", "folder", "directory", "repo", "repository", "module", "package"})
_NEGATED = re.compile(
    r"\b(?:(?:do|please|but) not|don['’]?t|never|without|instead of|no need to)\s+(?:\w+\s+)?\Z", re.IGNORECASE
)
_SYSTEM = re.compile(
    r"(?:bin|boot|dev|etc|home|lib|lib64|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var|"
    r"applications|library|network|private|system|users|volumes|windows)\Z",
    re.IGNORECASE,
)
_WRAPPING = "`'\"()[]<>{}*,;:!?"
_EXTENSION = re.compile(
    r"\.(?:bash|bat|c|cc|cfg|clj|conf|cpp|cs|css|csv|cxx|dart|env|erl|exs?|fs|go|gql|gradle|h|hpp|hs|html|ini|ipynb|java|"
    r"jl|jsx?|json|kt|lock|lua|m|md|mjs|mm|php|pl|proto|ps1|pyi?|r|rb|rs|rst|sass|scala|scss|sh|sol|sql|svelte|"
    r"swift|tf|toml|tsx?|txt|vue|xml|ya?ml|zig|zsh)\Z",
    re.IGNORECASE,
)
_PATH_CHARS = re.compile(r"[\w@~.:/\\+-]+\Z")
_PRODUCTS = frozenset({"node.js", "next.js", "vue.js", "nuxt.js", "express.js", "three.js", "d3.js", "asp.net"})


@dataclass(frozen=True, slots=True)
class Guess:
    """A chosen value and why it was chosen."""

    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Paths:
    """The folder and files found in a text, and what was found but not used."""

    cwd: str
    targets: tuple[str, ...]
    inferred: tuple[Inference, ...]
    notices: tuple[Notice, ...]


def infer_type(text: str, rules: TaskRules) -> Guess:
    """Return the type whose word comes first in *text*, the configured default when there is none."""
    head = text[:READ_CHARS]
    found = [match for name, kind in rules.types.items() if (match := _first_word(head, name, kind))]
    if found:
        _, _, name, word = min(found)
        return Guess(name, f"the text says '{printable(word)}'")
    default = rules.default_type if rules.default_type in rules.types or not rules.types else next(iter(rules.types))
    return Guess(default, "no word of a type was found; this is the default")


def infer_priority(text: str) -> Guess:
    """Return the priority that the first word on urgency in *text* asks for, medium when there is none."""
    head = text[:READ_CHARS]
    for priority, pattern in _URGENCY:
        if match := pattern.search(head):
            return Guess(priority.value, f"the text says '{match.group()}'")
    return Guess(Priority.MEDIUM.value, "no word on urgency was found")


def infer_title(prompt: str) -> Guess:
    """Return the first line of *prompt* that says something, cut at a word."""
    for line in prompt[:READ_CHARS].splitlines():
        if text := title_of(line):
            return Guess(cut_title(text), "the first line of the prompt")
    return Guess("Untitled", "the prompt has no line of words")


def infer_paths(text: str, rules: TaskRules, *, cwd: str = "", targets: bool = True) -> Paths:
    """Return the folder and the files that *text* names. *cwd* is the folder already known, *targets* asks for files.

    `in /name` and `/name/file.py` are looked for under the root as they are, then under the base folder, unless
    they begin with a folder of the operating system.
    """
    inferred: list[Inference] = []
    notices: list[Notice] = []
    files: dict[str, None] = {}
    for lead, token in _tokens(text[:READ_CHARS]):
        folder = not cwd and lead and _is_rooted(token) and not _is_file(token)
        if not folder and not (targets and _is_file(token) and len(files) < MAX_TARGETS):
            continue
        if (path := place_of(token, cwd, rules)) is None:
            message = f"{printable(token)} does not lie under the allowed root and is not used"
            notices.append(Notice("inferred_path_ignored", message, field="cwd" if folder else "target_files"))
        elif folder:
            cwd = path
            inferred.append(Inference("cwd", path, _why_there(lead, token)))
        else:
            files.setdefault(path)
    if files:
        inferred.append(Inference("target_files", ", ".join(files), "the text names these files"))
    return Paths(cwd, tuple(files), tuple(inferred), tuple(dict.fromkeys(notices)))


def _why_there(lead: str, token: str) -> str:
    shown = printable(token)
    if lead == "at the end":
        return f"the text ends with '{shown}'"
    return f"the text says '{lead} {shown}'" if lead in _LEADS else f"the text says '{shown} {lead[2:]}'"


def _first_word(head: str, name: str, kind: TaskType) -> tuple[int, int, str, str] | None:
    """Return (where, minus length, type, word) of the earliest match of the type's patterns that is not negated."""
    found = [match for word in kind.words if (match := _asked_for(_pattern(word), head))]
    return min(((m.start(), -len(m.group()), name, m.group()) for m in found), default=None)


def _asked_for(pattern: re.Pattern[str], head: str) -> re.Match[str] | None:
    """Return the first match that says something: "do not fix it" asks for no fix."""
    matches = (match for match in pattern.finditer(head) if match.group())
    return next((m for m in matches if not _NEGATED.search(head[max(0, m.start() - 40) : m.start()])), None)


def _pattern(word: str) -> re.Pattern[str]:
    try:
        return re.compile(word, re.IGNORECASE)
    except re.error:
        return re.compile(re.escape(word), re.IGNORECASE)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield (what makes it a place or "", token) for every token that could be a path."""
    lead, words = "", text.split()
    for number, word in enumerate(words):
        token = bare_token(word)
        after = _bare(words[number + 1]) if number + 1 < len(words) else ""
        if 1 < len(token) <= _TOKEN_CHARS and _PATH_CHARS.match(token) and "//" not in token and "@" not in token:
            yield _place(lead, after, word, last=number + 1 == len(words)), token
        lower = _bare(word)
        if lower in _LEADS or lower in _ROUTES:
            lead = lower
        elif lower != "the":
            lead = ""


def bare_token(word: str) -> str:
    """Return *word* without the quotes, brackets and marks around it."""
    return word.lstrip(_WRAPPING).rstrip(f"{_WRAPPING}.")


def _bare(word: str) -> str:
    return word.lower().strip(f"{_WRAPPING}.")


def _place(lead: str, after: str, word: str, *, last: bool) -> str:
    """Return what makes *word* a place to work in, "" where nothing does, or where it looks like a web address."""
    ends = word[-1] in ".!?,;"  # what stands behind it begins anew
    if (lead in _ROUTES and lead not in _LEADS) or (after in _ROUTES and not ends):
        return ""
    if lead:
        return lead
    if after in _FOLDERS and not ends:
        return f"… {after}"
    return "at the end" if last else ""


def _is_rooted(token: str) -> bool:
    return token.startswith("/") or is_windows(token)


def _is_file(token: str) -> bool:
    return bool(_EXTENSION.search(token)) and token.lower() not in _PRODUCTS


def place_of(token: str, cwd: str, rules: TaskRules, *, whole: bool = False) -> str | None:
    """Return the path *token* of a text as one under the allowed root, *whole* or relative as it is written, None where
    it would lie elsewhere."""
    base = cwd or rules.base_cwd
    if path := resolve(token, base=base, root=rules.allowed_root):
        return path if whole or _is_rooted(token) else token
    first = token.strip("/").partition("/")[0]
    if not token.startswith("/") or not rules.base_cwd or _SYSTEM.match(first):
        return None
    return resolve(token.strip("/"), base=rules.base_cwd, root=rules.allowed_root)


def reasons(guesses: Mapping[str, Guess]) -> tuple[Inference, ...]:
    """Return *guesses* as the inferences of a spec."""
    return tuple(Inference(field, guess.value, guess.why) for field, guess in guesses.items())
