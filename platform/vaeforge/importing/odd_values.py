"""Values that are none: numbers that stand for missing values, timepoints of zeros, series in another unit.

Nothing in a file says so, so that what looks like one of these is asked about.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.large_arrays import blocks_of
from vaeforge.data.source_files import listed
from vaeforge.importing.parsed_source import ImportLog
from vaeforge.importing.steady_state import ask_about_start, bright_start

STANDING = (-99.0, 99.0, -999.0, 999.0, -9999.0, 9999.0, -99999.0, 99999.0)  # for missing values, by custom
LEAST = 3  # times that one must occur
APART = 100.0  # ratio of the spread of a series and that of most, from which on it is in another unit
ASKED = "does it stand for missing values? Write NaN, or nothing, in its place, and import again, if so"


@dataclass(frozen=True)
class OddValues:
    """What looks odd in a series [T, V].

    Attributes:
        standing: a number that may stand for missing values; none for none.
        zeros: timepoints at which all voxels are 0.
        spread: standard deviation of all values.
        bright: timepoints at the beginning that are far brighter than the others.
    """

    standing: float | None
    zeros: int
    spread: float
    bright: int


def odd_values(values: NDArray[np.float32], spread: float) -> OddValues:
    """What looks odd in a series [T, V] of that standard deviation; NaN is a missing value."""
    zeros = sum(int((block == 0).all(axis=1).sum()) for _, block in blocks_of(values))
    return OddValues(standing_for_missing(values), zeros, spread, bright_start(values))


def standing_for_missing(values: NDArray[np.float32]) -> float | None:
    """A number that occurs several times, farther from all others than these lie from one another; none for none."""
    low, high = _range(values, math.nan)
    for number in (number for number in STANDING if number in (low, high)):
        count = sum(int((block == np.float32(number)).sum()) for _, block in blocks_of(values))
        start, end = _range(values, number)
        if count >= LEAST and (number < start - (end - start) or number > end + (end - start)):
            return number
    return None


def _range(values: NDArray[np.float32], without: float) -> tuple[float, float]:
    """The lowest and the highest of the values that are there and are not `without`; NaN where there are none."""
    low = high = np.float32(np.nan)
    for _, block in blocks_of(values):
        others = np.where(block == np.float32(without), np.float32(np.nan), block)
        low, high = np.fmin(low, np.fmin.reduce(others, axis=None)), np.fmax(high, np.fmax.reduce(others, axis=None))
    return float(low), float(high)


def ask_about_standing(where: str, found: Mapping[str, float | None], log: ImportLog) -> None:
    """Ask about numbers that may stand for missing values, by channel or series."""
    named = [f"{name} ({number:g})" for name, number in found.items() if number is not None]
    if named:
        log.ask(
            f"{where}: a number far beyond all others occurs again and again in {listed(named)}; {ASKED}",
            "it is a value as the others",
        )


def ask_about_series(where: str, found: Mapping[str, OddValues], log: ImportLog, *, start: bool) -> None:
    """Ask about odd values of series, by subject; about their `start` unless the user has said what it is."""
    ask_about_standing(where, {name: own.standing for name, own in found.items()}, log)
    zeros = [f"{name} ({own.zeros})" for name, own in found.items() if own.zeros]
    if zeros:
        log.ask(
            f"{where}: all voxels are 0 at some timepoints of {listed(zeros)}; were these padded? Cut them off, or "
            "write NaN, so that they are left out, and import again, if so",
            "they are timepoints as the others",
        )
    if start:
        ask_about_start(where, {name: own.bright for name, own in found.items()}, log)
    spreads = np.array([own.spread for own in found.values()])
    usual = float(np.median(spreads[spreads > 0])) if (spreads > 0).any() else 0.0
    far = [
        f"{name} ({own.spread / usual:.3g} times as much)"
        for name, own in found.items()
        if usual and own.spread and not 1 / APART < own.spread / usual < APART
    ]
    if far:
        log.ask(
            f"{where}: values of {listed(far)} vary far more or less than those of the other series; are they in "
            "another unit, or normalised otherwise? Bring them to one unit, and import again, if so",
            "they are in the unit of the others",
        )
