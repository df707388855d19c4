"""TPE sampler: tree-structured Parzen estimators over a conditional space in one piece, by Optuna."""

from typing import ClassVar, Literal

from vaeforge.search.samplers.base import Sampler, StatelessSampler
from vaeforge.search.samplers.settings import SamplerSettings, Startup
from vaeforge.search.space.dimensions import Params
from vaeforge.search.space.search_space import SearchSpace
from vaeforge.seeds import derive


class TPESampler(StatelessSampler):
    """Tree-structured Parzen estimators; with several goals multi-objective TPE (Ozaki et al. 2022)."""

    def __init__(self, space: SearchSpace, seed: int, startup: int):
        super().__init__(space, seed)
        self._startup = startup

    def propose(self, number: int) -> Params:
        """See `StatelessSampler`."""
        from vaeforge.search.samplers.optuna_bridge.own_samplers import optuna_tpe
        from vaeforge.search.samplers.optuna_bridge.study import build_study

        sampler = optuna_tpe(self._startup, derive(self.seed, "ask", number))
        ended, running = self.memory.ended(), self.memory.running()
        study = build_study(ended, running, self.space.dimensions, len(self.goals), sampler)
        return self.space.suggest(study.ask())


class TPESettings(SamplerSettings):
    """Tree-structured Parzen estimators, multivariate and grouped (Bergstra et al. 2011; Falkner et al. 2018)."""

    place: ClassVar[int] = 0
    name: Literal["tpe"] = "tpe"
    startup: Startup = 10

    def build(self, space: SearchSpace, seed: int) -> Sampler:
        return TPESampler(space, seed, self.startup)


SAMPLER = TPESettings
