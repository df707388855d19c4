"""Which trials are better than which, how long nothing has improved, and the unit scale."""

import itertools
import math
import random
import warnings

import numpy as np
import pytest
from optuna.study import StudyDirection
from optuna.trial import create_trial

from vaeforge.search.samplers.nondominated import best_quarter, cost_ranks, crowding, order_of
from vaeforge.search.samplers.trials import FinishedTrial
from vaeforge.search.samplers.trials_since_improvement import trials_since_improvement
from vaeforge.search.samplers.unit_scaling import from_unit, to_unit
from vaeforge.search.space.dimensions import Choice, Range


def complete(*costs: float) -> FinishedTrial:
    return FinishedTrial(0, {}, "completed", costs, 9)


def stopped(cost: float, epoch: int) -> FinishedTrial:
    return FinishedTrial(0, {}, "stopped", (cost,), epoch)


FAILED = FinishedTrial(0, {}, "failed", None, 1)


def test_levels_of_one_goal_are_places_and_of_two_fronts() -> None:
    assert cost_ranks([(3.0,), (1.0,), (3.0,), (2.0,)]) == [2, 0, 2, 1]
    assert cost_ranks([(0, 3), (1, 1), (3, 0), (2, 2), (3, 3)]) == [0, 0, 0, 1, 2]
    assert cost_ranks([]) == []


def test_crowding_is_the_sum_of_the_gaps_between_neighbours() -> None:
    # ends infinite; (1, 2): (3 - 0) / 4 + (4 - 1) / 4 = 1.5; (3, 1): (4 - 1) / 4 + (2 - 0) / 4 = 1.25
    assert crowding([(0, 4), (1, 2), (3, 1), (4, 0)]) == [math.inf, 1.5, 1.25, math.inf]
    assert crowding([(1, 1), (1, 1), (1, 1)])[1] == 0  # equal points


def test_one_order_over_all_ways_to_end() -> None:
    trials = [FAILED, stopped(1.0, 3), stopped(9.0, 6), complete(5.0), stopped(0.5, 3), complete(4.0)]
    assert order_of(trials) == [5, 3, 2, 4, 1, 0]


def test_of_one_front_the_less_crowded_come_first() -> None:
    trials = [complete(0, 4), complete(1, 2), complete(3, 1), complete(4, 0), complete(4, 4)]
    assert order_of(trials) == [0, 3, 1, 2, 4]


def test_the_best_quarter() -> None:
    assert best_quarter([complete(float(n)) for n in range(8)]) == {0, 1}
    assert best_quarter([complete(float(n)) for n in range(5)]) == {0, 1}  # rounded up
    assert best_quarter([complete(1.0), complete(1.0), complete(2.0), complete(3.0)]) == {0, 1}  # a tie
    assert best_quarter([FAILED, FAILED, FAILED, stopped(1.0, 3)]) == {3}
    assert best_quarter([FAILED, FAILED]) == set()
    assert best_quarter([]) == set()


def test_the_best_quarter_of_several_goals_are_whole_fronts() -> None:
    front = [complete(0, 3), complete(1, 1), complete(3, 0)]
    assert best_quarter([*front, complete(4, 4)]) == {0, 1, 2}
    worse = [complete(5 + n, 5 + n) for n in range(12)]
    assert best_quarter([*front, *worse]) == {0, 1, 2, 3}


def test_stagnation_counts_like_optuna_where_all_trials_complete() -> None:
    """Its terminators are deprecated, hence the ignored warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from optuna.terminator import BestValueStagnationEvaluator

        evaluator = BestValueStagnationEvaluator(max_stagnation_trials=100)
    chance = random.Random(0)
    for count in range(1, 30):
        values = [float(chance.randrange(10)) for _ in range(count)]
        left = evaluator.evaluate([create_trial(value=v) for v in values], StudyDirection.MINIMIZE)
        assert trials_since_improvement([complete(v) for v in values]) == 100 - left


def test_stopped_trials_count_as_no_improvement_and_failed_ones_not_at_all() -> None:
    trials = [complete(2.0), stopped(1.0, 3), FAILED, complete(2.0), stopped(1.5, 3)]
    assert trials_since_improvement(trials) == 3  # two stopped, one that only equals the best
    assert trials_since_improvement([*trials, complete(1.9)]) == 0
    assert trials_since_improvement([stopped(1.0, 3), stopped(0.5, 3)]) == 2
    assert trials_since_improvement([]) == 0


def test_with_several_goals_a_trial_improves_where_the_hypervolume_grows() -> None:
    """Against the dominated area itself, by inclusion and exclusion, for a reference point beyond all trials."""
    chance = random.Random(1)
    points = [(chance.randrange(6), chance.randrange(6)) for _ in range(40)]
    areas = [area(points[: n + 1]) for n in range(len(points))]
    grown = [n for n in range(len(points)) if n == 0 or areas[n] > areas[n - 1]]
    for n in range(len(points)):
        newest = max(k for k in grown if k <= n)
        assert trials_since_improvement([complete(*map(float, p)) for p in points[: n + 1]]) == n - newest


def area(points: list[tuple[int, int]]) -> int:
    """Cells of a 6 x 6 grid that some point dominates."""
    return sum(any(x <= i and y <= j for x, y in points) for i, j in itertools.product(range(6), repeat=2))


RANGES = [
    Range("a", "a", -2, 3.5, False, False),
    Range("a", "a", 1e-4, 10, False, True),
    Range("a", "a", 1, 7, True, False),
    Range("a", "a", 2, 256, True, True),
]


@pytest.mark.parametrize("dimension", RANGES)
def test_the_unit_scale_goes_there_and_back(dimension: Range) -> None:
    for u in np.linspace(0, 1, 41):
        value = from_unit(dimension, float(u))
        assert dimension.contains(value)
        assert type(value) is (int if dimension.integer else float)
        assert from_unit(dimension, to_unit(dimension, value)) == pytest.approx(value, rel=1e-12)
    assert (from_unit(dimension, -1), from_unit(dimension, 2)) == pytest.approx((dimension.low, dimension.high))


def test_integers_and_options_own_equal_parts() -> None:
    fine = np.linspace(0, 1, 7001)[:-1]
    counts = [[from_unit(RANGES[2], float(u)) for u in fine].count(n) for n in range(1, 8)]
    assert counts == pytest.approx([1000] * 7, abs=1)
    choice = Choice("b", {"x": (), "y": ()})
    assert [from_unit(choice, u) for u in (0.0, 0.49, 0.5, 1.0)] == ["x", "x", "y", "y"]


def test_a_range_of_one_value() -> None:
    single = Range("a", "a", 3, 3, False, True)
    assert (from_unit(single, 0.7), to_unit(single, 3)) == pytest.approx((3, 0.5))
