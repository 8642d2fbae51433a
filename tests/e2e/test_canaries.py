"""Secrets in every place that can hold one, a daemon through every way of ending, and then every byte is looked at."""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.core.test_redact import SHAPES
from tests.e2e.command_root import CommandRoot
from tests.harness import wait_until

SECRETS = {
    "ANTHROPIC_API_KEY": "canary-api-key-Zx81+/ünïque",
    "CLAUDE_CODE_OAUTH_TOKEN": "canary-oauth-token-Qy72",
    "ANTHROPIC_AUTH_TOKEN": "canary-auth-token-Rw63",
    "TELEGRAM_BOT_TOKEN": "canary-telegram-Tv54-secret",
}
IN_DOTENV = ("ANTHROPIC_AUTH_TOKEN", "TELEGRAM_BOT_TOKEN")
FORMS = [
    *SECRETS.values(),
    *(quote(value, safe="") for value in SECRETS.values()),
    *(base64.b64encode(value.encode()).decode() for value in SECRETS.values()),
    *(shape for name, shape in SHAPES.items() if "pem" not in name),
]
REFUSED = f"---\nid: refused\npriority: {FORMS[0]}\n---\n\n# x\n"
PROGRAM = """#!{python}
import json, os, pathlib, signal, sys, time
if "--version" in sys.argv:
    print("2.1.329 (Claude Code)")
    sys.exit()
words = " ".join(json.loads({forms!r}))
prompt = sys.stdin.read()
def line(**message):
    print(json.dumps(message, ensure_ascii=False), flush=True)
print(words, file=sys.stderr, flush=True)
session = next(arg.partition("=")[2] for arg in sys.argv if arg.startswith(("--session-id", "--resume")))
line(type="system", subtype="init", session_id=session, model="m", claude_code_version="2.1.329", tools=[], cwd="/")
use = dict(type="tool_use", id="t1", name="Bash", input=dict(command="echo " + words))
content = [dict(type="text", text="I see " + words), use]
line(type="assistant", session_id=session, message=dict(id="m1", content=content))
if "please crash" in prompt:
    os.kill(os.getpid(), signal.SIGSEGV)
if "please wait" in prompt:
    time.sleep(600)
failed = "please fail" in prompt
line(type="result", subtype="success", is_error=failed, result="All is done, with " + words, session_id=session,
     num_turns=1, total_cost_usd=0.1, usage=dict(input_tokens=1, output_tokens=1), permission_denials=[])
sys.exit(1 if failed else 0)
"""


@pytest.mark.timeout(300)
def test_no_secret_is_in_any_byte_the_daemon_leaves_or_says(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    program = outside / "claude"
    program.write_text(PROGRAM.format(python=sys.executable, forms=json.dumps(FORMS)))
    program.chmod(0o755)
    path = tmp_path / "root"
    path.mkdir()
    root = CommandRoot(path)
    root.env |= {name: value for name, value in SECRETS.items() if name not in IN_DOTENV}
    root.env["ORCHESTRATOR_CLAUDE_COMMAND"] = str(program)
    dotenv = path / ".env"
    dotenv.write_text("".join(f"{name}='{SECRETS[name]}'\n" for name in IN_DOTENV))
    dotenv.chmod(0o600)
    said = list(_lives(root))
    sought = [form.rstrip("=")[:-1] for form in FORMS]  # the last character of base64 holds bits of a neighbour
    leaks = [(f"output of {words}", form) for words, text in said for form in sought if form in text]
    leaks += [(name, form) for name, data in _files(path) for form in sought if form.encode() in data]
    assert leaks == [], "\n".join(f"{where}: {form}" for where, form in leaks)
    assert len(list(path.glob(".orchestrator/attempts/*/stdout.ndjson"))) >= 5
    assert all(b"[redacted]" in file.read_bytes() for file in path.glob(".orchestrator/attempts/*/stdout.ndjson"))


def _lives(root: CommandRoot) -> Iterator[tuple[str, str]]:
    """Bring tasks to every end. Yields each command with all that it said."""
    prompts = {"good": "please work", "bad": "please fail", "crashed": "please crash"}
    (root.path / "tasks").mkdir()
    (root.path / "tasks" / "refused.task.md").write_text(REFUSED)
    with root.daemon() as running:
        for name, prompt in prompts.items():
            root.drop(name, prompt)
        root.wait(*prompts)
        root.drop("cancelled", "please wait")
        wait_until(lambda: "cancelled" in root.call("status").stdout, what="the start of cancelled")
        _until_it_spoke(root, 4)
        yield "ps", _command_lines()
        yield "cancel", root.call("cancel", "cancelled").stdout
        root.wait("cancelled")
        root.drop("killed", "please wait")
        _until_it_spoke(root, 5)
        running.kill()
    with root.daemon() as running:
        root.wait_event("interrupted")
        root.call("cancel", "killed")
        root.wait("killed")
        assert running.stop() == 0
    for words in (("status",), ("doctor",), ("tail-events", "--lines", "500"), ("validate-artifacts",)):
        for form in ((), ("--json",)):
            done = root.call(*words, *form, code=None)
            yield " ".join((*words, *form)), done.stdout + done.stderr
    for name in (*prompts, "cancelled", "killed"):
        done = root.call("show", name, "--json", code=None)
        yield f"show {name}", done.stdout + done.stderr
    done = root.call("status", code=None, MAX_CONCURRENT_TASKS=SECRETS["ANTHROPIC_API_KEY"])
    yield "a secret in the wrong variable", done.stdout + done.stderr
    root.path.joinpath("daemon.out").rename(root.path / "logs" / "daemon.out")


def _until_it_spoke(root: CommandRoot, runs: int) -> None:
    def spoke() -> bool:
        outputs = list(root.path.glob(".orchestrator/attempts/*/stdout.ndjson"))
        return len(outputs) >= runs and all(b"I see" in file.read_bytes() or file.stat().st_size for file in outputs)

    wait_until(spoke, what=f"the words of {runs} runs")


def _command_lines() -> str:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.append((process / "cmdline").read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue  # gone meanwhile
    return "\n".join(found)


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file but the person's own: .env, and the task file that carries a secret itself."""
    theirs = {root / ".env", *root.glob("tasks/**/*.task.md")}
    for file in root.rglob("*"):
        if file.is_file() and file not in theirs:
            data = file.read_bytes()
            if file.name.startswith("orchestrator.db"):  # the task file's own bytes are stored exactly
                assert file.stat().st_mode & 0o077 == 0
                data = data.replace(REFUSED.encode(), b"")
            yield file.relative_to(root).as_posix(), data
