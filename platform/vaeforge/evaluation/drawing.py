"""Figures without a display and without matplotlib's global state: canvas, axes, images, files. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaeforge.data.grey_levels import WHITE
from vaeforge.paths import write_atomically
from vaeforge.samples import evenly_spaced

COLUMNS = 8
INCHES = 1.3
DPI = 120
Images = NDArray[np.float32]


def canvas(width: float, height: float) -> Figure:
    """An empty figure, inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def one_axes(horizontal: str, vertical: str) -> tuple[Figure, Any]:
    """A figure with one pair of labelled axes."""
    figure = canvas(5, 4)
    axes = figure.subplots()
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    return figure, axes


def show_sheet(figure: Figure, images: Images, columns: int = COLUMNS, rows: Sequence[str] = ()) -> Any:
    """Images [n, H, W, 3] in 0..1 row by row in one pair of axes, `rows` beside them; axes for each take half a second.

    Spare places stay white. Returns the axes, whose unit is a pixel; see `middles`.
    """
    axes = figure.subplots()
    axes.imshow(sheet(images, columns), interpolation="nearest")
    axes.set_frame_on(False)
    axes.set_xticks([])
    axes.set_yticks(middles(images, 1, len(rows)), rows, fontsize=7)
    axes.tick_params(length=0)
    return axes


def sheet(images: Images, columns: int = COLUMNS) -> Images:
    """Images [n, H, W, 3] in 0..1 row by row as one picture, white between them."""
    count, height, width, colours = images.shape
    rows, gap = -(-count // columns), _gap(height)
    tiles = np.ones((rows * columns, height + gap, width + gap, colours), np.float32)
    tiles[:count, :height, :width] = images
    lines = tiles.reshape(rows, columns, height + gap, width + gap, colours).swapaxes(1, 2)
    whole: Images = lines.reshape(rows * (height + gap), columns * (width + gap), colours)[:-gap, :-gap]
    return whole


def full_row(images: Images, columns: int = COLUMNS) -> Images:
    """Images [n, H, W, 3] as a row of a sheet, [columns, H, W, 3]: white where there are too few, no more than fit."""
    row = np.ones((columns, *images.shape[1:]), np.float32)
    row[: len(images)] = images[:columns]
    return row


def middles(images: Images, axis: int, count: int) -> list[float]:
    """Where in a sheet the middles of so many rows (axis 1) or columns (axis 2) lie, in pixels from its corner."""
    size = images.shape[axis]
    return [(size - 1) / 2 + number * (size + _gap(images.shape[1])) for number in range(count)]


def _gap(height: int) -> int:
    return max(1, height // 16)


def in_colours(maps: NDArray[Any], highest: float) -> tuple[Images, ScalarMappable]:
    """Error maps [n, H, W] from 0 to `highest` as images [n, H, W, 3], and the scale that a colour bar shows."""
    scale, colours = Normalize(0, max(highest, 1e-6)), colormaps["magma"]
    images: Images = np.asarray(colours(scale(maps)), np.float32)[..., :3]
    return images, ScalarMappable(scale, colours)


def pixels(raw: NDArray[Any]) -> Images:
    """[n, C, H, W] in 0..255 to [n, H, W, 3] in 0..1; a single channel becomes grey."""
    image = np.clip(np.moveaxis(raw.astype(np.float32), 1, -1) / np.float32(WHITE), 0, 1)
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG."""
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=DPI))
    return path


def spread_over(places: NDArray[np.int64], count: int = COLUMNS) -> NDArray[np.int64]:
    """At most `count` of `places`, evenly spaced: neighbours in the arrays are neighbours in the image."""
    return places[evenly_spaced(len(places), count)]
