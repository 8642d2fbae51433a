"""From a text of requirements to its clauses: one piece of work each, with the words that put it in an order. Pure.

Lists give one clause a line; sentences are split where another verb begins. "including A, B and C" and lists of objects
give a clause for each part. What says nothing to be done stays as a remark, for what it says on order and risks.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrator.core.reader_title import title_of
from orchestrator.core.requirement_acts import acts, begins_anew, gerund_of, may_end, verb_of, without_lead
from orchestrator.core.requirement_words import MAKING

READ_CHARS = 20_000
MAX_CLAUSES = 200
SENTENCE_CHARS = 600


class Order(StrEnum):
    """What the words around a clause say on its place."""

    NONE = ""
    THEN = "then"  # behind the one before it
    AFTER = "after"  # behind what *named* means
    BEFORE = "before"  # before what *named* means
    FIRST = "first"  # before the one before it
    PART = "part"  # of the whole that it was split from


@dataclass(frozen=True, slots=True)
class Clause:
    """*text* is one piece of work, or a remark where *acts* is False. *order* holds by the words *said*, which name
    *named*. *whole* is the number of the clause that it is a part of, -1 for none. *asks*: it is a question."""

    text: str
    acts: bool
    order: Order = Order.NONE
    said: str = ""
    named: str = ""
    whole: int = -1
    asks: bool = False


_ITEM = re.compile(r"\s*(?:[-*+•]|\(?\d{1,3}[.)]|\[[ xX]?\])\s+(?:\[[ xX]?\]\s+)?(?P<text>\S.*)\Z")
_SENTENCE = re.compile(r"(?<=[.!?;])(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)\s+(?=\S)|(?<=etc\.)\s+(?=[A-Z])")
_GREETING = re.compile(
    r"(?:best|kind|warm)? ?(?:regards|wishes)|thanks?(?: you)?(?: a lot| so much)?|cheers|sincerely|hi|hello|dear", re.I
)
_BOUND = re.compile(r"\b(?:must|should|do|does|may|can) ?n[o']t\b|\bnever\b|\bwithout\b", re.IGNORECASE)
_WRONG = re.compile(
    r"\b(?:crash(?:es|ed)?|fails?|failed|failing|broken?|wrong(?:ly)?|errors?|exceptions?|bugs?|freez(?:es|ing)|hangs?|"
    r"(?:does|do|did|is|are)(?: not|n't) (?:work|start|load|respond|show|save|open)\w*|leaks?|duplicated?|missing|"
    r"returns? [45]\d\d|too slow|timeouts?|times out)\b",
    re.IGNORECASE,
)
_SO_THAT = re.compile(r",?\s+(?:so that|in order to|because|since|as it|which would)\b.*\Z", re.IGNORECASE | re.DOTALL)
_REFERENCE = r"(?P<named>[^,.;]{2,80}?)"
_FRONT: tuple[tuple[Order, re.Pattern[str]], ...] = (
    (Order.FIRST, re.compile(r"before (?:that|this|it|doing so)\b,?\s+", re.I)),
    (Order.THEN, re.compile(r"(?:after (?:that|this)|(?:once|when|as soon as) (?:that|this|it)[^,]{0,40}),?\s+", re.I)),
    (Order.THEN, re.compile(r"(?:and |but )?(?:then|next|afterwards|finally|lastly|subsequently)\b,?\s+", re.I)),
    (Order.AFTER, re.compile(rf"(?:after|once|when|as soon as)\s+{_REFERENCE},\s*", re.I)),
    (Order.BEFORE, re.compile(rf"before\s+(?:you |we )?{_REFERENCE},\s*", re.I)),
)
_BACK: tuple[tuple[Order, re.Pattern[str]], ...] = (
    (Order.FIRST, re.compile(r",?\s+(?:but )?(?:before that|first|beforehand)\s*[.!]?\Z", re.I)),
    (Order.THEN, re.compile(r",?\s+(?:afterwards?|after that|then|when that is done|later)\s*[.!]?\Z", re.I)),
    (Order.AFTER, re.compile(rf",?\s+(?:after|once|as soon as)\s+{_REFERENCE}\s*[.!]?\Z", re.I)),
    (Order.BEFORE, re.compile(rf",?\s+before\s+(?:you |we )?{_REFERENCE}\s*[.!]?\Z", re.I)),
)
_JOINT = re.compile(
    r"(?P<joint>(?:\s*[,;:]\s+(?:(?:and|but|so|or)\s+)?(?:then\s+)?|\s+(?:and|but)\s+(?:then\s+|also\s+)?)"
    r"(?:(?:once|when|after|as soon as) (?:that|this|it)(?:(?: is| has been)? \w+(?:ed|ne|xed|y)\b)?,?\s+)?)",
    re.IGNORECASE,
)
_INCLUDING = re.compile(
    r",?\s+(?:including|consisting of|comprising|with support for|namely)\s+(?P<parts>[^.;]+)", re.I
)
_PART_TAIL = re.compile(r"\s+(?:functionality|functionalities|features?|capabilit(?:y|ies))\Z", re.I)
_MADE_FIRST = re.compile(
    r"(?:(?:a|an|the|some|our)\s+)?(?P<what>(?:new\s+)?[\w-]+(?: [\w-]+){0,3}),? (?:which|that) "
    r"(?:has to|have to|must|needs? to|should) be (?:written|built|made|created|added|implemented|done|set up)"
    r"(?: first| before)?",
    re.I,
)


def clauses(text: str) -> tuple[Clause, ...]:
    """Return the clauses of *text*, its first READ_CHARS, in order; at most MAX_CLAUSES."""
    found: list[Clause] = []
    for block, listed in _blocks(text[:READ_CHARS]):
        for number, sentence in enumerate(_sentences(block)):
            for clause in _of_sentence(sentence.strip(), listed=listed and number == 0):
                found += _parts_of(clause, len(found))
            if len(found) >= MAX_CLAUSES:
                return tuple(found[:MAX_CLAUSES])
    return _reported(found)


def _sentences(block: str) -> Iterator[str]:
    """Yield the sentences of *block*; what goes on and on is cut, for patterns take long over it."""
    for sentence in _SENTENCE.split(block):
        yield from textwrap.wrap(sentence, SENTENCE_CHARS) if len(sentence) > SENTENCE_CHARS else (sentence,)


def _reported(found: list[Clause]) -> tuple[Clause, ...]:
    """Where nobody says what to do, what is said to be wrong is to be put right."""
    wrong = next((at for at, one in enumerate(found) if not one.asks and _WRONG.search(one.text)), -1)
    if wrong >= 0 and not any(one.acts for one in found):
        found[wrong] = replace(found[wrong], acts=True)
    return tuple(found)


def _blocks(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each item of a list, and each paragraph; whether it is the former."""
    held: list[str] = []
    listed = False
    for line in [*text.splitlines(), ""]:
        item = _ITEM.match(line)
        bare = line.strip()
        goes_on = bool(bare) and not item and not bare.startswith("#")
        if goes_on:
            held.append(bare)
        elif held:
            yield " ".join(held), listed
            held = []
        if item or not goes_on:
            held, listed = [item["text"].strip()] if item else [], item is not None


