"""Density of proposals that leans towards the beta that the data let one expect: never a limit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaeforge.search.samplers.parzen import Density, Floats, cut_normal, even, log_cut_normal
from vaeforge.search.samplers.shared_axes import MEAN, SharedAxes
from vaeforge.search.samplers.unit_scaling import from_unit

SPREAD = 1.5  # standard deviation of ln mean beta
SHARE = 0.5  # of the density that lies where it is expected; the rest is even


@dataclass(frozen=True)
class Expected:
    """The mean beta that is expected of some latent sizes."""

    betas: Mapping[int, float]

    def beta(self, size: float) -> float:
        """The mean beta that is expected of a latent size, interpolated in the logarithms."""
        sizes = sorted(self.betas)
        logs = [math.log(self.betas[one]) for one in sizes]
        return math.exp(float(np.interp(math.log(size), [math.log(one) for one in sizes], logs)))


class ExpectedDensity:
    """Half even, half normal in the logarithm of the mean beta about what is expected of the vector's latent size."""

    def __init__(self, axes: SharedAxes, expected: Expected | None):
        self._axes, self._expected = axes, expected
        self._mean = axes.place(MEAN) if expected is not None else None
        self._even: Density = even(axes.options)
        self._width = SPREAD / axes.nats_of_mean

    def log(self, vectors: Floats) -> Floats:
        """The logarithm of the density at each of `vectors` [m, d]."""
        height = self._even(vectors)
        if self._mean is None:
            return height
        at = vectors[:, self._mean]
        centre = np.array([self._centre(vector) for vector in vectors])
        normal = np.exp(log_cut_normal(at, centre, self._width))
        found: Floats = height + np.log(np.where(np.isnan(at), 1.0, 1 - SHARE + SHARE * normal))
        return found

    def draw(self, rng: np.random.Generator) -> Floats:
        """A vector, all axes given: which of them are open, the options say."""
        options: Sequence[int] = self._axes.options
        found = np.array([rng.integers(many) if many else rng.random() for many in options], dtype=np.float64)
        if self._mean is not None and rng.random() < SHARE:
            found[self._mean] = cut_normal(self._centre(found), self._width, rng)
        return found

    def _centre(self, vector: Floats) -> float:
        """Where on its axis the mean beta of a vector is expected."""
        assert self._expected is not None
        known, searched = sorted(self._expected.betas), self._axes.size
        size = float(known[len(known) // 2])
        place = None if searched is None else self._axes.place(searched.name)
        if searched is not None and place is not None and not math.isnan(vector[place]):
            size = float(from_unit(searched, float(vector[place])))
        return min(max(self._axes.unit_of_mean(self._expected.beta(size)), -0.5), 1.5)
