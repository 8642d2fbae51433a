"""A task that begins with the results of others: what is in its area, in its branch, and in its own change."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.bridges.chain_rig import UIDS, Tasks
from tests.bridges.git_rig import git, needs_git, picture, repository

from orchestrator.bridges.area_facts import AreaFolder
from orchestrator.core.failpoint import install
from orchestrator.core.work import Area, Base

pytestmark = needs_git


@pytest.fixture
def chain(tmp_path: Path) -> Tasks:
    return Tasks(tmp_path)


async def test_a_dependent_begins_from_the_result_before_it_and_its_change_is_its_own(chain: Tasks) -> None:
    before = picture(chain.top)
    auth = await chain.does("auth", {"auth": "1\n"})
    order, area = await chain.begins("pay", [auth])
    assert (Path(area.root) / "auth").read_text() == "1\n"
    assert (area.base, area.merged, area.conflicts) == (auth.head, ("auth",), ())
    assert git(Path(area.root), "status", "--porcelain") == ""
    pay = await chain.ends(order, area, {"pay": "2\n"})
    made = chain.made["pay"]
    assert ([one.path for one in made.files], made.base) == (["pay"], auth.head)
    assert git(chain.top, "log", "--format=%H", f"main..{pay.branch}").split() == [pay.head, auth.head]
    assert "auth" not in Path(made.patch).read_text()
    assert picture(chain.top, but=[".git/refs/heads/orchestrator"]) == before


async def test_several_results_and_what_the_person_did_meanwhile_are_merged(chain: Tasks) -> None:
    auth = await chain.does("auth", {"auth": "1\n"})
    data = await chain.does("data", {"data": "1\n"})
    (chain.top / "theirs").write_text("t\n")
    git(chain.top, "add", "theirs")
    git(chain.top, "commit", "-q", "-m", "meanwhile")
    head = git(chain.top, "rev-parse", "HEAD")
    order, area = await chain.begins("pay", [auth, data])
    assert {"auth", "data", "theirs"} <= {path.name for path in Path(area.root).iterdir()}
    assert git(chain.top, "show", "-s", "--format=%P", area.base).split() == [head, auth.head, data.head]
    assert "it began with the results of auth, data" in area.notes
    await chain.ends(order, area, {"pay": "2\n"})
    assert [one.path for one in chain.made["pay"].files] == ["pay"]
    git(chain.top, "reflog", "expire", "--expire=now", "--all")
    git(chain.top, "branch", "-D", auth.branch, data.branch)
    git(chain.top, "gc", "-q", "--prune=now")
    assert {"auth", "data", "theirs", "pay"} <= set(chain.files(chain.made["pay"].head))


async def test_what_the_repository_has_already_is_not_merged_again(chain: Tasks) -> None:
    auth = await chain.does("auth", {"auth": "1\n"})
    git(chain.top, "merge", "-q", "--ff-only", auth.branch)
    _, area = await chain.begins("pay", [auth])
    assert (area.base, area.merged) == (auth.head, ())


async def test_a_result_that_cannot_be_in_it_is_said_and_not_dropped(chain: Tasks, tmp_path: Path) -> None:
    other = repository(tmp_path / "other", x="x\n")
    far = replace(await chain.does("auth", {"far": "1\n"}, cwd=other), source=str(other))
    in_place = Base(UIDS["data"], "data", "data", str(chain.top), "", "")
    _, area = await chain.begins("pay", [far, in_place])
    assert f"the result of auth (branch orchestrator/auth) is not in it: it lies in another repository, {other}" in (
        area.notes
    )
    assert any(note.startswith("the result of data is not in it: that one worked in place") for note in area.notes)
    assert area.merged == ()
    chain.rules = replace(chain.rules, mode="copy")
    _, area = await chain.begins("all", [far])
    assert any("this one works in a copy of a folder" in note for note in area.notes)
    chain.rules = replace(chain.rules, mode="in_place")
    _, area = await chain.begins("top", [far, in_place])
    assert area.notes == (
        f"the result of auth (branch orchestrator/auth) is not merged into {chain.top}: it is worked on in place",
    )


async def test_a_result_that_was_discarded_before_is_in_it_and_the_notes_say_so(chain: Tasks) -> None:
    auth = await chain.does("auth", {"auth": "1\n"})
    await chain.taking.discard(chain.done("auth"))
    _, area = await chain.begins("pay", [auth])
    assert Path(area.root, "auth").exists()
    assert any("was discarded before this began: it is in it nevertheless" in note for note in area.notes)


async def test_results_that_do_not_fit_are_in_the_area_with_markers_and_the_result_is_the_merge(chain: Tasks) -> None:
    auth = await chain.does("auth", {"t": "a\nB1\nc\n"})
    data = await chain.does("data", {"t": "a\nB2\nc\n"})
    order, area = await chain.begins("pay", [auth, data])
    assert area.conflicts == ("t",)
    assert "<<<<<<< task/auth-00000001\nB1\n=======\nB2\n>>>>>>> task/data-00000002" in (
        Path(area.root, "t").read_text()
    )
    await chain.space.keep(order)
    left = (await chain.space.changes(order)).unresolved
    assert left is not None
    assert (left.paths, left.place) == (("t",), area.root)
    assert left.sides == (
        "the result of auth (branch orchestrator/auth)",
        "the result of data (branch orchestrator/data)",
    )
    order, area = await chain.begins("pay", [auth, data], attempt=2, fresh=False)
    assert area.conflicts == ("t",)
    pay = await chain.ends(order, area, {"t": "a\nboth\nc\n"})
    assert (await chain.space.changes(order)).unresolved is None
    assert git(chain.top, "show", "-s", "--format=%P", pay.head).split() == [auth.head, data.head]
    assert git(chain.top, "log", "-G", "^<<<<<<< task/", "--format=%h", pay.branch) == ""
    _, area = await chain.begins("pay", [auth, data], attempt=3, fresh=False)
    assert area.conflicts == ()


async def test_markers_that_were_moved_elsewhere_are_left_and_a_text_about_them_is_not(chain: Tasks) -> None:
    text = "How it looks:\n<<<<<<< task/auth-00000001\n"
    auth = await chain.does("auth", {"t": "a\nB1\nc\n", "doc": text})
    data = await chain.does("data", {"t": "a\nB2\nc\n"})
    order, area = await chain.begins("pay", [auth, data])
    Path(area.root, "t").rename(Path(area.root, "moved"))
    await chain.space.keep(order)
    left = (await chain.space.changes(order)).unresolved
    assert left is not None
    assert left.paths == ("moved",)


async def test_sub_tasks_results_are_merged_into_what_the_parent_had_left(chain: Tasks) -> None:
    order, area = await chain.begins("top")
    Path(area.root, "plan").write_text("p\n")
    await chain.space.keep(order)
    auth, data = await chain.does("auth", {"auth": "1\n"}), await chain.does("data", {"data": "1\n"})
    base = area.base
    order, area = await chain.begins("top", merges=[auth, data], attempt=2, fresh=False)
    assert {"plan", "auth", "data"} <= {path.name for path in Path(area.root).iterdir()}
    assert (area.base, area.merged, area.conflicts) == (base, ("auth", "data"), ())
    top = await chain.ends(order, area, {"joined": "j\n"})
    assert [one.path for one in chain.made["top"].files] == ["auth", "data", "joined", "plan"]
    assert git(chain.top, "show", "-s", "--format=%P", top.head).split() == [base, auth.head, data.head]
    assert git(chain.top, "branch", "--format=%(refname:short)", "--merged", top.branch).split() == [
        "main",
        "orchestrator/auth",
        "orchestrator/data",
        "orchestrator/top",
    ]


async def test_a_later_attempt_goes_on_and_one_begun_anew_begins_with_the_sub_tasks_results(chain: Tasks) -> None:
    auth = await chain.does("auth", {"auth": "1\n"})
    await chain.begins("top")
    order, area = await chain.begins("top", merges=[auth], attempt=2, fresh=False)
    Path(area.root, "half").write_text("h\n")
    await chain.space.keep(order)
    order, area = await chain.begins("top", merges=[auth], attempt=3, fresh=False)
    assert Path(area.root, "half").exists()
    await chain.space.keep(order)
    order, area = await chain.begins("top", merges=[auth], attempt=4, fresh=True)
    assert not Path(area.root, "half").exists()
    assert Path(area.root, "auth").exists()


async def test_a_parent_that_splits_again_merges_only_what_is_new(chain: Tasks) -> None:
    auth = await chain.does("auth", {"t": "a\nB1\nc\n"})
    order, area = await chain.begins("top", merges=[auth])
    Path(area.root, "t").write_text("a\nB1 and mine\nc\n")
    await chain.space.keep(order)
    data = await chain.does("data", {"more": "m\n"}, [auth])
    _, area = await chain.begins("top", merges=[auth, data], attempt=2, fresh=False)
    assert (area.conflicts, area.merged) == ((), ("auth", "data"))
    assert Path(area.root, "t").read_text() == "a\nB1 and mine\nc\n"
    assert Path(area.root, "more").exists()


class DiesError(BaseException):
    """The daemon dies here."""


@pytest.mark.parametrize("point", ["area.merged", "area.recorded"])
async def test_whatever_point_it_dies_at_the_next_start_has_the_same_area(chain: Tasks, point: str) -> None:
    auth, data = await chain.does("auth", {"auth": "1\n"}), await chain.does("data", {"data": "1\n"})
    order, area = await chain.begins("top")
    Path(area.root, "plan").write_text("p\n")
    await chain.space.keep(order)

    def dies(name: str) -> None:
        if name == point:
            raise DiesError

    async def killed_then(name: str, **given: Any) -> Area:
        install(dies)
        try:
            with pytest.raises(DiesError):
                await chain.begins(name, **given)
        finally:
            install(None)
        chain.space = chain.later()
        return (await chain.begins(name, **given))[1]

    pay = await killed_then("pay", bases=[auth, data])
    assert {"auth", "data"} <= {path.name for path in Path(pay.root).iterdir()}
    top = await killed_then("top", merges=[auth, data], attempt=2, fresh=False)
    assert {"auth", "data", "plan"} <= {path.name for path in Path(top.root).iterdir()}
    facts = AreaFolder(chain.state / "work", UIDS["top"]).load()
    assert facts is not None
    assert [one.task_id for one in facts.merged] == ["auth", "data"]
    assert facts.joined == git(chain.top, "rev-parse", f"refs/orchestrator/joins/{UIDS['top']}")
