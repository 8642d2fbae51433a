"""Reading a final answer: is it an answer, a question, or a surrender?

Text comes last: what the agent did (denials, changed files) decides first, see checks.py. The patterns
look only at the part of the text that carries the verdict, its end for questions and its opening and end for
surrender, so that an answer *about* a question is not taken for one.
"""

import json
import re

from orchestrator.core.question import Question, Source, asked_in_result, bounded

_ASKS = re.compile(
    r"""\b(?: shall\ i | should\ i | do\ you\ want\ me\ to | would\ you\ like\ me\ to | may\ i
        | can\ i\ (?:go\ ahead|proceed)
        | please\ (?: confirm | clarify | advise | specify | provide | choose | decide | pick\ one | select
                    | let\ me\ know\ (?:which|what|how|whether|if\ you\ want\ me\ to) )
        | (?:tell|let)\ me\ (?:know\ )?(?:which|what|how|where|whether)\ | and\ let\ me\ know\b(?=[.!]?$)
        | let\ me\ know\ if\ (?:you'd\ like|you\ would\ like|you\ want|i\ should|i\ may)
        | which\ (?:one\ |option\ |approach\ )?(?:do|would|should)\ you | how\ (?:do|would|should)\ (?:you|i)
        | could\ you\ (?:please\ )?(?:clarify|confirm|provide|tell\ me|specify) | what\ (?:do|would|should)\ (?:you|i)
        | (?:await(?:ing)?|waiting\ (?:for|on))\ your
        | i(?:'d|'ll|\ would|\ will)?\ need\ (?: your | you\ to | to\ know | clarification
                                              | more\ (?:information|details|context) )
        | i\ have\ (?:a|one|two|three|some|a\ few)\ questions?\ (?:before|about|first) )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_OFFERS_MORE = re.compile(
    r"""\b(?: anything\ else | let\ me\ know\ if | feel\ free | happy\ to\ help | further\ (?:changes|help|questions)
    | (?:would\ you\ like|do\ you\ want|want\ me\ to|shall\ i|should\ i) [^.?!\n]{0,60}
      \b(?:also|next|as\ well|additionally|more|further|commit) )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_CHOICE = re.compile(r"\b(?:which|should|shall|prefer|do you|would you|may i|can i)\b[^.!\n]*\?\Z", re.IGNORECASE)
# What may follow a question without taking it back: what would be done by each answer, and what was left meanwhile.
_AFTER_A_QUESTION = re.compile(
    r"(?:if|otherwise|in that case|until then|i(?:'ve| have) (?:left|not|stopped|changed nothing))\b", re.IGNORECASE
)
_SURRENDER = re.compile(
    r"""\b(?: i\ (?: could\ not | couldn't | can(?:not|'t) | (?:am|was)\ (?:unable|not\ able)\ to | wasn't\ able\ to
                  | do\ not\ have\ (?:access|permission) | don't\ have\ (?:access|permission)
                  | failed\ to | did\ not\ manage | didn't\ manage | gave\ up | am\ sorry,?\ but )
        | unable\ to\ (?:complete|finish|proceed|do|make|access)
        | (?:the\ task|this)\ (?:is|was)\ (?:not\ possible|impossible)
        | cannot\ be\ (?:completed|done) )\b
    (?! \ (?:find|see|identify|detect|spot)\ (?:any|a\ single)\b )""",
    re.IGNORECASE | re.VERBOSE,
)
_ABOUT_CHECKING = re.compile(r"\b(run|execute|verify|test|check|confirm|start|install)\w*\b", re.IGNORECASE)
# Quoted words are the subject matter, not the agent speaking. An apostrophe inside a word opens no quotation.
_QUOTED = re.compile(r"""(?<!\w)'[^'\n]{2,200}'(?!\w)|"[^"\n]{2,200}"|“[^”\n]{2,200}”|`[^`\n]{1,200}`""")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)
_LISTED = re.compile(r"\s{0,4}(?:[0-9]{1,2}|[A-Fa-f])[.)]\s+(\S.*)")
_SHOWN, _LIST_LINES, _FEWEST, _MOST = 1500, 15, 2, 6
_OPENING_SENTENCES = 2
_CLOSING_SENTENCES = 2


def is_empty(answer: str) -> bool:
    """Return whether nothing readable was said."""
    return not any(character.isalnum() for character in answer)


def asks(answer: str, *, did_work: bool) -> str:
    """Return the sentence by which the answer ends in a question, "" if it does not.

    *did_work*: files were changed; then a polite offer of more ("Shall I also …?") is no question.
    """
    if (structured := _structured(answer)) is not None:
        return " ".join(structured.text.split())
    if choice := _before_options(answer):
        return choice
    sentences = _sentences(answer)
    for number, sentence in enumerate(reversed(sentences[-_CLOSING_SENTENCES:])):
        if did_work and _OFFERS_MORE.search(sentence):
            return ""
        last = number == 0 or _AFTER_A_QUESTION.match(sentences[-1]) is not None
        if _ASKS.search(sentence) or (last and sentence.endswith("?")):
            return sentence
    return ""


def _before_options(answer: str) -> str:
    """Return the sentence that asks for a choice from a numbered list, with which *answer* then ends; "" for none."""
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    count = next((n for n, line in enumerate(reversed(lines)) if not _LISTED.match(line)), len(lines))
    if not _FEWEST <= count <= _MOST or count == len(lines):
        return ""
    asking = (_sentences(lines[-count - 1]) or [""])[-1]
    return asking if _CHOICE.search(asking) else ""


def question_of(answer: str) -> Question:
    """Return what a person needs to read to answer: the end of *answer*, in its own words, and the options it lists."""
    if (structured := _structured(answer)) is not None:
        return structured
    text = answer.strip()
    if len(text) > _SHOWN:
        cut = text[-_SHOWN:]
        text = cut[cut.find("\n\n") + 2 :] if "\n\n" in cut[: _SHOWN // 2] else f"…{cut}"
    listed = [found[1].strip(" *`") for line in text.splitlines()[-_LIST_LINES:] if (found := _LISTED.match(line))]
    options = listed if _FEWEST <= len(listed) <= _MOST else []
    return bounded(text, options, Source.TEXT) or Question("", (), Source.TEXT)


def _structured(answer: str) -> Question | None:
    """Return the question where the whole of *answer* is a JSON object that says one, be it in a code fence."""
    found = _FENCED.fullmatch(answer.strip())
    text = found[1] if found else answer.strip()
    if not text.startswith("{"):
        return None
    try:
        return asked_in_result(json.loads(text))
    except (ValueError, RecursionError):
        return None


def surrenders(answer: str) -> str:
    """Return the sentence by which the agent says that it did not do it, "" if there is none."""
    sentences = _sentences(answer)
    where = sentences[:_OPENING_SENTENCES] + sentences[-_CLOSING_SENTENCES:]
    return next((sentence for sentence in where if _SURRENDER.search(sentence)), "")


def is_about_checking(sentence: str) -> bool:
    """Return whether a surrender concerns trying the work out, not doing it: "I could not run the tests"."""
    return _ABOUT_CHECKING.search(sentence) is not None


def _sentences(answer: str) -> list[str]:
    plain = _QUOTED.sub("[quoted]", answer.replace("’", "'").replace("*", ""))
    return [part.strip() for part in _SENTENCE_END.split(plain) if part.strip()]
