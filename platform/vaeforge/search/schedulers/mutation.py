"""Mutation of a donor's parameters in population based training (Jaderberg et al. 2017): perturbed, or drawn anew.

Only what can change without another model or another set of weights does: `mutable`. Each such parameter is
    drawn anew from its range or options                     with probability `resample`,
    times 1.2 or 0.8, clipped to its range                   otherwise, either factor with probability 1/2.
An integer is rounded, and moves by one where rounding would undo the step. A value that its bound would keep in place
moves inwards instead; 0 and the like, which no factor moves, are drawn anew. A choice takes the option before or after
it, inwards at the ends. A choice whose options open parameters of their own, as `beta.schedule`, changes only when it
is drawn anew, and brings the new option's parameters, drawn anew, along.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaeforge.search.space.dimensions import Choice, Dimension, Params, Range, walk

SCHEDULE = "beta.schedule"
MUTABLE = ("optimizer.lr", "optimizer.weight_decay")
FACTORS = (1.2, 0.8)


def mutable(path: str) -> bool:
    """Whether population based training may change the parameter at `path` between two generations."""
    return path.startswith("beta.") or path in MUTABLE


@dataclass(frozen=True)
class Mutation:
    """Changes parameters within a space.

    Attributes:
        dimensions: the space.
        resample: probability that a parameter is drawn anew.
    """

    dimensions: tuple[Dimension, ...]
    resample: float

    def of(self, params: Params, generator: np.random.Generator) -> Params:
        """`params` changed; what the space does not search stays, and so does a value that a start point left open."""
        searched = {dimension.path for dimension in walk(self.dimensions)}
        changed = {path: value for path, value in params.items() if path not in searched}
        for dimension in self.dimensions:
            changed |= self._changed(dimension, params, generator)
        return changed

    def _changed(self, dimension: Dimension, params: Params, generator: np.random.Generator) -> Params:
        anew = mutable(dimension.path) and generator.random() < self.resample
        if isinstance(dimension, Choice):
            return self._chosen(dimension, params, anew, generator)
        if anew:
            return {dimension.path: drawn(dimension, generator)}
        if dimension.path not in params:
            return {}
        value = params[dimension.path]
        return {dimension.path: perturbed(dimension, value, generator) if mutable(dimension.path) else value}

    def _chosen(self, choice: Choice, params: Params, anew: bool, generator: np.random.Generator) -> Params:
        """An option, and what it opens: changed where the option stays, drawn anew where it is another one."""
        options = list(choice.options)
        if not anew and choice.path not in params:
            return {}
        chosen = options[int(generator.integers(len(options)))] if anew else params[choice.path]
        if not anew and mutable(choice.path) and not _opens(choice):
            chosen = neighbour(options, chosen, generator)
        found: Params = {choice.path: chosen}
        for opened in choice.options[chosen]:
            stays = chosen == params.get(choice.path)
            found |= self._changed(opened, params, generator) if stays else fresh(opened, generator)
        return found


def _opens(choice: Choice) -> bool:
    return choice.path == SCHEDULE or any(choice.options.values())


def perturbed(dimension: Range, value: float, generator: np.random.Generator) -> float:
    """`value` times one of the factors within its range; another value unless the range has no other."""
    first = int(generator.integers(2))
    for factor in (FACTORS[first], FACTORS[1 - first]):
        moved = clipped(dimension, _step(dimension, value, factor))
        if moved != value:
            return moved
    return drawn(dimension, generator)


def _step(dimension: Range, value: float, factor: float) -> float:
    moved = value * factor
    if dimension.integer and round(moved) == value:
        return value + (1 if factor > 1 else -1)
    return moved


def neighbour(options: list[Any], value: Any, generator: np.random.Generator) -> Any:
    """The option before or after `value`; the only neighbour at the ends, `value` itself where there is no other."""
    place, step = options.index(value), (-1, 1)[int(generator.integers(2))]
    near = [options[i] for i in (place + step, place - step) if 0 <= i < len(options)]
    return near[0] if near else value


def fresh(dimension: Dimension, generator: np.random.Generator) -> Params:
    """A dimension drawn anew, with everything that it opens."""
    if isinstance(dimension, Range):
        return {dimension.path: drawn(dimension, generator)}
    options = list(dimension.options)
    chosen = options[int(generator.integers(len(options)))]
    found: Params = {dimension.path: chosen}
    for opened in dimension.options[chosen]:
        found |= fresh(opened, generator)
    return found


def drawn(dimension: Range, generator: np.random.Generator) -> float:
    """A value of the range, uniform in it or in its logarithm; each integer has a share of its own, the ends too."""
    margin = 0.5 if dimension.integer else 0.0
    low, high = dimension.low - margin, dimension.high + margin
    if dimension.log:
        return clipped(dimension, math.exp(generator.uniform(math.log(low), math.log(high))))
    return clipped(dimension, generator.uniform(low, high))


def clipped(dimension: Range, value: float) -> float:
    """`value` in the range, rounded where it holds integers."""
    inside = min(max(value, dimension.low), dimension.high)
    return round(inside) if dimension.integer else float(inside)
