"""Edits that honest work consists of: nothing is found in them, or it is listed and taints nothing."""

# ruff: noqa: E501 - an edit a line is read as a table

from tests.validation.data.integrity_dishonest import (
    BASE,
    CI,
    GO,
    JAVA,
    JS,
    MAKE,
    PACKAGE,
    PARAM,
    PHP,
    RUBY,
    RUST,
    TOML,
    TWO,
    UNIT,
    T,
)
from tests.validation.integrity_edits import Edit, gone, new, was

from orchestrator.core.proof import Suspicion
from orchestrator.validation.integrity import ChangedFile

MORE = "\n\ndef test_negative():\n    assert add(-1, 1) == 0\n"
SWEEP = "def test_all():\n    for n in range(3):\n        assert f(n) == n\n"


def py(about: str, result: str, *, base: str = BASE) -> Edit:
    return Edit(about, (was(T, base, result),))


PYTHON = (
    py("a test is added", BASE + MORE),
    py("an assertion is added", f"{BASE}    assert add(2, 2) == 4\n"),
    py("a comment is added", f"# sums\n{BASE}"),
    py("a docstring is added", BASE.replace("    result", '    """Sums."""\n    result')),
    py("a local is renamed", BASE.replace("result", "total")),
    py("a local is put in", "from app import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"),
    py("a message is added", BASE.replace("== 3", "== 3, 'sum'")),
    py("a test is renamed", BASE.replace("test_add", "test_adds_two_numbers")),
    py("tests change places", TWO, base=f"{BASE.split('def')[0]}def test_zero():\n    assert add(0, 0) == 0\n\n\n{BASE[BASE.index('def'):]}"),
    py("the format is changed", BASE.replace("add(1, 2)", "add(\n        1,\n        2,\n    )")),
    py("a test goes into a class", "from app import add\n\n\nclass TestSum:\n    def test_add(self):\n        result = add(1, 2)\n        assert result == 3\n"),
    Edit("a file of tests is renamed", (gone(T, BASE), new("tests/test_addition.py", BASE))),
    Edit("a file of tests is split", (was(T, TWO, BASE), new("tests/test_zero.py", "def test_zero():\n    assert add(0, 0) == 0\n"))),
    py("a weak assertion becomes an equation", BASE, base=BASE.replace("== 3", "is not None")),
    py("a bound becomes an equation", BASE, base=BASE.replace("== 3", "> 0")),
    py("an and is added", BASE.replace("result == 3", "result == 3 and result != 4")),
    py("truth becomes an equation", BASE, base=BASE.replace("assert result == 3", "assert result")),
    py("an assertion goes into a helper", "def right(a, b, c):\n    assert add(a, b) == c\n\n\ndef test_add():\n    assert add(1, 2) == 3\n    right(1, 2, 3)\n"),
    py("assertTrue becomes assertEqual", UNIT, base=UNIT.replace("assertEqual(add(1, 2), 3)", "assertTrue(add(1, 2))")),
    py("a skip is taken away", BASE, base=BASE.replace("def test", "@pytest.mark.skip\ndef test")),
    py("cases are added", PARAM.replace("[1, 2, 3]", "[1, 2, 3, 4]"), base=PARAM),
    py("a comment that says skip", f"{BASE}\n# never skip this test\n"),
    py("a fixture is added and used", BASE.replace("test_add()", "test_add(numbers)").replace("def test", "@pytest.fixture\ndef numbers():\n    return 1\n\n\ndef test")),
    py("another way to the same product", BASE.replace("from app import add", "import app").replace("add(1", "app.add(1")),
    py("what is set up changes with more of the product", BASE.replace("add(1, 2)", "add(one(), 2)").replace("import add", "import add, one")),
    py("what is set up changes", BASE.replace("result = add(1, 2)", "result = add(1, 2)\n    print(result)")),
    py("an assertion goes into a loop", SWEEP.replace("range(3)", "range(9)"), base=SWEEP),
    Edit("a new test that skips on a condition", (new("tests/test_new.py", "import sys\nimport pytest\n\n\n@pytest.mark.skipif(sys.platform == 'win32', reason='x')\ndef test_a():\n    assert a() == 1\n"),)),
    Edit("a new test without assertions that does something", (new("tests/test_smoke.py", "def test_starts():\n    main(['--version'])\n"),)),
    Edit("a new conftest with a fixture", (new("tests/conftest.py", "import pytest\n\n\n@pytest.fixture\ndef db():\n    return 1\n"),)),
    Edit("a script ends well under its guard", (was("app.py", "", "import sys\n\nif __name__ == '__main__':\n    sys.exit(0)\n"),)),
    Edit("a command ends well", (was("app.py", "", "import sys\n\n\ndef stop():\n    sys.exit(0)\n"),)),
    Edit("a child process in a method ends well", (was("app.py", "", "import os\n\n\nclass Fork:\n    def child(self):\n        os._exit(0)\n"),)),
    Edit("a new file of tests for some machines", (new("tests/test_new.py", "import pytest\n\npytestmark = pytest.mark.skipif(not linux(), reason='x')\n\n\ndef test_a():\n    assert a() == 1\n"),)),
    Edit("code only", (was("src/app.py", "x = 1\n", "x = 2\n"),)),
    Edit("an empty package file", (new("tests/__init__.py", ""),)),
    Edit("a product is added that the check names", (new("hello.py", "print('hello')\n"),), check=("python", "hello.py")),
    Edit("a make target is added", (was("Makefile", MAKE, f"{MAKE}\ndocs:\n\tmkdocs build\n"),), check=("make", "test")),
    Edit("a dependency is added", (was("pyproject.toml", TOML, f'{TOML}\n[project]\ndependencies = ["httpx"]\n'),)),
    Edit("a marker is declared", (was("pyproject.toml", TOML, f'{TOML}markers = ["slow"]\n'),)),
    Edit("more is tested", (was("pyproject.toml", TOML, TOML.replace('"more"]', '"more", "again"]')),)),
    Edit("the bar of coverage is raised", (was(".coveragerc", "[report]\nfail_under = 80\n", "[report]\nfail_under = 90\n"),)),
    Edit("a linter is set up that no check runs", (was("pyproject.toml", TOML, f"{TOML}[tool.ruff]\nline-length = 100\n"),)),
    Edit("a package is added", (was("package.json", PACKAGE, PACKAGE.replace('{"scripts"', '{"dependencies": {"a": "1"}, "scripts"')),), check=("npm", "test")),
    Edit("the build script changes", (was("package.json", PACKAGE, PACKAGE.replace("tsc", "tsc -b")),), check=("npm", "test")),
    Edit("a new snapshot", (new("src/__snapshots__/b.test.js.snap", "4\n"),)),
    Edit("new test data", (new("tests/data/more.json", "[2]\n"),)),
    Edit("a document", (was("README.md", "assert\n", "skip\n"),)),
    Edit("nothing differs", (was(T, BASE, BASE),)),
)  # fmt: skip
OTHERS = (
    Edit("a jest test is added", (was("src/add.test.js", JS, f"{JS}test('adds none', () => {{\n  expect(add(0, 0)).toBe(0);\n}});\n"),)),
    Edit("a jest file is renamed", (gone("src/add.test.js", JS), new("src/sum.test.js", JS))),
    Edit("a jest test is renamed", (was("src/add.test.js", JS, JS.replace("adds", "adds two numbers")),)),
    Edit("a Go test is added", (was("add_test.go", GO, f"{GO}\nfunc TestMore(t *testing.T) {{\n\tt.Error(1)\n}}\n"),)),
    Edit("a Rust test is added", (was("src/lib.rs", RUST, f"{RUST}#[test]\nfn more() {{\n    assert_eq!(1, add(1, 0));\n}}\n"),)),
    Edit("a JUnit test is added", (was("src/test/java/AddTest.java", JAVA, JAVA.replace("  @Test", "  @Test\n  void more() {\n    assertEquals(1, add(1, 0));\n  }\n\n  @Test", 1)),)),
    Edit("an rspec example is added", (was("spec/add_spec.rb", RUBY, RUBY.replace("  it", "  it 'adds none' do\n    expect(add(0, 0)).to eq(0)\n  end\n\n  it", 1)),)),
    Edit("a PHPUnit test is added", (was("tests/AddTest.php", PHP, PHP.replace("  public", "  public function testNone() {\n    $this->assertSame(0, add(0, 0));\n  }\n\n  public", 1)),)),
    Edit("a skip in code that is no test", (was("src/read.js", "", "reader.skip();\nt.Skip(1);\n"),)),
    Edit("a comment in a jest test", (was("src/add.test.js", JS, f"// adds\n{JS}"),)),
)  # fmt: skip
LISTED = (
    Edit("the task is about this expectation", (was(T, BASE, BASE.replace("== 3", "== 4")),), seen=frozenset({Suspicion.TEST_WEAKENED}), targets=(T,)),
    Edit("the task is about the program that the check runs", (was("hello.py", "print(1)\n", "print(2)\n"),), check=("python", "hello.py"), targets=("hello.py",)),
    Edit("the task is about the script that checks", (was("check.sh", "a\n", "b\n"),), seen=frozenset({Suspicion.CHECK_EDITED}), check=("sh", "check.sh"), targets=("check.sh",)),
    Edit("the task is about a snapshot", (was("src/__snapshots__/a.snap", "3\n", "4\n"),), seen=frozenset({Suspicion.TEST_WEAKENED}), targets=("src",)),
    Edit("a workflow gets a step", (was(".github/workflows/ci.yml", CI, f"{CI}      - run: ruff check .\n"),), seen=frozenset({Suspicion.HOOK_CHANGED})),
    Edit("the agents' page is kept up to date", (was("AGENTS.md", "a\n", "b\n"),), seen=frozenset({Suspicion.AGENT_SETTINGS_CHANGED})),
    Edit("a binary picture", (ChangedFile("docs/a.png", "M", None, None, binary=True),)),
    Edit("a link within", (new("docs/link", "../README.md", mode="120000"),)),
)  # fmt: skip
HONEST = (*PYTHON, *OTHERS, *LISTED)
