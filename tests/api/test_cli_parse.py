"""The command `parse`: what it prints for people and programs, and what it writes."""

import pytest
from tests.api.world import World

from orchestrator.core.errors import UsageError
from orchestrator.validation.schema import requirements_problems

TEXT = "Add a login page to web/login.tsx, then document it. Use something nicer?"


@pytest.fixture
def world() -> World:
    return World()


async def test_it_says_what_a_text_asks_for_and_by_which_words(world: World) -> None:
    code, text, _ = await world.call("parse", TEXT)
    assert code == 0
    assert text == (
        "2 items, complexity medium (item 1: nothing in it says that it is large or small)\n"
        "\n"
        "1. Add a login page to web/login.tsx\n"
        "   code-generation, medium: nothing in it says that it is large or small\n"
        "   uses: typescript\n"
        "   files: web/login.tsx\n"
        "\n"
        "2. Document it\n"
        "   documentation, medium: nothing in it says that it is large or small\n"
        "   after 1: then\n"
        "\n"
        "technologies: typescript\n"
        "risk: security, by 'login' (item 1)\n"
        "question: Use something nicer?\n"
        "question: What is meant by 'nicer'?\n"
        "read by rules\n"
    )


async def test_its_document_has_the_keys_of_the_seed_and_satisfies_the_schema(world: World) -> None:
    told = await world.json("parse", TEXT, "--context", "in Django")
    assert requirements_problems(told) == []
    assert [one["title"] for one in told["actionableItems"]] == ["Add a login page to web/login.tsx", "Document it"]
    assert told["actionableItems"][1]["dependsOn"] == [1]
    assert told["dependencies"] == [{"item": 2, "dependsOn": 1, "words": "then"}]
    assert told["metadata"]["technologies"] == ["typescript", "django"]
    assert told["readBy"] == "rules"
    assert requirements_problems({**told, "metadata": {}}) != []


async def test_a_model_is_asked_unless_rules_are_wanted(world: World) -> None:
    await world.call("parse", "Add", "a page", "--context", "c")
    await world.call("parse", "Add a page", "--rules")
    assert world.parsed == [("Add a page", "c", True), ("Add a page", "", False)]


async def test_nothing_to_do_is_no_success_and_no_text_is_a_mistake(world: World) -> None:
    assert (await world.call("parse", "The weather is fine."))[0] == 1
    with pytest.raises(UsageError, match="there is no text"):
        await world.call("parse", " ")


async def test_as_tasks_writes_a_file_for_each_item_and_says_so(world: World) -> None:
    code, text, _ = await world.call("parse", TEXT, "--as-tasks", "plan")
    assert code == 0
    wrote = [line.removeprefix("wrote ") for line in text.splitlines() if line.startswith("wrote ")]
    assert text.splitlines()[-1] == f"look at them: python main.py check {' '.join(wrote)}"  # as one would type it
    assert [name for name, _ in world.put] == ["add-a-login-page-to-web-login-tsx.task.md", "document-it.task.md"]
    assert b"depends_on:\n- add-a-login-page-to-web-login-tsx\n" in world.put[1][1]
    assert "wrote plan/document-it.task.md" in text
    assert (await world.json("parse", TEXT, "--as-tasks", "plan"))["files"][1] == "plan/document-it.task.md"
