"""NSGA-II over a conditional space, one child at a time.

Optuna's NSGA-II crosses only the parameters that all trials share and draws those of a schedule at random; here a
child takes each parameter that its parents have from them, along the tree of options that they open. Generations need
every trial of one to have ended; so that nothing waits, a child's parents are the best `population` trials that have
ended when it is asked for (steady state; Durillo, Nebro, Luna & Alba 2009).

Parents by binary tournament on (rank, crowding); simulated binary crossover with probability 0.9 and polynomial
mutation with probability 1 / (number of parameters), on the unit scale, clipped to it (Deb et al. 2002, section V);
an option comes from either parent, and mutates into any.
"""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from vaeforge.search.samplers.base import Sampler, StatelessSampler
from vaeforge.search.samplers.nondominated import order_of
from vaeforge.search.samplers.settings import SamplerSettings
from vaeforge.search.samplers.unit_scaling import from_unit, sample_space, to_unit, uniform
from vaeforge.search.space.dimensions import Choice, Dimension, Params, Range
from vaeforge.search.space.search_space import SearchSpace
from vaeforge.seeds import derive

CROSSOVER = 0.9  # probability; otherwise a child has one parent
SPREAD_CROSSOVER = 2.0  # distribution indices: larger is closer to the parents; 20 and 20 in the paper, whose runs
SPREAD_MUTATION = 10.0  # have 25,000 trials: with 96 on a sphere and on Rosenbrock's function these came further


class NSGA2Sampler(StatelessSampler):
    """Children of the best trials; random until `population` of them have ended with a value."""

    def __init__(self, space: SearchSpace, seed: int, population: int):
        super().__init__(space, seed)
        self._population = population

    def propose(self, number: int) -> Params:
        """See `StatelessSampler`."""
        rng = np.random.default_rng(derive(self.seed, "ask", number))
        parents = self._parents()
        if len(parents) < self._population:
            return self.space.with_fixed_params(sample_space(self.space.dimensions, uniform(rng)))
        return self.space.with_fixed_params(sample_space(self.space.dimensions, Child(_two(parents, rng), rng)))

    def _parents(self) -> list[Params]:
        """The parameters of the best trials, best first; with several goals those that were trained to their end."""
        ended = [t for t in self.memory.ended() if t.complete or (t.state == "stopped" and self.space.objective.single)]
        usable = [trial for trial in ended if trial.finite]
        return [usable[i].params for i in order_of(usable)[: self._population]]


def _two(parents: list[Params], rng: np.random.Generator) -> tuple[Params, Params]:
    """The winners of two tournaments of two: the better place wins."""
    first, second = (int(rng.integers(len(parents), size=2).min()) for _ in range(2))
    return (parents[first], parents[second]) if rng.random() < CROSSOVER else (parents[first], parents[first])


class Child:
    """What a child of two parents has in each dimension."""

    def __init__(self, parents: tuple[Params, Params], rng: np.random.Generator):
        self._parents, self._rng = parents, rng
        self._rate = 1 / max(1, *map(len, parents))

    def __call__(self, dimension: Dimension) -> Any:
        rng = self._rng
        known = [
            p[dimension.path] for p in self._parents if dimension.path in p and dimension.contains(p[dimension.path])
        ]
        if not known:
            return from_unit(dimension, rng.random())
        mutates = rng.random() < self._rate
        if isinstance(dimension, Choice):
            return from_unit(dimension, rng.random()) if mutates else known[int(rng.integers(len(known)))]
        if dimension.low == dimension.high:
            return known[0]
        u = self._crossed(dimension, known)
        return from_unit(dimension, u + _polynomial(rng.random()) if mutates else u)

    def _crossed(self, dimension: Range, known: list[Any]) -> float:
        """Simulated binary crossover: near one of the parents, the nearer the closer they are to each other."""
        here, there = to_unit(dimension, known[0]), to_unit(dimension, known[-1])
        if self._rng.random() < 0.5:
            here, there = there, here
        if self._rng.random() < 0.5:  # each parameter is crossed with probability 1/2
            return here
        u, power = self._rng.random(), 1 / (SPREAD_CROSSOVER + 1)
        beta = (2 * u) ** power if u < 0.5 else (1 / (2 * (1 - u))) ** power
        return float(0.5 * ((1 + beta) * here + (1 - beta) * there))


def _polynomial(u: float) -> float:
    """A step in [-1, 1], mostly small, for a uniform u."""
    power = 1 / (SPREAD_MUTATION + 1)
    return float((2 * u) ** power - 1 if u < 0.5 else 1 - (2 * (1 - u)) ** power)


class NSGA2Settings(SamplerSettings):
    """A genetic algorithm for several goals (Deb et al. 2002)."""

    place: ClassVar[int] = 6
    name: Literal["nsga2"] = "nsga2"
    population: Annotated[int, Field(ge=2, description="trials of a generation; the first one is random")] = 20

    def build(self, space: SearchSpace, seed: int) -> Sampler:
        return NSGA2Sampler(space, seed, self.population)


SAMPLER = NSGA2Settings
