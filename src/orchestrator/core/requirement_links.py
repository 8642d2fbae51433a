"""Which piece of work waits for which, by the words of a text: "then", "after the migration", "it", "the new model".

Part of core/requirements.py; pure. Every link goes with the words that say it. None is made that would close a cycle.
"""

import re
from collections.abc import Sequence

from orchestrator.core.requirement_acts import verb_of
from orchestrator.core.requirement_split import Clause, Order

Link = tuple[int, int, str]  # the item, the one it waits for (both from 0), the words
_STOPPED = """
a an and any are as at be been both by can do done each every first for from has have if in into is it its last make
more must need needs no new not of old on once one or our out so some such than that the their them then there these
they this those to too up use using via was we were when which while will with you your add create write all working
works work ready finished complete completed place
"""
_STOP = frozenset(_STOPPED.split())
_PRONOUN = re.compile(
    r"\b(?:it|them|they|those|this|that|these|the results?|the findings|what you find)\b", re.IGNORECASE
)
_NO_PRONOUN = re.compile(
    r"\b(?:this|that|these|those) (?=[a-z])|\b(?:so|such|is|as it|that|who|which) (?:it|they)\b", re.IGNORECASE
)
_NEEDS = re.compile(
    r"\b(?P<said>depends? on|requires?|needs?|based on|builds? (?:up)?on|relies on|on top of|makes? use of|uses?)\s+"
    r"(?P<named>(?:the|a|an|that|our|new)\s+[^,.;]{2,60})",
    re.I,
)
_DEFINITE = re.compile(r"\bthe ((?:[\w-]+ ){0,3}[\w-]+)", re.I)
_INTRODUCED = re.compile(r"\b(?:an?|new|another)\s+((?:[\w-]+ ){0,3}[\w-]+)", re.I)
_CHECKING = re.compile(r"\b(?:tests?|cover|document|docs|documentation|benchmark|announce|release)\b", re.I)


_ENDINGS = ("ations", "ation", "ating", "ated", "ates", "ate", "ions", "ion", "ings", "ing", "ed", "es", "e", "s")


def links(said: Sequence[Clause]) -> tuple[Link, ...]:
    """Return what waits for what among the acting clauses of *said*, counted among themselves."""
    finder = _Finder(said)
    for at, clause in enumerate(said):
        if clause.acts:
            finder.by_order(at, clause)
            finder.by_reference(at, clause)
        else:
            finder.by_remark(at, clause)
    return tuple(sorted(finder.found.values()))


