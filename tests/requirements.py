"""How well requirements are read by rules: `python -m tests.requirements [--set held] [--misses]`."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.reading import rules

from orchestrator.core.requirements import Requirements, read_requirements

FILE = Path(__file__).resolve().parent / "data" / "requirements.yaml"
PARTS = ("tune", "held", "fresh")
FIELDS = ("items", "needs", "tech", "risks", "complexity", "asks")


@dataclass(frozen=True, slots=True)
class Labelled:
    """One text and what is meant by it, as the head of the file says."""

    part: str
    text: str
    items: tuple[tuple[str, ...], ...]
    needs: frozenset[str]
    tech: frozenset[str]
    risks: frozenset[str]
    complexity: str
    asks: bool


def labelled(part: str = "") -> Sequence[Labelled]:
    """Return the set, or a *part* of it."""
    rows: list[Mapping[str, Any]] = yaml.safe_load(FILE.read_text("utf-8"))
    found = [
        Labelled(
            row["set"],
            row["text"],
            tuple(tuple(word.lower() for word in one) for one in row["items"]),
            frozenset(row["needs"]),
            frozenset(row["tech"]),
            frozenset(row["risks"]),
            row["complexity"],
            row["asks"],
        )
        for row in rows
    ]
    return [one for one in found if part in ("", one.part)]


def right(wanted: Labelled, read: Requirements) -> Mapping[str, bool]:
    """Return by field whether *read* says what was meant: all of it, and no more."""
    titles = [one.title.lower() for one in read.items]
    same = len(titles) == len(wanted.items)
    pairs = zip(wanted.items, titles, strict=False)
    return {
        "items": same and all(word in title for words, title in pairs for word in words),
        "needs": frozenset(f"{one.item}>{one.on}" for one in read.dependencies) == wanted.needs,
        "tech": frozenset(read.technologies) == wanted.tech,
        "risks": frozenset(one.kind for one in read.risks) == wanted.risks,
        "complexity": read.complexity == wanted.complexity,
        "asks": bool(read.questions) == wanted.asks,
    }


def measured(part: str, *, misses: bool = False) -> Mapping[str, tuple[int, int]]:
    """Return by field how many of the set are right, and of how many."""
    counts = dict.fromkeys(FIELDS, 0)
    asked = labelled(part)
    for one in asked:
        read = read_requirements(one.text, rules())
        found = right(one, read)
        for name in FIELDS:
            counts[name] += found[name]
        if misses and not all(found.values()):
            print(f"{', '.join(name for name in FIELDS if not found[name])}: {one.text!r}")
            print(f"    {[item.title for item in read.items]}")
            print(f"    {[(d.item, d.on, d.words) for d in read.dependencies]} {read.technologies}")
            print(f"    {[(risk.kind, risk.words) for risk in read.risks]} {read.complexity} {read.questions}")
    return {name: (count, len(asked)) for name, count in counts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=PARTS, default="")
    parser.add_argument("--misses", action="store_true", help="print what was read wrongly")
    args = parser.parse_args(sys.argv[1:])
    for part in PARTS if not args.set else (args.set,):
        found = measured(part, misses=args.misses)
        print(part, *(f"{name} {count}/{total}" for name, (count, total) in found.items()))


if __name__ == "__main__":
    main()
