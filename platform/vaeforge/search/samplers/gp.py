"""A Gaussian process over one branch, with expected improvement (Jones, Schonlau & Welch 1998), by Optuna.

It learns from trials that were trained to their end: those stopped on the way have values of other epochs. Several
goals: expected hypervolume improvement. The startup is divided among the branches, at least two each, and taken from
a scrambled Sobol' sequence; it lasts until as many trials of the branch were trained to their end.
"""

from collections.abc import Sequence
from typing import Any

from vaeforge.search.samplers.ended import FinishedTrial
from vaeforge.search.samplers.optuna_samplers import optuna_gp
from vaeforge.search.samplers.optuna_study import build_study
from vaeforge.search.samplers.per_subspace import SubspaceContext, SubspaceModel
from vaeforge.search.samplers.qmc import QMCSequence, taken
from vaeforge.search.samplers.trials import RunningTrial
from vaeforge.search.space.dimensions import Dimension, Params

LEAST = 2  # trials of a branch before its model proposes


class GPModel(SubspaceModel):
    """A Gaussian process from `startup` trials on."""

    def __init__(self, dimensions: Sequence[Dimension], place: SubspaceContext, startup: int):
        super().__init__(dimensions, place)
        self._startup = max(LEAST, -(-startup // place.branches))
        self._points = QMCSequence(self.dimensions, place.seed, "sobol")

    def propose(self, ended: Sequence[FinishedTrial], running: Sequence[RunningTrial], seed: int) -> Params:
        """See `SubspaceModel`."""
        if sum(trial.complete for trial in ended) < self._startup:
            return self._points.first_new(taken(ended, running))
        study = build_study(ended, running, self.dimensions, self.place.goals, optuna_gp(seed))
        trial = study.ask()
        params: dict[str, Any] = {}
        for dimension in self.dimensions:
            params |= dimension.suggest(trial)
        return params
