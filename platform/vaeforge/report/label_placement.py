"""Texts beside marks, thinned until none lies on another one, on the narrowest screen that a page is read on.

What is left out is still told where the pointer rests, and in the figure's table.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from vaeforge.report.figure import Axis, Layer, Panel

WIDTH, HEIGHT = 200.0, 240.0  # pixels of a panel's axes on a screen 390 pixels wide, its colour scale taken off
LETTER, LINE = 7.0, 16.0  # pixels of a letter's width and of a line's height


@dataclass(frozen=True)
class Box:
    """Where a text lies, pixels; its mark is below the middle of it."""

    x: float
    y: float
    width: float

    def overlaps(self, other: "Box") -> bool:
        """Whether both cover a pixel."""
        return abs(self.x - other.x) < (self.width + other.width) / 2 and abs(self.y - other.y) < LINE


def thinned(panel: Panel) -> Panel:
    """The panel with those texts alone that lie on no other one: first layers first, of each its ends, then between."""
    across, up = _scale(panel.x, panel, "x"), _scale(panel.y, panel, "y")
    kept: list[Box] = []
    layers = []
    for layer in panel.layers:
        shown = set()
        for place in outside_in(len(layer.texts)):
            text, x, y = layer.texts[place], layer.x[place], layer.y[place]
            if not text or x is None or y is None:
                continue
            box = Box(across.share(x) * WIDTH, up.share(y) * HEIGHT, LETTER * len(text))
            if not any(box.overlaps(other) for other in kept):
                kept.append(box)
                shown.add(place)
        texts = tuple(text if place in shown else "" for place, text in enumerate(layer.texts))
        layers.append(replace(layer, texts=texts))
    return replace(panel, layers=tuple(layers))


def outside_in(count: int) -> Iterator[int]:
    """0 to `count` - 1: both ends, then the middle of what lies between two, the widest gap first."""
    ends = list(dict.fromkeys([0, count - 1][:count]))
    yield from ends
    gaps = [(0, count - 1)]
    while gaps:
        low, high = gaps.pop(0)
        if high - low > 1:
            middle = (low + high) // 2
            yield middle
            gaps += [(low, middle), (middle, high)]


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    log: bool

    def share(self, value: float) -> float:
        at = math.log10(value) if self.log else value
        return (at - self.low) / (self.high - self.low) if self.high > self.low else 0.5


def _scale(axis: Axis, panel: Panel, side: str) -> _Scale:
    """From the smallest to the largest number that is drawn along `side`."""
    values = axis.limits or [value for layer in panel.layers for value in _drawn(layer, side)]
    found = [math.log10(value) if axis.log else value for value in values if not axis.log or value > 0]
    return _Scale(min(found, default=0.0), max(found, default=0.0), axis.log)


def _drawn(layer: Layer, side: str) -> list[float]:
    values = layer.x if side == "x" else layer.y
    return [value for value in values if value is not None and math.isfinite(value)]
