"""Python tests of two sides compared by what they assert: to move, rename or strengthen one is no finding."""

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.core.proof import Finding, Suspicion
from orchestrator.validation.integrity_facts import ChangedFile, short, weakened
from orchestrator.validation.integrity_pyread import Assertion, PyFunction, PyTests, Skip, parsed, read_tests

_NOTHING = PyTests({}, (), {})
_RANK: Sequence[tuple[type[ast.cmpop], int]] = (
    *((ast.NotEq, 1), (ast.IsNot, 1), (ast.NotIn, 1)),
    *((ast.In, 2), (ast.Lt, 2), (ast.LtE, 2), (ast.Gt, 2), (ast.GtE, 2)),
    *((ast.Eq, 3), (ast.Is, 3)),
)
_CALL_RANK = {
    "assertTrue": 1,
    "assertIsNotNone": 1,
    "assertNotEqual": 1,
    "assertIn": 2,
    "assertEqual": 3,
    "assertIs": 3,
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A Python file of tests on both sides, as far as each is there."""

    path: str
    base: PyTests
    result: PyTests
    new: bool


def pair(file: ChangedFile) -> Pair | None:
    """Return both sides of *file* read as Python, None where a side is there and cannot be read."""
    sides: list[PyTests] = []
    for text in (file.base, file.result):
        tree = parsed(text)
        if text is not None and tree is None:
            return None
        try:
            sides.append(read_tests(file.path, tree) if tree else _NOTHING)
        except (RecursionError, ValueError, SyntaxError, MemoryError):
            return None
    return Pair(file.path, sides[0], sides[1], file.base is None)


def runs_less(base: str | None, result: str | None, path: str) -> bool:
    """Whether the file of tests at *path* does not do any more, when it is run as a program, what it did before."""
    old, new = parsed(base), parsed(result)
    if not path.lower().endswith(".py") or old is None:
        return False
    after = iter([] if new is None else [ast.dump(one) for one in new.body])
    return not all(any(words == other for other in after) for words in _run_alone(old))


def _run_alone(tree: ast.Module) -> list[str]:
    """Return the statements of a module that do something by themselves."""
    quiet = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    bare = [one for one in tree.body if not isinstance(one, quiet)]
    return [ast.dump(one) for one in bare if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]


def compare(pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Yield what the tests in *pairs* lost. All changed files at once: a test may have moved from one to another."""
    matched, lost, new = _match(pairs)
    gained = _gained(matched, new)
    for function in lost:
        if function.is_test:
            yield Finding(Suspicion.TEST_DELETED, function.path, f"{function.name} is gone", function.line)
        elif gone := [one for one in function.assertions if not _taken(one, gained)]:
            detail = f"{function.name} is gone, with `{short(gone[0].raw)}`"
            yield Finding(Suspicion.ASSERTION_REMOVED, function.path, detail, function.line)
    for before, after in matched:
        yield from _function(before, after, gained)
    for function in new:
        yield from _new_test(function)
    for one in pairs:
        added = [skip for skip in one.result.skips if skip.sure or not one.new]  # a new file may be for some machines
        yield from _skips(one.path, one.base.skips, added, "the file or a class")
        for name in sorted(one.base.imported & one.result.defined - one.base.defined - one.result.imported):
            yield weakened(one.path, f"{name} is not imported any more but made in the tests themselves")
        yield from _shorter_tables(one)


def _match(
    pairs: Sequence[Pair],
) -> tuple[list[tuple[PyFunction, PyFunction]], list[PyFunction], list[PyFunction]]:
    """Return functions that are on both sides, those of the base that are gone, those that are new."""
    matched: list[tuple[PyFunction, PyFunction]] = []
    lost: list[PyFunction] = []
    new: list[PyFunction] = []
    for one in pairs:
        for name, before in one.base.functions.items():
            after = one.result.functions.get(name)
            if after is None or (before.is_test and not after.is_test):
                lost.append(before)
            else:
                matched.append((before, after))
        same = {after.name for before, after in matched if after.path == one.path}
        new += [after for name, after in one.result.functions.items() if name not in same]
    still: list[PyFunction] = []
    for before in lost:
        after = next((one for one in new if _is_moved(before, one)), None)
        if after is None:
            still.append(before)
        else:
            new.remove(after)
            matched.append((before, after))
    return matched, still, new


def _is_moved(before: PyFunction, after: PyFunction) -> bool:
    if before.is_test != after.is_test:
        return False
    if before.short_name == after.short_name and (before.path != after.path or before.name != after.name):
        return True
    if not before.assertions:
        return bool(before.body) and before.body == after.body
    return not _missing(before.assertions, after.assertions)


def _missing(before: Sequence[Assertion], after: Sequence[Assertion]) -> list[Assertion]:
    """Return the assertions of *before* that *after* has in no form."""
    raw, full = Counter(one.raw for one in after), Counter(one.full for one in after)
    missing = []
    for one in before:
        if raw[one.raw] > 0:
            raw[one.raw] -= 1
        elif full[one.full] > 0:
            full[one.full] -= 1
        else:
            missing.append(one)
    return missing


def _gained(matched: Sequence[tuple[PyFunction, PyFunction]], new: Sequence[PyFunction]) -> Counter[str]:
    """Return what is asserted anew anywhere: an assertion that moved to a helper or another test is not lost."""
    forms: Counter[str] = Counter()
    for before, after in matched:
        forms.update(one.full for one in _missing(after.assertions, before.assertions))
    for function in new:
        forms.update(one.full for one in function.assertions)
    return forms


def _taken(one: Assertion, gained: Counter[str]) -> bool:
    if gained[one.full] > 0 and not one.trivial:
        gained[one.full] -= 1
        return True
    return False


def _function(before: PyFunction, after: PyFunction, gained: Counter[str]) -> Iterator[Finding]:
    path, name = after.path, after.name
    yield from _skips(path, before.skips, after.skips, name)
    yield from _fewer_cases(before, after)
    if before.is_test and after.empty and not before.empty:
        yield Finding(Suspicion.TEST_DELETED, path, f"{name} is empty now", after.line)
        return
    missing = [one for one in _missing(before.assertions, after.assertions) if not one.trivial]
    added = _missing(after.assertions, before.assertions)
    for words in list((Counter(after.patches) - Counter(before.patches)).elements()):
        yield weakened(path, f"{name} puts something else in the place of what is tested: `{short(words)}`", after.line)
    for one, gone in _let_go(before.assertions, after.assertions):
        yield weakened(path, f"{name}: `{short(one.raw)}` does not look at {', '.join(gone)} any more", one.line)
    trivial = [one for one in after.assertions if one.trivial]
    trivial = trivial[sum(one.trivial for one in before.assertions) :]
    for one in trivial:
        yield weakened(path, f"{name} asserts what is always true: `{short(one.full)}`", one.line)
    fresh = [one for one in added if not one.trivial]
    lost = [one for one in missing if not _stronger(one, fresh) and not _taken(one, gained)]
    replaced = len([one for one in fresh if one.full not in {other.full for other in before.assertions}])
    for at, one in enumerate(lost):
        if at < replaced:
            detail = f"{name} expects something else than `{short(one.raw)}`"
            yield weakened(path, detail, after.line)
        else:
            detail = f"{name} does not assert any more, or not where it counts: `{short(one.raw)}`"
            yield Finding(Suspicion.ASSERTION_REMOVED, path, detail, after.line)


def _let_go(before: Sequence[Assertion], after: Sequence[Assertion]) -> Iterator[tuple[Assertion, list[str]]]:
    """Yield assertions that read as before, on something that is not taken from the product any more."""
    known = {one.full for one in before}
    for one in after:
        old = next((other for other in before if other.raw == one.raw), None)
        if old is not None and one.full not in known and not one.trivial:
            was, now = _read_names(old.full), _read_names(one.full)
            if was - now and not now - was:
                yield one, sorted(was - now)


def _read_names(words: str) -> set[str]:
    return {one.id for one in ast.walk(ast.parse(words, mode="eval")) if isinstance(one, ast.Name)}


def _stronger(one: Assertion, fresh: Sequence[Assertion]) -> bool:
    """Whether one of *fresh* says all that *one* said and more."""
    return any(
        _is_stronger(ast.parse(one.full, mode="eval").body, ast.parse(new.full, mode="eval").body) for new in fresh
    )


def _is_stronger(old: ast.expr, new: ast.expr) -> bool:
    if isinstance(new, ast.BoolOp) and isinstance(new.op, ast.And):
        parts = {ast.dump(part) for part in new.values}
        olds = old.values if isinstance(old, ast.BoolOp) and isinstance(old.op, ast.And) else [old]
        return all(ast.dump(part) in parts for part in olds) or any(_is_stronger(old, part) for part in new.values)
    (subject, rank), (new_subject, new_rank) = _about(old), _about(new)
    return bool(subject) and rank < new_rank and subject & new_subject == subject


def _about(node: ast.expr) -> tuple[set[str], int]:
    """Return what is compared, constants left out, and how narrowly: 1 truth, 2 within bounds, 3 equal."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        rank = next((rank for kind, rank in _RANK if isinstance(node.ops[0], kind)), 0)
        sides = [node.left, node.comparators[0]]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CALL_RANK:
        rank, sides = _CALL_RANK[node.func.attr], node.args[:2]
    else:
        rank, sides = 1, [node]
    return {ast.dump(side) for side in sides if not isinstance(side, ast.Constant)}, rank


def _skips(path: str, before: Sequence[Skip], after: Sequence[Skip], where: str) -> Iterator[Finding]:
    known = Counter(one.words for one in before)
    for one in after:
        if known[one.words] > 0:
            known[one.words] -= 1
        else:
            yield Finding(Suspicion.TEST_SKIPPED, path, f"{where}: `{short(one.words)}` was added", one.line)


def _fewer_cases(before: PyFunction, after: PyFunction) -> Iterator[Finding]:
    if before.cases and not after.cases and before.body == after.body:
        return  # they moved to a table with a name, or the decorator reads otherwise: the table is compared
    if lost := list((Counter(before.cases) - Counter(after.cases)).elements()):
        yield weakened(after.path, f"{after.name} is not tried any more with {short(', '.join(lost))}", after.line)


def _shorter_tables(one: Pair) -> Iterator[Finding]:
    if one.new or not one.result.functions:
        return
    everywhere = Counter(entry for table in one.result.tables.values() for entry in table)
    everywhere.update(case for function in one.result.functions.values() for case in function.cases)
    for name, entries in one.base.tables.items():
        lost = [entry for entry in entries if not everywhere[entry]]
        kept = one.result.tables.get(name)
        if lost and kept is not None and len(kept) < len(entries):
            yield weakened(one.path, f"{name} has lost {short(', '.join(lost))}")


def _new_test(function: PyFunction) -> Iterator[Finding]:
    """A new test weakens nothing, but one that can only pass would prove what it does not look at."""
    if not function.is_test:
        return
    for skip in function.skips:
        if skip.sure:
            detail = f"{function.name} is new and never runs: `{short(skip.words)}`"
            yield Finding(Suspicion.TEST_SKIPPED, function.path, detail, skip.line)
    if function.empty or (function.assertions and all(one.trivial for one in function.assertions)):
        yield weakened(function.path, f"{function.name} is new and can only pass: it asserts nothing", function.line)
