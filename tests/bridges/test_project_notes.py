"""Which notes of a project are read, and which files nobody can pass off as notes."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from orchestrator.bridges.project_notes import read_notes, repository_folders
from orchestrator.core.notes import NotesWanted, ProjectNote

WANTED = NotesWanted(64 * 1024)
SELF_READER = NotesWanted(64 * 1024, of_agent=("CLAUDE.md",))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository in a folder that has notes of its own, with a work area two folders down."""
    (tmp_path / "CLAUDE.md").write_text("above the repository\n")
    (tmp_path / "repo/.git").mkdir(parents=True)
    (tmp_path / "repo/.git/HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / "repo/a/area").mkdir(parents=True)
    return tmp_path / "repo"


@pytest.fixture
def area(repository: Path) -> Path:
    return repository / "a/area"


def found(area: Path, wanted: NotesWanted = WANTED) -> list[tuple[str, str]]:
    """Path and text of each note, or what is said instead."""
    return [(note.path, note.problem or note.text) for note in read_notes(area, wanted)]


def test_the_notes_of_the_work_area_and_of_the_folders_above_it_come_outermost_first_up_to_the_repository(
    repository: Path, area: Path
) -> None:
    (repository / "CLAUDE.md").write_text("1\n")
    (repository / "AGENTS.md").write_text("2\n")
    (area.parent / "AGENTS.md").write_text("3\n")
    (area / "CLAUDE.md").write_text("4\n")
    (area / "deeper").mkdir()
    (area / "deeper/CLAUDE.md").write_text("of a folder below\n")
    assert found(area) == [
        ("../../CLAUDE.md", "1\n"),
        ("../../AGENTS.md", "2\n"),
        ("../AGENTS.md", "3\n"),
        ("CLAUDE.md", "4\n"),
    ]


@pytest.mark.parametrize("git", ["nothing", "an empty folder, as a sandbox leaves it behind"])
def test_without_a_repository_only_the_work_area_counts(tmp_path: Path, git: str) -> None:
    area = tmp_path / "outer/area"
    area.mkdir(parents=True)
    if git != "nothing":
        (tmp_path / "outer/.git").mkdir()
    (tmp_path / "outer/CLAUDE.md").write_text("outer\n")
    (area / "AGENTS.md").write_text("area\n")
    assert found(area) == [("AGENTS.md", "area\n")]


def test_a_worktree_is_a_repository(tmp_path: Path) -> None:
    (tmp_path / "tree/area").mkdir(parents=True)
    (tmp_path / "tree/.git").write_text("gitdir: /elsewhere\n")
    assert repository_folders(tmp_path / "tree/area") == (tmp_path / "tree/area", tmp_path / "tree")


@pytest.mark.parametrize("first", ["CLAUDE.md", "AGENTS.md"])
@pytest.mark.parametrize("how", ["link", "hard link", "copy"])
def test_one_that_is_a_link_to_the_other_or_the_same_is_given_once(area: Path, first: str, how: str) -> None:
    second = "AGENTS.md" if first == "CLAUDE.md" else "CLAUDE.md"
    (area / first).write_text("once\n")
    if how == "link":
        (area / second).symlink_to(first)
    elif how == "hard link":
        os.link(area / first, area / second)
    else:
        (area / second).write_text("once\n")
    assert [text for _, text in found(area)] == ["once\n"]


def test_a_link_to_the_notes_of_a_folder_above_gives_them_once(repository: Path, area: Path) -> None:
    (repository / "AGENTS.md").write_text("root\n")
    (area / "CLAUDE.md").symlink_to("../../AGENTS.md")
    assert found(area) == [("../../AGENTS.md", "root\n")]


def test_a_link_is_followed_to_a_page_of_the_work_area_and_to_nothing_else(
    tmp_path: Path, repository: Path, area: Path
) -> None:
    """A confined agent can leave such a link for its next attempt, a stranger's repository can bring one along."""
    secrets = [tmp_path / "key.md", repository / "secret.md", area / ".env", repository / ".git/HEAD"]
    for secret in secrets[:3]:
        secret.write_text("SECRET\n")
    (area / "docs").mkdir()
    (area / "docs/agents.md").write_text("a page\n")
    (area / "AGENTS.md").symlink_to("docs/agents.md")
    for place in (area / "CLAUDE.md", repository / "CLAUDE.md"):
        for secret in secrets:
            place.symlink_to(secret)
            said = dict(found(area))
            assert said.pop("AGENTS.md") == "a page\n"
            assert list(said.values()) == [
                "not given: it is a link to something other than a .md file of the work area"
            ]
            place.unlink()


def test_a_folder_that_is_exchanged_for_a_link_after_it_was_looked_at_is_not_followed(
    tmp_path: Path, area: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/page.md").write_text("SECRET\n")
    (area / "docs").mkdir()
    (area / "docs/page.md").write_text("a page\n")
    (area / "CLAUDE.md").symlink_to("docs/page.md")
    resolve = Path.resolve

    def exchanged(path: Path, strict: bool = False) -> Path:
        real = resolve(path, strict=strict)
        (area / "docs").rename(area / "old")
        (area / "docs").symlink_to(tmp_path / "secrets")
        return real

    monkeypatch.setattr(Path, "resolve", exchanged)
    ((path, said),) = found(area)
    assert path == "CLAUDE.md"
    assert said.startswith("not given: the link leads to nothing that can be read: ")


def test_what_is_no_regular_file_is_told_and_never_waited_for(area: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (area / "CLAUDE.md").mkdir()
    os.mkfifo(area / "AGENTS.md")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(area.parent)  # the name of a socket must be short
        server.bind("CLAUDE.md")
    no_file = "not given: it is no regular file"
    assert found(area) == [("../CLAUDE.md", no_file), ("CLAUDE.md", no_file), ("AGENTS.md", no_file)]


def test_a_link_that_leads_nowhere_or_in_a_circle_is_told(area: Path) -> None:
    (area / "CLAUDE.md").symlink_to("gone.md")
    (area / "AGENTS.md").symlink_to("AGENTS.md")
    assert [(path, said[:10]) for path, said in found(area)] == [
        ("CLAUDE.md", "not given:"),
        ("AGENTS.md", "not given:"),
    ]


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may read everything, so it is nobody for a moment."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_file_that_may_not_be_read_is_told_and_hinders_nothing() -> None:
    with TemporaryDirectory() as folder:  # the test's own folder is closed to nobody
        area = Path(folder)
        area.chmod(0o755)
        (area / "CLAUDE.md").write_text("closed\n")
        (area / "CLAUDE.md").chmod(0)
        (area / "AGENTS.md").write_text("open\n")
        with ordinary_user():
            assert found(area) == [("CLAUDE.md", "not given: Permission denied"), ("AGENTS.md", "open\n")]


def test_bytes_that_are_no_text_are_replaced_and_an_empty_file_is_none(area: Path) -> None:
    (area / "CLAUDE.md").write_bytes(b"caf\xe9\r\nfine\n")
    (area / "AGENTS.md").write_bytes(b" \n")
    assert found(area) == [("CLAUDE.md", "caf\ufffd\r\nfine\n")]


def test_an_import_is_passed_on_as_a_line_and_not_followed(area: Path) -> None:
    (area / "page.md").write_text("IMPORTED\n")
    (area / "CLAUDE.md").write_text("@page.md\n@/etc/hostname\n")
    assert found(area) == [("CLAUDE.md", "@page.md\n@/etc/hostname\n")]


def test_a_huge_file_is_read_no_further_than_it_is_passed_on(area: Path) -> None:
    with (area / "CLAUDE.md").open("wb") as stream:
        stream.write(b"one line\n" * 8000)
        stream.truncate(1 << 40)
    (note,) = read_notes(area, WANTED)
    assert len(note.text) == 65529
    assert note == ProjectNote("CLAUDE.md", note.text, 1 << 40, f"cut: the first 65529 of {1 << 40} bytes")


def test_switched_off_nothing_is_read(area: Path) -> None:
    (area / "CLAUDE.md").write_text("x\n")
    assert read_notes(area, NotesWanted()) == ()


def test_what_the_agent_reads_by_itself_is_not_given_to_it_again(repository: Path, area: Path) -> None:
    (repository / "CLAUDE.md").write_text("1\n")
    (repository / "AGENTS.md").write_text("2\n")
    (area / "CLAUDE.md").write_text("3\n@AGENTS.md\n")
    (area / "AGENTS.md").write_text("4\n")
    assert found(area, SELF_READER) == [("../../AGENTS.md", "2\n")]


@pytest.mark.parametrize("how", ["link", "copy"])
def test_of_the_same_notes_under_two_names_an_agent_that_reads_one_gets_neither(area: Path, how: str) -> None:
    (area / "AGENTS.md").write_text("once\n")
    if how == "link":
        (area / "CLAUDE.md").symlink_to("AGENTS.md")
    else:
        (area / "CLAUDE.md").write_text("once\n")
    assert found(area, SELF_READER) == []
