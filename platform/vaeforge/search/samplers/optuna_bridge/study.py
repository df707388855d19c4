"""Optuna studies as views of a sampler's memory: built for one proposal, told the truth, and thrown away.

Optuna keeps trials for ever, and its samplers fit all of them; a study here holds a window, in the order of our
numbers, so that a proposal depends on what is known and not on when it was said. Building one of 300 trials takes 13
ms.

What a trial is to Optuna: trained to its end COMPLETE; stopped, with one goal, PRUNED with its cost at its epoch;
stopped with several goals, left out, because Optuna has no intermediate value of several; without a value FAIL; not
ended RUNNING, which keeps samplers from proposing the same again. Values are costs, so that every direction is
minimize.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from vaeforge.search.samplers.nondominated import order_of
from vaeforge.search.samplers.trials import FinishedTrial, RunningTrial
from vaeforge.search.space.dimensions import Dimension, Params, Range, active_dimensions

WINDOW = 300  # trials a model is fitted to: 0.06 s of a core for TPE to ask with so many, 0.3 s for GP
WINDOW_BEST = 30  # of these, the best of all time; the others are the newest


def silence_optuna() -> None:
    """Keep Optuna from saying that it has created a study, which it does for each; its warnings stay."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def build_study(
    ended: Sequence[FinishedTrial],
    running: Sequence[RunningTrial],
    dimensions: Sequence[Dimension],
    goals: int,
    sampler: BaseSampler,
) -> optuna.Study:
    """A study of the window of `ended` and of all that run, with the parameters that `dimensions` name."""
    silence_optuna()
    known = [trial for trial in ended if goals == 1 or trial.state != "stopped"]
    placed: list[tuple[int, FrozenTrial]] = [
        (-1 if trial.number is None else trial.number, to_frozen_trial(trial, dimensions)) for trial in window(known)
    ]
    placed += [(trial.number, running_to_frozen_trial(trial.params, dimensions)) for trial in running]
    study = optuna.create_study(directions=["minimize"] * goals, sampler=sampler)
    study.add_trials([trial for _, trial in sorted(placed, key=lambda pair: pair[0])])
    return study


def to_frozen_trial(
    trial: FinishedTrial,
    dimensions: Sequence[Dimension],
    intermediate: Mapping[int, float] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> FrozenTrial:
    """An ended trial as Optuna keeps it, with its values by epoch and user attributes where they are given."""
    state, shown = TrialState.FAIL, dict(intermediate or {})
    if trial.complete:
        state = TrialState.COMPLETE
    elif trial.state == "stopped" and trial.finite:
        state = TrialState.PRUNED
        shown |= {trial.epoch: trial.finite[0]} if len(trial.finite) == 1 else {}
    return optuna.trial.create_trial(
        state=state,
        values=trial.finite if state == TrialState.COMPLETE else None,
        intermediate_values=shown,
        user_attrs=dict(attributes or {}),
        **_parameters(trial.params, dimensions),
    )


def running_to_frozen_trial(params: Params, dimensions: Sequence[Dimension]) -> FrozenTrial:
    """A trial that runs."""
    return optuna.trial.create_trial(state=TrialState.RUNNING, **_parameters(params, dimensions))


def _parameters(params: Params, dimensions: Sequence[Dimension]) -> dict[str, Any]:
    names = named(dimensions, params)
    return {
        "params": {name: value for name, (_, value) in names.items()},
        "distributions": {name: distribution_of(dimension) for name, (dimension, _) in names.items()},
    }


def named(dimensions: Sequence[Dimension], params: Params) -> dict[str, tuple[Dimension, Any]]:
    """Optuna's name to (dimension, value) for the dimensions that are open under `params`."""
    opened = [dimension for dimension in active_dimensions(tuple(dimensions), params) if dimension.path in params]
    return {dimension.name: (dimension, params[dimension.path]) for dimension in opened}


def distribution_of(dimension: Dimension) -> BaseDistribution:
    """The Optuna distribution that `dimension.suggest` draws from."""
    if not isinstance(dimension, Range):
        return CategoricalDistribution(list(dimension.options))
    if dimension.integer:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def window(ended: list[FinishedTrial]) -> list[FinishedTrial]:
    """At most `WINDOW` of the trials: the best `WINDOW_BEST` and the newest, in the given order."""
    if len(ended) <= WINDOW:
        return ended
    kept = set(order_of(ended)[:WINDOW_BEST])
    for index in reversed(range(len(ended))):
        if len(kept) == WINDOW:
            break
        kept.add(index)
    return [ended[index] for index in sorted(kept)]
