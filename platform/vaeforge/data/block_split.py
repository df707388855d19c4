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
    orders the one is kept whose test has `LEAST_TEST` units, or comes nearest, and whose shares fit best.

    Args:
        sizes: [U], members of each unit; U must be at least 3.
        validation: share of the members.
        test: share of the members.
        seed: decides, together with `sizes`.

    Returns:
        int64 [U] of `TRAIN`, `VALIDATION`, `TEST`; every part has a unit.
    """
    wanted = np.array([1 - validation - test, validation, test]) * sizes.sum()
    random = np.random.default_rng(derive(seed, "divide"))
    drawn = [_assigned(sizes, wanted, random.permutation(len(sizes))) for _ in range(DRAWS)]

    def fault(parts: Index) -> tuple[int, float]:
        filled = np.bincount(parts, weights=sizes, minlength=3)
        return max(0, LEAST_TEST - int((parts == TEST).sum())), float(np.abs(filled - wanted).sum())

    return min(drawn, key=fault)


def _assigned(sizes: Index, wanted: NDArray[np.float64], order: Index) -> Index:
    lacking = wanted.tolist()
    parts = np.empty(len(sizes), dtype=np.int64)
    for rank, unit in enumerate(order.tolist()):
        part = rank if rank < len(PARTS) else max(range(len(PARTS)), key=lacking.__getitem__)
        parts[unit] = part
        lacking[part] -= int(sizes[unit])
    return parts
