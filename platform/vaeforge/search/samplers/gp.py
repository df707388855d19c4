"""GP sampler: a Gaussian process over one subspace, with expected improvement (Jones et al. 1998), by Optuna.

It learns from trials that were trained to their end: stopped ones have values of other epochs. Several
goals: expected hypervolume improvement. The startup is divided among the subspaces, at least two each, and taken from
a scrambled Sobol' sequence; it lasts until as many trials of the subspace were trained to their end.
"""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

from vaeforge.search.samplers.base import Sampler
from vaeforge.search.samplers.per_subspace import PerSubspaceSampler, SubspaceContext, SubspaceModel
from vaeforge.search.samplers.qmc import QMCSequence, taken
from vaeforge.search.samplers.settings import SamplerSettings, Separate, Startup
from vaeforge.search.samplers.trials import FinishedTrial, RunningTrial
from vaeforge.search.space.dimensions import Dimension, Params, suggest_all
from vaeforge.search.space.search_space import SearchSpace

LEAST = 2  # trials of a subspace before its model proposes


class GPModel(SubspaceModel):
    """A Gaussian process from `startup` trials on."""

    def __init__(self, dimensions: Sequence[Dimension], context: SubspaceContext, startup: int):
        super().__init__(dimensions, context)
        self._startup = max(LEAST, -(-startup // context.subspaces))
        self._points = QMCSequence(self.dimensions, context.seed, "sobol")

    def propose(self, ended: Sequence[FinishedTrial], running: Sequence[RunningTrial], seed: int) -> Params:
        """See `SubspaceModel`."""
        if sum(trial.complete for trial in ended) < self._startup:
            return self._points.first_new(taken(ended, running))
        from vaeforge.search.samplers.optuna_bridge.own_samplers import optuna_gp
        from vaeforge.search.samplers.optuna_bridge.study import build_study

        study = build_study(ended, running, self.dimensions, self.context.goals, optuna_gp(seed))
        return suggest_all(self.dimensions, study.ask())


class GPSettings(SamplerSettings):
    """A Gaussian process with expected improvement, of the hypervolume for several goals (Jones et al. 1998)."""

    place: ClassVar[int] = 1
    separate: ClassVar[Separate] = "opening"
    name: Literal["gp"] = "gp"
    startup: Startup = 10

    def build(self, space: SearchSpace, seed: int) -> Sampler:
        return PerSubspaceSampler(space, seed, self.subspaces(space), partial(GPModel, startup=self.startup))


SAMPLER = GPSettings
