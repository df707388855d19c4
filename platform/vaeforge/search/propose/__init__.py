"""What proposes the trials of a search; the only place for Optuna."""

from vaeforge.config import Experiment
from vaeforge.search.propose.branched import Branched
from vaeforge.search.propose.dashboard import Dashboard
from vaeforge.search.propose.ended import Ended, read_ended
from vaeforge.search.propose.gaussian import Gaussian
from vaeforge.search.propose.genetic import Genetic
from vaeforge.search.propose.grid import Grid
from vaeforge.search.propose.proposer import Proposer
from vaeforge.search.propose.sequence import LowDiscrepancy
from vaeforge.search.propose.study import hush
from vaeforge.search.propose.whole import Independent, TreeParzen
from vaeforge.search.space import Space
from vaeforge.search.strategies import CMAES, GP, NSGA2, QMC, TPE, Random

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
            from vaeforge.search.propose.evolution import Evolution  # brings scipy.stats

            return Branched(space, seed, Evolution, startup=strategy.startup)
        case QMC():
            return Branched(space, seed, LowDiscrepancy, kind=strategy.kind)
        case Random():
            return Independent(space, seed)
        case NSGA2():
            return Genetic(space, seed, strategy.population)
        case _:
            return Grid(space, seed, strategy.points)
