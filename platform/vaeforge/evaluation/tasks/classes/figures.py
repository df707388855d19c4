"""Figures of class-conditional families: real and generated images of each class, and which class they are taken for.

Shapes: images [n, C, H, W] in 0..255, labels [n], K classes.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaeforge.evaluation.drawing import INCHES, canvas, full_row, middles, pixels, show_sheet

SHOWN = 4  # images of a class from one source
MOST_CLASSES = 12
Images = NDArray[np.uint8]
Integers = NDArray[np.int64]


def draw_classes(sets: Mapping[str, Images], labels: Integers, names: tuple[str, ...]) -> Figure:
    """A row for each class, at most 12; four images from each source side by side, sources named at the top."""
    known = np.unique(labels)[:MOST_CLASSES]
    parts = [
        full_row(pixels(images[np.flatnonzero(labels == label)[:SHOWN]]), SHOWN)
        for label in known
        for images in sets.values()
    ]
    figure = canvas(INCHES * 0.8 * SHOWN * len(sets), INCHES * 0.8 * len(known) + 0.4)
    shown = np.concatenate(parts)
    axes = show_sheet(figure, shown, SHOWN * len(sets), [names[label] for label in known])
    left = middles(shown, 2, SHOWN * len(sets))[::SHOWN]
    axes.set_xticks(left, list(sets), fontsize=8)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)
    return figure


def confusion(labels: Integers, predicted: Integers, classes: int) -> NDArray[np.float64]:
    """Shares of each class [rows] that are taken for each class [columns]; zeros for a class without samples."""
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, predicted), 1.0)
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(1, keepdims=True), 1.0)
    return shares


def draw_confusions(shares: Mapping[str, NDArray[np.float64]], names: tuple[str, ...]) -> Figure:
    """One panel for each source: rows the class that was asked for, columns the class that the classifier sees."""
    figure = canvas(3.6 * len(shares), 3.8)
    ticks = range(len(names))
    for axes, (name, share) in zip(figure.subplots(1, len(shares), squeeze=False)[0], shares.items(), strict=True):
        axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
        axes.set_title(f"{name}: {np.diag(share).mean():.0%}", fontsize=9)
        axes.set_xticks(ticks, names, rotation=90, fontsize=6)
        axes.set_yticks(ticks, names, fontsize=6)
    return figure
