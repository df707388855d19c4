"""What is told of the winner: without bias where trials were repeated, and called optimistic where they were not."""

from collections.abc import Sequence

import numpy as np
import pytest

from ledger_events import event
from vaeforge.ledger.history import SearchHistory, fold
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.manifests.trained_model import RepeatedRuns
from vaeforge.search.results.ranking import finalists, winner
from vaeforge.search.results.winner_value import winner_value
from vaeforge.search.space.objective import SINGLE
from vaeforge.search.space.objective_form import read_objective

TRIALS, FINALISTS = 8, 3


def trial(number: int, value: float, repeat_of: int | None = None) -> TrialRecord:
    return TrialRecord(number, {}, repeat_of=repeat_of, state="completed", final_value=value)


def history(*trials: TrialRecord) -> SearchHistory:
    found = SearchHistory()
    found.trials = {one.number: one for one in trials}
    return found


def told(*trials: TrialRecord) -> RepeatedRuns:
    found = winner_value(history(*trials), SINGLE)
    assert found is not None
    return found


def test_one_of_several_trials_is_told_by_the_run_that_chose_it_and_that_is_said() -> None:
    found = told(trial(0, 3.0), trial(1, 2.0))
    assert found == RepeatedRuns((1,), 2.0, None, optimistic=True)
    assert found.basis == "of the run that chose it, optimistic; `--repeats 3` measures it without them"


def test_a_single_trial_was_chosen_by_nothing() -> None:
    found = told(trial(0, 3.0), trial(1, 5.0, 0), trial(2, 4.0, 0))
    assert found == RepeatedRuns((0, 1, 2), 4.0, 1.0, optimistic=False)
    assert found.basis == "mean of 3 runs, no part of the choice"


def test_where_the_other_runs_always_choose_the_winner_it_is_the_mean_of_its_repeats() -> None:
    """Without either repeat, 1 stays ahead: (2 + 2.5) / 2 and (2 + 3) / 2 against (1 + 4) / 2 and (1 + 7) / 2."""
    again = [trial(3, 7.0, 0), trial(4, 4.1, 0), trial(5, 3.0, 1), trial(6, 2.5, 1)]
    found = told(trial(0, 1.0), trial(1, 2.0), trial(2, 2.2), *again)
    assert found.runs == (5, 6) and found.value == pytest.approx(2.75) and found.sd == pytest.approx(0.5 / 2**0.5)
    assert found.optimistic is False


def test_where_they_choose_another_trial_its_run_counts() -> None:
    """0 wins by 1, 0 and 5, mean 2; without the 0 it has 3 and loses to 2.5, of which the run left out is 4."""
    found = told(trial(0, 1.0), trial(1, 2.0), trial(2, 0.0, 0), trial(3, 5.0, 0), trial(4, 4.0, 1), trial(5, 3.0, 1))
    assert found.runs == (4, 3) and found.value == 4.5


def test_repeats_that_failed_leave_the_number_optimistic() -> None:
    failed = TrialRecord(2, {}, repeat_of=0, state="failed")
    found = told(trial(0, 1.0), trial(1, 2.0), failed)
    assert found == RepeatedRuns((0,), 1.0, None, optimistic=True)
    assert winner_value(history(TrialRecord(0, {}, state="failed")), SINGLE) is None


def test_several_goals_are_chosen_anew_by_the_rule() -> None:
    """At most 20 nats of rate: trial 1 keeps that in its first run and in its repeat, and has the less distortion."""
    points = [(0, None, 10.0, 90.0), (1, None, 20.0, 80.0), (2, 0, 11.0, 95.0), (3, 1, 18.0, 85.0)]
    events = [event("search", name="s", family="f", space={})]
    for number, repeat_of, rate, distortion in points:
        best = {"file": "f", "sha256": "0", "epoch": 1}
        metrics = {"val/nelbo": rate + distortion, "val/rate": rate, "val/distortion": distortion}
        value = rate + distortion
        events += [
            event("submitted", trial=number, params={}, group="g", repeat_of=repeat_of),
            event("reported", trial=number, epoch=1, seconds=1.0, best=best, metrics=metrics, value=value),
            event("finished", trial=number, state="completed", value=value, epoch=1, seconds=1.0),
        ]
    rule = {"constraint": {"val/rate": 20.0}, "best": "val/distortion"}
    goals = read_objective({"metrics": {"val/rate": "min", "val/distortion": "min"}, "choose": rule})
    found = winner_value(fold(events), goals)
    assert found == RepeatedRuns((3,), 103.0, None, optimistic=False)


def simulated(worth: Sequence[float], repeats: int, seed: int) -> tuple[float, float, float, float]:
    """A search with known worths and noise of standard deviation 1.

    Returns:
        The number told, the mean of all the winner's runs, that of its repeats, and the winner's worth.
    """
    rng = np.random.default_rng(seed)
    firsts = [trial(number, float(rng.normal(mean))) for number, mean in enumerate(worth)]
    chosen = finalists(history(*firsts), SINGLE, FINALISTS)
    places = enumerate((number for number in chosen for _ in range(repeats - 1)), start=len(worth))
    found = history(*firsts, *(trial(place, float(rng.normal(worth[n])), n) for place, n in places))
    best, value = winner(found, SINGLE), winner_value(found, SINGLE)
    assert value is not None and value.optimistic is False and best.trial.number not in value.runs
    own = [found.trials[number].value for number in best.runs[1:]]
    return float(value.value), best.value, float(np.mean([v for v in own if v is not None])), worth[best.trial.number]


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [2, 3, pytest.param(5, marks=pytest.mark.long)])
def test_the_number_told_of_equally_good_trials_has_no_bias(repeats: int) -> None:
    draws = np.array([simulated([0.0] * TRIALS, repeats, seed) for seed in range(1500)])
    mean, error = draws.mean(0), draws.std(0) / np.sqrt(len(draws))
    assert abs(mean[0]) < 3 * error[0]
    assert mean[1] < -10 * error[1]  # the mean of all runs of the winner, which was told before
    assert mean[2] < -5 * error[2]  # the mean of its repeats alone is not enough: they chose it, too


@pytest.mark.slow
def test_the_number_told_of_trials_that_differ_is_never_better_than_their_worth() -> None:
    draws = np.array([simulated(np.linspace(0, 2, TRIALS).tolist(), 3, seed) for seed in range(1500)])
    less = draws[:, 0] - draws[:, 3]
    assert -3 * less.std() / np.sqrt(len(less)) < less.mean() < 0.15
    assert (draws[:, 1] - draws[:, 3]).mean() < -0.3
