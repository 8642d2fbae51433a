"""A Python test file as what it tests: its functions, what each asserts within reach, what it skips, its cases."""

import ast
import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.validation.integrity_facts import LARGEST
from orchestrator.validation.integrity_paths import is_collected

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_SKIPS = frozenset(
    {"skip", "skipif", "skipIf", "skipUnless", "xfail", "expectedFailure", "skipTest", "SkipTest", "importorskip"}
)
_PATCHES = frozenset({"patch", "object", "dict", "multiple", "setattr"})
_SWALLOWS = frozenset({"Exception", "BaseException", "AssertionError"})
_INLINED = 1500  # characters of an assertion with its locals put in
_PASSES = 3


@dataclass(frozen=True, slots=True)
class Assertion:
    """*raw* as written, less its message; *full* with locals that are set once put in, so that names do not count."""

    raw: str
    full: str
    line: int
    trivial: bool


@dataclass(frozen=True, slots=True)
class Skip:
    """A skip or expected failure. *sure*: without a condition."""

    words: str
    line: int
    sure: bool


@dataclass(frozen=True, slots=True)
class PyFunction:
    """A function or method of a test file. *cases* are the entries of its parametrize lists; *empty*: no statement."""

    path: str
    name: str
    line: int
    is_test: bool
    assertions: tuple[Assertion, ...]
    skips: tuple[Skip, ...]
    cases: tuple[str, ...]
    body: str
    empty: bool
    patches: tuple[str, ...] = ()

    @property
    def short_name(self) -> str:
        """The name without its class."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class PyTests:
    """What a file of tests holds. *skips* are those of the module and of classes, *tables* the module's own lists.

    *imported* and *defined* are names of the module: from elsewhere, or made here.
    """

    functions: Mapping[str, PyFunction]
    skips: tuple[Skip, ...]
    tables: Mapping[str, tuple[str, ...]]
    imported: frozenset[str] = frozenset()
    defined: frozenset[str] = frozenset()


def parsed(text: str | None) -> ast.Module | None:
    """Return the tree of *text*, None where there is none: no Python, too large, too deep."""
    if text is None or len(text) > LARGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def read_tests(path: str, tree: ast.Module) -> PyTests:
    """Return what the file at *path* holds. Raises RecursionError for a tree that is too deep to be written again."""
    functions: dict[str, PyFunction] = {}
    skips = list(_module_skips(tree.body))
    for name, node, inside in _functions(tree.body, "", collected=is_collected(path)):
        functions[name] = _function(path, name, node, inside)  # of two with one name Python keeps the last as well
    if asserted := _module_assertions(path, tree):
        functions[asserted.name] = asserted
    for one in ast.walk(tree):
        if isinstance(one, ast.ClassDef):
            skips += _of_decorators(one)
            skips += [Skip("__test__ = False", it.lineno, sure=True) for it in one.body if _is_not_collected(it)]
    return PyTests(functions, tuple(skips), _tables(tree), *_names(tree.body))


def _module_assertions(path: str, tree: ast.Module) -> PyFunction | None:
    """Return what a module asserts when it is run, as a function of its own; None where it asserts nothing."""
    body = [one for one in tree.body if not isinstance(one, (FunctionNode, ast.ClassDef))]
    if not any(isinstance(one, ast.Assert) for statement in body for one in ast.walk(statement)):
        return None
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    whole = ast.FunctionDef("the module", nothing, body, [], lineno=body[0].lineno)
    return replace(_function(path, "the module", whole, is_test=False), skips=(), patches=())


def _functions(body: Sequence[ast.stmt], prefix: str, *, collected: bool) -> Iterator[tuple[str, FunctionNode, bool]]:
    for node in body:
        if isinstance(node, FunctionNode):
            yield f"{prefix}{node.name}", node, collected and node.name.startswith("test")
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}.", collected=collected and _collects(node))
        elif isinstance(node, (ast.If, ast.Try)):
            yield from _functions([*node.body, *node.orelse], prefix, collected=collected)


def _collects(node: ast.ClassDef) -> bool:
    if any(isinstance(one, FunctionNode) and one.name == "__init__" for one in node.body):
        return False
    bases = [_last(base) for base in node.bases]
    return node.name.startswith("Test") or any(base.endswith(("TestCase", "Test", "Tests", "Base")) for base in bases)


def _function(path: str, name: str, node: FunctionNode, is_test: bool) -> PyFunction:
    names = _set_once(node)
    body = [one for one in node.body if not _is_words(one)]
    return PyFunction(
        path=path,
        name=name,
        line=node.lineno,
        is_test=is_test,
        assertions=tuple(_assertion(one, names) for one in _reached(node.body)),
        skips=(*_of_decorators(node), *_skips_within(node.body, sure=True)),
        cases=tuple(_cases(node)),
        body="\n".join(ast.unparse(one) for one in body),
        empty=all(isinstance(one, ast.Pass) for one in body),
        patches=tuple(ast.unparse(one) for one in ast.walk(node) if isinstance(one, ast.Call) and _patches(one)),
    )


def _patches(node: ast.Call) -> bool:
    """Whether it puts something else in the place of a part of the product."""
    if _last(node.func) not in _PATCHES:
        return False
    words = ast.unparse(node.func)
    return words.split(".")[-1] == "patch" or ".patch." in f".{words}." or words.endswith("monkeypatch.setattr")


def _is_words(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _reached(body: Sequence[ast.stmt]) -> Iterator[ast.expr]:
    """Yield what is asserted where it counts: not behind a return, in `if False`, or where its failure is swallowed."""
    for node in body:
        if isinstance(node, ast.Assert):
            yield node.test
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            yield from (item.context_expr for item in node.items if _asserts(item.context_expr))
            if not any(_suppresses(item.context_expr) for item in node.items):
                yield from _reached(node.body)
        elif isinstance(node, ast.Try):
            if not any(_swallows(handler) for handler in node.handlers):
                yield from _reached(node.body)
            yield from _reached([*node.orelse, *node.finalbody, *(one for h in node.handlers for one in h.body)])
        elif isinstance(node, (ast.If, ast.While)):
            never = isinstance(node.test, ast.Constant) and not node.test.value
            yield from _reached(node.orelse if never else [*node.body, *node.orelse])
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            yield from _reached([*node.body, *node.orelse])
        elif isinstance(node, ast.Match):
            yield from _reached([one for case in node.cases for one in case.body])
        elif isinstance(node, FunctionNode):
            yield from _reached(node.body)
        elif isinstance(node, (ast.Return, ast.Raise, ast.Continue, ast.Break)):
            return
        else:
            yield from (one for one in ast.walk(node) if isinstance(one, ast.Call) and _asserts(one))


def _asserts(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = _last(node.func)
    return name.startswith(("assert", "expect")) or name in ("raises", "warns", "fail", "deprecated_call")


def _suppresses(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call) and _last(node.func) == "suppress" and any(_last(a) in _SWALLOWS for a in node.args)
    )


def _swallows(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type] if handler.type else []
    caught = not kinds or any(_last(kind) in _SWALLOWS for kind in kinds)
    goes_on = any(isinstance(one, (ast.Raise, ast.Assert)) or (isinstance(one, ast.Expr) and _asserts(one.value))
                  for body in handler.body for one in ast.walk(body) if isinstance(one, (ast.stmt)))  # fmt: skip
    return caught and not goes_on


def _last(node: ast.expr | None) -> str:
    """Return the last word of a dotted name, called or not."""
    while isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _set_once(node: FunctionNode) -> dict[str, ast.expr]:
    stored: dict[str, int] = {}
    values: dict[str, ast.expr] = {}
    for one in ast.walk(node):
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
            stored[one.id] = stored.get(one.id, 0) + 1
        if isinstance(one, ast.Assign) and len(one.targets) == 1 and isinstance(one.targets[0], ast.Name):
            values[one.targets[0].id] = one.value
    return {name: value for name, value in values.items() if stored[name] == 1}


class _Inline(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, ast.expr]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self._names.get(node.id)
        return node if value is None else copy.deepcopy(value)


def _assertion(node: ast.expr, names: Mapping[str, ast.expr]) -> Assertion:
    raw = full = ast.unparse(node)
    tree = node
    for _ in range(_PASSES):
        if not any(isinstance(one, ast.Name) and one.id in names for one in ast.walk(tree)):
            break
        inlined = _Inline(names).visit(copy.deepcopy(tree))
        if len(after := ast.unparse(inlined)) > _INLINED:
            break
        tree, full = inlined, after
    return Assertion(raw, full, node.lineno, _always(tree))


def _always(node: ast.expr) -> bool:
    """Whether what is asserted is true whatever the product does."""
    if isinstance(node, ast.Constant):
        return bool(node.value)
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return bool(node.elts)
    if isinstance(node, ast.Dict):
        return bool(node.keys)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return isinstance(node.operand, ast.Constant) and not node.operand.value
    if isinstance(node, ast.BoolOp):
        each = [_always(value) for value in node.values]
        return any(each) if isinstance(node.op, ast.Or) else all(each)
    if (
        isinstance(node, ast.Compare)
        and len(node.ops) == 1
        and isinstance(node.ops[0], (ast.Eq, ast.Is, ast.GtE, ast.LtE))
    ):
        return _quiet(node.left) and ast.dump(node.left) == ast.dump(node.comparators[0])
    if isinstance(node, ast.Call):
        return _always_call(_last(node.func), node.args)
    return False


def _always_call(name: str, args: Sequence[ast.expr]) -> bool:
    if name == "assertTrue" and args:
        return _always(args[0])
    if name == "assertFalse" and args:
        return isinstance(args[0], ast.Constant) and not args[0].value
    if name in ("assertEqual", "assertIs") and len(args) >= 2:
        return _quiet(args[0]) and ast.dump(args[0]) == ast.dump(args[1])
    return False


def _quiet(node: ast.expr) -> bool:
    """Nothing is called in it: a call may well give another answer the second time."""
    return not any(isinstance(one, (ast.Call, ast.Await)) for one in ast.walk(node))


def _of_decorators(node: FunctionNode | ast.ClassDef) -> list[Skip]:
    return [_skip(one) for one in node.decorator_list if _last(one) in _SKIPS]


def _skip(node: ast.expr) -> Skip:
    conditional = _last(node) in ("skipif", "skipIf", "skipUnless", "importorskip")
    args = node.args if isinstance(node, ast.Call) else []
    sure = not conditional or (bool(args) and isinstance(args[0], ast.Constant))
    return Skip(ast.unparse(node), node.lineno, sure)


def _skips_within(body: Sequence[ast.stmt], *, sure: bool) -> Iterator[Skip]:
    """Yield calls of `pytest.skip` and its like; *sure* where no condition stands before them."""
    for node in body:
        called = node.value if isinstance(node, (ast.Expr, ast.Assign)) else getattr(node, "exc", None)
        is_mark = isinstance(node, ast.Assign) and _last(called) != "importorskip"
        if called is not None and _last(called) in _SKIPS and not is_mark:
            yield Skip(ast.unparse(called), node.lineno, sure and _skip(called).sure)
        for field in ("body", "orelse", "finalbody"):
            inner = getattr(node, field, None)
            if isinstance(inner, list):
                with_condition = isinstance(node, (ast.If, ast.Try, ast.For, ast.While, FunctionNode, ast.ClassDef))
                yield from _skips_within(inner, sure=sure and not with_condition)
        for handler in getattr(node, "handlers", []):
            yield from _skips_within(handler.body, sure=False)


def _module_skips(body: Sequence[ast.stmt]) -> Iterator[Skip]:
    plain = [node for node in body if not isinstance(node, (FunctionNode, ast.ClassDef))]
    yield from _skips_within(plain, sure=True)
    for node in plain:
        if isinstance(node, ast.Assign) and any(_last(target) == "pytestmark" for target in node.targets):
            marks = node.value.elts if isinstance(node.value, (ast.List, ast.Tuple)) else [node.value]
            yield from (_skip(mark) for mark in marks if _last(mark) in _SKIPS)
        if _is_not_collected(node):
            yield Skip("__test__ = False", node.lineno, sure=True)


def _is_not_collected(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(_last(t) == "__test__" for t in node.targets) and _is_false(node.value)


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not node.value


def _cases(node: FunctionNode) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and _last(decorator) in (
            "parametrize",
            "example",
            "expand",
            "parameterized",
        ):
            for arg in decorator.args:
                if isinstance(arg, (ast.List, ast.Tuple, ast.Set)):
                    yield from (ast.unparse(one) for one in _entries(arg.elts))


def _names(body: Sequence[ast.stmt]) -> tuple[frozenset[str], frozenset[str]]:
    imported: set[str] = set()
    defined: set[str] = set()
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imported |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, ast.Assign):
            defined |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(imported), frozenset(defined)


def _tables(tree: ast.Module) -> dict[str, tuple[str, ...]]:
    """Return the entries of the module's lists and dicts that parametrize or a loop of a test may be fed with."""
    found = {}
    for node in tree.body:
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and isinstance(value, (ast.List, ast.Tuple, ast.Set)):
            found[target.id] = tuple(ast.unparse(one) for one in _entries(value.elts))
        elif isinstance(target, ast.Name) and isinstance(value, ast.Dict):
            found[target.id] = tuple(ast.unparse(key) for key in value.keys if key is not None)
    return found


def _entries(nodes: Sequence[ast.expr]) -> Iterator[ast.expr]:
    for node in nodes:
        if isinstance(node, ast.Starred) and isinstance(node.value, (ast.List, ast.Tuple)):
            yield from _entries(node.value.elts)
        else:
            yield node
