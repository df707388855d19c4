"""Near copies: the same picture saved again, as JPEG, in another size, or the next frame of a film.

Pictures are compared as grey thumbnails, less the mean thumbnail of the set and their own mean: what a picture has for
itself. Two are near copies where these correlate by at least 0.98 and differ by at most 8 grey levels (RMS). Pictures
without structure of their own (a standard deviation below 2 levels) have no near copies.

Shapes: N pictures; thumbnails float32 [N, 1024].
"""

from collections.abc import Sequence
from pathlib import Path

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
BLOCK = 1024
Thumbnail = NDArray[np.float32]


def thumbnail(image: Pixels) -> Thumbnail:
    """A grey image [H, W] or a colour image [3, H, W] as float32 [1024], grey levels from 0 to 255."""
    grey = image if image.ndim == 2 else grey_of(np.ascontiguousarray(image.transpose(1, 2, 0)))
    small = Image.fromarray(raw_units(grey)).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).reshape(-1)


def near_copies(thumbnails: list[Thumbnail]) -> list[int]:
    """For each picture the number of the first one that near copies of near copies lead to; its own where none does."""
    if not thumbnails:
        return []
    from scipy.sparse import coo_array  # a third of a second, which who scores does without
    from scipy.sparse.csgraph import connected_components

    raw = np.stack(thumbnails)
    own = raw - raw.mean(0)
    own -= own.mean(1, keepdims=True)
    scale = np.linalg.norm(own, axis=1)
    structured = scale / SIDE >= STRUCTURE
    unit = own / np.maximum(scale, 1e-6)[:, None]
    squares = np.square(raw).sum(1)
    numbers = first = np.arange(len(raw))
    for start in range(0, len(raw), BLOCK):
        block = slice(start, start + BLOCK)
        apart = (squares[block, None] + squares - 2 * raw[block] @ raw.T) / raw.shape[1]
        near = (unit[block] @ unit.T >= CORRELATION) & (apart <= DIFFERENCE**2) & structured & structured[block, None]
        rows, columns = np.nonzero(near)
        ends = np.concatenate([numbers, rows + start]), np.concatenate([first, columns])
        edges = coo_array((np.ones(len(ends[0]), dtype=bool), ends), shape=(len(raw), len(raw)))
        joined = connected_components(edges, directed=False)[1]
        first = np.unique(joined, return_index=True)[1][joined]
    return [int(number) for number in first]


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
