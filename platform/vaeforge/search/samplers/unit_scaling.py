"""Unit scale of a dimension, on which a sampler that knows no types works, and points of a conditional space.

u in [0, 1]: linear or, with `log`, logarithmic over the range; integers own equal parts of it (low - 1/2 .. high +
1/2); options own equal parts too.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vaeforge.search.space.dimensions import Choice, Dimension, Params, Range


def from_unit(dimension: Dimension, u: float) -> Any:
    """The value of `dimension` at `u`, which is clipped to [0, 1]."""
    u = min(max(u, 0.0), 1.0)
    if isinstance(dimension, Choice):
        options = list(dimension.options)
        return options[min(int(u * len(options)), len(options) - 1)]
    low, high = _ends(dimension)
    value = low + u * (high - low)
    value = math.exp(value) if dimension.log else value
    value = min(max(round(value) if dimension.integer else value, dimension.low), dimension.high)
    return int(value) if dimension.integer else float(value)


def to_unit(dimension: Range, value: float) -> float:
    """Where `value` lies in `dimension`; the middle of a range of a single value."""
    low, high = _ends(dimension)
    position = math.log(value) if dimension.log else value
    return 0.5 if high == low else min(max((position - low) / (high - low), 0.0), 1.0)


def _ends(dimension: Range) -> tuple[float, float]:
    half = 0.5 if dimension.integer else 0.0
    low, high = dimension.low - half, dimension.high + half
    return (math.log(low), math.log(high)) if dimension.log else (low, high)


def sample_space(dimensions: Sequence[Dimension], draw: Callable[[Dimension], Any]) -> Params:
    """A point of the space: what `draw` says of each dimension that is open, options before what they open."""
    params: Params = {}
    for dimension in dimensions:
        params[dimension.path] = value = draw(dimension)
        if isinstance(dimension, Choice):
            params |= sample_space(dimension.options[value], draw)
    return params


def uniform(rng: np.random.Generator) -> Callable[[Dimension], Any]:
    """Draws each dimension uniformly on its unit scale."""
    return lambda dimension: from_unit(dimension, rng.random())
