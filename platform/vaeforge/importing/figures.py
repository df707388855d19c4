"""Charts of an import: bars, histograms and dots."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from vaeforge.evaluation.drawing import canvas, save
from vaeforge.samples import evenly_spaced

ROWS, COLUMNS, TILE = 12, 8, 0.94  # of a contact sheet; a picture's part of its place
LABELS = 40  # bars beyond which a label each would be unreadable


class Chart(Protocol):
    """Something that draws itself onto axes."""

    @property
    def name(self) -> str:
        """Of the file, without suffix."""

    @property
    def inches(self) -> tuple[float, float]:
        """Width and height of the figure."""

    def draw(self, axes: Any) -> None:
        """Onto matplotlib axes."""


class PlainChart:
    """What has the usual size."""

    inches: ClassVar[tuple[float, float]] = (6, 4)


@dataclass(frozen=True)
class Bars(PlainChart):
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
class Histogram(PlainChart):
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
class Dots(PlainChart):
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


@dataclass(frozen=True)
class Sheet:
    """Pictures in rows, each row under a label: some of each class, as they are read.

    Attributes:
        rows: a label, and functions that bring pictures uint8 [H, W] or [H, W, 3], which is done when they are drawn.
    """

    name: str
    rows: Sequence[tuple[str, Sequence[Callable[[], NDArray[np.uint8]]]]]

    @property
    def inches(self) -> tuple[float, float]:
        return (8, max(1.5, 1.2 * len(self.rows) + 0.3))

    def draw(self, axes: Any) -> None:
        axes.set_axis_off()
        axes.set_xlim(0, max(len(pictures) for _, pictures in self.rows))
        axes.set_ylim(len(self.rows), -0.25)
        axes.set_aspect("equal")
        for row, (label, pictures) in enumerate(self.rows):
            axes.text(0, row - 0.03, label, fontsize=7, va="bottom", parse_math=False)
            for column, bring in enumerate(pictures):
                pixels = np.atleast_3d(bring())
                height, width = (TILE * side / max(pixels.shape[:2]) for side in pixels.shape[:2])
                left, top = column + (1 - width) / 2, row + (1 - height) / 2
                shown = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
                axes.imshow(shown, extent=(left, left + width, top + height, top), aspect="auto")
        axes.set_xlim(0, max(len(pictures) for _, pictures in self.rows))
        axes.set_ylim(len(self.rows), -0.25)


@dataclass(frozen=True)
class Traces:
    """Lines over time, one above another, each in standard deviations of its own.

    Attributes:
        labels: one a group of lines, at its first one.
        bring: functions that bring a group of lines [T, n], which is done when they are drawn.
    """

    name: str
    labels: Sequence[str]
    bring: Sequence[Callable[[], NDArray[np.float32]]]
    horizontal: str
    inches: tuple[float, float] = (8, 5)

    def draw(self, axes: Any) -> None:
        ticks, place = [], 0
        for bring in self.bring:
            ticks.append(-place)
            for line in bring().T:
                axes.plot((line - np.nanmean(line)) / (4 * (np.nanstd(line) or 1)) - place, linewidth=0.6)
                place += 1
        axes.set_yticks(ticks, self.labels, fontsize=6, parse_math=False)
        axes.set_xlabel(self.horizontal)


def sheet(labels: Sequence[str], bring: Callable[[int], NDArray[np.uint8]]) -> Sheet:
    """The contact sheet of pictures with these labels, some of each at even distances; `bring` is by their number."""
    rows = []
    for label in sorted(set(labels))[:ROWS]:
        members = [number for number, own in enumerate(labels) if own == label]
        chosen = [members[place] for place in evenly_spaced(len(members), COLUMNS)]
        told = f"{label or 'all'} ({len(members)})"
        rows.append((told, [partial(bring, number) for number in chosen]))
    return Sheet("contact_sheet", rows)


def histogram(name: str, values: Sequence[float], horizontal: str, vertical: str) -> Histogram:
    """The distribution of `values` over 30 bins."""
    counts, edges = np.histogram(np.asarray(values, dtype=np.float64), bins=30)
    return Histogram(name, edges, counts.astype(np.int64), horizontal, vertical)


def save_chart(chart: Chart, folder: Path) -> Path:
    """Draw `chart` into `folder`/<name>.png."""
    figure = canvas(*chart.inches)
    chart.draw(figure.subplots())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a script that the font lacks is drawn as boxes
        return save(figure, folder / f"{chart.name}.png")
