"""Every point of a grid over a conditional space, in an order shuffled by the seed.

A range gives `points` values that are evenly spaced on its scale, both ends among them (one value: the middle),
integers rounded and each once; an option gives every combination of what it opens. Shuffled, so that the part of a
grid that was done by when a search ended is spread over all of it. A trial takes the first point of the order that no
trial has had.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vaeforge.errors import ConfigError
from vaeforge.search.samplers.base import StatelessSampler
from vaeforge.search.space.dimensions import Choice, Dimension, Params
from vaeforge.search.space.space import Space
from vaeforge.search.space.subspaces import size_of
from vaeforge.seeds import derive

MOST = 100_000


class GridSampler(StatelessSampler):
    """Proposes each point of the grid once, then nothing.

    Raises:
        ConfigError: if the grid has more than `MOST` points.
    """

    def __init__(self, space: Space, seed: int, points: int):
        super().__init__(space, seed)
        self._per_range = points
        size = size_of(space.dimensions, points)
        if size > MOST:
            raise ConfigError(
                f"{space.source}: search: grid: has {size} points with {points} a range, must be <= {MOST}; "
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
    return [size_of(dimension.options[v], points) if isinstance(dimension, Choice) else 1 for v in values]


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
