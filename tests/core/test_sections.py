"""Title and sections of a body."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import TaskFileError
from orchestrator.core.sections import Body, SectionName, leaves_block_open, read_body
from orchestrator.core.source import source_of


def read(text: str) -> Body:
    return read_body(source_of(text), 0)


def texts(text: str) -> dict[str, str]:
    return {section.name.value: section.text for section in read(text).sections}


@pytest.mark.parametrize(
    "label",
    [
        "**Prompt:**",
        "**Prompt**:",
        "**Prompt**",
        "__Prompt:__",
        "  **PROMPT:**  ",
        "** prompt : **",
        "# Prompt",
        "## Prompt",
        "### prompt:",
        "## Prompt ##",
        "## **Prompt:**",
        "###### Prompt",
    ],
)
def test_a_label_or_heading_opens_a_section(label: str) -> None:
    assert texts(f"# T\n{label}\nDo it.\n") == {"Prompt": "Do it."}


@pytest.mark.parametrize(
    "label", ["**Prompt:** Do it.", "**Prompt**: Do it.", "## Prompt: Do it.", "**prompt:**Do it."]
)
def test_text_may_follow_on_the_line_of_the_label(label: str) -> None:
    assert texts(f"{label}\nAnd that.\n") == {"Prompt": "Do it.\nAnd that."}


@pytest.mark.parametrize(
    "line",
    [
        "**Context** matters here.",
        "**Constraints:**",
        "## Background",
        "Context:",
        "> **Context:**",
        "    **Context:**",
        "\t**Context:**",
        "- **Context:**",
        "1. ## Context",
        "####### Context",
        "##Context",
        "the **Context:** of it",
        "**Context: the rest",
        r"\**Context:**",
        "```\n**Context:**\n```",
        "~~~ md\n```\n**Context:**\n~~~",
        "````\n```\n**Context:**\n````",
        "   ```\n**Context:**\n   ```",
        "- ```\n  **Context:**\n  ```",
        "- a\n\n  ```\n  **Context:**\n  ```",
        "1.  a\n\n    ```\n    **Context:**\n    ```",
        "- a\n\n  **Context:**",
        "<!--\n**Context:**\n-->",
        "```\n**Context:**",
    ],
)
def test_what_only_looks_like_a_section_is_text_of_the_one_it_is_in(line: str) -> None:
    assert texts(f"**Prompt:**\nDo it.\n\n{line}\n") == {"Prompt": f"Do it.\n\n{line}"}


@pytest.mark.parametrize(
    "text",
    [
        "```\nx\n```",
        "```\nx\n   ````  \ny",
        "~~~\n```\n~~~",
        "    ```",
        "``` a`b",
        "> ```",
        "- ```\n  x",
        "- a\n  ```\n  x\n  ```",
        "``",
        "<!-- x -->",
        "* * *",
    ],
)
def test_a_section_opens_below_a_block_that_has_ended(text: str) -> None:
    assert texts(f"**Prompt:**\n{text}\n\n**Context:**\nc\n") == {"Prompt": text, "Context": "c"}
    assert not leaves_block_open(text)


@pytest.mark.parametrize("text", ["```\nx", "~~~~\n~~~", "```\n    ```", "```\n``` x", "a\n<!-- x"])
def test_a_block_that_never_ends_is_reported_with_its_line(text: str) -> None:
    body = read(f"# T\n\n{text}\n")
    assert body.open_line == 3 + text.startswith("a")
    assert leaves_block_open(text)


def test_every_section_knows_its_lines() -> None:
    body = read("\n# T\nfree\n\n**Prompt:**\n\n\nDo it.\n**Target Files:** a.py\n## Success Criteria\n- [ ] x")
    assert (body.title, body.title_line, body.free, body.free_line) == ("T", 2, "free", 3)
    places = [(section.name.value, section.line, section.text_line) for section in body.sections]
    assert places == [("Prompt", 5, 8), ("Target Files", 9, 9), ("Success Criteria", 10, 11)]


def test_a_prompt_is_the_slice_as_written() -> None:
    prompt = "    indented\r\n\ttab  \rlone\n\n\n  * list\n"
    assert texts(f"**Prompt:**\n\n{prompt}\n\n## Context\n\n") == {"Prompt": prompt.rstrip(), "Context": ""}


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Learn C#", "Learn C#"),
        ("# T ##", "T"),
        ("\n\n  # T", "T"),
        ("T\n===", "T"),
        ("#", ""),
        ("## T", ""),
        ("#T", ""),
        ("text\n# T", ""),
        ("    # T", ""),
        ("# Context: the new module", "Context: the new module"),
    ],
)
def test_the_title_is_the_heading_at_the_top(text: str, title: str) -> None:
    assert read(text + "\n").title == title


def test_a_section_that_stands_there_twice_is_refused_with_both_lines() -> None:
    with pytest.raises(TaskFileError, match="line 1 and again on line 3") as caught:
        read("**Prompt:**\na\n## prompt\n")
    assert (caught.value.reason, caught.value.line) == ("duplicate_section", 3)


@given(st.lists(st.sampled_from(["**Prompt:**", "a", "", "```", "- b", "  c", "> d", "<!--", "-->", "# T", "    e"])))
def test_no_line_is_lost_and_none_is_in_two_places(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        body = read(text)
    except TaskFileError:
        return
    kept = [body.free, *(section.text for section in body.sections)]
    filled = [line for part in kept for line in part.splitlines() if line.strip()]
    labels = len(body.sections) + (body.title_line > 0)
    assert len(filled) + labels == sum(bool(line.strip()) for line in lines)


def test_sections_know_the_words_of_the_format() -> None:
    assert [name.value for name in SectionName] == ["Target Files", "Prompt", "Success Criteria", "Context"]
