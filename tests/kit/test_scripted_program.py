"""The program that stands in for the agent says what the agent would say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.kit import scripted_program


def run(
    prompt: str = "", *flags: str, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-I", "-S", scripted_program.__file__, *flags]
    return subprocess.run(command, input=prompt.encode(), capture_output=True, env=env or {}, cwd=cwd, timeout=20)


def block(*steps: dict[str, object], **more: str) -> str:
    return f"Please. <<<SCRIPT {json.dumps({'steps': steps, **more})} SCRIPT>>> Thanks."


def messages(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_without_a_script_it_ends_well() -> None:
    done = run("do it", "-p", "--session-id", "11111111-2222-4333-8444-555555555555")
    said = messages(done)
    assert done.returncode == 0
    assert [message["type"] for message in said] == ["system", "assistant", "result"]
    assert {message["session_id"] for message in said} == {"11111111-2222-4333-8444-555555555555"}
    assert (said[-1]["subtype"], said[-1]["is_error"], said[-1]["result"]) == ("success", False, "Done.")


@pytest.mark.parametrize("flag", ["--session-id", "--resume"])
def test_its_session_is_the_one_it_is_given_however_the_flag_is_written(flag: str) -> None:
    session = "11111111-2222-4333-8444-555555555555"
    for words in ([flag, session], [f"{flag}={session}"]):
        assert {message["session_id"] for message in messages(run("do it", *words))} == {session}


def test_it_names_its_version_as_the_agent_does() -> None:
    assert run("", "--version").stdout == b"2.1.329 (Claude Code)\n"


@pytest.mark.parametrize("quoted", [False, True], ids=["plain prompt", "stream-json prompt"])
def test_a_script_in_the_prompt_is_played(quoted: bool) -> None:
    prompt = block({"say": 'é "quoted"'}, {"error": "boo"})
    if quoted:
        prompt = json.dumps({"type": "user", "message": {"role": "user", "content": prompt}}) + "\n"
    done = run(prompt)
    assert done.returncode == 1
    assert messages(done)[0]["message"]["content"][0]["text"] == 'é "quoted"'  # type: ignore[index]
    assert messages(done)[1]["is_error"] is True


def test_a_script_comes_from_a_file_or_a_variable_too(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"steps": [{"exit": 4}]}')
    assert run("", "--script", str(tmp_path / "s.json")).returncode == 4
    assert run("", env={"SCRIPTED_PROGRAM": '{"steps": [{"exit": 5}]}'}).returncode == 5


@pytest.mark.parametrize(
    ("steps", "code", "output"),
    [
        ([{"raw": "ff0a61"}], 0, b"\xff\na"),
        ([{"line": "x"}, {"exit": 3}, {"line": "never"}], 3, b"x\n"),
        ([{"signal": "SEGV"}], -11, b""),
        ([{"signal": "KILL"}], -9, b""),
        ([], 0, b""),
    ],
)
def test_a_run_ends_as_scripted(steps: list[dict[str, object]], code: int, output: bytes) -> None:
    done = run(block(*steps))
    assert (done.returncode, done.stdout) == (code, output)


def test_it_can_delete_the_folder_it_works_in(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    run(block({"delete_cwd": True}), cwd=folder)
    assert not folder.exists()


def test_the_journal_tells_a_start_an_end_and_an_overlap(tmp_path: Path) -> None:
    journal, go = tmp_path / "journal", tmp_path / "go"
    env = {"ORCHESTRATOR_ATTEMPT": "abc.1", "SCRIPTED_JOURNAL": str(journal)}
    command = [sys.executable, "-I", "-S", scripted_program.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        first.stdin.write(block({"line": "up"}, {"wait_for": str(go)}).encode())
        first.stdin.close()
        assert first.stdout.readline() == b"up\n"
        run("second", env={**env, "ORCHESTRATOR_ATTEMPT": "abc.2"})
        run("other", env={**env, "ORCHESTRATOR_ATTEMPT": "def.1"})
        go.touch()
    assert journal.read_text().splitlines() == [
        "start abc 1",
        "OVERLAP abc 2",
        "start abc 2",
        "end abc 2",
        "start def 1",
        "end def 1",
        "end abc 1",
    ]


def test_what_is_scripted_for_the_first_attempt_is_left_out_of_the_second(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"steps": [{"first_time": [{"exit": 3}]}, {"exit": 4}]}))
    codes = [
        subprocess.run(
            [sys.executable, "-I", "-S", scripted_program.__file__, "--script", str(script)],
            env={"ORCHESTRATOR_ATTEMPT": f"abc.{number}"},
            stdin=subprocess.DEVNULL,
            check=False,
        ).returncode
        for number in (1, 2)
    ]
    assert codes == [3, 4]
