"""Strategies that hold a conditional space in one piece: TPE and independent draws."""

import numpy as np

from vaeforge.search.samplers.base import StatelessSampler
from vaeforge.search.samplers.optuna_samplers import optuna_tpe
from vaeforge.search.samplers.optuna_study import build_study
from vaeforge.search.samplers.unit_scaling import sample_space, uniform
from vaeforge.search.space.dimensions import Params
from vaeforge.search.space.space import Space
from vaeforge.seeds import derive


class TPESampler(StatelessSampler):
    """Tree-structured Parzen estimators; with several goals multi-objective TPE (Ozaki et al. 2022)."""

    def __init__(self, space: Space, seed: int, startup: int):
        super().__init__(space, seed)
        self._startup = startup

    def propose(self, number: int) -> Params:
        """See `StatelessSampler`."""
        sampler = optuna_tpe(self._startup, derive(self.seed, "ask", number))
        ended, running = self.memory.ended(), self.memory.running()
        study = build_study(ended, running, self.space.dimensions, len(self.goals), sampler)
        return self.space.suggest(study.ask())


class RandomSampler(StatelessSampler):
    """Each parameter drawn uniformly on its scale, whatever is known."""

    def propose(self, number: int) -> Params:
        """See `StatelessSampler`."""
        rng = np.random.default_rng(derive(self.seed, "ask", number))
        return self.space.with_fixed_params(sample_space(self.space.dimensions, uniform(rng)))
