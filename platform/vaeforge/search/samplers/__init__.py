"""What proposes the trials of a search; the only place for Optuna."""

from vaeforge.config.experiment import Experiment
from vaeforge.search.samplers.base import Proposer
from vaeforge.search.samplers.dashboard import Dashboard
from vaeforge.search.samplers.ended import Ended, read_ended
from vaeforge.search.samplers.gp import Gaussian
from vaeforge.search.samplers.grid import Grid
from vaeforge.search.samplers.nsga2 import Genetic
from vaeforge.search.samplers.optuna_study import hush
from vaeforge.search.samplers.per_subspace import Branched
from vaeforge.search.samplers.qmc import LowDiscrepancy
from vaeforge.search.samplers.tpe import Independent, TreeParzen
from vaeforge.search.space.space import Space
from vaeforge.search.space.strategies import CMAES, GP, NSGA2, QMC, TPE, Random

__all__ = ["Dashboard", "Ended", "Proposer", "make_proposer", "read_ended"]


def make_proposer(space: Space, base: Experiment, seed: int) -> Proposer:
    """The proposer of the strategy that `space.search` names.

    Raises:
        ConfigError: if the space has too many branches or too large a grid for it.
    """
    hush()
    strategy = space.search
    match strategy:
        case TPE():
            return TreeParzen(space, seed, strategy.startup)
        case GP():
            return Branched(space, seed, Gaussian, startup=strategy.startup)
        case CMAES():
            from vaeforge.search.samplers.cmaes import Evolution  # brings scipy.stats

            return Branched(space, seed, Evolution, startup=strategy.startup)
        case QMC():
            return Branched(space, seed, LowDiscrepancy, kind=strategy.kind)
        case Random():
            return Independent(space, seed)
        case NSGA2():
            return Genetic(space, seed, strategy.population)
        case _:
            return Grid(space, seed, strategy.points)
