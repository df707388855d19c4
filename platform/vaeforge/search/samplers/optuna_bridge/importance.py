"""Importances of a search's parameters, as Optuna measures them.

Conditional PED-ANOVA (Watanabe et al. 2023, IJCAI; its extension to conditional parameters, arXiv 2601.20800) compares
where the best trials lie in each parameter with where all lie. Trials that were stopped have no comparable value and
are left out. With one goal it is computed here (`results/ped_anova.py`), with several by Optuna, whose ranks of a front
it takes.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaeforge.errors import ConfigError
from vaeforge.ledger.history import SearchHistory
from vaeforge.search.results.ped_anova import ped_anova
from vaeforge.search.samplers.trials import FinishedTrial, as_costs
from vaeforge.search.space.objective import objective_values
from vaeforge.search.space.space import Space, parse_space


@dataclass(frozen=True)
class Importances:
    """Shares by parameter, the largest first, which sum to 1, and of how many trials."""

    shares: Mapping[str, float]
    trials: int


def importances(history: SearchHistory) -> Importances | str:
    """The importances, or why there are none."""
    header = history.header
    if header is None:
        return "the ledger names no search"
    try:
        space = parse_space(header.space, header.space_source)
    except ConfigError as error:  # of another version
        return f"its space cannot be read by this version: {error.problems[0]}"
    known = [trial for trial in _finished(history, space) if trial.complete]
    if len(known) < 2:
        return f"{len(known)} fully trained trials lie in the space that was searched; it takes at least 2"
    single = space.objective.single
    return Importances(ped_anova(known, space.dimensions) if single else by_optuna(known, space), len(known))


def by_optuna(known: Sequence[FinishedTrial], space: Space) -> dict[str, float]:
    """Shares by Optuna's own evaluator, which takes three seconds to import."""
    import optuna

    from vaeforge.search.samplers.optuna_bridge.study import silence_optuna, to_frozen_trial

    silence_optuna()
    study = optuna.create_study(directions=["minimize"] * len(space.objective.goals))
    study.add_trials([to_frozen_trial(trial, space.dimensions) for trial in known])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few trials under an option: the figure says what it rests on
        shares = optuna.importance.get_param_importances(study)
    return {str(name): float(share) for name, share in shares.items()}


def _finished(history: SearchHistory, space: Space) -> list[FinishedTrial]:
    """The trials as a sampler is told them, repeats left out."""
    found = []
    for record in history.trials.values():
        measured = objective_values(record, space.objective.goals)
        values = tuple(value for value in measured if value is not None)
        inside = not space.violations(record.params, partial=True)  # another trial's parameters may have left the space
        if record.state is not None and record.repeat_of is None and inside and len(values) == len(measured):
            ended = FinishedTrial(record.number, record.params, record.state, values, record.epoch)
            found.append(as_costs(ended, space.objective.goals))
    return found
