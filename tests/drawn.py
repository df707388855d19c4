"""Strategies of hypothesis that several property tests draw from.

Scores are small whole numbers, so that many are equal; values lie on a grid, so that sums are exact to rounding.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
SEEDS = st.integers(0, 2**32 - 1)
SHIFTS = st.integers(-50, 50).map(float)
FACTORS = st.sampled_from([0.125, 0.5, 2.0, 3.0, 10.0])


@dataclass(frozen=True)
class Scored:
    """Samples of both labels in independent groups, at least three of each label, no group with both."""

    labels: Integers
    scores: Floats
    groups: Integers

    def at(self, order: Integers) -> "Scored":
        return Scored(self.labels[order], self.scores[order], self.groups[order])


@st.composite
def scored(draw: st.DrawFn) -> Scored:
    sizes = [draw(st.lists(st.integers(1, 4), min_size=3, max_size=6)) for _ in (0, 1)]
    labels = np.repeat([0, 1], [sum(some) for some in sizes])
    groups = np.repeat(np.arange(sum(map(len, sizes))), [*sizes[0], *sizes[1]])
    scores = draw(arrays(np.int64, len(labels), elements=st.integers(-6, 6)))
    return Scored(labels, scores.astype(np.float64), groups)


def tables(rows: tuple[int, int] = (4, 12), columns: tuple[int, int] = (1, 4)) -> st.SearchStrategy[Floats]:
    """Values [N, D] in -8..8 in steps of 1/8."""
    shapes = st.tuples(st.integers(*rows), st.integers(*columns))
    return shapes.flatmap(lambda shape: arrays(np.int64, shape, elements=st.integers(-64, 64))).map(lambda a: a / 8)


def gaussian(seed: int, *shape: int) -> Floats:
    """Independent normal values: for what is not defined where data are degenerate."""
    return np.random.default_rng(seed).normal(size=shape)


def shuffled(seed: int, count: int) -> Integers:
    return np.random.default_rng(seed).permutation(count)


def renamed(seed: int, groups: Any) -> Integers:
    """The same groups under other, different names."""
    names, place = np.unique(groups, return_inverse=True)
    found: Integers = np.random.default_rng(seed).permutation(10 * len(names))[: len(names)][place]
    return found
