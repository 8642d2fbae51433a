"""Reading a final answer: labelled cases, the good ones as carefully chosen as the bad ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.validation.answer import asks, is_empty, surrenders

QUESTIONS = [
    "Which database should I use, PostgreSQL or SQLite?",
    "I looked at the code. Should I delete the old table?",
    "There are two ways to fix this.\n\nShall I rewrite the parser or patch it?",
    "Before I go on: do you want me to change the public API?",
    "Please confirm that I may drop the column.",
    "Please let me know which of the two files you mean.",
    "I need more information. Could you provide the error message?",
    "Would you like me to implement this plan?",
    "How should I handle the legacy clients?",
    "**Would you like me to proceed?**",
    "Can I proceed with the migration?\n",
]
ANSWERS = [
    "All done. The bug was in the timeout handling; it is fixed and the tests pass.",
    "Fixed. The user is now asked 'Do you want to continue?' before anything is deleted. All tests pass.",
    "The function answers the question whether a file exists. I documented it.",
    "Why did it fail? Because the lock was never released. I release it now in a finally block, and added a test.",
    "The FAQ now covers 'How do I log in?' and 'Where are my files?'. Both entries link to the manual.",
    "Review: 1. The name `should_i` is unclear. 2. There is no test for the empty list.",
]
OFFERS = [
    "I fixed the timeout and all tests pass. Would you like me to also update the changelog?",
    "Done: the endpoint returns 404 now. Let me know if you want further changes!",
    "The refactoring is complete. Is there anything else I can help with?",
    "Implemented. Shall I commit this?",
]
SURRENDERS = [
    "I could not find the file src/auth.py, so nothing was changed.",
    "I was unable to reproduce the problem.",
    "Unfortunately I can't access that repository.",
    "I'm sorry, but I can’t help with that. I don't have access to the network.",
    "I wasn't able to finish the migration because the schema is missing.",
    "Unable to complete the task: permission to use Bash was denied.",
    "This is not possible with the tools I have.",
    "I looked at everything there is. In the end I failed to make the test pass.",
]
NOT_SURRENDERS = [
    "I could not find any issues in this change: it is small and well tested.",
    "The function could not handle empty lists; now it does. All tests pass.",
    "When the server cannot be reached, the client retries three times. I added a test for it.",
    "Fixed the message 'I am unable to log in' shown on the start page.",
    "Users who could not log in before can do so now.",
]


@pytest.mark.parametrize("answer", QUESTIONS)
def test_a_question_instead_of_an_answer_is_seen(answer: str) -> None:
    assert asks(answer, did_work=False)
    assert asks(answer, did_work=True)


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_about_questions_is_no_question(answer: str) -> None:
    assert asks(answer, did_work=False) == ""


@pytest.mark.parametrize("answer", OFFERS)
def test_a_polite_offer_after_work_done_is_no_question(answer: str) -> None:
    assert asks(answer, did_work=True) == ""


@pytest.mark.parametrize("answer", SURRENDERS)
def test_a_surrender_is_seen(answer: str) -> None:
    assert surrenders(answer)


@pytest.mark.parametrize("answer", [*NOT_SURRENDERS, *ANSWERS, *OFFERS])
def test_failing_things_in_the_subject_matter_are_no_surrender(answer: str) -> None:
    assert surrenders(answer) == ""


@pytest.mark.parametrize("answer", ["", " \n\t", "...", "—", "**\n**"])
def test_an_answer_without_a_word_is_empty(answer: str) -> None:
    assert is_empty(answer)


@given(st.text())
def test_any_text_can_be_read(answer: str) -> None:
    for did_work in (True, False):
        assert asks(answer, did_work=did_work) in ("", *_clean_sentences(answer))
    surrenders(answer)


def _clean_sentences(answer: str) -> list[str]:
    from orchestrator.validation.answer import _sentences

    return _sentences(answer)
