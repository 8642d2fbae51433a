"""What an agent plants in its area: nothing of it runs in the daemon or in the next task, and no work is lost by it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bridges.git_rig import WORDS, Rig, git, needs_git, picture, repository, trap

from orchestrator.bridges.claude_enclosure import Places, mounts
from orchestrator.bridges.git_clone import own_repository

pytestmark = needs_git


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return repository(tmp_path / "project", app__py="answer = 41\n", data="d\n")


def plant_everywhere(area: Path, marker: Path) -> None:
    """Plant all that makes git, run in this folder, run a program."""
    program = trap(area.parent / "trap.sh", marker)
    for name in ("post-checkout", "pre-commit", "post-commit", "reference-transaction", "post-index-change"):
        shutil.copy2(program, area / ".git" / "hooks" / name)
    for key in (
        *("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "diff.external", "gpg.program"),
        *("filter.x.clean", "filter.x.smudge", "filter.x.process", "core.alternateRefsCommand", "diff.x.textconv"),
        *("uploadpack.packObjectsHook", "credential.helper", "core.askPass", "diff.x.command", "merge.x.driver"),
        *("sequence.editor", "interactive.diffFilter"),
    ):
        git(area, "config", key, str(program))
    for name in ("add", "commit", "status", "diff"):
        git(area, "config", f"alias.{name}", f"!{program}")
    git(area, "config", "core.hooksPath", str(area / ".git" / "hooks"))
    git(area, "config", "commit.gpgSign", "true")
    (area / ".gitattributes").write_text("* filter=x diff=x merge=x\n")
    (area / ".gitmodules").write_text(f'[submodule "x"]\n path = sub\n url = ext::{program}\n update = !{program}\n')
    (area / ".lfsconfig").write_text(f"[lfs]\n url = ext::{program}\n")


def a_file_for_git(area: Path, marker: Path) -> None:
    evil = area.parent / "evil.git"
    git(area.parent, "init", "-q", "--bare", str(evil))
    git(area.parent, "--git-dir", str(evil), "config", "core.fsmonitor", str(trap(area.parent / "t.sh", marker)))
    shutil.rmtree(area / ".git")
    (area / ".git").write_text(f"gitdir: {evil}\n")


def a_link_for_git(area: Path, marker: Path) -> None:
    a_file_for_git(area, marker)
    (area / ".git").unlink()
    (area / ".git").symlink_to(area.parent / "evil.git")


def no_git(area: Path, marker: Path) -> None:
    shutil.rmtree(area / ".git")


@pytest.mark.parametrize("plant", [plant_everywhere, a_file_for_git, a_link_for_git])
async def test_the_traps_do_spring_where_git_itself_runs_in_the_area(
    tmp_path: Path, top: Path, plant: Callable[[Path, Path], None]
) -> None:
    marker = tmp_path / "ran"
    _, area = await Rig(tmp_path).begin(top)
    plant(area, marker)
    git(area, f"--work-tree={area}", "status", check=False)
    assert marker.exists()


@pytest.mark.parametrize("plant", [plant_everywhere, a_file_for_git, a_link_for_git, no_git])
async def test_nothing_that_was_planted_runs_and_the_work_is_kept(
    tmp_path: Path, top: Path, plant: Callable[[Path, Path], None]
) -> None:
    before, marker = picture(top), tmp_path / "ran"
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    plant(area, marker)
    (area / "app" / "py").write_text("answer = 42\n")
    await rig.space.keep(order)
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert git(top, "show", f"{made.head}:app/py") == "answer = 42"
    assert not marker.exists()
    # The next attempt of the task, and the next task, from a person's branch with all of it merged.
    await rig.begin(top, attempt=2)
    assert picture(top, but=[".git/refs/heads/orchestrator"]) == before
    git(top, "merge", "-q", "--ff-only", "orchestrator/hello")
    other, area = await rig.begin(top, uid="b" * 32, name="other")
    (area / "app" / "py").write_text("answer = 43\n")
    assert (await rig.space.deliver(other, WORDS)).delivered  # type: ignore[union-attr]
    assert not marker.exists()


async def test_what_an_agent_planted_in_a_folder_that_it_made_a_repository_of_runs_nothing(
    tmp_path: Path, top: Path
) -> None:
    """A task in place may leave a repository with settings of its choice; the next task there finds it."""
    marker = tmp_path / "ran"
    rig = Rig(tmp_path)
    own = own_repository(rig.state / "git", str(top / ".git"))
    plant_everywhere(top, marker)
    program = trap(tmp_path / "evil", marker)
    git(top, "config", "url.ext::sh.insteadOf", str(rig.state))
    for key, value in (
        ("uploadpack", str(program)),
        ("vcs", "ext"),
        ("url", f"ext::{program}"),
        ("fetch", "+refs/*:refs/heads/*"),
    ):
        git(top, "config", f"remote.{own}.{key}", value)
    (top / "data").write_text("edited")
    order, area = await rig.begin(top)
    (area / "new").write_text("n")
    with pytest.raises(OSError, match="transport"):  # such a repository gets nothing from us, and runs nothing
        await rig.space.deliver(order, WORDS)
    git(top, "config", "--remove-section", f"remote.{own}")
    git(top, "config", "--remove-section", "url.ext::sh")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert made.delivered
    assert not marker.exists()


async def test_a_nested_repository_with_a_monitor_of_its_own_is_taken_as_files_and_runs_nothing(
    tmp_path: Path, top: Path
) -> None:
    marker = tmp_path / "ran"
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    inner = repository(area / "vendor" / "lib", a__c="int a;\n", **{"__gitignore".replace("__", "."): "out\n"})
    plant_everywhere(inner, marker)
    git(inner, "config", "--unset", "commit.gpgSign")
    (inner / "b.c").write_text("int b;\n")
    (inner / "out").write_text("ignored")
    repository(inner / "deeper", c="c\n")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert not marker.exists()
    paths = {one.path for one in made.files}
    assert {"vendor/lib/a/c", "vendor/lib/b.c", "vendor/lib/deeper/c"} <= paths
    assert not [path for path in paths if "/.git/" in path or path.endswith("out")]
    assert any("taken as plain files: vendor/lib" in note for note in made.notes)


async def test_the_folder_of_a_submodule_is_kept_and_stays_one_in_the_result(tmp_path: Path, top: Path) -> None:
    marker = tmp_path / "ran"
    library = repository(tmp_path / "library", lib="l\n")
    git(top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "sub")
    git(top, "commit", "-q", "-m", "with a submodule")
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    assert os.listdir(area / "sub") == []
    found = await rig.space.area(order)
    assert found is not None
    assert any("submodules are not filled: sub" in note for note in found.notes)
    git(area / "sub", "init", "-q")
    plant_everywhere(area / "sub", marker)
    (area / "sub" / "mine").write_text("m")
    (area / "app" / "py").write_text("answer = 42\n")
    kept = await rig.space.keep(order)
    assert kept is not None
    assert git(top, "show", f"{kept.kept}:sub/mine") == "m"
    judged = git(Path(found.git_dir), "ls-tree", "-r", "--name-only", kept.head).split()
    assert "sub/mine" not in judged, "checks see what can be delivered, and nothing else"
    assert [one.path for one in kept.files] == ["app/py", "trap.sh"]
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert [one.path for one in made.files] == ["app/py", "trap.sh"]
    assert git(top, "ls-tree", made.head, "sub").startswith("160000 commit")
    assert not marker.exists()


async def test_links_that_lead_outside_are_kept_as_links_and_nothing_is_read_or_written_through_them(
    tmp_path: Path, top: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "py").write_text("secret")
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    shutil.rmtree(area / "app")
    (area / "app").symlink_to(outside)
    (area / "passwd").symlink_to("/etc/passwd")
    (area / "loop").symlink_to("loop")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert {one.path: one.status for one in made.files} == {"app": "A", "app/py": "D", "loop": "A", "passwd": "A"}
    assert git(top, "cat-file", "blob", f"{made.head}:app") == str(outside)
    await rig.begin(top, attempt=2)
    assert (outside / "py").read_text() == "secret"
    assert "secret" not in Path(made.patch).read_text()


async def test_an_area_that_was_replaced_by_a_link_is_not_followed(tmp_path: Path, top: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "private").write_text("p")
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    shutil.rmtree(area)
    area.symlink_to(outside)
    kept = await rig.space.keep(order)
    assert kept is not None
    assert kept.kept == ""
    with pytest.raises(OSError, match="was not kept"):
        await rig.space.deliver(order, WORDS)
    await rig.begin(top, attempt=2)
    assert (outside / "private").read_text() == "p"


async def test_attributes_that_git_cannot_follow_lose_no_work(tmp_path: Path, top: Path) -> None:
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    (area / ".gitattributes").write_text("*.txt working-tree-encoding=no-such-code\n")
    for name in ("a.txt", "new\nline.txt", "b.py"):
        (area / name).write_text(f"{name}\n")
    (area / "data").unlink()
    (area / "app" / "py").write_text("answer = 42\n")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert {one.path for one in made.files} == {".gitattributes", "a.txt", "new\nline.txt", "b.py", "data", "app/py"}
    assert any("byte for byte" in note for note in made.notes)


async def test_what_is_no_file_and_what_cannot_be_read_keeps_nothing_else_from_being_kept(
    tmp_path: Path, top: Path
) -> None:
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    os.mkfifo(area / "pipe")
    (area / ".GIT").mkdir()
    (area / ".GIT" / "config").write_text("[core]\n")
    (area / "new").write_text("n")
    (area / "locked").mkdir(mode=0)
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert "new" in {one.path for one in made.files}
    await rig.begin(top, attempt=2)
    assert sorted(os.listdir(area)) == [".git", "app", "data"]


async def test_pointers_of_large_files_stay_pointers(tmp_path: Path, top: Path) -> None:
    (top / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (top / "big.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "large")
    marker = tmp_path / "ran"
    git(top, "config", "filter.lfs.smudge", str(trap(tmp_path / "lfs", marker)))
    git(top, "config", "filter.lfs.required", "true")
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    assert (area / "big.bin").read_text().startswith("version https://git-lfs")
    assert not marker.exists()
    assert any("LFS" in note for note in (await rig.space.area(order)).notes)  # type: ignore[union-attr]
    (area / "small").write_text("s")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert [one.path for one in made.files] == ["small"]


async def test_dirty_detached_and_shallow_repositories_are_cloned_and_say_what_is_missing(
    tmp_path: Path, top: Path
) -> None:
    git(top, "commit", "-q", "--allow-empty", "-m", "second")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{top}", str(shallow))
    git(shallow, "checkout", "-q", "--detach")
    (shallow / "data").write_text("edited")
    before = picture(shallow)
    rig = Rig(tmp_path)
    order, area = await rig.begin(shallow)
    notes = " ".join((await rig.space.area(order)).notes)  # type: ignore[union-attr]
    assert "shallow" in notes
    assert "detached" in notes
    assert "1 path of the checkout is not committed" in notes
    assert (area / "data").read_text() == "d\n"
    assert git(area, "log", "--format=%s") == "second"
    (area / "new").write_text("n")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert made.delivered
    assert git(shallow, "fsck") == ""
    assert picture(shallow, but=[".git/refs/heads/orchestrator"]) == before


async def test_line_ends_are_converted_as_the_persons_repository_does(tmp_path: Path, top: Path) -> None:
    git(top, "config", "core.autocrlf", "true")
    rig = Rig(tmp_path)
    order, area = await rig.begin(top)
    assert (area / "data").read_bytes() == b"d\r\n"
    (area / "data").write_bytes(b"d\r\ne\r\n")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert [(one.path, one.added, one.removed) for one in made.files] == [("data", 1, 0)]


async def test_a_worktree_of_the_persons_is_a_repository_like_any_other(tmp_path: Path, top: Path) -> None:
    git(top, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    rig = Rig(tmp_path)
    order, area = await rig.begin(tmp_path / "side")
    (area / "new").write_text("n")
    made = await rig.space.deliver(order, WORDS)
    assert made is not None
    assert git(top, "show", "orchestrator/hello:new") == "n"


async def test_the_enclosure_shows_the_agent_its_whole_area_and_the_objects_and_guards_hooks_and_settings(
    tmp_path: Path, top: Path
) -> None:
    rig = Rig(tmp_path)
    order = rig.order(top / "app")
    area = await rig.space.prepare(order, str(tmp_path), fresh=True)
    (Path(area.root) / ".claude").symlink_to(tmp_path)  # by a link of its own it would see what the link leads to
    home, config = tmp_path / "home", tmp_path / "home" / ".claude"
    places = Places(area.cwd, str(home), str(config), str(tmp_path), (), read=area.read, root=area.root)
    seen = [(mount.kind.value, mount.target) for mount in mounts(places)]
    writable = seen.index(("--bind", area.root))
    assert ("--ro-bind", str(top / ".git" / "objects")) in seen
    for name in ("hooks", "config"):
        assert seen.index(("--ro-bind", f"{area.root}/.git/{name}")) > writable
    assert not [target for _, target in seen if target == f"{area.root}/.claude"]
