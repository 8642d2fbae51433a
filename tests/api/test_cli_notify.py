"""`notify test` says of each place whether it was told."""

from tests.api.world import World

from orchestrator.core.notice_ports import Told


async def test_each_place_is_named_with_how_it_went() -> None:
    world = World(told=[Told("ops", "webhook", ""), Told("phone", "apprise", "no answer within 30 s")])
    assert await world.call("notify", "test") == (1, "ops: told\nphone: NOT told - no answer within 30 s\n", "")
    assert await world.call("notify", "test", "ops") == (0, "ops: told\n", "")


async def test_who_told_nobody_is_told_where_the_list_is() -> None:
    code, out, _ = await World().call("notify", "test")
    assert code == 1
    assert "`notify` in config/orchestrator.yaml" in out


async def test_as_json_it_is_one_document() -> None:
    world = World(told=[Told("ops", "webhook", "refused")])
    (row,) = (await world.json("notify", "test"))["places"]
    assert row == {"name": "ops", "to": "webhook", "arrived": False, "trouble": "refused"}
