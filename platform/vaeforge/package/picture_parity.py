"""Parity of the graph of a whole picture with the way that prepare, score and serve go, which is Pillow's.

Both resize by the same weights; they differ where a sum lies near the middle between two levels of 8 or 16 bits.

Shapes: pictures uint8 or uint16 [H, W, 3]; samples [C, S, S].
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vaeforge.config.layouts import Layout
from vaeforge.data.pixels import Pixels
from vaeforge.errors import RegistryError
from vaeforge.package.bundle import open_session
from vaeforge.package.contract import PictureDifference
from vaeforge.package.picture_graph import PICTURE, RANGE
from vaeforge.samples import raw_units

PICTURES = 16
LEAST, MOST = 20, 640  # sides in pixels
TILE = 16
LIMIT = 0.25  # grey levels, the mean over all pixels


def example_pictures(count: int = PICTURES, seed: int = 0, depth: int = 8) -> list[Pixels]:
    """Pictures of several sizes, every other one in even tiles, the rest noise, in levels of `depth` bits."""
    rng, found = np.random.default_rng(seed), list[Pixels]()
    kind: np.dtype[np.unsignedinteger[Any]] = np.dtype(f"uint{depth}")
    for number in range(count):
        height, width = rng.integers(LEAST, MOST, 2)
        tiles = rng.integers(0, 2**depth, (height // TILE + 1, width // TILE + 1, 3)).astype(kind)
        noise = rng.integers(0, 2**depth, (height, width, 3)).astype(kind)
        found.append(tiles.repeat(TILE, 0).repeat(TILE, 1)[:height, :width] if number % 2 else noise)
    return found


def measure_picture_graph(
    path: Path, layout: Layout, prepare: Mapping[str, Any], condition_dim: int, depth: int = 8
) -> PictureDifference:
    """How far the graph's samples differ from the layout's.

    Raises:
        RegistryError: if they differ by more than `LIMIT` on average.
    """
    session, apart = open_session(path), []
    feeds = {RANGE: np.array([0, 2**depth - 1], dtype=np.float32)}
    if condition_dim:
        feeds["condition"] = np.zeros((1, condition_dim), dtype=np.float32)
    for picture in example_pictures(depth=depth):
        (x,) = session.run(["x"], {PICTURE: picture.astype(np.float32), **feeds})
        sample = raw_units(layout.sample_of(picture, x.shape[-1], prepare))
        apart.append(np.abs(x[0] - sample).ravel())
    levels = np.concatenate(apart)
    found = PictureDifference(float(levels.max()), float((levels > 0).mean()))
    if float(levels.mean()) > LIMIT:
        raise RegistryError(
            f"{path}: its samples differ from those of prepare by {levels.mean():.3g} grey levels on average, must be "
            f"at most {LIMIT}; use the versions of onnxruntime and Pillow in requirements.lock"
        )
    return found
