"""Requirements in natural language by rules: what they find, by which words, and how often they are right."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reading import rules
from tests.requirements import labelled, measured

from orchestrator.core.dependencies import cycle_in
from orchestrator.core.requirement_acts import acts, gerund_of
from orchestrator.core.requirement_split import clauses
from orchestrator.core.requirements import NOTHING, Requirements, complexity_of, read_requirements, technologies_in

RULES = rules()
DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "requirements.md"


def read(text: str, context: str = "") -> Requirements:
    return read_requirements(text, RULES, context=context)


def links(text: str) -> list[tuple[int, int, str]]:
    return [(one.item, one.on, one.words) for one in read(text).dependencies]


# The figures of docs/requirements.md: whoever changes the rules says there what they are now.
@pytest.mark.parametrize(
    ("part", "right"),
    [
        ("tune", {"items": 36, "needs": 35, "tech": 38, "risks": 37, "complexity": 36, "asks": 36}),
        ("held", {"items": 23, "needs": 23, "tech": 26, "risks": 25, "complexity": 23, "asks": 26}),
        ("fresh", {"items": 9, "needs": 8, "tech": 11, "risks": 11, "complexity": 10, "asks": 11}),
    ],
)
def test_the_figures_of_the_documentation_are_those_of_the_rules(part: str, right: dict[str, int]) -> None:
    found = measured(part)
    assert {name: count for name, (count, _) in found.items()} == right
    cells = (f"{100 * count / total:.0f} % ({count} of {total})" for count, total in found.values())
    assert " | ".join((f"| {part}", *cells)) + " |" in DOCUMENTATION.read_text("utf-8")


def test_the_set_is_large_enough_and_at_least_half_of_it_was_not_tuned_for() -> None:
    assert len(labelled()) >= 76
    assert len(labelled("held")) + len(labelled("fresh")) >= len(labelled()) / 2
    assert len({one.text for one in labelled()}) == len(labelled())


# --- items ------------------------------------------------------------------------------------------------------------


def test_what_it_includes_becomes_items_that_wait_for_the_whole() -> None:
    found = read("Create a REST API for users, including login, registration and password reset functionality")
    titles = ["Create a REST API for users", "Create login", "Create registration", "Create password reset"]
    assert [one.title for one in found.items] == titles
    assert [(one.item, one.on) for one in found.dependencies] == [(2, 1), (3, 1), (4, 1)]


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("Please add a button and fix the broken link.", ["Add a button", "Fix the broken link"]),
        ("- dark theme\n- lazy-load the gallery", ["Dark theme", "Lazy-load the gallery"]),
        ("Add search and filter options.", ["Add search and filter options"]),
        ("Read and parse the file.", ["Read and parse the file"]),
        ("Write a parser, a printer and a linter.", ["Write a parser", "Write a printer", "Write a linter"]),
        ("The import fails for empty files", ["The import fails for empty files"]),
        ("Users must be able to log out.", ["Users must be able to log out"]),
        ("The public functions must not change.", []),
        ("Hi Bob,\n\nhow are you?\n\nThanks", []),
    ],
)
def test_a_piece_of_work_is_what_somebody_would_do_at_once(text: str, titles: list[str]) -> None:
    assert [one.title for one in read(text).items] == titles


def test_a_question_is_asked_back_and_is_no_item() -> None:
    found = read("Use Redis or Memcached for the cache? Then implement the cache.")
    assert found.questions == ("Use Redis or Memcached for the cache?",)
    assert [one.title for one in found.items] == ["Implement the cache"]


def test_vague_words_are_asked_about_and_nothing_to_do_is_said() -> None:
    assert read("Make the search better, somehow.").questions == (
        "What is meant by 'better'?",
        "What is meant by 'somehow'?",
    )
    assert read("The weather is fine.").questions == (NOTHING,)


def test_each_item_has_its_type_its_files_and_its_technologies() -> None:
    (one,) = read("Encrypt the tokens in auth/store.py with Redis").items
    assert (one.type, one.target_files, one.technologies) == (
        "code-generation",
        ("auth/store.py",),
        ("python", "redis"),
    )
    assert read("Review auth/store.py").items[0].type == "code_review"
    assert read("Measure the start-up time").items[0].type == "analyze"


def test_the_context_adds_technologies_and_no_items() -> None:
    found = read("Add a page.", context="Write everything in Django. Add tests.")
    assert found.technologies == ("django",)
    assert len(found.items) == 1


# --- order ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Add a table. Then fill it.", [(2, 1, "Then")]),
        ("Add a parser and then use it in main.py.", [(2, 1, "and then")]),
        ("Drop the table after exporting it.", [(1, 2, "after exporting it")]),
        ("After adding the index, measure the query.", [(1, 2, "After adding the index")]),
        ("Fix the date picker. Write tests for the date picker.", [(2, 1, "Write tests for the date picker")]),
        ("Remove the old cache. Add a page.", []),
        (
            "Build the order page. The order page depends on the cart model. Create the cart model.",
            [(1, 2, "depends on the cart model")],
        ),
    ],
)
def test_order_is_read_from_words_and_told_with_them(text: str, expected: list[tuple[int, int, str]]) -> None:
    assert links(text) == expected


def test_words_that_would_close_a_circle_are_not_followed() -> None:
    text = "Add the reader, which depends on the writer. Add the writer, which depends on the reader."
    assert len(links(text)) <= 1


PIECES = st.sampled_from(
    [
        "Add a page",
        "then",
        "after",
        "before",
        "the page",
        "fix it",
        ",",
        ".",
        "and",
        "first",
        "depends on the page",
        "\n- ",
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=14).map(" ".join))
def test_whatever_the_words_are_no_item_waits_for_itself_over_any_number_of_steps(text: str) -> None:
    found = read(text)
    edges: dict[str, set[str]] = {}
    for one in found.dependencies:
        assert 1 <= one.on <= len(found.items)
        assert one.item != one.on
        edges.setdefault(str(one.item), set()).add(str(one.on))
    assert cycle_in(edges) == ()
    assert [one.number for one in found.items] == list(range(1, len(found.items) + 1))


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_and_always_in_the_same_way(text: str) -> None:
    assert read(text) == read(text)


def test_a_long_text_is_cut_and_takes_no_time_that_grows_with_its_square() -> None:
    assert len(clauses("Add a page and fix it. " * 20_000)) <= 200
    assert read("x" * 200_000).items == ()


# --- what is said of them ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "level", "why"),
    [
        ("Fix the typo", "low", "it says 'typo'"),
        ("Migrate the users", "high", "it says 'migrate'"),
        ("Add a page", "medium", "nothing in it says that it is large or small"),
        ("Add a page in React with a Django view", "medium", "it touches react, django"),
    ],
)
def test_complexity_goes_with_the_words_that_it_is_read_from(text: str, level: str, why: str) -> None:
    assert complexity_of(text) == (level, why)


def test_many_parts_are_large_though_none_of_them_is() -> None:
    found = read("- Add a page\n- Add a link\n- Add a form")
    assert (found.complexity, found.why) == ("high", "it has 3 parts")


def test_a_risk_names_its_words_and_its_items() -> None:
    (risk,) = read("Add a page. Rotate the api keys.").risks
    assert (risk.kind, risk.words, risk.items) == ("security", "api keys", (2,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("react to events and go to the rest of the house", ()),
        ("a REST API in Go", ("go", "rest")),
        ("src/a.py, b.tsx and C#", ("python", "typescript", "csharp")),
        ("a --json flag", ("json",)),
        ("javascript, not java script", ("javascript", "java")),
    ],
)
def test_a_technology_is_a_word_of_its_own_or_the_ending_of_a_file(text: str, expected: tuple[str, ...]) -> None:
    assert technologies_in(text) == expected


@pytest.mark.parametrize("text", ["Teach the CLI a trick", "smoke-test it", "Spin up a server", "please deploy it"])
def test_a_verb_that_no_list_knows_asks_for_something_before_an_object(text: str) -> None:
    assert acts(text)


@pytest.mark.parametrize("text", ["Everything about the house", "Design comes later", "keep the API", "Add", "It was"])
def test_what_only_tells_asks_for_nothing(text: str) -> None:
    assert not acts(text)


def test_a_gerund_of_a_known_verb_is_something_to_do() -> None:
    assert (gerund_of("exporting it"), gerund_of("dropping the table"), gerund_of("caching"), gerund_of("morning")) == (
        "export it",
        "drop the table",
        "cache",
        "",
    )