def _of_sentence(sentence: str, *, listed: bool) -> Iterator[Clause]:
    if _GREETING.match(sentence) and _GREETING.fullmatch(sentence.split(",")[0].strip(" .!")):
        sentence = sentence.partition(",")[2].strip()
        if len(sentence.split()) < 3:
            return
    if not title_of(sentence):
        return
    if sentence.endswith("?") and not _asked_to_do(sentence):
        yield Clause(sentence, acts=False, asks=True)
        return
    front, rest = _front(sentence)
    pieces = _pieces(_SO_THAT.sub("", rest) or rest)
    for number, (joint, piece) in enumerate(pieces):
        clause = _clause(piece)
        if number == 0 and front.order is not Order.NONE:
            clause = replace(clause, order=front.order, said=front.said, named=front.named)
        elif clause.order is Order.NONE and re.search(r"\b(?:then|so|once|when|after|soon)\b", joint, re.I):
            clause = replace(clause, order=Order.THEN, said=joint.strip(" ,;"))
        if number == 0 and listed and not _BOUND.search(piece):
            clause = replace(clause, acts=True)
        yield from _with_gerund(clause)


def _with_gerund(clause: Clause) -> Iterator[Clause]:
    """Yield *clause*, and beside it the work that its "after exporting it" or "before deleting it" is."""
    other = gerund_of(clause.named) if clause.acts and clause.order in (Order.AFTER, Order.BEFORE) else ""
    if not other:
        yield clause
        return
    order = Order.FIRST if clause.order is Order.AFTER else Order.THEN
    yield replace(clause, order=Order.NONE, named="")
    yield Clause(other, acts=True, order=order, said=clause.said)


