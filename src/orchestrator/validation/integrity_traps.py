"""What a Python file does to a run of tests: ends it, chooses among the tests, sees that it is watched."""

import ast
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.core.proof import Finding
from orchestrator.validation.integrity_facts import ChangedFile, short, weakened
from orchestrator.validation.integrity_pyread import FunctionNode, parsed

_HOOKS = frozenset(
    {
        *("pytest_collection_modifyitems", "pytest_ignore_collect", "pytest_collect_file", "pytest_pycollect_makeitem"),
        *("pytest_runtest_makereport", "pytest_runtest_protocol", "pytest_runtest_call", "pytest_pyfunc_call"),
        *("pytest_sessionfinish", "pytest_report_teststatus", "pytest_exception_interact", "pytest_runtest_setup"),
        *(
            "pytest_itemcollected",
            "pytest_runtestloop",
            "pytest_cmdline_main",
            "pytest_deselected",
            "pytest_unconfigure",
        ),
        *("load_tests", "pytest_load_initial_conftests", "pytest_cmdline_parse", "pytest_runtest_logreport"),
    }
)
_UNDER_TEST = ("PYTEST_CURRENT_TEST", "'pytest' in sys.modules", "'unittest' in sys.modules")


def traps(file: ChangedFile, *, tests: bool) -> Iterator[Finding]:
    """Yield what a Python file now does to the run of tests: ends it, chooses among them, sees that it is watched."""
    tree, old = parsed(file.result), parsed(file.base)
    if tree is None:
        return
    try:
        before, after = _trap_words(old, tests=tests), _trap_words(tree, tests=tests)
    except (RecursionError, ValueError, MemoryError):
        return
    for words, (line, count) in after.items():
        if count > before.get(words, (0, 0))[1]:
            yield weakened(file.path, words, line)


def _trap_words(tree: ast.Module | None, *, tests: bool) -> Mapping[str, tuple[int, int]]:
    """Return words to (first line, how often)."""
    found: dict[str, tuple[int, int]] = {}
    for words, line in _traps(tree, tests=tests) if tree else ():
        first, count = found.get(words, (line, 0))
        found[words] = (first, count + 1)
    return found


def _traps(tree: ast.Module, *, tests: bool) -> Iterator[tuple[str, int]]:
    at_import = {id(one) for one in _at_import(tree.body)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (tests or id(node) in at_import):
            if (words := ast.unparse(node.func)) in _EXITS and _exits_well(node):
                yield f"`{short(ast.unparse(node))}` ends the run of the tests as a success", node.lineno
        elif isinstance(node, FunctionNode) and node.name in _HOOKS and tests:
            yield f"the hook {node.name} is new or changed: {short(ast.unparse(node), 160)}", node.lineno
        elif isinstance(node, ast.FunctionDef) and node.name == "__eq__" and _returns_true(node):
            yield "an __eq__ is always true", node.lineno
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and tests:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Name) and t.id.startswith("collect_ignore") for t in targets):
                yield f"`{short(ast.unparse(node))}` keeps tests from being collected", node.lineno
        elif not tests and isinstance(node, (ast.Compare, ast.Constant)):
            words = ast.unparse(node).strip("'\"") if isinstance(node, ast.Constant) else ast.unparse(node)
            if words in _UNDER_TEST:
                yield f"it behaves otherwise under test: `{short(words)}`", node.lineno


_EXITS = frozenset({"sys.exit", "os._exit", "pytest.exit", "exit", "quit", "_exit", "os.kill", "os.abort"})


def _at_import(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """Yield what runs when the module is imported: no function's body, nothing under the guard of a script."""
    open_ones: list[ast.AST] = list(body)
    while open_ones:
        node = open_ones.pop()
        guarded = isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)
        if not guarded and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
            open_ones.extend(ast.iter_child_nodes(node))


def _exits_well(node: ast.Call) -> bool:
    if ast.unparse(node.func) in ("os.kill", "os.abort"):
        return False
    if ast.unparse(node.func) == "pytest.exit":
        return True
    return not node.args or (isinstance(node.args[0], ast.Constant) and not node.args[0].value)


def _returns_true(node: ast.FunctionDef) -> bool:
    body = [one for one in node.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    only = body[0] if len(body) == 1 else None
    return isinstance(only, ast.Return) and isinstance(only.value, ast.Constant) and only.value.value is True
