"""A forecast rests on what was measured, widens where that is little, and guesses nothing where it is nothing."""

import itertools
import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.forecast import Forecast, Planned, Range, Sample, forecast
from orchestrator.core.simulation import Pool, Shape, simulate


def chance(seed: int = 7) -> Callable[[], float]:
    return random.Random(seed).random


def sample(seconds: float, usd: float | None = 1.0, kind: str = "fix", model: str = "opus") -> Sample:
    return Sample(kind, "claude", model, seconds, usd)


def planned(key: str, *needs: str, kind: str = "fix", model: str = "opus", **given: object) -> Planned:
    return Planned(key, kind, "claude", model, needs=needs, **given)  # type: ignore[arg-type]


def width(one: Range | None) -> float:
    assert one is not None
    return one.p90 / one.p10


def told(batch: list[Planned], history: list[Sample], pool: Pool | None = None) -> Forecast:
    return forecast(batch, history, pool or Pool(4, 0.0), chance())


def middle(one: Range | None) -> float:
    assert one is not None
    return one.p50


def test_without_history_nothing_is_guessed() -> None:
    found = told([planned("a"), planned("b", "a")], [])
    assert (found.time_s, found.work_s, found.cost_usd, found.known_cost_usd) == (None, None, None, None)
    assert (found.rounds, found.tasks_without_cost) == (0, 2)
    assert [(one.like, one.samples) for one in found.basis] == [("none", 0)]
    assert found.chain == ("a", "b")


def test_an_empty_batch_takes_nothing_and_is_no_forecast() -> None:
    assert told([], [sample(5)]).time_s is None


@pytest.mark.parametrize(
    ("history", "like", "samples"),
    [
        ([sample(1)] * 3 + [sample(9, model="haiku")] * 9, "type and model", 3),
        ([sample(1)] * 2 + [sample(9, model="haiku")] * 9, "type", 11),
        ([sample(1)] * 2 + [sample(9, kind="docs")] * 9, "all", 11),
        ([sample(9, kind="docs")], "all", 1),
    ],
)
def test_a_task_is_forecast_from_those_most_like_it_of_which_there_are_enough(
    history: list[Sample], like: str, samples: int
) -> None:
    (basis,) = told([planned("a")], history).basis
    assert (basis.like, basis.samples, basis.tasks) == (like, samples, 1)


