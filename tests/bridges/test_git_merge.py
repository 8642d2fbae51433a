"""Merging results in our own repository: what comes of it, and that nothing of anybody's runs for it. Real git."""

import random
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.bridges.git_rig import AUTHOR, ENV, git, needs_git, repository, trap

from orchestrator.bridges.area_facts import AreaFacts
from orchestrator.bridges.git import Git, GitError
from orchestrator.bridges.git_clone import make_own
from orchestrator.bridges.git_merge import UNDECIDED_FILE, Merged, Side, merge, side_of
from orchestrator.core.events import TaskUid
from orchestrator.core.work import Base, Isolation
from orchestrator.validation.conflicts import has_markers

pytestmark = needs_git
OURS = "task/ours-00000001"


@dataclass
class Place:
    """A person's repository, our own beside it, and branches in the first."""

    top: Path
    git: Git
    facts: AreaFacts

    def branch(self, name: str, files: dict[str, str | bytes | None], start: str = "main") -> Side:
        """Make a branch that has *files* (None: gone) on top of *start*."""
        git(self.top, "checkout", "-q", "-B", name, start)
        for path, text in files.items():
            file = self.top / path
            if text is None:
                git(self.top, "rm", "-q", "-f", path)
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        git(self.top, "add", "-A")
        git(self.top, "commit", "-q", "--allow-empty", "-m", name)
        return self.side(name)

    def side(self, name: str) -> Side:
        uid = TaskUid(f"{sum(name.encode()):032x}")
        return side_of(Base(uid, name, name, str(self.top), git(self.top, "rev-parse", name), name))

    async def merge(self, *sides: Side) -> Merged:
        return await merge(self.git, self.facts, sides, author=AUTHOR)

    def show(self, what: str) -> str:
        return git(Path(self.facts.git_dir), "show", what)

    def names(self, commit: str) -> list[str]:
        return git(Path(self.facts.git_dir), "ls-tree", "-r", "--name-only", commit).split("\n")


async def place(tmp_path: Path, **files: str) -> Place:
    top = repository(tmp_path / "project", **(files or {"t": "a\nb\nc\n", "other": "o\n"}))
    program = Git(ENV["PATH"])
    own = tmp_path / "own.git"
    await make_own(program, own, object_format="sha1", borrow=(str(top / ".git" / "objects"),))
    head = git(top, "rev-parse", "HEAD")
    facts = AreaFacts(TaskUid("f" * 32), "t", Isolation.CLONE, str(top), str(top), "", str(own), head, 0)
    return Place(top, program, facts)


async def test_what_holds_the_others_is_the_merge_and_no_commit_is_made(tmp_path: Path) -> None:
    there = await place(tmp_path)
    one = there.branch("one", {"a": "1\n"})
    two = there.branch("two", {"b": "2\n"}, start="one")
    for sides in ((one, two), (two, one), (there.side("main"), two, one), (two, two)):
        assert await there.merge(*sides) == Merged(two.commit, (two.commit,))


async def test_results_that_fit_become_one_commit_with_all_of_them_above_it(tmp_path: Path) -> None:
    there = await place(tmp_path)
    sides = [there.branch(name, {name: f"{name}\n"}) for name in ("one", "two", "three")]
    made = await there.merge(there.side("main"), *sides)
    assert (made.conflicts, made.unresolved) == ((), ())
    assert made.parents == tuple(side.commit for side in sides)
    assert there.names(made.commit) == ["one", "other", "t", "three", "two"]
    assert git(there.top, "rev-parse", "HEAD") == sides[-1].commit
    said = git(Path(there.facts.git_dir), "show", "-s", "--format=%P|%an <%ae>|%s", made.commit)
    assert said == f"{' '.join(made.parents)}|{AUTHOR}|Merge the results of one, two, three"


async def test_the_same_sides_make_the_same_commit_also_in_another_repository_of_ours(tmp_path: Path) -> None:
    there = await place(tmp_path)
    sides = [there.branch(name, {"t": f"a\n{name}\nc\n", name: "n\n"}) for name in ("one", "two")]
    first = await there.merge(*sides)
    again = tmp_path / "again.git"
    await make_own(there.git, again, object_format="sha1", borrow=(str(there.top / ".git" / "objects"),))
    there.facts = replace(there.facts, git_dir=str(again))
    assert await there.merge(*sides) == first


