"""A task's own clone: what is kept of it, how the result comes to the person, and that nothing of theirs is touched."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bridges.git_rig import WORDS, Rig, git, needs_git, picture, repository
from tests.harness import until

from orchestrator.core.errors import WorkAreaError
from orchestrator.core.evidence import Changes
from orchestrator.core.work import Isolation

pytestmark = needs_git


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return repository(tmp_path / "project", app__py="answer = 41\n", doc__readme="read\n", gone="x\n")


async def test_the_result_comes_as_a_branch_and_nothing_else_of_the_person_is_touched(
    tmp_path: Path, top: Path
) -> None:
    (top / "dirty").write_text("not committed")
    (top / "gone").write_text("edited")
    git(top, "add", "dirty")
    before, head = picture(top), git(top, "rev-parse", "HEAD")
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    assert sorted(os.listdir(area)) == [".git", "app", "doc", "gone"]
    assert (area / "gone").read_text() == "x\n"
    (area / "app" / "py").write_text("answer = 42\n")
    (area / "new file").write_text("one\ntwo\n")
    (area / "gone").unlink()
    kept = await rig.space.keep(order)
    assert kept is not None
    assert kept.kept == "refs/orchestrator/attempts/hello/1"
    assert await rig.space.changes(order) == Changes(("new file",), ("app/py",), ("gone",), own=True)
    assert picture(top) == before

    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert (made.delivered, made.branch, made.base) == (True, "orchestrator/hello", head)
    seen = {one.path: (one.status, one.added, one.removed) for one in made.files}
    assert seen == {"app/py": ("M", 1, 1), "gone": ("D", 0, 1), "new file": ("A", 2, 0)}
    assert "answer = 42" in Path(made.patch).read_text()
    assert git(top, "rev-parse", "orchestrator/hello") == made.head
    assert (
        git(top, "log", "--format=%an %ae|%cn|%P", made.head, "-1")
        == f"Orchestrator orchestrator@localhost|Orchestrator|{head}"
    )
    message = git(top, "log", "-1", "--format=%B", made.head)
    assert message.splitlines()[0] == "Say hello"
    assert message.rstrip().endswith("Task-Id: hello\nAgent: claude\nAttempt: 1")
    assert picture(top, but=[".git/refs/heads/orchestrator"]) == before
    assert git(top, "fsck", "--strict") == ""


async def test_what_is_delivered_again_after_a_crash_is_the_same_commit(tmp_path: Path, top: Path) -> None:
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    (area / "new").write_text("n")
    first = await rig.space.deliver(order, WORDS)
    rig.space = rig.later()
    again = await rig.space.deliver(order, WORDS)
    assert first == again
    assert (
        git(top, "for-each-ref", "--format=%(refname)", "refs/heads")
        == "refs/heads/main\nrefs/heads/orchestrator/hello"
    )


async def test_a_branch_of_the_persons_is_never_moved(tmp_path: Path, top: Path) -> None:
    git(top, "branch", "orchestrator/hello")
    theirs = git(top, "rev-parse", "orchestrator/hello")
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    (area / "new").write_text("n")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert made.branch == "orchestrator/hello-aaaaaaaa"
    assert git(top, "rev-parse", "orchestrator/hello") == theirs


@pytest.mark.parametrize(("taken", "comes_as"), [(False, "feature/auth"), (True, "feature/auth-aaaaaaaa")])
async def test_a_branch_that_the_task_names_is_used_unless_it_is_taken(
    tmp_path: Path, top: Path, taken: bool, comes_as: str
) -> None:
    if taken:
        git(top, "branch", "feature/auth")
    rig = Rig(tmp_path)
    order = replace(rig.order(top), branch="feature/auth")
    area = await rig.space.prepare(order, str(tmp_path), fresh=True)
    assert area.branch == "feature/auth"
    (Path(area.root) / "app.py").write_text("answer = 42\n")
    await rig.space.keep(order)
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert (made.delivered, made.branch) == (True, comes_as)


async def test_where_the_person_has_a_branch_in_place_of_the_folder_another_name_is_found(
    tmp_path: Path, top: Path
) -> None:
    git(top, "branch", "orchestrator")
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    (area / "new").write_text("n")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert made.branch == "orchestrator-hello-aaaaaaaa"


async def test_another_roots_task_of_the_same_name_keeps_its_own(tmp_path: Path, top: Path) -> None:
    for place, uid in (("one", "a" * 32), ("two", "b" * 32)):
        rig = Rig(tmp_path)
        rig.state = tmp_path / place / ".orchestrator"
        rig.state.mkdir(parents=True)
        rig.space = rig.later()
        order, area = await rig.begin(top, uid=uid)
        (area / place).write_text("n")
        await rig.space.keep(order)
    refs = git(top, "for-each-ref", "--format=%(refname)", "refs/orchestrator/attempts").split()
    assert refs == ["refs/orchestrator/attempts/hello.bbbbbbbb/1", "refs/orchestrator/attempts/hello/1"]


async def test_the_agents_own_commits_become_one_and_their_words_are_kept(tmp_path: Path, top: Path) -> None:
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    for n in (1, 2):
        (area / f"f{n}").write_text(f"{n}")
        git(area, "add", "-A")
        git(area, "commit", "-q", "-m", f"step {n}\n\nTask-Id: forged")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    message = git(top, "log", "-1", "--format=%B", made.head)
    assert message.index("step 1") < message.index("step 2")
    assert git(top, "log", "-1", "--format=%(trailers:key=Task-Id,valueonly)", made.head) == "hello"
    assert git(top, "rev-list", "--count", f"main..{made.head}") == "1"


async def test_an_attempt_that_resumes_goes_on_and_one_that_does_not_begins_at_the_same_base(
    tmp_path: Path, top: Path
) -> None:
    rig = Rig(tmp_path)
    base = git(top, "rev-parse", "HEAD")
    first, area = await rig.begin(top)
    (area / "half").write_text("done")
    await rig.space.keep(first)
    git(top, "commit", "-q", "--allow-empty", "-m", "the person goes on")
    rig.space = rig.later()
    _, area = await rig.begin(top, fresh=False, attempt=2)
    assert (area / "half").read_text() == "done"
    (area / "more").write_text("m")
    third, area = await rig.begin(top, fresh=True, attempt=3)
    assert sorted(os.listdir(area)) == [".git", "app", "doc", "gone"]
    assert git(area, "rev-parse", "HEAD") == base
    # The second was never kept at its end: it is before the area is made anew.
    assert git(top, "show", "refs/orchestrator/attempts/hello/2:more") == "m"
    assert (await rig.space.deliver(third, WORDS)).head == ""  # type: ignore[union-attr]


async def test_two_tasks_in_one_repository_do_not_see_each_other(tmp_path: Path, top: Path) -> None:
    rig = Rig(tmp_path)
    one, here = await rig.begin(top, uid="1" * 32, name="one")
    two, there = await rig.begin(top, uid="2" * 32, name="two")
    (here / "app" / "py").write_text("one\n")
    (there / "app" / "py").write_text("two\n")
    assert (await rig.space.changes(one)).alone
    for order in (one, two):
        await rig.space.deliver(order, WORDS)
    assert [git(top, "show", f"orchestrator/{name}:app/py") for name in ("one", "two")] == ["one", "two"]


async def test_a_task_in_a_subfolder_works_in_that_of_its_clone(tmp_path: Path, top: Path) -> None:
    rig = Rig(tmp_path)
    order = rig.order(top / "app")
    area = await rig.space.prepare(order, str(tmp_path), fresh=True)
    assert (Path(area.cwd), Path(area.root).name) == (Path(area.root, "app"), "repo")
    assert area.source == str(top)
    Path(area.root, "doc", "new").write_text("n")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert [one.path for one in made.files] == ["doc/new"]


async def test_names_of_any_kind_come_through(tmp_path: Path, top: Path) -> None:
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    names = ["new\nline", "tab\there", "ü ☃", '"quoted"', "-dash", ":(top)x", os.fsdecode(b"caf\xe9"), " space "]
    for name in names:
        (area / name).write_text(name.encode("utf-8", "surrogateescape").hex())
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert sorted(one.path for one in made.files) == sorted(names)
    listed = git(top, "ls-tree", "-z", "--name-only", made.head).split("\0")
    assert set(names) <= set(listed)


async def test_collecting_garbage_while_a_task_runs_takes_nothing_from_it(tmp_path: Path, top: Path) -> None:
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    git(top, "checkout", "-q", "--orphan", "other")
    git(top, "rm", "-rqf", ".")
    git(top, "commit", "-q", "--allow-empty", "-m", "another history")
    git(top, "branch", "-D", "main")
    git(top, "reflog", "expire", "--expire=now", "--all")
    git(top, "gc", "-q", "--prune=now")
    (area / "new").write_text("n")
    assert "read" in git(area, "show", "HEAD:doc/readme")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    git(top, "gc", "-q", "--prune=now")
    assert git(top, "show", f"{made.head}:doc/readme") == "read"


async def test_the_agent_has_a_repository_that_works_and_no_way_to_the_persons(tmp_path: Path, top: Path) -> None:
    git(top, "tag", "v1")
    git(top, "remote", "add", "origin", str(tmp_path / "elsewhere"))
    rig = Rig(tmp_path)
    _, area = await rig.begin(top)
    assert git(area, "status", "--porcelain") == ""
    assert git(area, "rev-parse", "--abbrev-ref", "HEAD") == "orchestrator/hello"
    assert git(area, "describe", "--tags") == "v1"
    assert git(area, "log", "--format=%s") == "first"
    assert git(area, "remote") == ""
    assert git(area, "config", "user.email") == "orchestrator@localhost"
    assert str(top) not in (area / ".git" / "config").read_text()


async def test_what_cannot_be_cloned_is_worked_on_in_place_and_says_so(tmp_path: Path) -> None:
    unborn = tmp_path / "unborn"
    unborn.mkdir()
    git(unborn, "init", "-q")
    (tmp_path / "plain").mkdir()
    repo = repository(tmp_path / "repo", x="x\n")
    (repo / "ignored").mkdir()
    rig = Rig(tmp_path)
    for folder, why in ((unborn, "has no commit yet"), (repo / "ignored", "not part of the last commit")):
        area = await rig.space.prepare(rig.order(folder), str(tmp_path), fresh=True)
        assert (area.isolation, area.root) == (Isolation.IN_PLACE, str(folder))
        assert why in area.notes[0]
    area = await rig.space.prepare(rig.order(tmp_path / "plain"), str(tmp_path), fresh=True)
    assert (area.isolation, area.notes) == (Isolation.IN_PLACE, ())
    area = await rig.space.prepare(rig.order(repo), str(repo / "x" / ".." / "ignored" / ".."), fresh=True)
    assert area.isolation is Isolation.CLONE
    strict = Rig(tmp_path, mode="clone")
    with pytest.raises(WorkAreaError, match="has no commit yet"):
        await strict.space.prepare(strict.order(unborn, uid="c" * 32), str(tmp_path), fresh=True)
    with pytest.raises(WorkAreaError, match="lies in no git repository"):
        await strict.space.prepare(strict.order(tmp_path / "plain", uid="d" * 32), str(tmp_path), fresh=True)


async def test_a_repository_that_reaches_beyond_the_allowed_root_is_not_cloned(tmp_path: Path, top: Path) -> None:
    rig = Rig(tmp_path)
    area = await rig.space.prepare(rig.order(top / "app"), str(top / "app"), fresh=True)
    assert area.isolation is Isolation.IN_PLACE
    assert "reaches beyond" in area.notes[0]


async def test_a_copy_keeps_the_folder_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("a\n")
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    before = picture(folder, but=["pipe"])
    rig = Rig(tmp_path, mode="copy")
    order, area = await rig.begin(folder)
    assert sorted(os.listdir(area)) == ["a", "link", "sub"]
    (area / "a").write_text("b\n")
    (area / "sub" / "new").write_text("n")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert [(one.path, one.status) for one in made.files] == [("a", "M"), ("sub/new", "A")]
    assert (made.delivered, made.branch) == (False, "")
    assert "+b" in Path(made.patch).read_text()
    assert picture(folder, but=["pipe"]) == before


async def test_copied_files_and_what_the_set_up_makes_are_there_and_never_in_the_result(
    tmp_path: Path, top: Path
) -> None:
    (top / ".env").write_text("TOKEN=secret-1")
    setup = (("sh", "-c", "mkdir -p deps && echo made > deps/lib && echo x > made"),)
    rig = Rig(tmp_path, setup=setup, copy=(".env", "missing"))
    order, area = await rig.begin(top)
    assert (area / ".env").read_text() == "TOKEN=secret-1"
    assert (area / "deps" / "lib").read_text() == "made\n"
    (area / ".env").write_text("TOKEN=secret-2")
    (area / "new").write_text("n")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert [one.path for one in made.files] == ["new"]
    found = await rig.space.area(order)
    assert found is not None
    assert any("missing was not copied" in note for note in found.notes)


async def test_a_set_up_that_fails_is_told_with_its_last_words(tmp_path: Path, top: Path) -> None:
    rig = Rig(tmp_path, setup=(("sh", "-c", "echo no network >&2; exit 3"),))
    with pytest.raises(WorkAreaError, match=r"exit code 3\): no network"):
        await rig.begin(top)


async def test_where_the_folder_has_no_repository_that_of_the_target_files_is_cloned(tmp_path: Path, top: Path) -> None:
    rig, before = Rig(tmp_path), picture(top)
    (tmp_path / "base").mkdir(exist_ok=True)
    named = (str(top / "app/py"), os.path.relpath(top / "new" / "b.py", tmp_path / "base"))
    order = replace(rig.order(tmp_path / "base"), targets=named)
    area = await rig.space.prepare(order, str(tmp_path), fresh=True)
    assert (area.isolation, area.source, area.cwd) == (Isolation.CLONE, str(top), area.root)
    assert area.targets == (f"{area.root}/app/py", f"{area.root}/new/b.py")
    assert f"lies in no repository: worked in that of the target files, {top}" in area.notes[0]
    Path(area.root, "app/py").write_text("answer = 42\n")
    await rig.space.keep(order)
    delivery = await rig.space.deliver(order, WORDS)
    assert delivery is not None
    assert delivery.delivered
    assert [one.path for one in delivery.files] == ["app/py"]
    assert picture(top, but=[".git/refs/heads/orchestrator"]) == before
    assert (await rig.later().area(order)) == replace(area, branch="orchestrator/hello")


async def test_target_files_in_several_repositories_are_worked_on_in_place_and_it_says_so(
    tmp_path: Path, top: Path
) -> None:
    rig, other = Rig(tmp_path), repository(tmp_path / "other")
    (tmp_path / "base").mkdir(exist_ok=True)
    for named, why in (
        ((top / "app.py", other / "app.py"), f"its target files lie in several repositories: {other}, {top}"),
        ((top / "app.py", tmp_path / "x.txt"), f"only some of its target files lie in the repository {top}"),
    ):
        targets = tuple(str(path) for path in named)
        area = await rig.space.prepare(
            replace(rig.order(tmp_path / "base"), targets=targets), str(tmp_path), fresh=True
        )
        assert area.isolation is Isolation.IN_PLACE
        assert area.notes == (f"worked in place: {why}",)


async def test_an_absolute_target_file_is_called_as_it_is_in_the_clone(tmp_path: Path, top: Path) -> None:
    rig = Rig(tmp_path)
    order = replace(rig.order(top), targets=("app.py", str(top / "app.py"), "/etc/hosts"))
    area = await rig.space.prepare(order, str(tmp_path), fresh=True)
    assert area.targets == ("app.py", f"{area.root}/app.py", "/etc/hosts")


async def test_an_edit_of_the_same_size_within_the_second_of_the_clone_is_kept(tmp_path: Path, top: Path) -> None:
    rig = Rig(tmp_path)
    for number in range(50):  # until clone and edit fall within one second, by which git would tell them apart
        order, area = await rig.begin(top, uid=f"{number:032x}", name=f"hello{number}")
        file = area / "app/py"
        before = file.stat()
        file.write_text("answer = 42\n")
        after = file.stat()
        if [int(before.st_mtime), int(before.st_ctime)] == [int(after.st_mtime), int(after.st_ctime)]:
            break
    await until(lambda: time.time() > int(after.st_mtime) + 1, what="the next second")
    await rig.space.keep(order)
    assert git(top, "show", f"refs/orchestrator/attempts/hello{number}/1:app/py") == "answer = 42"
    assert (await rig.space.changes(order)).modified == ("app/py",)
