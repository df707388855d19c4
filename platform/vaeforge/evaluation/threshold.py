"""Threshold of an anomaly score, from the scores of validation normals alone; the test set has no part in it.

Of n validation normals the r-th smallest score with r = ceil((n + 1) q) is taken (split conformal prediction: Vovk,
Gammerman and Shafer 2005, ch. 4; Lei et al. 2018, sec. 2). If a new normal sample is exchangeable with those n, its
rank among all n + 1 is uniform, so that it scores above the threshold with probability at most

    (n + 1 - r) / (n + 1) <= 1 - q

for every n, on average over validation sets. Where n < q / (1 - q) there is no such score: the largest one is taken,
and the probability is 1 / (n + 1). Patches of one place are not exchangeable with those of another: where validation
normals come in groups, the promise is for a new sample of the same places, and one of a new place may exceed it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

THRESHOLD_METRIC, QUANTILE_METRIC, RATE_METRIC = "val/threshold", "val/threshold_quantile", "val/threshold_rate"
ROUNDING = 1e-9  # 0.7 * 10 is a little more than 7, and its ceiling must be 7


@dataclass(frozen=True)
class Threshold:
    """A score above which a sample counts as anomalous.

    Attributes:
        value: the score.
        quantile: q, the share of normal samples that was to lie below it.
        rate: the largest expected share of normal samples above it.
    """

    value: float
    quantile: float
    rate: float


def threshold_of(validation_scores: NDArray[np.float64], quantile: float) -> Threshold:
    """The threshold for `quantile` from the scores of n >= 1 validation normals [n]."""
    count = len(validation_scores)
    rank = min(math.ceil((count + 1) * quantile - ROUNDING), count)
    value = float(np.sort(validation_scores)[rank - 1])
    return Threshold(value, quantile, (count + 1 - rank) / (count + 1))


def normals_needed(quantile: float) -> int:
    """The least number of validation normals that can keep the promise: n >= q / (1 - q)."""
    return math.ceil(quantile / (1 - quantile) - ROUNDING)


def shortage(quantile: float, rate: float) -> str:
    """What to tell people where there are fewer validation normals than `quantile` needs; empty where there are enough.

    Args:
        quantile: that was asked for.
        rate: the expected share of normal samples above the threshold, 1 / (n + 1) where the largest score was taken.
    """
    if rate <= 1 - quantile + ROUNDING:
        return ""
    return (
        f"the threshold for the quantile {quantile:g} needs {normals_needed(quantile)} validation normals and has "
        f"{round(1 / rate) - 1}: it is their largest score, and {100 * rate:.3g} % of normal samples are expected "
        f"above it instead of {100 * (1 - quantile):.3g} %; prepare more validation samples, or lower "
        "gates.threshold_quantile"
    )


def shortage_in(metrics: Mapping[str, int | float]) -> str:
    """`shortage` for the metrics of an evaluation; empty where its task has no threshold."""
    known = QUANTILE_METRIC in metrics and RATE_METRIC in metrics
    return shortage(metrics[QUANTILE_METRIC], metrics[RATE_METRIC]) if known else ""
