"""Check of inputs against the samples that a model learned from: a warning where they do not look like them.

An input lies outside where one of its measures does (`input_statistics.py`). Inputs are said not to look like the
training data where at least a share of them lies outside (`InputStatistics.share`), and so many that this would happen
by chance in at most 1 % of batches even if each input lay outside with probability 1 %: one of one, two of two to
fourteen, three of fifteen to forty-four (binomial). Scores are judged apart, since anomalies have high ones: of ten
inputs or more, where more than half lie beyond the range of the validation samples' scores.

Nothing here imports torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.package.bundle import Bundle
from vaeforge.package.input_statistics import (
    InputStatistics,
    MeasureRange,
    Measures,
    ValueScale,
    measures_of,
    range_of,
    size_measures,
)

CHANCE = 0.01
LEAST_SCORES = 10
SHOWN = 3  # measures in a warning
SCALE = ("value_mean", "value_sd")  # in reference.npz
SCORE = "score"


@dataclass(frozen=True)
class MeasureTally:
    """One measure over the inputs so far: how many lie outside of the training range, their smallest and largest."""

    outside: int = 0
    least: float = float("inf")
    most: float = float("-inf")

    def joined(self, other: "MeasureTally") -> "MeasureTally":
        """Of these inputs and the other's."""
        return MeasureTally(self.outside + other.outside, min(self.least, other.least), max(self.most, other.most))


@dataclass(frozen=True)
class InputTally:
    """Inputs so far: how many, how many lie outside in some measure, and each measure by name."""

    inputs: int = 0
    outside: int = 0
    measures: Mapping[str, MeasureTally] = field(default_factory=dict)

    def joined(self, other: "InputTally") -> "InputTally":
        """Of these inputs and the other's."""
        names = dict.fromkeys((*self.measures, *other.measures))
        nothing = MeasureTally()
        measures = {name: self.measures.get(name, nothing).joined(other.measures.get(name, nothing)) for name in names}
        return InputTally(self.inputs + other.inputs, self.outside + other.outside, measures)


@dataclass(frozen=True)
class InputCheck:
    """What inputs of one model are compared with; see `check_of`.

    Attributes:
        statistics: of the training samples.
        scale: of their values; none for images.
        score: the range of the validation samples' scores; none where there are none.
        data_set: what the data are called that the model learned from, for messages.
    """

    statistics: InputStatistics
    scale: ValueScale | None
    score: MeasureRange | None
    data_set: str

    def tally(
        self,
        x: NDArray[Any],
        sizes: Sequence[tuple[int, int]] = (),
        score: NDArray[Any] | None = None,
    ) -> InputTally:
        """The tally of finite inputs.

        Args:
            x: [N, *event], raw units.
            sizes: width and height of the N pictures that they were made of; empty where they were none.
            score: [N]; none where it is not to be judged.
        """
        found: Measures = measures_of(x, self.scale) | (size_measures(sizes) if sizes else {})
        ranges = self.statistics.measures
        outside = {name: _outside(values, ranges[name]) for name, values in found.items() if name in ranges}
        out = np.any(list(outside.values()), axis=0) if outside else np.zeros(len(x), dtype=bool)
        tallies = {name: _tallied(found[name], beyond) for name, beyond in outside.items()}
        if score is not None and self.score is not None:
            values = score.astype(np.float64)
            tallies[SCORE] = _tallied(values, _outside(values, self.score))
        return InputTally(len(x), int(out.sum()), tallies)

    def warning(self, tally: InputTally) -> str:
        """One sentence where the inputs do not look like the training data; empty where they do."""
        if _too_many(tally.inputs, tally.outside, self.statistics.share):
            told = "; ".join(self._told(name, tally) for name in self._worst(tally))
            return (
                f"the inputs do not look like {self.data_set}, which the model learned from: {tally.outside:,} of "
                f"{tally.inputs:,} lie outside of its range ({told}), so that their scores may say no more than "
                "that; use a model of data like these (`vaeforge models list`), or import them and train one"
            )
        score = tally.measures.get(SCORE, MeasureTally())
        if self.score is not None and tally.inputs >= LEAST_SCORES and 2 * score.outside > tally.inputs:
            return (
                f"the scores of {score.outside:,} of {tally.inputs:,} inputs lie far from those of validation samples "
                f"({_span(score.least, score.most)}; {self.data_set}: {_span(self.score.least, self.score.most)}): "
                "look at some of the inputs, since either nearly all of them are anomalous or they are of another kind "
                "than the model learned from"
            )
        return ""

    def _worst(self, tally: InputTally) -> list[str]:
        """The measures that most inputs lie outside of, those that are furthest off first among equals."""

        def off(name: str) -> tuple[int, float]:
            found, known = tally.measures[name], self.statistics.measures[name]
            gap = max(known.low - found.most, found.least - known.high)
            return -found.outside, -gap / max(known.high - known.low, 1e-12)

        return sorted((name for name, one in tally.measures.items() if name != SCORE and one.outside), key=off)[:SHOWN]

    def _told(self, name: str, tally: InputTally) -> str:
        found, known = tally.measures[name], self.statistics.measures[name]
        return f"{name} {_span(found.least, found.most)}, training {_span(known.least, known.most)}"


def check_of(bundle: Bundle) -> InputCheck | None:
    """The check of a packaged model's inputs; none where it was packaged without statistics."""
    contract = bundle.contract
    if contract.statistics is None:
        return None
    reference = bundle.reference
    scale = ValueScale(*(reference[name] for name in SCALE)) if set(SCALE) <= set(reference) else None
    score = reference.get(SCORE, np.empty(0)).astype(np.float64)
    called = f"the data set {contract.data_set}" if contract.data_set else "the training data"
    return InputCheck(contract.statistics, scale, range_of(score, 0.0) if len(score) else None, called)


def lacking(name: str) -> str:
    """What is to be said of a model without statistics."""
    return (
        f"{name} was packaged without statistics of its training data, so that nothing warns where inputs do not look "
        "like them; `vaeforge export` and `vaeforge register` package it anew"
    )


def _outside(values: NDArray[np.float64], known: MeasureRange) -> NDArray[np.bool_]:
    outside: NDArray[np.bool_] = (values < known.low) | (values > known.high)
    return outside


def _tallied(values: NDArray[np.float64], outside: NDArray[np.bool_]) -> MeasureTally:
    return MeasureTally(int(outside.sum()), float(values.min()), float(values.max())) if len(values) else MeasureTally()


def _too_many(inputs: int, outside: int, share: float) -> bool:
    if not outside or outside < share * inputs:
        return False
    from scipy.special import bdtrc  # a tenth of a second, which inputs that look alike do without

    return bool(bdtrc(outside - 1, inputs, CHANCE) <= CHANCE + 1e-9)


def _span(least: float, most: float) -> str:
    low, high = f"{least:.3g}", f"{most:.3g}"
    return low if low == high else f"{low} to {high}"
