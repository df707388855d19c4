"""Grid sampler: every point of a grid over a conditional space, in an order shuffled by the seed.

A range gives `points` values that are evenly spaced on its scale, both ends among them (one value: the middle),
integers rounded and each once; an option gives every combination of what it opens. Shuffled, so that the part of a
grid that was done by when a search ended is spread over all of it. A trial takes the first point of the order that no
trial has had.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from vaeforge.errors import ConfigError
from vaeforge.search.samplers.base import Sampler, StatelessSampler
from vaeforge.search.samplers.settings import SamplerSettings
from vaeforge.search.space.dimensions import Choice, Dimension, Params, Range
from vaeforge.search.space.search_space import SearchSpace
from vaeforge.seeds import derive

MAX_POINTS = 100_000


class GridSampler(StatelessSampler):
    """Proposes each point of the grid once, then nothing.

    Raises:
        ConfigError: if the grid has more than `MAX_POINTS` points.
    """

    def __init__(self, space: SearchSpace, seed: int, points: int):
        super().__init__(space, seed)
        self._per_range = points
        size = grid_size(space.dimensions, points)
        if size > MAX_POINTS:
            raise ConfigError(
                f"{space.source}: search: grid: has {size} points with {points} a range, must be <= {MAX_POINTS}; "
                "give fewer points, narrow the space, or take another sampler"
            )
        self._order = np.random.default_rng(derive(seed, "grid")).permutation(size)
        self._next = 0

    def propose(self, number: int) -> Params | None:
        """See `StatelessSampler`."""
        had = {frozenset(params.items()) for params in self.memory.own()}
        while self._next < len(self._order):  # what has been taken stays taken
            params = self.space.with_fixed_params(
                point_at(self.space.dimensions, self._per_range, int(self._order[self._next]))
            )
            if frozenset(params.items()) not in had:
                return params
            self._next += 1
        return None


def values_of(dimension: Dimension, points: int) -> list[Any]:
    """The values of a dimension: its options, or at most `points` values of its range."""
    return list(dimension.options) if isinstance(dimension, Choice) else list(dimension.grid(points))


def _sizes(dimension: Dimension, points: int) -> list[int]:
    """For each value of a dimension, how many points there are with it."""
    values = values_of(dimension, points)
    return [grid_size(dimension.options[v], points) if isinstance(dimension, Choice) else 1 for v in values]


def point_at(dimensions: Sequence[Dimension], points: int, index: int) -> Params:
    """Point `index` of the grid, the first dimension turning fastest."""
    params: Params = {}
    for dimension in dimensions:
        sizes = _sizes(dimension, points)
        index, rest = divmod(index, sum(sizes))
        for value, size in zip(values_of(dimension, points), sizes, strict=True):
            if rest < size:
                params[dimension.path] = value
                opened = dimension.options[value] if isinstance(dimension, Choice) else ()
                params |= point_at(opened, points, rest)
                break
            rest -= size
    return params


def grid_size(dimensions: Iterable[Dimension], points: int) -> int:
    """How many points the grid over `dimensions` has, with `points` values of each range."""
    return math.prod(
        len(dimension.grid(points))
        if isinstance(dimension, Range)
        else sum(grid_size(below, points) for below in dimension.options.values())
        for dimension in dimensions
    )


class GridSettings(SamplerSettings):
    """Every combination of the options and of `points` values of each range, the ends among them."""

    place: ClassVar[int] = 5
    name: Literal["grid"] = "grid"
    points: Annotated[int, Field(ge=1, le=1000, description="values of each range")] = 3

    def build(self, space: SearchSpace, seed: int) -> Sampler:
        return GridSampler(space, seed, self.points)


SAMPLER = GridSettings
