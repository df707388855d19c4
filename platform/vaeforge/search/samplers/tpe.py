"""Strategies that hold a conditional space in one piece: TPE and independent draws."""

import numpy as np

from vaeforge.search.samplers.base import Remembering
from vaeforge.search.samplers.optuna_samplers import tpe_sampler
from vaeforge.search.samplers.optuna_study import build_study
from vaeforge.search.samplers.unit_scaling import uniform, walk
from vaeforge.search.space.dimensions import Params
from vaeforge.search.space.space import Space
from vaeforge.seeds import derive


class TreeParzen(Remembering):
    """Tree-structured Parzen estimators; with several goals multi-objective TPE (Ozaki et al. 2022)."""

    def __init__(self, space: Space, seed: int, startup: int):
        super().__init__(space, seed)
        self._startup = startup

    def propose(self, number: int) -> Params:
        """See `Remembering`."""
        sampler = tpe_sampler(self._startup, derive(self.seed, "ask", number))
        ended, running = self.memory.ended(), self.memory.running()
        study = build_study(ended, running, self.space.dimensions, len(self.goals), sampler)
        return self.space.suggest(study.ask())


class Independent(Remembering):
    """Each parameter drawn uniformly on its scale, whatever is known."""

    def propose(self, number: int) -> Params:
        """See `Remembering`."""
        rng = np.random.default_rng(derive(self.seed, "ask", number))
        return self.space.complete(walk(self.space.dimensions, uniform(rng)))
