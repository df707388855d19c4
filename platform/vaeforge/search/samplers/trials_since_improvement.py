"""Stagnation: how many trials have passed since a search last improved.

Optuna's own terminators are deprecated and go with its version 6; its `BestValueStagnationEvaluator` counts completed
trials only, of which a search with early stopping has few. Here every trial that was trained counts, stopped ones too:
being stopped is one way of not being better. Failed ones do not count: they say nothing about what is left to find.

One goal: a trial improves where it was trained to its end and its cost is below every earlier one. Several: where no
earlier trial is at least as good in every goal, which is where the hypervolume grows for any reference point that all
trials dominate; so none has to be chosen.
"""

from collections.abc import Iterable

from vaeforge.search.results.pareto import Costs, dominates
from vaeforge.search.samplers.trials import FinishedTrial


def trials_since_improvement(ended: Iterable[FinishedTrial]) -> int:
    """How many of the newest trials have not improved on those before them; costs, oldest first."""
    front: list[Costs] = []
    since = 0
    for trial in ended:
        if not trial.finite:
            continue
        if trial.complete and not any(known == trial.finite or dominates(known, trial.finite) for known in front):
            front = [known for known in front if not dominates(trial.finite, known)] + [trial.finite]
            since = 0
        else:
            since += 1
    return since