async def test_a_conflict_names_its_path_and_the_file_holds_markers_that_name_the_tasks(tmp_path: Path) -> None:
    there = await place(tmp_path)
    one = there.branch("one", {"t": "a\nB1\nc\n"})
    two = there.branch("two", {"t": "a\nB2\nc\n", "new": "n\n"})
    made = await there.merge(one, two)
    assert [(one.path, one.kind, one.marked) for one in made.conflicts] == [("t", "contents", True)]
    assert made.unresolved == ("t",)
    assert made.parents == (one.commit, two.commit)
    text = there.show(f"{made.commit}:t")
    assert text == f"a\n<<<<<<< {one.label}\nB1\n=======\nB2\n>>>>>>> {two.label}\nc"
    assert has_markers(text)
    assert there.show(f"{made.commit}:new") == "n"


async def test_what_no_marker_can_stand_for_is_written_down_beside_it(tmp_path: Path) -> None:
    files = {"bin": "\0\1", "gone": "g\n", "moved": "m1\nm2\nm3\n", "link": "l\n", "way": "w\n"}
    there = await place(tmp_path, **files)
    one = there.branch("one", {"bin": b"\0\2", "gone": None, "moved": None, "to1": "m1\nm2\nm3\n", "d": "file\n"})
    git(there.top, "rm", "-q", "link")
    (there.top / "link").symlink_to("bin")
    git(there.top, "update-index", "--add", "--cacheinfo", f"160000,{one.commit},sub")
    git(there.top, "add", "link")
    git(there.top, "commit", "-q", "--amend", "-m", "one")
    git(there.top, "update-index", "--force-remove", "sub")
    git(there.top, "reset", "-q", "--hard")
    two = there.branch(
        "two", {"bin": b"\0\3", "gone": "changed\n", "moved": None, "to2": "m1\nm2\nm3\n", "d/x": "in\n"}
    )
    (there.top / "link").write_text("another file\n")
    git(there.top, "add", "link")
    git(there.top, "update-index", "--add", "--cacheinfo", f"160000,{two.commit},sub")
    git(there.top, "commit", "-q", "--amend", "-m", "two")
    one, two = there.side("one"), there.side("two")
    made = await there.merge(one, two)
    kinds = {one.path: one.kind for one in made.conflicts}
    assert kinds["bin"] == "binary"
    assert kinds["gone"] == "modify/delete"
    assert {kinds[path] for path in ("moved", "to1", "to2")} == {"rename/rename"}
    assert kinds["d"] == "file/directory"
    assert kinds["link"] == "distinct modes"
    assert "submodule" in kinds["sub"]
    assert made.unresolved == (UNDECIDED_FILE,)
    text = there.show(f"{made.commit}:{UNDECIDED_FILE}")
    assert has_markers(text)
    for path, kind in kinds.items():
        assert f"- {path} ({kind}): " in text
    assert f"{two.commit} ({two.label})" in text


async def test_a_file_of_that_name_is_left_as_it_is(tmp_path: Path) -> None:
    there = await place(tmp_path, **{"bin": "\0\1", "MERGE_CONFLICTS.md": "mine\n"})
    made = await there.merge(there.branch("one", {"bin": b"\0\2"}), there.branch("two", {"bin": b"\0\3"}))
    assert made.note == "MERGE_CONFLICTS_2.md"
    assert there.show(f"{made.commit}:MERGE_CONFLICTS.md") == "mine"


async def test_nothing_that_the_person_or_a_result_has_configured_runs_for_a_merge(tmp_path: Path) -> None:
    there = await place(tmp_path)
    ran = tmp_path / "ran"
    evil = trap(tmp_path / "evil", ran)
    for hook in ("pre-commit", "commit-msg", "prepare-commit-msg", "post-commit", "pre-merge-commit", "post-merge"):
        trap(there.top / ".git" / "hooks" / hook, ran)
    attributes = {".gitattributes": "* merge=evil filter=evil diff=evil\n"}
    one = there.branch("one", {"t": "a\nB1\nc\n", **attributes})
    two = there.branch("two", {"t": "a\nB2\nc\n", **attributes})
    ran.unlink(missing_ok=True)
    for name in ("merge.evil.driver", "filter.evil.clean", "filter.evil.smudge", "gpg.program", "diff.evil.command"):
        git(there.top, "config", name, f"{evil} %O %A %B")
    git(there.top, "config", "commit.gpgSign", "true")
    git(there.top, "config", "merge.default", "evil")
    made = await there.merge(one, two)
    assert [one.path for one in made.conflicts] == ["t"]
    assert not ran.exists()
    assert git(Path(there.facts.git_dir), "fsck", "--strict", "--no-dangling", made.commit) == ""


