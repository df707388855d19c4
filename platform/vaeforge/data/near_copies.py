"""Near copies: the same picture saved again, as JPEG, in another size, or the next frame of a film.

Pictures are compared as grey thumbnails, less the mean thumbnail of the set and their own mean: what a picture has for
itself. Two are near copies where these correlate by at least 0.98 and differ by at most 8 grey levels (RMS). Pictures
without structure of their own (a standard deviation below 2 levels) have no near copies.

Most pairs are told apart by the means of 8 x 8 blocks alone, which is exact: an orthogonal projection.

Shapes: N pictures; thumbnails [N, 1024].
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaeforge.data.group_rules import Grouping, read_grouping
from vaeforge.data.pixels import Pixels, grey_of
from vaeforge.samples import raw_units

SIDE = 32
CORRELATION = 0.98
DIFFERENCE = 8.0
STRUCTURE = 2.0
BLOCK = 512
COARSE = 8  # blocks along a side by which most pairs are told apart, at a sixteenth of the work
ROUNDING = 1e-4
Thumbnail = NDArray[Any]  # uint8 of pictures of 8 bits, which are whole levels, else float32
Floats = NDArray[np.float32]


def thumbnail(image: Pixels) -> Thumbnail:
    """A grey image [H, W] or a colour image [3, H, W] as [1024], grey levels from 0 to 255."""
    grey = image if image.ndim == 2 else grey_of(np.ascontiguousarray(image.transpose(1, 2, 0)))
    small = Image.fromarray(raw_units(grey)).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.array(small).reshape(-1)  # a copy: the buffer that Pillow made it in takes many times as much


def near_copies(thumbnails: list[Thumbnail]) -> list[int]:
    """For each picture the number of the first one that near copies of near copies lead to; its own where none does."""
    if not thumbnails:
        return []
    from scipy.sparse import coo_array  # a third of a second, which who scores does without
    from scipy.sparse.csgraph import connected_components

    unit, scale, brightness = _own_structure(np.stack(thumbnails, dtype=np.float32, casting="unsafe"))
    coarse = unit.reshape(-1, COARSE, SIDE // COARSE, COARSE, SIDE // COARSE).sum((2, 4)) / np.float32(SIDE // COARSE)
    coarse = coarse.reshape(len(unit), -1)
    structured = scale / SIDE >= STRUCTURE
    numbers = first = np.arange(len(unit))
    for start in range(0, len(unit), BLOCK):
        block, later = slice(start, start + BLOCK), slice(start, None)
        candidates = _alike_coarsely(coarse[block], coarse[later]) & structured[block, None] & structured[later]
        np.fill_diagonal(candidates, False)
        rows, columns = (start + np.flatnonzero(candidates.any(axis)) for axis in (1, 0))
        if not len(rows):
            continue
        alike = unit[rows] @ unit[columns].T
        squares = np.square(scale[rows])[:, None] + np.square(scale[columns])
        apart = (squares - 2 * alike * scale[rows][:, None] * scale[columns]) / SIDE**2
        apart += np.square(brightness[rows][:, None] - brightness[columns])
        near = (alike >= CORRELATION) & (apart <= DIFFERENCE**2)
        ones, others = np.nonzero(near)
        ends = np.concatenate([numbers, rows[ones]]), np.concatenate([first, columns[others]])
        edges = coo_array((np.ones(len(ends[0]), dtype=bool), ends), shape=(len(unit), len(unit)))
        joined = connected_components(edges, directed=False)[1]
        first = np.unique(joined, return_index=True)[1][joined]
    return [int(number) for number in first]


def _own_structure(raw: Floats) -> tuple[Floats, Floats, Floats]:
    """What thumbnails [N, 1024] have for themselves: as unit vectors, their lengths [N], and the mean levels [N].

    The latter less that of the set's mean thumbnail. `raw` is overwritten.
    """
    raw -= raw.mean(0)
    brightness = raw.mean(1)
    raw -= brightness[:, None]
    scale = np.linalg.norm(raw, axis=1)
    raw /= np.maximum(scale, 1e-6)[:, None]
    return raw, scale, brightness


def _alike_coarsely(some: Floats, others: Floats) -> NDArray[np.bool_]:
    """Which could correlate enough, by an orthogonal projection of unit vectors, [n, 64] and [m, 64]: [n, m].

    Those that do are at most sqrt(2 - 2 c) apart, and a projection brings nothing further apart.
    """
    most = np.float32(1 - CORRELATION + ROUNDING)  # of half the square of a distance
    lengths = np.square(some).sum(1)[:, None], np.square(others).sum(1) - 2 * most
    products = some @ others.T
    products *= 2
    products -= lengths[0]
    return np.asarray(products >= lengths[1])


def grouping_of(folder: Path, names: Sequence[str], thumbnails: list[Thumbnail]) -> Grouping:
    """The groups of pictures of the data set in `folder`, joined where near copies lie in several.

    Parts that the source has are kept as they are, near copies or not.

    Raises:
        DataError: as `read_grouping`.
    """
    known = read_grouping(folder, names)
    if known.parts:
        return known
    labels = [known.groups[name] for name in names]
    return Grouping(dict(zip(names, _joined(labels, near_copies(thumbnails)), strict=True)), known.rule)


def _joined(labels: Sequence[str], first: Sequence[int]) -> list[str]:
    """The label of each item's group: items with one label, and near copies, belong together."""
    parent = {label: label for label in labels}

    def root(label: str) -> str:
        while parent[label] != label:
            parent[label] = parent[parent[label]]
            label = parent[label]
        return label

    for label, other in zip(labels, first, strict=True):
        parent[root(label)] = root(labels[other])
    return [root(label) for label in labels]
