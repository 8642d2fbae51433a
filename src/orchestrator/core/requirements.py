"""Requirements in natural language as actionable items, by rules alone: the same text always gives the same. Pure.

Each item has what it was read by beside what was read: the reason for its complexity, the words that put it behind
another one. Nothing of it is run or stored. docs/requirements.md says how well it reads, and what it cannot.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.reader import infer_paths, infer_type
from orchestrator.core.reader_title import cut_title, title_of
from orchestrator.core.requirement_acts import verb_of
from orchestrator.core.requirement_links import links
from orchestrator.core.requirement_split import READ_CHARS, Clause, clauses
from orchestrator.core.requirement_words import LOOKING, RISKS, TECHNOLOGIES, VAGUE, WEIGHTS
from orchestrator.core.task import TaskRules

LOW, MEDIUM, HIGH = "low", "medium", "high"
LEVELS = (LOW, MEDIUM, HIGH)
MANY = 3  # items that make the whole large, whatever each of them is
NOTHING = "Nothing in it says what is to be done: what should be there when it is finished?"


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of work. *number* counts from 1. *text* is the author's words for it, *why* what its complexity is read
    from."""

    number: int
    title: str
    text: str
    type: str
    complexity: str
    why: str
    technologies: tuple[str, ...] = ()
    target_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dependency:
    """*item* cannot begin before *on* is done; *words* of the text say so."""

    item: int
    on: int
    words: str


@dataclass(frozen=True, slots=True)
class Risk:
    """What may go wrong: *kind* is one of RISKS, *words* what it was read from, *items* whose words they are."""

    kind: str
    words: str
    items: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a text asks for. *read_by* is `rules`, or `model NAME`; *not_asked* is why no model read it, where one was
    wanted."""

    items: tuple[Item, ...]
    dependencies: tuple[Dependency, ...]
    complexity: str
    why: str
    technologies: tuple[str, ...]
    risks: tuple[Risk, ...]
    questions: tuple[str, ...]
    read_by: str = "rules"
    not_asked: str = ""


def read_requirements(text: str, rules: TaskRules, *, context: str = "") -> Requirements:
    """Return what *text* asks for. *context* is what is known of the project: its technologies count for the whole."""
    text = text[:READ_CHARS]
    said = clauses(text)
    acting = [clause for clause in said if clause.acts]
    items = tuple(_item(number, clause, rules) for number, clause in enumerate(acting, 1))
    found = links(said)
    dependencies = tuple(Dependency(item + 1, on + 1, words) for item, on, words in found)
    complexity, why = whole_complexity(items, text)
    risks = risks_in(text, items)
    technologies = tuple(dict.fromkeys([*technologies_in(text), *technologies_in(context[:READ_CHARS])]))
    return Requirements(items, dependencies, complexity, why, technologies, risks, _questions(said, text, items))


def _item(number: int, clause: Clause, rules: TaskRules) -> Item:
    text = clause.text
    complexity, why = complexity_of(text)
    targets = infer_paths(text, rules).targets
    title = cut_title(title_of(text)) or text[:80]
    title = title[:1].upper() + title[1:]
    return Item(number, title, text, type_of(text, rules), complexity, why, technologies_in(text), targets)


def type_of(text: str, rules: TaskRules) -> str:
    """Return the type of task for *text*: what has to be done changes something unless its words say otherwise."""
    guess = infer_type(text, rules)
    if not guess.why.startswith("no word") or verb_of(text) in LOOKING:
        return guess.value
    writing = [name for name, kind in rules.types.items() if kind.expects_changes]
    if rules.default_type in writing:
        return rules.default_type
    return "code-generation" if "code-generation" in writing else next(iter(writing), guess.value)


def technologies_in(text: str) -> tuple[str, ...]:
    """Return the technologies that *text* names, in the order of the list."""
    return tuple(name for name, pattern in TECHNOLOGIES.items() if pattern.search(text))


def complexity_of(text: str) -> tuple[str, str]:
    """Return how large one piece of work is, and by which words."""
    found = [(weight, match[0].lower()) for weight, pattern in WEIGHTS if (match := pattern.search(text))]
    score = sum(weight for weight, _ in found)
    technologies = technologies_in(text)
    level = LOW if score < 0 else HIGH if score >= 2 else MEDIUM
    words = [f"'{word}'" for weight, word in found if (weight < 0) == (level == LOW)]
    if words:
        return level, f"it says {' and '.join(words[:3])}"
    if len(technologies) > 1:
        return level, f"it touches {', '.join(technologies[:4])}"
    return level, "nothing in it says that it is large or small"


def whole_complexity(items: Sequence[Item], text: str) -> tuple[str, str]:
    """Return how large everything together is, and why."""
    if not items:
        return LOW, "there is nothing to do"
    largest = max(items, key=lambda one: LEVELS.index(one.complexity))
    if largest.complexity != HIGH:
        level, why = complexity_of(text)
        if level == HIGH:
            return level, why
        if len(items) >= MANY:
            return HIGH, f"it has {len(items)} parts"
    return largest.complexity, f"item {largest.number}: {largest.why}"


def risks_in(text: str, items: Sequence[Item]) -> tuple[Risk, ...]:
    """Return what may go wrong, each kind once, with the first words that say so."""
    found = []
    for kind, pattern in RISKS.items():
        if match := pattern.search(text):
            whose = tuple(one.number for one in items if pattern.search(one.text))
            found.append(Risk(kind, " ".join(match[0].split())[:60], whose))
    return tuple(found)


def _questions(said: Sequence[Clause], text: str, items: Sequence[Item]) -> tuple[str, ...]:
    asked = [clause.text for clause in said if clause.asks]
    if not items and not asked:
        asked.append(NOTHING)
    asked += [f"What is meant by '{match[0]}'?" for match in VAGUE.finditer(text)]
    return tuple(dict.fromkeys(asked))


def in_order(items: Sequence[Item], dependencies: Sequence[Dependency]) -> Mapping[int, tuple[int, ...]]:
    """Return for each item the numbers of those it waits for."""
    found: dict[int, list[int]] = {one.number: [] for one in items}
    for one in dependencies:
        found[one.item].append(one.on)
    return {number: tuple(sorted(on)) for number, on in found.items()}


def words_of(text: str) -> frozenset[str]:
    """Return the words of *text* in lower case."""
    return frozenset(re.findall(r"[\w.+#/-]+", text.lower()))
