"""VAE sampler: Parzen estimators over what schedules share, with what the data let one expect of beta.

As TPE (Bergstra et al. 2011; Falkner et al. 2018) it proposes, of some candidates, the one whose density among the best
tenth of the trials is largest over that among the others. It differs in two things:
- trials are points on shared axes (`shared_axes.py`): the mean beta of the training stands for the amplitude of each
  schedule, in one joint model, so that trials under one schedule inform the others;
- in the density of the best, the kernel that is wide leans towards the beta that the spectrum of the data lets expect
  (`expected.py`; Souza et al. 2021 weigh a prior so), and so do the first `startup` draws. It weighs as much as one
  trial, so that trials soon say more.
Stopped trials rank behind those that were trained to their end, failed ones and running ones are among the others.
"""

import math
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from vaeforge.search.samplers.base import Sampler, StatelessSampler
from vaeforge.search.samplers.expected import Expected, ExpectedDensity
from vaeforge.search.samplers.nondominated import order_of
from vaeforge.search.samplers.parzen import Floats, Parzen, even
from vaeforge.search.samplers.settings import SamplerSettings, Startup
from vaeforge.search.samplers.shared_axes import SharedAxes
from vaeforge.search.samplers.trials import FinishedTrial
from vaeforge.search.space.dimensions import Params
from vaeforge.search.space.search_space import SearchSpace
from vaeforge.seeds import derive

CANDIDATES = 32
BEST = 0.1  # share of the trials that is good
MOST = 25  # good ones
Size = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class VAESampler(StatelessSampler):
    """See the module's docstring."""

    def __init__(self, space: SearchSpace, seed: int, startup: int, expected: Expected | None):
        super().__init__(space, seed)
        self._startup = startup
        self._axes = SharedAxes(space)
        self._prior = ExpectedDensity(self._axes, expected)

    def propose(self, number: int) -> Params:
        """See `StatelessSampler`."""
        rng = np.random.default_rng(derive(self.seed, "ask", number))
        ended = self._known()
        if sum(bool(trial.finite) for trial in ended) < self._startup:
            return self._drawn(rng)
        good, others = self._densities(ended)
        candidates = [self._candidate(good, rng) for _ in range(CANDIDATES)]
        vectors = np.array([self._axes.vector(params) for params in candidates])
        return candidates[int(np.argmax(good.log(vectors) - others.log(vectors)))]

    def _known(self) -> list[FinishedTrial]:
        """The trials that have ended and say something; with several goals not those that were stopped."""
        single = self.space.objective.single
        return [trial for trial in self.memory.ended() if single or trial.state != "stopped"]

    def _densities(self, ended: list[FinishedTrial]) -> tuple[Parzen, Parzen]:
        """Of the best trials, and of all others."""
        order = order_of(ended)
        count = min(math.ceil(BEST * sum(bool(trial.finite) for trial in ended)), MOST)
        running = [trial.params for trial in self.memory.running()]
        best = self._vectors([ended[i].params for i in order[:count]])
        rest = self._vectors([ended[i].params for i in order[count:]] + running)
        options = self._axes.options
        return Parzen(best, options, self._prior.log), Parzen(rest, options, even(options))

    def _vectors(self, points: list[Params]) -> Floats:
        return np.array([self._axes.vector(params) for params in points]).reshape(len(points), len(self._axes.names))

    def _candidate(self, good: Parzen, rng: np.random.Generator) -> Params:
        kernel = int(rng.integers(len(good.centres) + 1))
        return self._drawn(rng) if kernel == len(good.centres) else self._axes.point(good.near(kernel, rng))

    def _drawn(self, rng: np.random.Generator) -> Params:
        vector = self._prior.draw(rng)
        return self._axes.point(lambda axis: float(vector[axis]))


class VAESettings(SamplerSettings):
    """Parzen estimators over the mean beta that all schedules share, with what the data let one expect of it."""

    place: ClassVar[int] = 7
    name: Literal["vae"] = "vae"
    startup: Startup = 10
    expect: Annotated[bool, Field(description="lean towards the beta that is expected")] = True
    betas: Annotated[
        dict[Size, Weight] | None,
        Field(min_length=1, description="mean beta by latent size; none: what the prepared data let expect"),
    ] = None

    def build(self, space: SearchSpace, seed: int) -> Sampler:
        return VAESampler(space, seed, self.startup, Expected(self.betas) if self.expect and self.betas else None)


SAMPLER = VAESettings
