"""A title from free words: the first line that says something, without greeting, courtesy and urgency before it."""

import re

from orchestrator.core.text import without_controls

TITLE_CHARS = 80
_FORMS = " \t#>*-_`="
# What people say before they come to the point. Each needs what closes it, or it may be the point itself.
_BEFORE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?:hi|hey|hello|dear)(?:\s+(?:there|all|team|everybody|everyone|folks|bot|claude))?\s*(?:[,!.]+\s*|$)",
        r"good (?:morning|afternoon|evening|day)(?:\s+(?:all|team|everyone))?\s*(?:[,!.]+\s*|$)",
        r"(?:i )?hope (?:you(?:'re| are)|this finds you|all is) \w+\s*(?:[,!.]+\s*|$)",
        r"(?:many )?thanks(?: in advance)?\s*(?:[,!.]+\s*|$)",
        r"@\w+[,:]?\s+",
        r"(?:urgent(?:ly)?|asap|important|(?:high|top|low)[- ]priority|emergency|blocker)\s*[:!,]+\s*",
        r"(?:task|todo|request|title)\s*:\s*",
        r"(?:so|ok|okay)\s*,\s+",
        r"(?:can|could|would|will) (?:you|u|somebody|someone)(?: please| pls| kindly)?\s+(?=\w)",
        r"(?:please|pls|kindly)\s*,?\s+(?=\w)",
        r"i(?:'d| would) (?:like|love|want) (?:you )?to\s+(?=\w)",
        r"i (?:want|need) you to\s+(?=\w)",
        r"\d{1,2}[.)]\s+(?=\w)",
    )
)


def title_of(line: str) -> str:
    """Return what a title can take of *line*, not cut, "" where it says nothing."""
    whole = " ".join(without_controls(line).strip(_FORMS).split())
    rest = whole
    while (shorter := _without_one(rest)) != rest:
        rest = shorter
    rest = rest.strip(_FORMS)
    return rest[:1].upper() + rest[1:] if rest != whole else rest


def _without_one(text: str) -> str:
    for pattern in _BEFORE:
        if match := pattern.match(text):
            return text[match.end() :]
    return text


def cut_title(text: str) -> str:
    """Return *text* as a title of at most TITLE_CHARS, cut at a word."""
    if len(text) <= TITLE_CHARS:
        return text
    head = text[:TITLE_CHARS]
    return f"{(head.rpartition(' ')[0] or head[:-1]).rstrip(' ,;:-')}…"
