"""Choice of a winner: fronts, knees, rankings and the number told, in whatever order and units trials come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn import FACTORS, SEEDS, SHIFTS, shuffled
from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.search.results.pareto import FrontPoint, choose, dominates, front, ranks
from vaeforge.search.results.ranking import rank, winner
from vaeforge.search.results.winner_value import winner_value
from vaeforge.search.space.objective import SINGLE
from vaeforge.search.space.objective_form import read_objective

Points = list[tuple[float, float]]
COSTS = st.lists(st.tuples(st.integers(0, 9).map(float), st.integers(0, 9).map(float)), min_size=1, max_size=12)
VALUES = st.lists(st.integers(-40, 40).map(lambda n: n / 4), min_size=2, max_size=8)
TWO = read_objective({"metrics": {"val/rate": "min", "val/distortion": "min"}})


@given(COSTS, SEEDS, FACTORS, SHIFTS)
def test_fronts_know_neither_order_nor_units(points: Points, seed: int, factor: float, shift: float) -> None:
    own, order = ranks(points), shuffled(seed, len(points))
    assert [ranks([points[i] for i in order])[k] for k in np.argsort(order)] == own
    assert ranks([(factor * a + shift, b) for a, b in points]) == own
    assert ranks([(b, a) for a, b in points]) == own
    assert ranks(points * 2) == own * 2  # equal points do not dominate each other
    assert front(points) == [place for place, level in enumerate(own) if level == 0]
    for place, level in enumerate(own):  # by definition
        beaten = [own[other] for other, point in enumerate(points) if dominates(point, points[place])]
        assert level == 1 + max(beaten, default=-1)


@given(COSTS, FACTORS, SHIFTS)
def test_the_knee_does_not_depend_on_units(points: Points, factor: float, shift: float) -> None:
    """Powers of two and whole numbers, so that the scaled costs are the same to the last bit."""
    members = [points[place] for place in front(points)]

    def chosen(costs: Points) -> tuple[int, ...]:
        return choose([FrontPoint(n, {}, one) for n, one in enumerate(costs)], TWO).order

    exact = 2.0 ** round(np.log2(factor))
    assert chosen([(exact * a + shift, b) for a, b in members]) == chosen(members)


def history(values: list[float], repeats: int, seed: int, shift: float = 0.0) -> SearchHistory:
    """Trials of these values, each run again `repeats` times with noise."""
    rng, found = np.random.default_rng(seed), SearchHistory()
    runs: list[tuple[int, float, int | None]] = [(number, value, None) for number, value in enumerate(values)]
    for place in range(repeats * len(values)):
        origin = place % len(values)
        runs.append((len(values) + place, values[origin] + float(rng.integers(-8, 9)) / 4, origin))
    found.trials = {
        number: TrialRecord(number, {}, repeat_of=origin, state="completed", final_value=value + shift)
        for number, value, origin in runs
    }
    return found


@given(VALUES, st.integers(0, 3), SEEDS, SHIFTS)
def test_a_constant_added_to_all_values_moves_the_number_told_and_no_rank(
    values: list[float], repeats: int, seed: int, shift: float
) -> None:
    own, moved = history(values, repeats, seed), history(values, repeats, seed, shift)
    assert [one.trial.number for one in rank(moved, SINGLE)] == [one.trial.number for one in rank(own, SINGLE)]
    told, later = winner_value(own, SINGLE), winner_value(moved, SINGLE)
    assert told is not None and later is not None
    assert (later.runs, later.optimistic) == (told.runs, told.optimistic)
    assert later.value - told.value == pytest.approx(shift, abs=1e-9)


@given(VALUES, st.integers(1, 3), SEEDS)
def test_the_run_that_chose_the_winner_is_never_told(values: list[float], repeats: int, seed: int) -> None:
    found = history(values, repeats, seed)
    told = winner_value(found, SINGLE)
    assert told is not None and told.optimistic is False and len(told.runs) == repeats
    assert all(found.trials[run].repeat_of is not None for run in told.runs)


@given(VALUES, SEEDS)
def test_the_order_in_which_trials_ended_changes_nothing(values: list[float], seed: int) -> None:
    own, other = history(values, 1, seed), history(values, 1, seed)
    keys = list(own.trials)
    other.trials = {keys[place]: own.trials[keys[place]] for place in shuffled(seed, len(keys))}
    assert winner(other, SINGLE).trial.number == winner(own, SINGLE).trial.number
    assert [one.value for one in rank(other, SINGLE)] == pytest.approx([one.value for one in rank(own, SINGLE)])
