"""Figures for the page: panels as the JSON that Plotly draws.

Only what Plotly's documentation of its figure format says is written here; the library's Python part, whose import
takes a second, is not used. Colours of text and grid come from the page, which has a light and a dark theme.
"""

import math
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from vaeforge.report.figure import GREY, PALETTE, Axis, Layer, Panel, Symbol, shade_limits

DIGITS = 7
FAINT = 0.45
SYMBOLS: Mapping[Symbol, str] = {
    "circle": "circle",
    "square": "square",
    "diamond": "diamond",
    "triangle": "triangle-up",
    "down": "triangle-down",
    "pentagon": "pentagon",
    "hexagon": "hexagon",
    "cross": "x-thin-open",
    "star": "star-open",
    "open": "circle-open",
    "none": "circle",
}
SIZES: Mapping[Symbol, int] = {"star": 18, "cross": 8, "none": 0, "open": 9}


def plotly_panel(panel: Panel) -> dict[str, Any]:
    """Data and layout of one panel."""
    data = [_surface(panel)] if panel.surface else []
    data += [_trace(layer, panel) for layer in panel.layers]
    layout: dict[str, Any] = {
        "xaxis": _axis(panel.x),
        "yaxis": _axis(panel.y) | {"automargin": True},
        "barmode": "overlay" if any(layer.start for layer in panel.layers) else "group",
        "showlegend": sum(bool(layer.label) for layer in panel.layers) > 0,
    }
    if panel.title:
        layout["title"] = {"text": plain(panel.title)}
    if limits := shade_limits(panel):
        layout["coloraxis"] = _colour_axis(panel, limits)
    return {"data": data, "layout": layout}


def plain(text: str) -> str:
    """`text` as Plotly shows it as it is: what looks like a tag of its markup is none."""
    return escape(text, quote=False)


def number(value: float | None) -> float | None:
    """With `DIGITS` digits, which no eye tells from all; None for what JSON has no word for."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}")


def numbers(values: Iterable[float | None]) -> list[float | None]:
    """See `number`."""
    return [number(value) for value in values]


def _axis(axis: Axis) -> dict[str, Any]:
    found: dict[str, Any] = {"title": {"text": plain(axis.title)}, "type": "log" if axis.log else "linear"}
    if axis.ticks:
        found |= {"tickmode": "array", "tickvals": [place for place, _ in axis.ticks]}
        found["ticktext"] = [plain(text) for _, text in axis.ticks]
    if axis.limits:
        found["range"] = [math.log10(end) if axis.log else end for end in axis.limits]
    return found


def _trace(layer: Layer, panel: Panel) -> dict[str, Any]:
    """One layer. Where the pointer rests, a mark tells its note and its numbers."""
    found: dict[str, Any] = {
        "x": numbers(layer.x),
        "y": numbers(layer.y),
        "name": plain(layer.label),
        "showlegend": bool(layer.label),
        "opacity": FAINT if layer.faint else 1.0,
        "hovertemplate": "%{hovertext}<br>%{x}, %{y}<extra></extra>",
        "hovertext": [plain(note) for note in layer.notes],
    }
    if not layer.notes:
        found["hoverinfo"] = "skip"
        del found["hovertemplate"], found["hovertext"]
    if layer.texts:
        found |= {"text": [plain(text) for text in layer.texts], "textposition": "top center"}
    return found | _bars(layer) if layer.drawn == "bars" else found | _scatter(layer, panel)


def colour_of(layer: Layer) -> str:
    """The layer's colour of the palette, or grey."""
    return GREY if layer.colour is None else PALETTE[layer.colour % len(PALETTE)]


def _bars(layer: Layer) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "bar", "orientation": "h" if layer.horizontal else "v"}
    found["marker"] = {"color": colour_of(layer)}
    return found | ({"base": numbers(layer.start)} if layer.start else {})


def _scatter(layer: Layer, panel: Panel) -> dict[str, Any]:
    lines = layer.drawn != "points"
    parts = ["lines"] if lines else ["markers"] if layer.symbol != "none" else []
    found: dict[str, Any] = {"type": "scatter", "mode": "+".join([*parts, *(["text"] if layer.texts else [])])}
    if lines:
        shape = "hv" if layer.drawn == "steps" else "linear"
        found["line"] = {"color": colour_of(layer), "width": 1 if layer.faint else 2, "shape": shape}
        found["line"] |= {"dash": "dot"} if layer.dashed else {}
        found["connectgaps"] = False
        return found
    found["marker"] = {"symbol": SYMBOLS[layer.symbol], "size": SIZES.get(layer.symbol, 8), "color": colour_of(layer)}
    found["marker"]["line"] = {"width": 2 if layer.symbol in ("star", "cross", "open") else 0}
    if layer.shades and panel.shades:
        found["marker"] |= {"color": [_shade(value, panel.shades) for value in layer.shades], "coloraxis": "coloraxis"}
        found["marker"]["line"] = {"width": 0.5, "color": GREY}
    if layer.ends:
        found["error_x"] = _intervals(layer)
    return found


def _intervals(layer: Layer) -> dict[str, Any]:
    """The interval of each mark; none where an end is not known."""
    up, down = [], []
    for value, (low, high) in zip(layer.x, layer.ends, strict=True):
        known = value is not None and low is not None and high is not None
        up.append(number((high or 0.0) - (value or 0.0)) if known else 0)
        down.append(number((value or 0.0) - (low or 0.0)) if known else 0)
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "color": colour_of(layer)}


def _shade(value: float | None, axis: Axis) -> float | None:
    """Where a number lies on the colour scale, which Plotly has in linear form alone."""
    return number(math.log10(value) if axis.log and value is not None else value)


def _colour_axis(panel: Panel, limits: tuple[float, float]) -> dict[str, Any]:
    assert panel.shades is not None
    low, high = (_shade(end, panel.shades) or 0.0 for end in limits)
    bar: dict[str, Any] = {"title": {"text": plain(panel.shades.title), "side": "right"}, "thickness": 12}
    if panel.shades.log:
        places = [low + part * (high - low) / 4 for part in range(5)]
        bar |= {"tickvals": places, "ticktext": [f"{10**place:.2g}" for place in places]}
    return {"colorscale": "Cividis", "cmin": low, "cmax": high, "colorbar": bar}


def _surface(panel: Panel) -> dict[str, Any]:
    assert panel.surface is not None
    return {
        "type": "heatmap",  # a contour over logarithmic axes never ends in plotly.js 4.1.1
        "x": numbers(panel.surface.x),
        "y": numbers(panel.surface.y),
        "z": [numbers(row) for row in panel.surface.heights],
        "coloraxis": "coloraxis",
        "opacity": FAINT,
        "hoverinfo": "skip",
    }
