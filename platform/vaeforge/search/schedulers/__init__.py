"""Schedulers as pure rules: which trials go on, stop or inherit, by name (`scheduler:` of a space, `strategies.py`).

To add one: a file here with a `Scheduler`, its settings in `strategies.py`, and its line in `make_scheduler`; the
contract test (`tests/unit/test_search_schedulers.py`) then covers it.
"""

from typing import TYPE_CHECKING

from vaeforge.search.schedulers.asha import ASHA
from vaeforge.search.schedulers.base import Action, RungReport, Scheduler, TrialDecision
from vaeforge.search.schedulers.hyperband import Hyperband
from vaeforge.search.schedulers.median import MedianStopping
from vaeforge.search.schedulers.mutation import Mutation
from vaeforge.search.schedulers.no_scheduler import NoScheduler
from vaeforge.search.schedulers.pbt import PBT
from vaeforge.search.space import strategies

if TYPE_CHECKING:  # the typed configuration, and torch with it, is not needed to decide
    from vaeforge.search.space.space import Space

__all__ = ["Action", "RungReport", "Scheduler", "TrialDecision", "make_scheduler"]


def make_scheduler(space: "Space", seed: int, trials: int) -> Scheduler:
    """The rule of `space.scheduler` in a search under `seed`; `trials` of them are a population where one is needed."""
    settings, epochs = space.scheduler, space.scheduler.epochs(space.fidelity)
    match settings:
        case strategies.Asha():
            return ASHA(epochs, space.fidelity.reduction)
        case strategies.Hyperband():
            return Hyperband(epochs, space.fidelity.reduction, settings.brackets)
        case strategies.Median():
            return MedianStopping(epochs)
        case strategies.PBT():
            mutation = Mutation(space.dimensions, settings.resample)
            return PBT(epochs, trials, settings.quantile, mutation, seed)
        case strategies.NoScheduler():
            return NoScheduler()
