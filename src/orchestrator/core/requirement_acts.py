"""Whether words say that something is to be done, and which verb they begin with. Part of core/requirement_split.py."""

import re

from orchestrator.core.requirement_words import THINGS, VERBS

_LEAD = re.compile(
    r"(?:(?:please|pls|kindly|also|next|now|finally|lastly|last|additionally|furthermore|then|afterwards?|first(?:ly)?|"
    r"second(?:ly)?|third(?:ly)?|after that|so|and|but|to|just|simply)\b[,:]?\s+|"
    r"(?:you|we|it|they|this|the (?:system|app|application|program|service|site|tool|code|daemon))\s+"
    r"(?:should|must|shall|need(?:s)? to|ha(?:ve|s) to|want(?:s)? to|ought to|will|can)(?: also)?(?: be able to)?\s+|"
    r"(?:could|can|would|will) (?:you|we|somebody|someone)(?: please)?\s+|let(?:'|’)?s\s+|"
    r"i(?:'d| would)? (?:like|want|need) (?:you )?to\s+|make sure (?:that |to )?(?:you |we )?(?=\w+ ))",
    re.IGNORECASE,
)
_WANTED = re.compile(
    r"(?:(?:we|i) (?:need|want|would like)|there (?:should|must) be|it would be (?:nice|great|good) to have)\s+"
    r"(?!to\b)(?=\w)",
    re.IGNORECASE,
)
_STORY = re.compile(r"as an? [\w ]{2,40}?,? i (?:want|would like|need|can|should be able)(?: to)?\s+", re.IGNORECASE)
_WHO = re.compile(
    r"(?:(?:all |the |new |every |each )?(?:users?|admins?|customers?|people|visitors?|members?|everyone|everybody|"
    r"operators?|editors?|clients?|managers?|owners?|guests?))\s+(?:should|must|shall|can|need to|have to|want to)\b",
    re.IGNORECASE,
)
_MUST = re.compile(
    r"(?:(?:the|all|every|each|our|any|an?|its|their) )?(?:[\w-]+ ){1,6}?"
    r"(?:should|must|shall|needs? to|ha(?:s|ve) to) (?:also )?"
    r"(?:be (?:[\w-]+ly )?(?:\w+ed|made|built|written|shown|sent|kept|set|put|hidden|read|taken)\b|(?P<verb>[a-z]+) )",
    re.IGNORECASE,
)
_HAVE = frozenset({"have", "contain", "offer", "support", "include", "provide", "come", "work", "run", "read"})
_ARTICLE = re.compile(
    r"(?:an?|the|all|any|every|each|some|no|its?|their|our|your|this|that|these|those|them|both|whether|which|what|how|"
    r"why|up|out|down|new|old|more|two|three|\d+|[`\"'/]|[\w/.-]+\.\w+\b)",
    re.IGNORECASE,
)
_WISH = re.compile(
    r"it(?:'d| would)(?: really)? be (?:nice|great|good|helpful|cool) (?:if|to have|when|to)\s+|"
    r"i wish\s+|would be (?:nice|great|good) to\s+",
    re.IGNORECASE,
)
_STATES = re.compile(
    r"(?:is|are|was|were|has|have|had|does|will|can|should|must|comes?|goes|takes?|happens?|fails?|crash(?:es)?|"
    r"starts?|ends?|works?|runs?|depends?|requires?|needs?)\b",
    re.IGNORECASE,
)
# A word before one of these asks for something even where it is no verb of the list: "teach the", "spin up".
_OBJECT = re.compile(r"(?:the|an?|our|all|every|each|both|up|out|off|down|rid|it|them|its|their|back)\b", re.IGNORECASE)
_NO_VERBS = """
about across after against all along also although among an and any are around as at because been before behind below
beneath beside between beyond both but by can despite did do does done down during each either even every except few for
from had has have here how however if in inside instead into is it its just keep leave less let like likewise many may
maybe might more most much must near neither never no nobody none nor not nothing now of off often on once one only onto
or other our out outside over past per perhaps plus preserve avoid rather same shall she should since so some soon still
such than that the their them then there these they this those though through throughout till to today tomorrow too
toward towards under unless unlike until up upon us very via was we were what whatever when where whereas whether which
while who whole whom whose why will with within without would yesterday yet you
"""
_NEVER = frozenset(_NO_VERBS.split())


def acts(text: str) -> bool:
    """Return whether *text* begins with something to be done."""
    words = without_lead(text.strip())
    if any(one.match(words) for one in (_WANTED, _STORY, _WHO, _WISH)) or _is_demanded(words):
        return True
    first = re.match(r"[A-Za-z]+(?:-[a-z]+)?", words)
    follows = words[first.end() :].strip(" .,;:!?") if first else ""
    if not first or not follows:
        return False
    word = first[0].lower()
    if words != text.strip() and word in _HAVE:
        return True
    return not _STATES.match(follows) and (verb_in(word) != "" or _asks(word, follows))


def _asks(word: str, follows: str) -> bool:
    bare = word not in _NEVER and not word.endswith(("s", "ed", "ing", "ly")) and len(word) > 2
    return bare and _OBJECT.match(follows) is not None


def begins_anew(rest: str) -> bool:
    """Return whether *rest*, behind a comma or an "and", is another piece of work and no further thing."""
    if not acts(rest):
        return False
    words = without_lead(rest).split(maxsplit=1)
    return words[0].lower() not in THINGS or (len(words) > 1 and _ARTICLE.match(words[1]) is not None)


def may_end(piece: str) -> bool:
    """A list of verbs for one object is one piece: "read and parse the file"."""
    return len(_LEAD.sub("", piece).split()) > 1


def verb_in(word: str) -> str:
    """Return the verb of the list that *word* is or ends with: "re-run", "smoke-test"; "" for none."""
    parts = word.lower().split("-")
    return next((part for part in (word.lower(), parts[-1]) if part in VERBS), "")


def verb_of(text: str) -> str:
    """Return the verb that *text* begins with, in lower case, "" where it begins with none."""
    first = re.match(r"[A-Za-z]+(?:-[a-z]+)?", without_lead(text.strip()))
    return verb_in(first[0]) if first else ""


def gerund_of(words: str) -> str:
    """Return *words* that begin with "exporting …" as what to do: "export …"; "" where they do not."""
    first = re.match(r"([A-Za-z]+)ing\b\s*", words)
    if first is None:
        return ""
    stem = first[1].lower()
    shorter = stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] else stem
    verb = next((one for one in (stem, f"{stem}e", shorter) if one in VERBS), "")
    return f"{verb} {words[first.end() :]}".strip() if verb else ""


def _is_demanded(words: str) -> bool:
    """ "The importer should read CSV", "old files must be deleted"; what must not be is a bound, and no work."""
    found = _MUST.match(words)
    if found is None or verb_of(words) or re.match(r"(?:which|that|who|what)\b", words, re.IGNORECASE):
        return False
    return not found["verb"] or found["verb"].lower() in VERBS | _HAVE


def without_lead(text: str) -> str:
    while (match := _LEAD.match(text)) and match.end() < len(text):
        text = text[match.end() :]
    return text
