"""How well a question is told from an answer by its words alone, on a labelled set; docs/questions.md states it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.validation.answer import asks

ROOT = Path(__file__).resolve().parents[2]
SET: dict[str, list[dict[str, Any]]] = yaml.safe_load((ROOT / "tests/data/questions.yaml").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class Figures:
    """Counted over one part of the set: questions seen, answers taken for questions, questions missed."""

    texts: int
    seen: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        return self.seen / (self.seen + self.wrong)

    @property
    def recall(self) -> float:
        return self.seen / (self.seen + self.missed)


def measured(part: str) -> Figures:
    rows = [(bool(asks(row["text"], did_work=row["done"])), row["asks"]) for row in SET[part]]
    return Figures(len(rows), rows.count((True, True)), rows.count((True, False)), rows.count((False, True)))


def test_the_set_has_enough_of_both_and_no_text_twice() -> None:
    texts = [row["text"] for part in SET.values() for row in part]
    assert len(texts) == len(set(texts)) >= 120
    for part in SET.values():
        assert min(sum(row["asks"] for row in part), sum(not row["asks"] for row in part)) >= 28


@pytest.mark.parametrize(("part", "figures"), [("tuned", Figures(68, 34, 0, 0)), ("held_out", Figures(56, 23, 1, 5))])
def test_the_figures_are_these_and_the_page_says_so(part: str, figures: Figures) -> None:
    found = measured(part)
    assert found == figures
    page = (ROOT / "docs/questions.md").read_text("utf-8")
    name = part.replace("_", " ")
    assert f"| {name} | {found.texts} | {found.precision:.1%} | {found.recall:.1%} |" in page
