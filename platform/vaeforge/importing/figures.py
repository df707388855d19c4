"""Charts of an import: bars, histograms and dots."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vaeforge.evaluation.drawing import canvas, save

LABELS = 40  # bars beyond which a label each would be unreadable


class Chart(Protocol):
    """Something that draws itself onto axes."""

    @property
    def name(self) -> str:
        """Of the file, without suffix."""

    def draw(self, axes: Any) -> None:
        """Onto matplotlib axes."""


@dataclass(frozen=True)
class Bars:
    """A bar for each label."""

    name: str
    labels: Sequence[str]
    heights: Sequence[float]
    horizontal: str
    vertical: str

    def draw(self, axes: Any) -> None:
        places = range(len(self.heights))
        axes.bar(places, self.heights)
        # names are the user's: a dollar sign in them is no formula
        if len(self.labels) <= LABELS:
            axes.set_xticks(places, self.labels, rotation=45, ha="right", fontsize=7, parse_math=False)
        axes.set_xlabel(self.horizontal)
        axes.set_ylabel(self.vertical)


@dataclass(frozen=True)
class Histogram:
    """Counts [B] of values between edges [B + 1]."""

    name: str
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    horizontal: str
    vertical: str

    def draw(self, axes: Any) -> None:
        axes.stairs(self.counts, self.edges, fill=True)
        axes.set_xlabel(self.horizontal)
        axes.set_ylabel(self.vertical)


@dataclass(frozen=True)
class Dots:
    """A dot for each pair."""

    name: str
    across: Sequence[float]
    up: Sequence[float]
    horizontal: str
    vertical: str

    def draw(self, axes: Any) -> None:
        axes.scatter(self.across, self.up, s=8, alpha=0.4)
        axes.set_xlabel(self.horizontal)
        axes.set_ylabel(self.vertical)


def histogram(name: str, values: Sequence[float], horizontal: str, vertical: str) -> Histogram:
    """The distribution of `values` over 30 bins."""
    counts, edges = np.histogram(np.asarray(values, dtype=np.float64), bins=30)
    return Histogram(name, edges, counts.astype(np.int64), horizontal, vertical)


def save_chart(chart: Chart, folder: Path) -> Path:
    """Draw `chart` into `folder`/<name>.png."""
    figure = canvas(6, 4)
    chart.draw(figure.subplots())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a script that the font lacks is drawn as boxes
        return save(figure, folder / f"{chart.name}.png")