class _Finder:
    """Holds the links while they are found."""

    def __init__(self, said: Sequence[Clause]) -> None:
        self._said = said
        self._numbers: dict[int, int] = {}
        for at, clause in enumerate(said):
            if clause.acts:
                self._numbers[at] = len(self._numbers)
        self._texts = [clause.text for clause in said if clause.acts]
        self._contents = [_content(text) for text in self._texts]
        self._brought = [_brought_in(text) for text in self._texts]
        self._edges: dict[int, set[int]] = {}
        self.found: dict[tuple[int, int], Link] = {}

    def _link(self, item: int, on: int, words: str) -> None:
        if item != on and (item, on) not in self.found and not self._waits(on, item):
            self.found[item, on] = (item, on, " ".join(words.split())[:80])
            self._edges.setdefault(item, set()).add(on)

    def _waits(self, one: int, other: int) -> bool:
        """Return whether *one* waits for *other*, over any number of steps."""
        seen, left = {one}, [one]
        while left:
            fresh = self._edges.get(left.pop(), set()) - seen
            seen |= fresh
            left += fresh
        return other in seen

    def by_order(self, at: int, clause: Clause) -> None:
        me = self._numbers[at]
        before = self._before(at)
        match clause.order:
            case Order.THEN if before is not None:
                self._link(me, before, clause.said)
            case Order.FIRST:
                for other in self._same_breath(at):
                    self._link(other, me, clause.said)
            case Order.PART:
                self._link(me, self._numbers[clause.whole], clause.said)
            case Order.AFTER:
                for on in self._meant(clause.named, me) or ([before] if before is not None else []):
                    self._link(me, on, clause.said)
            case Order.BEFORE:
                for other in self._meant(clause.named, me):
                    self._link(other, me, clause.said)

    def by_reference(self, at: int, clause: Clause) -> None:
        me, before = self._numbers[at], self._before(at)
        for need in _NEEDS.finditer(clause.text):
            for on in self._meant(need["named"], me):
                self._link(me, on, need[0])
        pronoun = _PRONOUN.search(_NO_PRONOUN.sub(" ", _object_of(clause.text)))
        if pronoun and before is not None:
            self._link(me, before, pronoun[0])
        for definite in _DEFINITE.finditer(clause.text):
            for on in self._introduced(definite[1], me):
                self._link(me, on, definite[0])
        if _CHECKING.search(clause.text):
            self._checked(me, clause.text)

    def by_remark(self, at: int, clause: Clause) -> None:
        """ "Both exports need the new model": whoever the subject means waits for whoever the object means."""
        for need in _NEEDS.finditer(clause.text):
            on = self._meant(need["named"], -1)
            subject = clause.text[: need.start()]
            who = [one for one in self._meant(subject, -1) if one not in on]
            before = self._before(at)
            for item in who or ([before] if before is not None else []):
                for other in on:
                    self._link(item, other, need[0])

    def _checked(self, me: int, text: str) -> None:
        """What tests, documents or announces comes behind what it is about, where that is among the others."""
        mine = _content(text) - {
            _stem(word) for word in ("tests", "test", "docs", "documentation", "document", "cover")
        }
        for other in range(me):
            if mine & self._contents[other] and not _CHECKING.search(self._texts[other]):
                self._link(me, other, text)

    def _introduced(self, named: str, me: int) -> list[int]:
        """Return who before *me* brings in what "the …" names, by "a …" or "new …"."""
        head = _content(named)
        if not head:
            return []
        last = _stem(named.lower()) if " " not in named else ""
        found = [
            other
            for other in range(me)
            if any(noun <= head or (last and last in noun) for noun in self._brought[other])
        ]
        return found[-1:]

    def _meant(self, named: str, me: int) -> list[int]:
        """Return the items that *named* means best, by the words they share."""
        words = _content(named)
        scores = [(len(words & mine) if n != me else 0) for n, mine in enumerate(self._contents)]
        best = max(scores, default=0)
        plural = re.match(r"\s*(?:both|all|the two|these)\b", named, re.I) is not None
        found = [n for n, score in enumerate(scores) if best and score == best]
        return found if plural or len(found) < 2 else found[:1]

    def _before(self, at: int) -> int | None:
        """Return the item before the clause *at*; of one that has parts the whole."""
        for earlier in range(at - 1, -1, -1):
            if earlier in self._numbers and self._said[earlier].order is not Order.PART:
                return self._numbers[earlier]
        return None

    def _same_breath(self, at: int) -> list[int]:
        before = self._before(at)
        return [] if before is None else [before]


def _brought_in(text: str) -> tuple[frozenset[str], ...]:
    """Return what "a …" or "new …" of *text* bring in, each without what is said about it."""
    nouns = (re.split(r" (?:for|that|in|to) ", brought[1])[0] for brought in _INTRODUCED.finditer(text))
    return tuple(noun for one in nouns if (noun := _content(one)))


def _object_of(text: str) -> str:
    verb = verb_of(text)
    return text.lower().partition(verb)[2] if verb else text


def _content(text: str) -> frozenset[str]:
    words = re.findall(r"[a-z][\w+#./-]*[\w+#]|[a-z]", text.lower())
    return frozenset(_stem(word) for word in words if word not in _STOP and len(word) > 1)


def _stem(word: str) -> str:
    """Cut the endings that people change: migration, migrate, migrating; exports, exporting."""
    if "." in word or "/" in word:
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
