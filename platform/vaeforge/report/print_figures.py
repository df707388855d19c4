"""Figures for print: each as SVG and PNG, with its data as CSV; one style, no colour that some people cannot see."""

import io
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import NullFormatter

from vaeforge.evaluation.drawing import canvas
from vaeforge.paths import write_bytes
from vaeforge.report.figure import Axis, Figure, Layer, Panel, Symbol, shade_limits
from vaeforge.report.plotly_figure import FAINT, colour_of

COLUMNS, WIDTH, HEIGHT, DPI = 2, 5.0, 3.9, 300
STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",  # texts stay texts, to be edited and searched
    "svg.hashsalt": "vaeforge",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 7,
}
MARKERS: Mapping[Symbol, str] = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle": "^",
    "down": "v",
    "pentagon": "p",
    "hexagon": "h",
    "cross": "x",
    "star": "*",
    "open": "o",
    "none": "",
}


def write_figure(figure: Figure, folder: Path) -> list[Path]:
    """Write `NAME.svg`, `NAME.png` (300 dpi) and `NAME.csv` into `folder`."""
    table = folder / f"{figure.name}.csv"
    write_bytes(table, figure.table.csv().encode())
    with matplotlib.rc_context(dict(STYLE)):
        drawn = _drawn(figure)
        paths = [folder / f"{figure.name}.{kind}" for kind in ("svg", "png")]
        for path in paths:
            write_bytes(path, _file(drawn, path.suffix[1:]))
    return [*paths, table]


def _file(drawn: Any, kind: str) -> bytes:
    """A drawn figure as a file; the same bytes whenever it is made of the same data."""
    stream = io.BytesIO()
    drawn.savefig(stream, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return stream.getvalue()


def _drawn(figure: Figure) -> Any:
    columns = min(COLUMNS, len(figure.panels))
    rows = ceil(len(figure.panels) / columns)
    page = canvas(WIDTH * columns, HEIGHT * rows)
    page.suptitle(figure.title, fontsize=10)
    places = page.subplots(rows, columns, squeeze=False).flat
    for place, panel in zip(places, figure.panels, strict=False):
        _panel(page, place, panel)
    for place in list(page.axes)[len(figure.panels) : rows * columns]:
        place.set_axis_off()
    return page


def _panel(page: Any, axes: Any, panel: Panel) -> None:
    scale = _scale(panel)
    if panel.surface and scale is not None:
        surface = panel.surface
        axes.contourf(surface.x, surface.y, surface.heights, levels=12, cmap="cividis", norm=scale, alpha=FAINT)
    for layer in panel.layers:
        _layer(axes, layer, scale)
    for side, axis in (("x", panel.x), ("y", panel.y)):
        _set_axis(axes, side, axis)
    axes.set_title(panel.title, fontsize=9)
    if scale is not None and panel.shades is not None:
        page.colorbar(matplotlib.cm.ScalarMappable(scale, "cividis"), ax=axes, label=panel.shades.title)
    if any(layer.label for layer in panel.layers):
        # below the axes, where it hides nothing; to look for the best place takes seconds where there are many points
        axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.16), ncols=2)


def _scale(panel: Panel) -> Any:
    limits = shade_limits(panel)
    if limits is None or panel.shades is None:
        return None
    return (LogNorm if panel.shades.log else Normalize)(*limits)


def _set_axis(axes: Any, side: str, axis: Axis) -> None:
    axes.set(**{f"{side}label": axis.title})
    own = axes.xaxis if side == "x" else axes.yaxis
    if axis.log:
        axes.set(**{f"{side}scale": "log"})
        own.set_minor_formatter(NullFormatter())
    if axis.limits:
        axes.set(**{f"{side}lim": axis.limits})
    if axis.ticks:
        slanted = side == "x" and len(axis.ticks) > 4
        own.set_ticks([place for place, _ in axis.ticks], [text for _, text in axis.ticks])
        axes.tick_params(axis=side, labelsize=7, rotation=30 if slanted else 0)


def _layer(axes: Any, layer: Layer, scale: Any) -> None:
    x, y = (_floats(values) for values in (layer.x, layer.y))
    look: dict[str, Any] = {"alpha": FAINT if layer.faint else 1.0, "label": layer.label or None}
    colour = colour_of(layer)
    if layer.drawn == "bars":
        start = list(layer.start) or [0.0] * len(x)
        if layer.horizontal:
            axes.barh(y, x, left=start, color=colour, **look)
        else:
            axes.bar(x, y, bottom=start, color=colour, **look)
    elif layer.drawn == "points":
        _points(axes, layer, x, y, look | ({"c": _floats(layer.shades), "norm": scale} if layer.shades else {}))
    else:
        style = "steps-post" if layer.drawn == "steps" else "default"
        axes.plot(x, y, color=colour, drawstyle=style, linestyle=":" if layer.dashed else "-", linewidth=1.2, **look)
    for place, across, up in _texts(layer):
        axes.annotate(place, (across, up), textcoords="offset points", xytext=(0, 4), ha="center", fontsize=6)


def _points(axes: Any, layer: Layer, x: Sequence[float], y: Sequence[float], look: dict[str, Any]) -> None:
    colour = colour_of(layer)
    if layer.ends:
        axes.hlines(
            y, [_end(low, v) for (low, _), v in zip(layer.ends, x, strict=True)],
            [_end(high, v) for (_, high), v in zip(layer.ends, x, strict=True)], color=colour, linewidth=1.2,
        )  # fmt: skip
    if layer.symbol == "none":
        return
    size = 120 if layer.symbol == "star" else 22
    if layer.symbol in ("open", "star"):
        look = look | {"facecolors": "none", "edgecolors": colour}
    elif "c" in look:
        look = look | {"cmap": "cividis", "edgecolors": "0.4", "linewidths": 0.4}
    else:
        look = look | {"color": colour}
    axes.scatter(x, y, marker=MARKERS[layer.symbol], s=size, **look)


def _end(end: float | None, value: float) -> float:
    return value if end is None else end


def _texts(layer: Layer) -> Iterator[tuple[str, float, float]]:
    for text, across, up in zip(layer.texts, layer.x, layer.y, strict=bool(layer.texts)):
        if text and across is not None and up is not None:
            yield text, across, up


def _floats(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
