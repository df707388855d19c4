"""The search benchmark: its clock and its statistics are what they say, and its table is the whole factorial."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from vaeforge.errors import DataError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
KEY = ("constant", 1.0, 24, 0.001)
OTHER = ("linear", 1.0, 24, 0.001)


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The benchmarks on the path, for as long as a test lasts."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield


@pytest.fixture
def clock() -> ModuleType:
    import search_replay

    return search_replay


class Scripted:
    """Proposes the same points again and again, and stops those of one schedule at the first rung."""

    epochs = frozenset({3, 9})

    def __init__(self, clock: ModuleType, *keys: Any, stopped: str = ""):
        self.points, self.stopped = [clock.params_of(key) for key in keys], stopped
        self.told: list[tuple[int, str, float | None, int]] = []

    def ask(self, number: int) -> dict[str, Any]:
        return dict(self.points[number % len(self.points)])

    def stops(self, number: int, params: dict[str, Any], epoch: int, value: float) -> bool:
        return bool(params["beta.schedule"] == self.stopped)

    def tell(self, number: int, params: dict[str, Any], state: str, value: float | None, epoch: int) -> None:
        self.told.append((number, state, value, epoch))


def falling(start: float) -> Any:
    """A curve that ends at `start` - 27."""
    return start - np.arange(1.0, 28.0)


def small_table(clock: ModuleType, curves: Any, seconds: float = 1.0, **changes: Any) -> Any:
    """A table of few points, every epoch of which takes `seconds`."""
    spec = replace(clock.FMRI, **changes)
    return clock.Table(curves, dict.fromkeys(spec.latent_dims, seconds), "nearest", spec)


def test_the_nearest_point_is_that_of_the_logarithm(clock: ModuleType) -> None:
    wanted = np.full(27, 1.0)
    table = small_table(clock, {("constant", 1.0, 24, 0.003): wanted, KEY: falling(0.0)})
    params = clock.params_of(KEY) | {"beta.value": 1.7, "model.latent_dim": 41, "optimizer.lr": 0.0018}
    # sqrt(1 * 3) = 1.73, sqrt(24 * 72) = 41.6, sqrt(0.001 * 0.003) = 0.00173
    assert table.curve(params) is wanted


def test_interpolation_is_multilinear_in_the_logarithm_and_exact_at_the_points(clock: ModuleType) -> None:
    import search_table as made

    def plane(key: Any) -> Any:  # linear in each logarithm, so that interpolation in between must be exact
        return np.full(27, 2 * math.log(key[1]) + 3 * math.log(key[2]) - math.log(key[3]) + len(key[0]))

    curves = {point.key: plane(point.key) for point in made.points()}
    table = clock.Table(curves, dict.fromkeys(made.FMRI.latent_dims, 1.0), "interpolated")
    for key in (KEY, ("half_cosine", 30.0, 216, 0.01), ("cyclical", 0.1, 8, 0.0003), ("linear", 0.17, 50, 0.007)):
        np.testing.assert_allclose(table.curve(clock.params_of(key)), plane(key))
    assert table.best == pytest.approx(2 * math.log(0.1) + 3 * math.log(8) - math.log(0.01) + len("linear"))


def test_an_epoch_of_a_size_in_between_costs_in_between(clock: ModuleType) -> None:
    table = clock.Table({KEY: falling(0.0)}, {8: 1.0, 24: 2.0, 72: 4.0, 216: 4.0}, "nearest")
    # the mean full training takes 27 * 2 s; 42 is close to sqrt(24 * 72), half way from 2 s to 4 s
    assert table.epoch_cost(clock.params_of(KEY) | {"model.latent_dim": 42}) == pytest.approx(3 / 54, rel=0.01)


def test_nearest_ranges_end_half_a_step_outside(clock: ModuleType) -> None:
    assert clock.ends((1.0, 4.0, 64.0), "nearest") == pytest.approx([0.5, 256.0])  # 1 / sqrt(4), 64 * sqrt(16)
    assert clock.ends((1.0, 4.0, 64.0), "interpolated") == [1.0, 64.0]


def test_cost_is_the_time_of_all_hosts_in_full_trainings(clock: ModuleType) -> None:
    table = small_table(clock, {KEY: falling(100.0), OTHER: falling(200.0)}, 0.5)
    strategy = Scripted(clock, KEY, OTHER, stopped="linear")
    trace = clock.replay(strategy, table, budget=4.0, hosts=2)
    # host A: trial 0, 27 epochs; host B: trial 1, stopped after 3 of 27, and then trial 2
    assert trace.costs == pytest.approx([2.0, 2 * (3 + 27) / 27])
    assert trace.values == [73.0, 73.0]
    assert strategy.told[0] == (1, "stopped", 197.0, 3)
    # trial 3 follows trial 0 until epoch 30 of the clock, trial 5 goes until 33; 4 and 6 would end after epoch 54
    assert trace.trials == {"completed": 2, "stopped at 3": 3}
    assert table.seconds == 13.5 and (table.best, table.median) == (73.0, 123.0)


def test_the_incumbent_is_the_best_full_training_so_far(clock: ModuleType) -> None:
    trace = clock.Trace(costs=[1.0, 2.0, 3.0], values=[5.0, 7.0, 4.0])
    np.testing.assert_array_equal(trace.incumbent(np.array([0.5, 1.0, 2.5, 3.0])), [math.nan, 5.0, 5.0, 4.0])
    assert np.isnan(clock.Trace().incumbent(np.array([1.0]))).all()


def test_a_training_that_broke_off_is_told_as_failed(clock: ModuleType) -> None:
    curve = falling(100.0)
    curve[4:] = math.nan
    strategy = Scripted(clock, KEY)
    trace = clock.replay(strategy, small_table(clock, {KEY: curve, OTHER: falling(1.0)}), budget=1.0, hosts=1)
    assert strategy.told[0] == (0, "failed", None, 5)
    assert trace.trials == {"failed": 5} and trace.values == []  # 5 epochs each, 27 in all


def test_statistics() -> None:
    import search_quality as quality

    rng = np.random.default_rng(0)
    early, last = rng.normal(size=40).round(1), rng.normal(size=40)
    assert quality.spearman(early, last) == pytest.approx(spearmanr(early, last).statistic)
    assert quality.reach(np.array([math.inf, 3.0, 2.0, 2.0]), 2.0) == 3.0
    assert math.isinf(quality.reach(np.array([3.0, 2.5]), 2.0))
    middle, low, high = quality.interval(rng.normal(5.0, 1.0, size=400))
    # the interval of a mean of 400: about 1.96 / 20 to either side
    assert low < middle < high and high - low == pytest.approx(2 * 1.96 / 20, rel=0.2)
    assert quality.interval(np.array([1.0, math.inf])) == [None, None, None]


def test_random_is_as_cheap_as_itself_and_its_regret_at_half_the_cost_is_twice_as_cheap() -> None:
    import search_quality as quality

    plain = {"regrets": [[8.0, 6.0, 4.0, 2.0]] * 3}
    fast = {"regrets": [[None, 2.0, 1.0, 1.0]] * 3}
    assert quality.against_random(plain, plain)["times_cheaper_than_random"] == 1.0
    found = quality.against_random(fast, plain)
    assert (found["reach"], found["reach_interval"], found["times_cheaper_than_random"]) == (2.0, [2.0, 2.0], 2.0)


def test_more_than_ours_is_positive_where_ours_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    import search_quality as quality

    monkeypatch.setattr(quality, "TOLD_AT", (1, 2))
    ours = {"regrets": [[None, 2.0], [5.0, 4.0]]}
    other = {"regrets": [[7.0, 5.0], [6.0, 7.0]]}
    assert quality.differences(other, ours) == {"1": [None, None, None], "2": [3.0, 3.0, 3.0]}


@pytest.mark.long
def test_global_rungs_pass_over_a_late_schedule_and_groups_do_not(clock: ModuleType) -> None:
    import search_quality as quality

    curves = {}
    for number in range(12):  # with few, some resample would hold one point only
        curves["constant", 1.0, 8, float(number)] = np.full(27, 20.0 + number)  # early as late
        late = [np.full(20, 50.0 + number), np.full(7, float(number))]  # and then the best of all
        curves["half_cosine", 1.0, 8, float(number)] = np.concatenate(late)
    schedules = {"constant": None, "half_cosine": None}
    found = quality.rank_correlations(small_table(clock, curves, schedules=schedules))["3"]
    assert found["within"] == {"constant": [1.0, 1.0, 1.0], "half_cosine": [1.0, 1.0, 1.0]}
    assert found["kept"] == {"within": 1.0, "pooled": 0.0}
    assert found["passed_by_schedule"] == {"constant": pytest.approx(8 / 12, abs=1e-3), "half_cosine": 0.0}
    # ranks: constant 1..12 then 13..24, half_cosine 13..24 then 1..12: each of the 24 moves by 12
    assert found["pooled"][0] == pytest.approx(1 - 6 * 24 * 144 / (24 * 575), abs=1e-3)


@pytest.mark.parametrize(("name", "count"), [("fmri", 384), ("speckle", 144)])
def test_the_committed_tables_are_whole_factorials(name: str, count: int) -> None:
    import pyarrow.parquet as pq
    import search_table as made

    spec = made.TABLES[name]
    table = pq.read_table(spec.path)
    assert table.schema.remove_metadata() == made.SCHEMA
    rows = table.to_pandas()
    sizes = rows.groupby(["schedule", "beta", "latent_dim", "lr"]).size()
    assert len(sizes) == len(list(made.points(spec))) == count
    assert set(sizes) == {spec.epochs}
    assert json.loads(table.schema.metadata[b"settings"]) == spec.settings
    assert set(rows.schedule) == set(spec.schedules)
    assert set(spec.expected()) <= {str(size) for size in spec.latent_dims}


def test_a_table_of_other_data_is_refused(tmp_path: Path) -> None:
    import search_table as made

    described = {"family": "fmri", "data_identity": "a", "settings": "{}", "schedules": "{}"}
    path = tmp_path / "table.parquet"
    made.write(path, made.SCHEMA.empty_table(), described)
    assert made.existing(path, described).num_rows == 0
    with pytest.raises(DataError, match="data_identity: got a, must be b"):
        made.existing(path, described | {"data_identity": "b"})


@pytest.mark.parametrize("row", ["tpe_asha", "tpe_asha_ray"])
def test_a_stopped_trial_is_told_as_what_the_row_says(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import search_strategies as strategies

    search, told = strategies.ROWS[row].start(0, "interpolated"), []
    monkeypatch.setattr(search.sampler, "tell", told.append)
    search.tell(3, {}, "stopped", 5.0, 9)
    search.tell(4, {}, "failed", None, 2)
    states = {"tpe_asha": "stopped", "tpe_asha_ray": "completed"}
    assert [(trial.number, trial.state, trial.values, trial.epoch) for trial in told] == [
        (3, states[row], (5.0,), 9),
        (4, "failed", None, 2),
    ]


@pytest.mark.parametrize(("row", "stops"), [("tpe_asha", False), ("tpe_asha_global", True)])
def test_rungs_compare_within_a_schedule_unless_global(row: str, stops: bool, clock: ModuleType) -> None:
    import search_strategies as strategies

    search = strategies.ROWS[row].start(0, "interpolated")
    arrivals = [(KEY, 1.0), (KEY, 1.1), (OTHER, 9.0), (OTHER, 9.1), (OTHER, 9.2)]
    for number, (key, value) in enumerate(arrivals):
        search.stops(number, clock.params_of(key), 3, value)
    assert search.stops(5, clock.params_of(OTHER), 3, 8.0) is stops


def test_a_replay_of_ours_on_the_committed_table_depends_on_the_seed_alone(clock: ModuleType) -> None:
    import search_strategies as strategies

    table = clock.Table.read(BENCHMARKS / "search_table.parquet", "interpolated")
    traces = [clock.replay(strategies.ROWS["tpe_asha"].start(seed, "interpolated"), table, 8.0) for seed in (0, 0, 1)]
    assert traces[0] == traces[1] != traces[2]
    assert min(traces[0].values) >= table.best


def test_a_replay_on_a_shorter_table_has_rungs_at_the_same_shares(clock: ModuleType) -> None:
    import search_strategies as strategies
    from search_tables import SPECKLE

    table = clock.Table.read(SPECKLE.path, "interpolated", SPECKLE)
    search = strategies.ROWS["vae_asha"].start(0, "interpolated", SPECKLE)
    assert search.epochs == {1, 3}  # of 9, as 3 and 9 of 27
    trace = clock.replay(search, table, 4.0)
    assert {name.split()[-1] for name in trace.trials} <= {"1", "3", "completed"}
    assert trace.values and min(trace.values) >= table.best


def test_strict_rungs_let_the_first_trial_of_each_schedule_pass(clock: ModuleType) -> None:
    import search_strategies as strategies

    search = strategies.ROWS["tpe_asha_strict"].start(0, "interpolated")
    arrivals = [(KEY, 1.0), (OTHER, 9.0), (OTHER, 8.0), (KEY, 2.0)]
    stopped = [search.stops(number, clock.params_of(key), 3, value) for number, (key, value) in enumerate(arrivals)]
    assert stopped == [False, False, False, True]
