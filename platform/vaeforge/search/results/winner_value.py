"""Value of the winner: what its configuration is worth, by runs that had no part in choosing it.

The smallest of many noisy values is smaller than what its configuration is worth (Smith and Winkler 2006, "The
optimizer's curse", Management Science 52(3)), and there are two choices: finalists by one run each, then the best mean
over all runs. So neither that run nor that mean says without bias what the winner is worth, and the mean of its repeats
does not either: they had their part in the second choice. Instead, each repeat in turn is left out, the winner chosen
anew by all other runs, and the run of that winner read which was left out (cross-validation of the choice; Stone 1974,
JRSS B 36). What is left out is independent of what chose it: the mean has no bias as the worth of a choice by one run
fewer. Where finalists are equally good that is exactly theirs, where they differ a little worse than the winner's,
never better. Where the others always choose the winner, it is the mean of the winner's repeats.

Without repeats there is one number, that of the run that chose the trial, and it is optimistic. A search of one trial
chose nothing; its mean is over all of its runs.

What remains: all runs share their validation data, by which each selects its epoch. The test set says what that is
worth.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean, stdev

from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.manifests.trained_model import RepeatedRuns
from vaeforge.search.results.ranking import ranked
from vaeforge.search.space.objective import Objective


def winner_value(history: SearchHistory, objective: Objective) -> RepeatedRuns | None:
    """`val/nelbo` of the chosen trial's configuration and the runs that it was read from; none if nothing is chosen."""
    standings = ranked(history, objective).standings
    best = next((standing for standing in standings if standing.chosen), None)
    if best is None:
        return None
    candidates = sum(trial.repeat_of is None and trial.value is not None for trial in history.trials.values())
    if candidates == 1:
        return RepeatedRuns(best.runs, best.value, best.sd, optimistic=False)
    runs = {standing.trial.number: standing.runs for standing in standings if standing.repeated}
    left_out = list(_left_out(history, objective, runs)) if best.repeated else []
    if not left_out:
        return RepeatedRuns(best.runs, best.value, best.sd, optimistic=True)
    value, sd = mean_and_sd([trial.value for trial in left_out if trial.value is not None])
    return RepeatedRuns(tuple(trial.number for trial in left_out), value, sd, optimistic=False)


def run_mean(history: SearchHistory, runs: Iterable[int], metric: str) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation of a metric of the runs' selected epochs; none where one lacks it."""
    values = [history.trials[number].best_metrics.get(metric) for number in runs]
    known = [value for value in values if value is not None]
    return mean_and_sd(known) if len(known) == len(values) else (None, None)


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and the sample standard deviation of at least two values."""
    return fmean(values), stdev(values) if len(values) > 1 else None


def _left_out(history: SearchHistory, objective: Objective, runs: dict[int, tuple[int, ...]]) -> Iterator[TrialRecord]:
    """For each repeat, that of the trial which all other runs choose; none where they choose no trial.

    Args:
        history: of the search.
        objective: by which trials are chosen.
        runs: of each trial with all its repeats, its own number and theirs, equally many.
    """
    for place in range(1, min(map(len, runs.values()))):
        others = copy.copy(history)
        known = {number for numbers in runs.values() for number in numbers if number != numbers[place]}
        others.trials = {number: trial for number, trial in history.trials.items() if number in known}
        chosen = next((standing for standing in ranked(others, objective).standings if standing.chosen), None)
        if chosen is not None:
            yield history.trials[runs[chosen.trial.number][place]]
