"""Figures of voxel series: time courses, correlations of voxels, how well each voxel is followed, whole sets at once.

Shapes: N time points, V voxels, K voxels in a correlation matrix; values are z-scored.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaeforge.evaluation.drawing import canvas, one_axes
from vaeforge.evaluation.tasks.series.metrics import observed_of

QUANTILES = {"best": 1.0, "median": 0.5, "worst": 0.0}
LIMIT = 3.0  # standard deviations of the training data, where the colours end
CARPET_ROWS = 100
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def draw_time_courses(truth: Floats, found: Floats, pearson: Floats, groups: Integers) -> Figure:
    """The voxels [N, V] with the highest, the median and the lowest correlation [V]; lines where a group ends."""
    order = np.argsort(pearson)
    borders = np.flatnonzero(np.diff(groups)) + 0.5
    figure = canvas(9, 6)
    for axes, (name, quantile) in zip(figure.subplots(len(QUANTILES), 1), QUANTILES.items(), strict=True):
        voxel = order[round(quantile * (len(order) - 1))]
        axes.plot(truth[:, voxel], color="black", linewidth=0.8, label="real")
        axes.plot(found[:, voxel], color="tab:red", linewidth=0.8, label="reconstruction")
        for border in borders:
            axes.axvline(border, color="0.8", linewidth=0.6)
        axes.set_title(f"{name} voxel, r = {pearson[voxel]:.2f}", fontsize=9)
        axes.set_ylabel("z-score")
    axes.set_xlabel("test time point, in the order of the data; blocks or subjects between lines")
    axes.legend(loc="upper right", fontsize=7)
    return figure


def draw_correlations(matrices: Mapping[str, Floats]) -> Figure:
    """Correlation matrices [K, K] of the named sets side by side."""
    figure = canvas(3.2 * len(matrices) + 0.6, 3.4)
    places = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axes, (name, matrix) in zip(places, matrices.items(), strict=True):
        image = axes.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("voxel")
    figure.colorbar(image, ax=places.tolist(), shrink=0.8, label="correlation over time points")
    return figure


def draw_pearson(pearson: Mapping[str, Floats]) -> Figure:
    """How many voxels are followed how well, by each of the named reconstructions: correlations [V] each."""
    figure, axes = one_axes("Pearson correlation over test time points", "voxels")
    edges = np.linspace(min(0.0, *(float(values.min()) for values in pearson.values())), 1.0, 41).tolist()
    for name, values in pearson.items():
        axes.hist(values, edges, histtype="step", label=f"{name}, mean {values.mean():.2f}")
    axes.legend(loc="upper left", fontsize=7)
    return figure


def draw_carpets(sets: Mapping[str, Floats]) -> Figure:
    """At most 100 time points [N, V] of each of the named sets, a row each, a column for each voxel."""
    figure = canvas(9, 1.8 * len(sets))
    places = figure.subplots(len(sets), 1, squeeze=False)[:, 0]
    for axes, (name, values) in zip(places, sets.items(), strict=True):
        image = axes.imshow(values[:CARPET_ROWS], vmin=-LIMIT, vmax=LIMIT, cmap="RdBu_r", aspect="auto")
        axes.set_title(name, fontsize=9)
        axes.set_ylabel("sample")
    places[-1].set_xlabel("voxel")
    figure.colorbar(image, ax=places.tolist(), label="z-score")
    return figure


def draw_values(sets: Mapping[str, Floats]) -> Figure:
    """The densities of all values of the named sets [N, V]."""
    figure, axes = one_axes("z-score", "density")
    edges = np.linspace(-2 * LIMIT, 2 * LIMIT, 81).tolist()
    for name, values in sets.items():
        axes.hist(observed_of(values), edges, density=True, histtype="step", label=name)
    axes.legend(loc="upper right", fontsize=7)
    return figure
