"""A chain of results is merged in any order: none of them is in the way of itself, and none is lost."""

import itertools
from pathlib import Path

import pytest
from tests.bridges.chain_rig import UIDS, Tasks
from tests.bridges.git_rig import git, needs_git

from orchestrator.core.errors import ConflictError
from orchestrator.core.work import Base

pytestmark = needs_git
NAMES = ("auth", "data", "pay", "all")
ORDERS = list(itertools.permutations(NAMES))
SOME, OTHERS = ORDERS[22:23], ORDERS[5::11]  # all 48 take a minute
TEXT = "1\n2\n3\n4\n5\n6\n7\n8\n9\n"


@pytest.fixture
def tasks(tmp_path: Path) -> Tasks:
    return Tasks(tmp_path)


async def night(tasks: Tasks) -> None:
    """Four tasks: `pay` comes after `auth` and `data` and changes the same lines again, `all` comes after `pay`."""
    tasks.person_commits("n", TEXT)
    auth = await tasks.does("auth", {"n": TEXT.replace("1", "auth")})
    data = await tasks.does("data", {"n": TEXT.replace("9", "data"), "d": "data\n"})
    pay = await tasks.does("pay", {"n": TEXT.replace("1", "auth pay").replace("9", "data pay")}, [auth, data])
    await tasks.does("all", {"n": TEXT.replace("1", "all").replace("9", "all"), "d": "all\n"}, [pay])


async def all_merged(tasks: Tasks, order: tuple[str, ...]) -> None:
    for name in order:
        await tasks.merged(name)
        assert git(tasks.top, "status", "--porcelain") == ""
    assert (tasks.top / "n").read_text() == TEXT.replace("1", "all").replace("9", "all")
    assert (tasks.top / "d").read_text() == "all\n"
    assert [(await tasks.merged(name)).is_there for name in NAMES] == [True] * 4


@pytest.mark.parametrize("order", SOME)
async def test_in_whatever_order_they_are_merged_all_of_them_are_there(tasks: Tasks, order: tuple[str, ...]) -> None:
    await night(tasks)
    await all_merged(tasks, order)


@pytest.mark.parametrize("order", OTHERS)
async def test_the_same_on_a_branch_that_has_moved_on_between_them(tasks: Tasks, order: tuple[str, ...]) -> None:
    await night(tasks)
    tasks.person_commits("theirs", "t\n")
    await tasks.merged(order[0])
    tasks.person_commits("theirs", "more\n")
    await all_merged(tasks, order)
    assert (tasks.top / "theirs").read_text() == "more\n"


async def test_the_same_on_a_branch_that_has_lost_the_base(tasks: Tasks) -> None:
    await night(tasks)
    tasks.person_commits("theirs", "t\n", "--amend")
    merging = await tasks.merged("all")
    assert [one.name for one in merging.first] == ["auth", "data", "pay"]
    assert git(tasks.top, "rev-list", "--count", "HEAD").strip() == "6"
    assert (tasks.top / "d").read_text() == "all\n"


async def test_the_last_of_a_chain_brings_the_others_along_each_as_a_commit_of_its_own(tasks: Tasks) -> None:
    await night(tasks)
    head = tasks.person_commits("theirs", "t\n")
    merging = await tasks.merged("pay")
    assert [(one.uid, one.merging.rebased) for one in merging.first] == [(UIDS["auth"], True), (UIDS["data"], True)]
    assert [one.merging.head for one in merging.first] == [head, merging.first[0].merging.commit]
    assert (merging.head, merging.own) == (head, merging.first[1].merging.commit)
    assert git(tasks.top, "diff", "--name-only", merging.own, merging.commit) == "n"


async def test_one_that_is_there_in_another_form_is_not_brought_along_again(tasks: Tasks) -> None:
    await night(tasks)
    tasks.person_commits("theirs", "t\n")
    await tasks.merged("auth")
    tasks.person_commits("n", TEXT.replace("1", "auth, and mine\n"))
    await tasks.taking.discard(tasks.done("auth"))
    order, area = await tasks.begins("top", [Base(UIDS["auth"], "auth", "", str(tasks.top), _head(tasks, "auth"))])
    assert (area.merged, area.base) == ((), git(tasks.top, "rev-parse", "HEAD"))
    assert order.bases
    with pytest.raises(
        ConflictError, match="does not fit together: n"
    ):  # with what the person did there, not with auth
        await tasks.merged("pay")


async def test_a_result_whose_predecessor_was_discarded_is_refused_with_the_way_to_have_it_again(tasks: Tasks) -> None:
    await night(tasks)
    gone = await tasks.taking.discard(tasks.done("auth"))
    assert gone.within == ("orchestrator/all", "orchestrator/pay")
    head = git(tasks.top, "rev-parse", "HEAD")
    with pytest.raises(ConflictError, match="built on the result of auth, whose branch orchestrator/auth") as refused:
        await tasks.merged("pay")
    assert git(tasks.top, "rev-parse", "HEAD") == head
    git(tasks.top, *refused.value.hint.partition(f"git -C {tasks.top} ")[2].split())
    await all_merged(tasks, ("pay", "all", "auth", "data"))


