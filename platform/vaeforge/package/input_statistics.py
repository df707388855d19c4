"""Measures of samples, and their ranges over the samples that a model learned from. Imports no torch.

Shapes: N samples; x [N, *event] in raw units; for images [N, C, H, W].

Of images: brightness and contrast (mean and standard deviation of all values), mean and contrast of each channel,
`colour` (the largest less the smallest channel of a pixel, its mean: 0 for grey pictures) and `detail` (the mean
absolute difference of neighbouring pixels). Of pictures that prepare makes samples of, their shorter side in pixels
and their aspect ratio, width / height, too. Of other samples: mean, standard deviation, and `distance`, the root mean
square of (x - m) / s with mean m and standard deviation s of each value over the training samples; all of these over
the values that are not missing.

A measure of a new sample may lie beyond the training range by a share 0.5 + 20 / N of it, for N training samples; but
from 200 on not below a tenth of the smallest value where that is positive, so that blank pictures, and grey ones among
coloured, lie outside. Those of a sample of the same distribution lie further out with a probability of at most 0.6 %
for 5 training samples and 0.15 % from 40 on, be it normal, uniform, exponential or Student's t with 5 degrees (a test
simulates it).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.missing import mean_of, spread_of

MANY = 200  # training samples, whose smallest value says something of how small values can be
SMALLER = 10.0
LEAST = 5  # training samples; the range of fewer says nothing
IMAGE_AXES = 4
COLOURS = ("red", "green", "blue")
SHORTER_SIDE, ASPECT_RATIO = "shorter side", "aspect ratio"
SIDE_FACTOR, RATIO_FACTOR = 2.0, 1.25  # by which sizes may differ
CACHED = 2**16  # values that are measured at a time: a processor's cache holds them
FLOOR = 0.01  # of the largest training value: what compression and rounding change

Values = NDArray[np.float64]
Measures = Mapping[str, Values]


@dataclass(frozen=True)
class MeasureRange:
    """One measure over the training samples: smallest, largest, mean, and from where to where new samples are alike."""

    least: float
    most: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class InputStatistics:
    """The training samples of a model.

    Attributes:
        samples: how many were measured.
        share: of inputs that lie outside of a range, from which on they are said not to look like the training data;
            one half for models that detect anomalies, since anomalies may lie outside.
        measures: by name; see the module's docstring.
    """

    samples: int
    share: float
    measures: Mapping[str, MeasureRange]


@dataclass(frozen=True)
class ValueScale:
    """Mean and standard deviation of each value over the training samples, float32 [D]; 1 where it is constant."""

    mean: NDArray[np.float32]
    sd: NDArray[np.float32]


def scale_of(x: NDArray[Any]) -> ValueScale:
    """The scale of samples that are no images."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    sd = spread_of(flat)
    return ValueScale(mean_of(flat).astype(np.float32), np.where(sd > 0, sd, 1).astype(np.float32))


def measures_of(x: NDArray[Any], scale: ValueScale | None) -> dict[str, Values]:
    """The measures [N] of samples; `scale` is that of the training samples, none for images."""
    size = max(1, CACHED // max(1, x[:1].size))
    parts = [_measures(x[first : first + size], scale) for first in range(0, max(1, len(x)), size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _measures(x: NDArray[Any], scale: ValueScale | None) -> dict[str, Values]:
    values = x.astype(np.float64)
    if scale is None:
        return _of_images(values)
    flat = values.reshape(len(values), -1)
    distance = np.sqrt(mean_of(np.square((flat - scale.mean) / scale.sd), 1))
    return {"mean": mean_of(flat, 1), "standard deviation": spread_of(flat, 1), "distance": distance}


def _of_images(x: Values) -> dict[str, Values]:
    found = {"brightness": x.mean(axis=(1, 2, 3)), "contrast": x.std(axis=(1, 2, 3))}
    channels = x.shape[1]
    if channels > 1:
        names = COLOURS if channels == len(COLOURS) else [f"channel {number}" for number in range(1, channels + 1)]
        for place, name in enumerate(names):
            found[name] = x[:, place].mean(axis=(1, 2))
            found[f"contrast of {name}"] = x[:, place].std(axis=(1, 2))
        found["colour"] = (x.max(axis=1) - x.min(axis=1)).mean(axis=(1, 2))
    steps = [np.abs(np.diff(x, axis=axis)).mean(axis=(1, 2, 3)) for axis in (2, 3) if x.shape[axis] > 1]
    return found | ({"detail": np.mean(steps, axis=0)} if steps else {})


def size_measures(sizes: Iterable[tuple[int, int]]) -> dict[str, Values]:
    """The measures [N] of pictures of (width, height) pixels, before they become samples."""
    sides = np.array(list(sizes), dtype=np.float64).reshape(-1, 2)
    return {SHORTER_SIDE: sides.min(axis=1), ASPECT_RATIO: sides[:, 0] / sides[:, 1]}


def range_of(values: Values, floor: float) -> MeasureRange:
    """The range of a measure [N] over training samples; `floor` is by how much new ones may differ at least."""
    least, most = float(values.min()), float(values.max())
    room = max((0.5 + 20 / len(values)) * (most - least), floor)
    low = least - room
    if least > 0 and len(values) >= MANY:
        low = max(low, min(least / SMALLER, least - floor))
    return MeasureRange(least, most, float(values.mean()), low, most + room)


def ratio_range(values: Values, factor: float) -> MeasureRange:
    """The range of a measure [N] > 0 that may differ by a factor."""
    least, most = float(values.min()), float(values.max())
    return MeasureRange(least, most, float(values.mean()), least / factor, most * factor)


def statistics_of(
    parts: Iterable[NDArray[Any]], scale: ValueScale | None, sizes: Iterable[tuple[int, int]], share: float
) -> InputStatistics | None:
    """The statistics of training samples; none where there are too few.

    Args:
        parts: the samples [n, *event], some at a time.
        scale: of their values; none for images.
        sizes: widths and heights of the pictures that prepare made samples of; empty where samples were cut.
        share: see `InputStatistics`.
    """
    found: dict[str, list[Values]] = {}
    largest = 0.0
    for x in parts:
        largest = max(largest, float(np.nanmax(np.abs(x.astype(np.float64)))))
        for name, values in measures_of(x, scale).items():
            found.setdefault(name, []).append(values)
    joined = {name: np.concatenate(values) for name, values in found.items()}
    samples = max(map(len, joined.values()), default=0)
    if samples < LEAST:
        return None
    ranges = {name: range_of(values, FLOOR * (1 if name == "distance" else largest)) for name, values in joined.items()}
    known = list(sizes)
    if known:
        measured = size_measures(known)
        ranges[SHORTER_SIDE] = ratio_range(measured[SHORTER_SIDE], SIDE_FACTOR)
        ranges[ASPECT_RATIO] = ratio_range(measured[ASPECT_RATIO], RATIO_FACTOR)
    return InputStatistics(samples, share, ranges)
