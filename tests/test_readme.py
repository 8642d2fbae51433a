"""What the README and the guides say is what the program does."""

import re
import shlex
from pathlib import Path

import pytest
from tests.harness import environment, orchestrator

from orchestrator.api.cli import parse
from orchestrator.bridges.claude_find import locate
from orchestrator.core.proof import CheckKind, CheckSpec
from orchestrator.core.task import TaskRules, TaskType
from orchestrator.core.taskfile import parse_task_file

TOP = Path(__file__).parents[1]
PAGES = ["README.md", "docs/task-files.md"]
README = (TOP / "README.md").read_text("utf-8")
_WORDS_OF_SETUP = {"setup", "test"}  # commands of main.py itself, held by test_main.py


def _commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    table = re.findall(r"^\| (`.*?) \|", README, re.MULTILINE)
    named = [part for row in table for part in re.findall(r"`([^`]+)`", row)]
    full = [line for line in lines if line.startswith("python3 main.py")]
    return full + [name if name.startswith("python3") else f"python3 main.py {name}" for name in named]


def test_the_readme_names_commands() -> None:
    assert len(_commands()) > 12


@pytest.mark.parametrize("command", _commands())
def test_every_command_of_the_readme_is_understood(command: str) -> None:
    words = shlex.split(command.replace("…", "").replace("[", "").replace("]", "").replace(" N", " 3"))[2:]
    if words[:1] and words[0] in _WORDS_OF_SETUP:
        assert words[0] in (TOP / "main.py").read_text("utf-8")
        return
    assert callable(parse(words).run)


@pytest.mark.parametrize("page", PAGES)
def test_the_task_file_that_is_shown_is_one(page: str) -> None:
    (text,) = re.findall(r"```markdown\n(.*?)```", (TOP / page).read_text("utf-8"), re.DOTALL)
    rules = TaskRules({"fix": TaskType("fix", (), expects_changes=True)}, ("claude",), "/home/you", "/home/you")
    spec = parse_task_file(text.encode(), file_name="fix_db_timeout.task.md", rules=rules)
    assert (spec.id, spec.type, spec.notices, spec.inferred) == ("fix_db_timeout", "fix", (), ())
    assert spec.target_files == ("backend/db.py",)
    assert spec.criteria[0].check == CheckSpec(CheckKind.COMMAND, argv=("pytest", "-q", "tests/test_db.py"))


def test_every_link_leads_somewhere() -> None:
    for page in [*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.real_cli
def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    env = environment(tmp_path, ORCHESTRATOR_CLAUDE_COMMAND=locate((), "").command[0], TMPDIR=str(tmp_path))
    done = orchestrator(tmp_path, "demo", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = [block.strip() for block in re.findall(r"```text\n(.*?)```", README, re.DOTALL)]
    assert shown[0] in done.stdout
    (folder,) = tmp_path.glob("orchestrator-demo-*")
    summary = (folder / "summaries" / "add_tests_summary.txt").read_text("utf-8")
    assert _without_times(shown[1]) == _without_times(summary)[: len(_without_times(shown[1]))]


def _without_times(text: str) -> str:
    text = re.sub(r"^Files changed.*(?:\n\S.*)*", "", text, flags=re.MULTILINE)  # what the neighbours did meanwhile
    text = re.sub(r"^Where its work lies\n(?:  .*\n)*", "", text, flags=re.MULTILINE)  # another folder each time
    lines = [line for line in text.strip().splitlines() if not line.startswith("Ended")]
    return re.sub(r"\n{2,}", "\n\n", "\n".join(lines))
