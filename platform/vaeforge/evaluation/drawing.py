"""Figures without a display and without matplotlib's global state: canvas, axes, images, files. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
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


def fill(axes: Sequence[Any], images: NDArray[Any]) -> None:
    """Show images, colour [n, H, W, C] in 0..1 or error maps [n, H, W] on one common scale; spare places stay empty."""
    scale = {"vmin": 0, "vmax": max(float(images.max()), 1e-6), "cmap": "magma"} if images.ndim == 3 else {}
    for place in axes:
        place.set_axis_off()
    for place, image in zip(axes, images, strict=False):
        place.imshow(image, interpolation="nearest", **scale)


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
