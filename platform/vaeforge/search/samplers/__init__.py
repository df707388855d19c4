"""What proposes the trials of a search; the only place for Optuna."""

from vaeforge.config.experiment import Experiment
from vaeforge.search.samplers.base import Sampler
from vaeforge.search.samplers.dashboard import Dashboard
from vaeforge.search.samplers.ended import FinishedTrial, transferred
from vaeforge.search.samplers.gp import GPModel
from vaeforge.search.samplers.grid import GridSampler
from vaeforge.search.samplers.nsga2 import NSGA2Sampler
from vaeforge.search.samplers.optuna_study import silence_optuna
from vaeforge.search.samplers.per_subspace import PerSubspaceSampler
from vaeforge.search.samplers.qmc import QMCModel
from vaeforge.search.samplers.tpe import RandomSampler, TPESampler
from vaeforge.search.space.space import Space
from vaeforge.search.space.strategies import CMAES, GP, NSGA2, QMC, TPE, Random

__all__ = ["Dashboard", "FinishedTrial", "Sampler", "make_sampler", "transferred"]


def make_sampler(space: Space, base: Experiment, seed: int) -> Sampler:
    """The sampler of the strategy that `space.search` names.

    Raises:
        ConfigError: if the space has too many branches or too large a grid for it.
    """
    silence_optuna()
    strategy = space.search
    match strategy:
        case TPE():
            return TPESampler(space, seed, strategy.startup)
        case GP():
            return PerSubspaceSampler(space, seed, GPModel, startup=strategy.startup)
        case CMAES():
            from vaeforge.search.samplers.cmaes import CMAESModel  # brings scipy.stats

            return PerSubspaceSampler(space, seed, CMAESModel, startup=strategy.startup)
        case QMC():
            return PerSubspaceSampler(space, seed, QMCModel, kind=strategy.kind)
        case Random():
            return RandomSampler(space, seed)
        case NSGA2():
            return NSGA2Sampler(space, seed, strategy.population)
        case _:
            return GridSampler(space, seed, strategy.points)
