"""Figures of maps: points in two projections coloured by value, and how honest the uncertainty is.

Shapes: P points, C channels; coordinates [P, 3].
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaeforge.evaluation.drawing import canvas, one_axes, spread_over

PROJECTIONS = {"xy": (0, 1, 2), "yz": (1, 2, 0)}  # across, up, and the axis that is looked along
CHANNELS = 4
SIDE = 2.0  # inches of one map
DOT = 2.0
CLIPPED = (2.0, 98.0)  # percentiles that a colour scale ends at
Values = NDArray[Any]


def draw_maps(coordinates: Values, columns: Mapping[str, Values], channels: Sequence[str]) -> dict[str, Figure]:
    """A figure for each projection; a row for each of at most four channels, and a column for each of `columns`.

    Columns whose name ends in `error` or `uncertainty` have colours of their own, from 0; all others share the first
    column's. The points nearest to the eye are drawn last.
    """
    chosen = spread_over(np.arange(len(channels)), CHANNELS)
    return {f"maps_{name}": _draw(coordinates, columns, channels, chosen, axes) for name, axes in PROJECTIONS.items()}


def _draw(
    coordinates: Values,
    columns: Mapping[str, Values],
    channels: Sequence[str],
    chosen: NDArray[np.int64],
    projection: tuple[int, int, int],
) -> Figure:
    across, up, along = projection
    order = np.argsort(coordinates[:, along], kind="stable")
    figure = canvas(1.25 * SIDE * len(columns), SIDE * len(chosen) + 0.3)
    places = figure.subplots(len(chosen), len(columns), squeeze=False)
    for row, channel in enumerate(chosen):
        for place, (name, values) in zip(places[row], columns.items(), strict=True):
            shared = next(iter(columns.values()))[:, channel]
            drawn = place.scatter(
                coordinates[order, across],
                coordinates[order, up],
                c=values[order, channel],
                s=DOT,
                linewidths=0,
                rasterized=True,
                **_colours(name, values[:, channel], shared),
            )
            place.set_aspect("equal", adjustable="datalim")
            place.set_xticks([])
            place.set_yticks([])
            bar = figure.colorbar(drawn, ax=place, shrink=0.8)
            bar.ax.tick_params(labelsize=5)
            if row == 0:
                place.set_title(name, fontsize=8)
        places[row][0].set_ylabel(channels[channel], fontsize=7)
    axes = "xyz"
    figure.supxlabel(f"{axes[across]} across, {axes[up]} up, seen along {axes[along]}; units of the data", fontsize=7)
    return figure


def _colours(name: str, values: Values, shared: Values) -> dict[str, Any]:
    own = name.endswith(("error", "uncertainty"))
    low, high = np.nanpercentile(values if own else shared, CLIPPED)
    return {"cmap": "magma" if own else "viridis", "vmin": 0.0 if own else low, "vmax": max(high, low + 1e-9)}


def draw_coverage(curves: Mapping[str, tuple[Values, Values]]) -> Figure:
    """How often intervals of a nominal level hold the truth; on the diagonal they are honest, below it too narrow."""
    figure, axes = one_axes("nominal level of the interval", "share of test values inside")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for name, (nominal, held) in curves.items():
        axes.plot(nominal, held, marker="o", label=name)
    axes.legend(loc="upper left", fontsize=7)
    return figure
