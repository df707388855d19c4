"""Parzen density over vectors with missing axes: a mixture of one kernel for each known point and one that is wide.

A kernel is the product over axes of a normal, cut off at 0 and 1, of a common width 0.2 n^(-1 / (4 + d)), n kernels and
d axes (the width of Optuna's multivariate TPE; Scott 1992); on an axis of options it is the option itself with what
`options / n` of the weight spreads over all. Where the point or the kernel has no such axis, it counts as the even
density, 1 or 1 / options.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
WIDTH = 0.2
Density = Callable[[Floats], Floats]  # of vectors [m, d], the logarithm of a density [m]


class Parzen:
    """Kernels at `centres` [n, d], and one more with the density `wide`, which weighs `weight` of them."""

    def __init__(self, centres: Floats, options: Sequence[int], wide: Density, weight: float = 1.0):
        self.centres, self.options, self.wide, self.weight = centres, tuple(options), wide, weight
        count, axes = len(centres) + 1, max(1, len(self.options))
        self.width = WIDTH * count ** (-1 / (4 + axes))
        self.spread = [1.0 / (1.0 + count / many) if many else 0.0 for many in self.options]

    def log(self, vectors: Floats) -> Floats:
        """The logarithm of the density at each of `vectors` [m, d]."""
        total = np.zeros((len(vectors), len(self.centres)))
        for axis, many in enumerate(self.options):
            total += self._kernel(vectors[:, axis, None], self.centres[None, :, axis], axis, many)
        whole = np.concatenate([total, math.log(self.weight) + self.wide(vectors)[:, None]], axis=1)
        most = whole.max(axis=1, keepdims=True)
        summed: Floats = (most + np.log(np.exp(whole - most).sum(1, keepdims=True)))[:, 0]
        return summed - math.log(len(self.centres) + self.weight)

    def _kernel(self, at: Floats, centre: Floats, axis: int, many: int) -> Floats:
        missing = np.isnan(at) | np.isnan(centre)
        if many:
            spread = self.spread[axis]
            found = np.log(np.where(at == centre, 1 - spread + spread / many, spread / many))
            return np.where(missing, -math.log(many), found)
        return np.where(missing, 0.0, log_cut_normal(at, centre, self.width))

    def near(self, kernel: int, rng: np.random.Generator) -> Callable[[int], float]:
        """Draws each axis from a kernel; evenly where that has none."""
        centre = self.centres[kernel]

        def draw(axis: int) -> float:
            many, where = self.options[axis], centre[axis]
            if many:
                even = math.isnan(where) or rng.random() < self.spread[axis]
                return float(rng.integers(many)) if even else float(where)
            return float(rng.random()) if math.isnan(where) else cut_normal(where, self.width, rng)

        return draw


def even(options: Sequence[int]) -> Density:
    """The density that is the same everywhere."""
    height = -sum(math.log(many) for many in options if many)
    return lambda vectors: np.full(len(vectors), height)


def log_cut_normal(at: Floats, mean: Floats, width: float) -> Floats:
    """The logarithm of the density, at each place, of a normal that is cut off at 0 and 1."""
    from scipy.special import ndtr

    mass = np.maximum(ndtr((1 - mean) / width) - ndtr(-mean / width), 1e-12)  # the mean may be far outside
    found: Floats = -0.5 * ((at - mean) / width) ** 2 - np.log(mass * width * math.sqrt(2 * math.pi))
    return found


def cut_normal(mean: float, width: float, rng: np.random.Generator) -> float:
    """A normal draw, cut off at 0 and 1."""
    from scipy.special import ndtr, ndtri

    low, high = ndtr(-mean / width), ndtr((1 - mean) / width)
    if high - low < 1e-12:  # the mean is far outside
        return 0.0 if mean < 0 else 1.0
    return float(np.clip(mean + width * ndtri(low + rng.random() * (high - low)), 0.0, 1.0))
