"""CMA-ES over one subspace (Hansen 2016, "The CMA Evolution Strategy: A Tutorial"), on the unit cube of its ranges.

State: mean m_D, step size sigma, covariance C_DD for D ranges; a generation has lambda = 4 + floor(3 ln D) trials.
The distribution is rebuilt for each proposal from the trials that have ended: by number, lambda of them at a time are
one generation. So nothing but the trials has to be kept, no trial is wasted because it ended late, and a resumed
search goes on where it was. Optuna's sampler pickles its state into the study and learns from trained ones of the own
generation only; CMA-ES needs no values but an order, and a stopped trial has a place in it: behind those trained to
their end, those that came further first. Failed ones are left out.

Trials of another search give the first distribution (warm start; Nomura et al. 2021); else it is the middle of the
ranges with a standard deviation of a sixth of each. Integers are rounded. It is worth its while from some ten
generations a subspace on; before, it is a search around the middle.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vaeforge.search.samplers.base import Sampler
from vaeforge.search.samplers.nondominated import order_of
from vaeforge.search.samplers.per_subspace import PerSubspaceSampler, SubspaceContext, SubspaceModel
from vaeforge.search.samplers.qmc import QMCSequence, taken
from vaeforge.search.samplers.settings import SamplerSettings, Separate, Startup
from vaeforge.search.samplers.trials import FinishedTrial, RunningTrial
from vaeforge.search.samplers.unit_scaling import from_unit, to_unit
from vaeforge.search.space.dimensions import Dimension, Params, Range
from vaeforge.search.space.search_space import SearchSpace

if TYPE_CHECKING:
    from cmaes import CMA

SPREAD = 1 / 6  # standard deviation of the first generation, of a range
WARM_SHARE, WARM_LEAST = 0.1, 10  # share of another search's trials that a warm start takes, and trials it needs
Array = NDArray[np.float64]


class CMAESModel(SubspaceModel):
    """CMA-ES; the first `startup` trials of the subspace are of a scrambled Sobol' sequence."""

    def __init__(self, dimensions: Sequence[Dimension], context: SubspaceContext, startup: int):
        super().__init__(dimensions, context)
        self._startup = startup
        self._points = QMCSequence(self.dimensions, context.seed, "sobol")
        self._ranges = [d for d in self.dimensions if isinstance(d, Range) and d.low < d.high]

    def propose(self, ended: Sequence[FinishedTrial], running: Sequence[RunningTrial], seed: int) -> Params:
        """See `SubspaceModel`."""
        known = taken(ended, running)
        if len(known) < self._startup or not self._ranges:
            return self._points.first_new(known)
        optimizer = self.optimizer(ended)
        optimizer.reseed_rng(seed)
        point = dict(zip((d.path for d in self._ranges), optimizer.ask(), strict=True))
        return {d.path: from_unit(d, float(point.get(d.path, 0.5))) for d in self.dimensions}

    def optimizer(self, ended: Sequence[FinishedTrial]) -> "CMA":
        """The distribution that `ended` have led to."""
        optimizer = self._first([t for t in ended if t.number is None and t.complete])
        own = [trial for trial in ended if trial.number is not None and trial.state != "failed" and trial.finite]
        size = optimizer.population_size
        for start in range(0, len(own) - size + 1, size):
            generation = own[start : start + size]
            places = order_of(generation)
            optimizer.tell([(self._position(generation[i].params), float(place)) for place, i in enumerate(places)])
        return optimizer

    def _first(self, transferred: Sequence[FinishedTrial]) -> "CMA":
        from cmaes import CMA, get_warm_start_mgd

        mean, sigma, covariance = np.full(len(self._ranges), 0.5), SPREAD, None
        if len(transferred) >= WARM_LEAST:
            solutions = [(self._position(trial.params), trial.finite[0]) for trial in transferred]
            mean, sigma, covariance = get_warm_start_mgd(solutions, gamma=WARM_SHARE)
        bounds = np.tile([0.0, 1.0], (len(self._ranges), 1))
        return CMA(mean, sigma, bounds, n_max_resampling=10 * len(self._ranges), seed=0, cov=covariance)

    def _position(self, params: Params) -> Array:
        return np.array([to_unit(dimension, params[dimension.path]) for dimension in self._ranges])


class CMAESSettings(SamplerSettings):
    """Covariance matrix adaptation (Hansen 2016); the search distribution starts in the middle of the ranges."""

    place: ClassVar[int] = 2
    several_goals: ClassVar[bool] = False
    separate: ClassVar[Separate] = "every"
    name: Literal["cmaes"] = "cmaes"
    startup: Startup = 1

    def build(self, space: SearchSpace, seed: int) -> Sampler:
        return PerSubspaceSampler(space, seed, self.subspaces(space), partial(CMAESModel, startup=self.startup))


SAMPLER = CMAESSettings
