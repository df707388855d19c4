"""Figures as records: what is drawn, one sentence how to read it, and the table of its data.

A figure knows no renderer: `plotly_figure.py` draws it for the page, `print_figures.py` for paper. Numbers that are not
known are None, which breaks a line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from vaeforge.csv_cells import csv_text

Cell: TypeAlias = str | int | float | bool | None
Values: TypeAlias = tuple[float | None, ...]
Drawn = Literal["points", "line", "steps", "bars"]
Symbol = Literal[
    "circle", "square", "diamond", "triangle", "down", "pentagon", "hexagon", "cross", "star", "open", "none"
]

# Okabe and Ito's colours, which people with any colour vision tell apart; without the yellow, faint on white paper
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#7F7F7F")
GREY = "#8A8F98"
OF_GROUPS: tuple[Symbol, ...] = ("circle", "square", "diamond", "triangle", "down", "pentagon", "hexagon")


def number_in(cell: Cell) -> float | None:
    """The number in a cell; none where it holds something else."""
    return float(cell) if isinstance(cell, int | float) else None


@dataclass(frozen=True)
class DataTable:
    """Named columns; the data of a figure, as its CSV holds them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Cell]], *first: str) -> "DataTable":
        """One row a record; columns in the order in which they first appear, those of `first` before all others."""
        columns = tuple(dict.fromkeys([*first, *(name for record in records for name in record)]))
        return cls(columns, tuple(tuple(record.get(name) for name in columns) for record in records))

    def column(self, name: str) -> list[Cell]:
        """The cells below `name`."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]

    def records(self) -> list[dict[str, Cell]]:
        """Each row by the names of its columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def csv(self) -> str:
        """With a header line; what is not known is empty."""
        return csv_text(self.columns, self.rows)


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        title: with the unit.
        log: whether it is logarithmic.
        ticks: places and what is written there; none: as the renderer likes.
        limits: what is shown; none: everything.
    """

    title: str
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Layer:
    """Marks of one kind.

    Attributes:
        drawn: how.
        x, y: equally many.
        label: in the legend; empty: not there.
        colour: a place in `PALETTE`; none: grey.
        symbol: of points, so that layers can be told apart without colour; `none` where only texts are shown.
        notes: what is told of each mark where the pointer rests.
        texts: what is written beside each mark.
        shades: a number of each point for the panel's colour scale, in place of `colour`.
        ends: of an interval of each mark, along x.
        horizontal: bars run along x; y are places.
        start: where each bar begins; none: at 0.
        faint: drawn behind and lighter.
        dashed: a broken line.
    """

    drawn: Drawn
    x: Values
    y: Values
    label: str = ""
    colour: int | None = None
    symbol: Symbol = "circle"
    notes: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    shades: Values = ()
    ends: tuple[tuple[float | None, float | None], ...] = ()
    horizontal: bool = False
    start: Values = ()
    faint: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Surface:
    """Heights over a grid, drawn as colours behind the layers: `heights[i][j]` at (x[j], y[i])."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    heights: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Panel:
    """One pair of axes with what is drawn in them; `shades` is the colour scale of layers and surface that have one."""

    x: Axis
    y: Axis
    layers: tuple[Layer, ...]
    title: str = ""
    shades: Axis | None = None
    surface: Surface | None = None


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: of its files and its place on the page.
        title: what it is about.
        reading: one sentence that says how to read it.
        table: its data.
        panels: what is drawn.
        remarks: what it rests on, and what it does not say.
    """

    name: str
    title: str
    reading: str
    table: DataTable
    panels: tuple[Panel, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Absent:
    """A figure that cannot be drawn of this search, and why not, or what would make it."""

    name: str
    title: str
    why: str


def shade_limits(panel: Panel) -> tuple[float, float] | None:
    """The smallest and the largest number on the panel's colour scale; none where nothing is on it."""
    found = [value for layer in panel.layers for value in layer.shades if value is not None]
    found += [height for row in panel.surface.heights for height in row] if panel.surface else []
    if panel.shades is None or not found:
        return None
    low, high = panel.shades.limits or (min(found), max(found))
    return (low, high) if high > low else (low, low + (abs(low) or 1.0) * 1e-6)
