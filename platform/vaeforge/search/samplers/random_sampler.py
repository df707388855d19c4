"""Random sampler: independent draws over a conditional space."""

from typing import ClassVar, Literal

import numpy as np

from vaeforge.search.samplers.base import Sampler, StatelessSampler
from vaeforge.search.samplers.settings import SamplerSettings
from vaeforge.search.samplers.unit_scaling import sample_space, uniform
from vaeforge.search.space.dimensions import Params
from vaeforge.search.space.search_space import SearchSpace
from vaeforge.seeds import derive


class RandomSampler(StatelessSampler):
    """Each parameter drawn uniformly on its scale, whatever is known."""

    def propose(self, number: int) -> Params:
        """See `StatelessSampler`."""
        rng = np.random.default_rng(derive(self.seed, "ask", number))
        return self.space.with_fixed_params(sample_space(self.space.dimensions, uniform(rng)))


class RandomSettings(SamplerSettings):
    """Independent draws (Bergstra and Bengio 2012)."""

    place: ClassVar[int] = 4
    name: Literal["random"] = "random"

    def build(self, space: SearchSpace, seed: int) -> Sampler:
        return RandomSampler(space, seed)


SAMPLER = RandomSettings