def test_a_smaller_sample_gives_a_wider_range() -> None:
    widths = [width(told([planned("a")], [sample(60)] * n).time_s) for n in (1, 3, 10, 100)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 5
    assert widths[-1] < 2


def test_one_value_is_forecast_as_a_new_value_of_a_log_normal_quantity() -> None:
    """s = 0.8 and n = 1: the logarithm scatters with sqrt(2) s, so that 80 % lie within a factor of e^(2.56 x 1.13)."""
    found = [width(forecast([planned("a")], [sample(60)], Pool(1, 0.0), chance(seed)).time_s) for seed in range(9)]
    assert sorted(found)[4] == pytest.approx(18.2, rel=0.25)


def test_a_large_batch_does_not_average_away_that_its_sample_is_small() -> None:
    """Drawn on its own, each of 400 tasks would leave a sum that hardly scatters."""
    history = [sample(60), sample(50), sample(70)]
    assert width(told([planned(str(n)) for n in range(400)], history).work_s) > 2


def test_the_middle_of_a_large_sample_is_what_was_measured() -> None:
    history = [sample(60 + n % 5, 0.5) for n in range(200)]
    found = told([planned(str(n)) for n in range(40)], history, Pool(4, 0.0))
    assert middle(found.work_s) == pytest.approx(40 * 62, rel=0.05)
    assert middle(found.time_s) == pytest.approx(10 * 62, rel=0.08)
    assert middle(found.cost_usd) == pytest.approx(20, rel=0.05)


def test_the_range_holds_four_of_five_batches_that_come_true() -> None:
    """Batches of ten, their history of thirty drawn from the same source; what comes true is another draw of it."""
    source = random.Random(3)

    def took() -> float:
        return source.lognormvariate(4, 0.7)

    inside = 0
    for seed in range(120):
        found = forecast(
            [planned(str(n)) for n in range(10)], [sample(took()) for _ in range(30)], Pool(1, 0.0), chance(seed)
        )
        assert found.work_s is not None
        inside += found.work_s.p10 <= sum(took() for _ in range(10)) <= found.work_s.p90
    assert 0.7 <= inside / 120 <= 0.95


def test_the_same_chance_gives_the_same_forecast_and_another_one_nearly_the_same() -> None:
    batch, history = [planned(str(n)) for n in range(30)], [sample(n) for n in range(1, 60)]
    one, same, other = (forecast(batch, history, Pool(3, 0.0), chance(seed)) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert middle(other.time_s) == pytest.approx(middle(one.time_s), rel=0.1)


def test_a_cost_that_no_task_of_the_sample_tells_is_unknown_and_not_nothing() -> None:
    history = [sample(1, None)] * 5 + [sample(1, 2.0, kind="docs")] * 5
    found = told([planned("a"), planned("b", kind="docs")], history)
    assert (found.cost_usd, found.tasks_without_cost) == (None, 1)
    assert middle(found.known_cost_usd) == pytest.approx(2, rel=0.3)
    nobody = told([planned("a")], [sample(1, None)])
    assert (nobody.cost_usd, nobody.known_cost_usd) == (None, None)


def test_a_sample_of_which_some_costs_are_unknown_speaks_by_the_others() -> None:
    found = told([planned("a")], [sample(1, None), sample(1, 3.0)] * 50)
    assert middle(found.cost_usd) == pytest.approx(3, rel=0.1)


def test_no_task_costs_more_than_its_own_budget() -> None:
    found = told([planned("a", budget_usd=0.25)], [sample(1, 5.0)] * 9)
    assert found.cost_usd == Range(0.25, 0.25, 0.25)


def test_a_chain_takes_as_long_as_all_its_tasks_however_many_slots_there_are() -> None:
    history = [sample(100)] * 500
    row = [planned(str(n), *([str(n - 1)] if n else [])) for n in range(10)]
    found = told(row, history, Pool(8, 0.0))
    assert middle(found.time_s) == pytest.approx(1000, rel=0.05)
    assert (found.chain, found.chain_s) == (tuple(str(n) for n in range(10)), 1000)


def test_ten_thousand_tasks_are_forecast_in_a_second() -> None:
    """Told are 3 s: the machine may do something else besides. The benchmark has the figure."""
    history = [sample(n) for n in range(1, 200)]
    batch = [planned(str(n), *(str(n - 500 - k) for k in range(2) if n >= 501)) for n in range(10_000)]
    began = time.process_time()
    assert told(batch, history).rounds >= 10
    assert time.process_time() - began < 3


# --- the pool on paper -------------------------------------------------------------------------------------------


def play(
    seconds: list[float],
    pool: Pool,
    needs: dict[int, list[int]] | None = None,
    agents: list[str] | None = None,
    locks: dict[int, tuple[str, ...]] | None = None,
) -> float:
    count = range(len(seconds))
    waits = [tuple((needs or {}).get(n, ())) for n in count]
    named = agents or ["claude"] * len(seconds)
    shape = Shape.of(list(count), waits, named, [(locks or {}).get(n, ()) for n in count], pool)
    return simulate(shape, seconds, pool)


def test_slots_are_filled_in_order() -> None:
    assert play([3, 1, 1, 5], Pool(2, 1000.0)) == 7
    assert play([3, 1, 1, 5], Pool(4, 1000.0)) == 5


def test_nothing_takes_no_time() -> None:
    assert play([], Pool(2, 5.0)) == 0


def test_a_task_waits_for_what_it_comes_after() -> None:
    assert play([4, 1, 1], Pool(3, 0.0), needs={1: [0], 2: [1]}) == 6


def test_an_agent_has_no_more_at_once_than_places() -> None:
    assert play([2, 2, 2, 2], Pool(4, 0.0, places={"local": 1}), agents=["local", "local", "claude", "claude"]) == 4


def test_an_agent_without_a_free_place_does_not_hold_up_another() -> None:
    assert play([5, 5, 5], Pool(2, 0.0, places={"local": 1}), agents=["local", "local", "claude"]) == 10


def test_two_tasks_on_one_file_follow_each_other_and_let_others_pass() -> None:
    assert play([5, 5, 5], Pool(2, 0.0), locks={0: ("f",), 1: ("f",)}) == 10
    assert play([5, 5, 5, 5], Pool(2, 0.0), locks={0: ("f",), 1: ("f",)}) == 10
    assert play([5, 5], Pool(2, 0.0), locks={0: ("f", "g"), 1: ("h", "f", "f")}) == 10


def test_an_agent_that_is_held_starts_when_its_time_has_come() -> None:
    assert play([5, 5], Pool(2, 100.0, held={"claude": 130.0}), agents=["claude", "local"]) == 35


def test_in_quiet_hours_nothing_starts_and_what_runs_goes_on() -> None:
    assert play([10, 10], Pool(1, 0.0, rests=[(5.0, 60.0)])) == 70
    assert play([10, 10], Pool(2, 0.0, rests=[(5.0, 60.0)])) == 10
    assert play([1], Pool(1, 10.0, rests=[(5.0, 60.0), (60.0, 80.0)])) == 71


def test_after_quitting_time_what_runs_goes_on_when_it_is_over() -> None:
    assert play([10], Pool(1, 0.0, stops=[(4.0, 100.0), (103.0, 200.0)])) == 203
    assert play([10], Pool(1, 4.0, stops=[(4.0, 100.0)])) == 106


def test_tasks_of_a_circle_never_start_and_end_no_forecast() -> None:
    assert play([1, 1, 7], Pool(2, 0.0), needs={0: [1], 1: [0]}) == 7


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=25),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sets(st.tuples(st.integers(0, 24), st.integers(0, 24)), max_size=30),
)
def test_no_play_beats_what_must_be_or_is_worse_than_one_after_the_other(
    whole: list[int], slots: int, places: int, pairs: set[tuple[int, int]]
) -> None:
    seconds = [float(one) for one in whole]
    needs: dict[int, list[int]] = {}
    for one, other in pairs:
        if other < one < len(seconds):
            needs.setdefault(one, []).append(other)
    until: dict[int, float] = {}
    for n, each in enumerate(seconds):
        until[n] = each + max((until[need] for need in needs.get(n, ())), default=0.0)
    took = play(seconds, Pool(slots, 0.0, places={"claude": places}), needs=needs)
    least = max(max(until.values()), sum(seconds) / min(slots, places))
    assert least - 1e-9 <= took <= sum(seconds) + 1e-9
    if min(slots, places) == 1:
        assert took == sum(seconds)


def test_every_window_keeps_starts_out() -> None:
    rests = [(10.0, 20.0), (30.0, 31.0)]
    pool = Pool(1, 0.0, rests=rests, stops=[(20.0, 25.0)])
    wanted = {0: 0, 10: 25, 15: 25, 20: 25, 25: 25, 29.5: 29.5, 30: 31, 31: 31, 99: 99}
    assert {ts: pool.opens(ts) for ts in wanted} == wanted
    assert all(not begins <= pool.opens(ts / 2) < ends for ts in range(80) for begins, ends in itertools.chain(rests))