async def test_discarding_what_was_merged_leaves_nothing_to_be_said(tasks: Tasks) -> None:
    await night(tasks)
    await tasks.merged("auth")
    assert (await tasks.taking.discard(tasks.done("auth"))).within == ()
    await tasks.merged("all")


async def contradicting(tasks: Tasks) -> None:
    """Two results that do not fit together, and a third that made one of them."""
    auth = await tasks.does("auth", {"t": "a\nauth\nc\n"})
    data = await tasks.does("data", {"t": "a\ndata\nc\n"})
    await tasks.does("pay", {"t": "a\nboth\nc\n"}, [auth, data])


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("first", ["auth", "pay"])
async def test_what_resolves_a_conflict_can_be_merged_before_and_after_one_side(
    tasks: Tasks, first: str, *, moved: bool
) -> None:
    await contradicting(tasks)
    if moved:
        tasks.person_commits("theirs", "t\n")
    await tasks.merged(first)
    if (moved, first) == (True, "auth"):
        with pytest.raises(ConflictError, match="does not fit together") as refused:
            await tasks.merged("data")
        assert "Or merge what was built on it: orchestrator/pay" in refused.value.hint
        return
    for name in ("pay", "auth", "data"):
        await tasks.merged(name)
    assert (tasks.top / "t").read_text() == "a\nboth\nc\n"


async def test_sub_tasks_and_their_parent_are_merged_in_any_order(tasks: Tasks) -> None:
    order, area = await tasks.begins("top")
    Path(area.root, "plan").write_text("p\n")
    kept = await tasks.space.keep(order)
    assert kept is not None
    had = Base(UIDS["top"], "top", "", str(tasks.top), kept.head)
    auth = await tasks.does("auth", {"plan": "p auth\n"}, [had])
    data = await tasks.does("data", {"data": "d\n"}, [had])
    order, area = await tasks.begins("top", merges=[auth, data], attempt=2, fresh=False)
    assert area.conflicts == ()
    await tasks.ends(order, area, {"plan": "p auth top\n"})
    tasks.person_commits("theirs", "t\n")
    merging = await tasks.merged("auth")
    assert [one.name for one in merging.first] == ["top"]
    assert (tasks.top / "plan").read_text() == "p auth\n"
    merging = await tasks.merged("top")
    assert [one.name for one in merging.first] == ["data"]
    assert (tasks.top / "plan").read_text() == "p auth top\n"
    assert (await tasks.merged("data")).is_there


def _head(tasks: Tasks, name: str) -> str:
    return tasks.made[name].head


async def two_levels(tasks: Tasks) -> None:
    """`top` splits into `all` and `pay`, `all` into `auth` and `data`; each goes on in the lines of those below it."""
    tasks.person_commits("n", TEXT)
    order, area = await tasks.begins("top")
    Path(area.root, "n").write_text(TEXT.replace("5", "top"))
    kept = await tasks.space.keep(order)
    assert kept is not None
    had = Base(UIDS["top"], "top", "", str(tasks.top), kept.head)
    order, _ = await tasks.begins("all", [had])
    await tasks.space.keep(order)
    auth = await tasks.does("auth", {"n": TEXT.replace("5", "top").replace("1", "auth")}, [had])
    data = await tasks.does("data", {"n": TEXT.replace("5", "top").replace("9", "data")}, [had])
    order, area = await tasks.begins("all", [had], merges=[auth, data], attempt=2, fresh=False)
    text = TEXT.replace("5", "top").replace("1", "auth all").replace("9", "data all")
    middle = await tasks.ends(order, area, {"n": text})
    pay = await tasks.does("pay", {"pay": "1\n"}, [had])
    order, area = await tasks.begins("top", merges=[middle, pay], attempt=2, fresh=False)
    assert area.conflicts == ()
    await tasks.ends(order, area, {"n": text.replace("top", "all done")})


DEEP = list(itertools.permutations((*NAMES, "top")))  # all 120 take five


@pytest.mark.parametrize("order", DEEP[87:88])
async def test_a_tree_of_two_levels_is_merged_in_any_order_onto_a_branch_that_moves(
    tasks: Tasks, order: tuple[str, ...]
) -> None:
    await two_levels(tasks)
    for number, name in enumerate(order):
        tasks.person_commits("theirs", f"{number}\n")
        await tasks.merged(name)
    text = TEXT.replace("5", "all done").replace("1", "auth all").replace("9", "data all")
    assert (tasks.top / "n").read_text() == text
    assert (tasks.top / "pay").exists()