def _asked_to_do(sentence: str) -> bool:
    polite = re.match(r"(?:please|can|could|would|will)\b", sentence, re.IGNORECASE)
    return polite is not None and acts(sentence.rstrip("? "))


def _front(sentence: str) -> tuple[Clause, str]:
    """Return what stands before a sentence on its order, and the rest of it."""
    for order, pattern in _FRONT:
        if (found := pattern.match(sentence)) and len(sentence) > found.end():
            named = found.groupdict().get("named") or ""
            return Clause("", acts=False, order=order, said=found[0].strip(" ,"), named=named), sentence[found.end() :]
    return Clause("", acts=False), sentence


def _pieces(sentence: str) -> list[tuple[str, str]]:
    """Split where another verb begins; each with what joins it to the one before."""
    found: list[tuple[str, str]] = []
    begin, joint = 0, ""
    for match in _JOINT.finditer(sentence):
        if not begins_anew(sentence[match.end() :]) or not may_end(sentence[begin : match.start()]):
            continue
        found.append((joint, sentence[begin : match.start()]))
        begin, joint = match.end(), match["joint"]
    return [*found, (joint, sentence[begin:])]


def _clause(piece: str) -> Clause:
    does, order, said, named = acts(piece), Order.NONE, "", ""
    for kind, pattern in _BACK if does else ():
        found = pattern.search(piece)
        if found and found.start() > 8 and (kind is not Order.AFTER or not found["named"].startswith(("a ", "an "))):
            order, said, named = kind, found[0].strip(" ,."), found.groupdict().get("named") or ""
            piece = piece[: found.start()]
            break
    text = piece.strip(" ,;.!")
    return Clause(without_lead(text) if does else text, does, order, said, named)


# --- parts ------------------------------------------------------------------------------------------------------------


def _parts_of(clause: Clause, number: int) -> list[Clause]:
    """Return *clause*, which will have this *number*, with its parts behind it; or the objects that it is a list of."""
    if made := _MADE_FIRST.search(clause.text):
        return [clause, Clause(f"Create the {made['what']}", acts=True, order=Order.NONE)]
    if not clause.acts:
        return [clause]
    if found := _INCLUDING.search(clause.text):
        names = [_PART_TAIL.sub("", one) for one in _listed(found["parts"])]
        if len(names) > 1 and all(len(name.split()) <= 6 for name in names):
            whole = replace(clause, text=clause.text[: found.start()].strip(" ,"))
            verb = (verb_of(clause.text) or "add").capitalize()
            said = found[0].strip(" ,").split(" ")[0]
            parts = [Clause(f"{verb} {name}", True, Order.PART, said, whole=number) for name in names]
            return [whole, *parts]
    return _objects(clause)


def _objects(clause: Clause) -> list[Clause]:
    """Split "write a Dockerfile, a compose file and a workflow": each object with an article is a piece of its own."""
    verb = verb_of(clause.text)
    if verb not in MAKING:
        return [clause]
    pieces = re.split(r"\s*,\s+(?:and\s+)?(?=an?\s)|\s+and\s+(?=an?\s)", clause.text)
    if len(pieces) < 2:
        return [clause]
    lead = re.match(r"(?:[A-Za-z]+)(?: up)?", pieces[0])
    word = lead[0] if lead else verb
    first = replace(clause, text=pieces[0])
    return [first, *(Clause(f"{word} {piece}", True) for piece in pieces[1:])]


def _listed(text: str) -> list[str]:
    parts = re.split(r"\s*,\s*(?:and|or)\s+|\s*,\s*|\s+and\s+", text.strip(" ."))
    return [part.strip() for part in parts if part.strip()]
