"""Split of data correlated in space or time: whole blocks go to train, validation or test, never their members.

Points of a block lie close together and resemble each other; divided one by one, the test would ask for what training
has all but seen. Shapes: N points; U units (blocks, sections, subjects).
"""

import numpy as np
from numpy.typing import NDArray

from vaeforge.seeds import derive

TRAIN, VALIDATION, TEST = 0, 1, 2
PARTS = ("train", "validation", "test")
LEAST_TEST = 10  # units that the test should have: an interval over fewer says little
DRAWS = 32  # random orders, of which the one that fits the shares best is taken

Index = NDArray[np.int64]


def grid_blocks(coordinates: NDArray[np.float32], blocks: int) -> tuple[Index, list[str]]:
    """The block of each point, and the blocks' names `i/j/k`.

    The bounding box is divided into `blocks` equal intervals along each axis (one, where the points have no extent);
    blocks without points are left out.

    Args:
        coordinates: [N, axes].
        blocks: per axis.

    Returns:
        int64 [N], numbers in 0..U-1; U names.
    """
    low = coordinates.min(axis=0).astype(np.float64)
    extent = coordinates.max(axis=0) - low
    extent[extent == 0] = 1
    cells = np.minimum(((coordinates - low) / extent * blocks).astype(np.int64), blocks - 1)
    shape = (blocks,) * cells.shape[1]
    flat, members = np.unique(np.ravel_multi_index(tuple(cells.T), shape), return_inverse=True)
    names = ["/".join(map(str, place)) for place in zip(*np.unravel_index(flat, shape), strict=True)]
    return members.astype(np.int64), names


def divide(sizes: Index, validation: float, test: float, seed: int) -> Index:
    """The part of each unit, so that the units' members fit the shares.

    Units are taken in a random order, one for each part first, then each to the part that lacks most. Of several
    orders the one is kept whose test has `LEAST_TEST` units, or comes nearest, and whose shares fit best. Where
    members are of several classes, every class is to be in every part first of all, and each is to fit the shares.

    Args:
        sizes: [U], members of each unit, or [U, K], its members of each of K classes; U must be at least 3.
        validation: share of the members.
        test: share of the members.
        seed: decides, together with `sizes`.

    Returns:
        int64 [U] of `TRAIN`, `VALIDATION`, `TEST`; every part has a unit.
    """
    return divide_by(sizes, (1 - validation - test, validation, test), seed, LEAST_TEST)


def divide_by(sizes: Index, shares: tuple[float, ...], seed: int, least_last: int = 0) -> Index:
    """The part of each unit, a number below that of `shares`; see `divide`. The last part should have `least_last`."""
    counts = sizes.reshape(len(sizes), -1)
    wanted = np.array(shares)[:, None] * counts.sum(axis=0)
    random = np.random.default_rng(derive(seed, "divide"))
    drawn = [_assigned(counts, wanted, random.permutation(len(counts))) for _ in range(DRAWS)]

    def fault(parts: Index) -> tuple[int, int, float]:
        filled = np.stack([counts[parts == part].sum(axis=0) for part in range(len(shares))])
        lacking = max(0, least_last - int((parts == len(shares) - 1).sum()))
        return int((filled == 0).sum()), lacking, float(np.abs(filled - wanted).sum())

    return min(drawn, key=fault)


def _assigned(counts: Index, wanted: NDArray[np.float64], order: Index) -> Index:
    """Parts of units [U] with members `counts` [U, K], where `wanted` [parts, K] says how many each part is to have."""
    lacking = wanted.copy()
    rarity = counts.sum(axis=0).max() / np.maximum(counts.sum(axis=0), 1)  # a small class counts as much as a large one
    parts = np.empty(len(counts), dtype=np.int64)
    for rank, unit in enumerate(order.tolist()):
        own = counts[unit] / max(1, counts[unit].sum())
        part = rank if rank < len(wanted) else int(np.argmax(lacking @ (own * rarity)))
        parts[unit] = part
        lacking[part] -= counts[unit]
    return parts