class OldGit(Git):
    """A git that says it is older than it is."""

    async def says(self, *words: str, git_dir: str = "", cwd: str = "/") -> str:
        if words == ("version",):
            return "git version 2.37.1"
        return await super().says(*words, git_dir=git_dir, cwd=cwd)


async def test_an_old_git_merges_what_only_has_to_be_moved_on_and_says_what_it_cannot(tmp_path: Path) -> None:
    there = await place(tmp_path)
    there.git = OldGit(ENV["PATH"])
    one, two = there.branch("one", {"a": "1\n"}), there.branch("two", {"b": "2\n"})
    assert (await there.merge(there.side("main"), one)).commit == one.commit
    with pytest.raises(GitError, match=r"git 2\.37 cannot merge results, that needs git 2\.38"):
        await there.merge(one, two)


async def test_names_of_any_kind_and_results_without_a_common_history_are_merged(tmp_path: Path) -> None:
    there = await place(tmp_path)
    odd = "new\nline \udce9 ü :(top)"
    one = there.branch("one", {odd: "1\n"})
    git(there.top, "checkout", "-q", "--orphan", "two")
    git(there.top, "rm", "-rqf", ".")
    (there.top / odd).write_text("2\n")
    git(there.top, "add", "-A")
    git(there.top, "commit", "-q", "-m", "two")
    made = await there.merge(one, there.side("two"))
    assert made.unresolved == (odd,)


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_is_merged_clean_results_lose_nothing_and_every_unmerged_line_is_marked(
    tmp_path: Path, seed: int
) -> None:
    """Each result edits some of twelve lines, far apart; a line that only one of them edits is always in the merge."""
    chance = random.Random(seed)
    lines = [f"line {n}\n" + "same\n" * 4 for n in range(12)]
    there = await place(tmp_path, t="".join(lines))
    edits: dict[str, dict[int, str]] = {}
    sides = []
    for name in ("one", "two", "three")[: chance.choice((2, 3))]:
        edits[name] = {n: f"{name} {n}\n" + "same\n" * 4 for n in chance.sample(range(12), chance.randint(1, 5))}
        sides.append(there.branch(name, {"t": "".join(edits[name].get(n, line) for n, line in enumerate(lines))}))
    made = await there.merge(*sides)
    text = there.show(f"{made.commit}:t")
    edited = [n for one in edits.values() for n in one]
    clash = {n for n in edited if edited.count(n) > 1}
    assert bool(made.conflicts) == has_markers(text) == bool(clash)
    for name, one in edits.items():
        for n in one:
            assert f"{name} {n}" in text
    assert await there.merge(*sides) == made


def changed_at_random(chance: random.Random, mark: str) -> dict[str, str | bytes | None]:
    """Return what one side does to some of the files f0 to f7: another text, bytes, gone, or moved and changed."""
    files: dict[str, str | bytes | None] = {}
    for name in chance.sample([f"f{n}" for n in range(8)], chance.randint(1, 4)):
        what = chance.choice(("text", "bytes", "gone", "moved"))
        whole = "".join(f"{name} {line}\n" for line in range(9))
        texts: dict[str, str | bytes] = {"text": f"{mark}\n{whole}", "bytes": f"\0{mark}".encode()}
        files[name] = texts.get(what)
        if what == "moved":
            files[f"{mark}/{name}"] = f"{whole}{mark}\n"
    return files


@pytest.mark.parametrize("seed", range(5))
async def test_what_only_one_side_did_is_in_the_merge_and_what_both_did_is_there_or_named(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    there = await place(tmp_path, **{f"f{n}": "".join(f"f{n} {line}\n" for line in range(9)) for n in range(8)})
    did = {mark: changed_at_random(chance, mark) for mark in ("one", "two")}
    sides = [there.branch(mark, files) for mark, files in did.items()]
    made = await there.merge(*sides)
    names, named = there.names(made.commit), {one.path for one in made.conflicts}
    for mark, other in (("one", "two"), ("two", "one")):
        for path, text in did[mark].items():
            both = path.rpartition("/")[2] in did[other]
            if not both and text is None:
                assert path not in names
            elif not both:
                assert git(Path(there.facts.git_dir), "rev-parse", f"{made.commit}:{path}") == git(
                    there.top, "rev-parse", f"{mark}:{path}"
                )
            elif text != did[other].get(path) and path in did[other]:
                moved = [f"{one}/{path}" for one in did]
                texts = [there.show(f"{made.commit}:{name}") for name in (path, *moved) if name in names]
                assert {path, *moved} & named or any("one" in text and "two" in text for text in texts)
    assert bool(made.unresolved) == bool(made.conflicts)
