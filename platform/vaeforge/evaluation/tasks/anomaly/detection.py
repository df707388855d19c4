"""Detection metrics: how well scores tell anomalous from normal samples, with intervals over groups.

Shapes: T test samples; label 1 is anomalous, larger scores are more anomalous. Groups are left out of each label in
turn (see `intervals`); where a label has too few of them, there is no interval. A test set of normal samples alone has
the false-positive rate of the threshold, and nothing else: neither areas nor what else needs anomalous ones.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from vaeforge.errors import DataError
from vaeforge.evaluation.auroc import auroc_over_groups
from vaeforge.evaluation.intervals import SHARE, GroupEstimate, LeftOut, jackknife, of_sums, sums_over_groups

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def has_anomalous(labels: Integers) -> bool:
    """Whether there are anomalous samples beside the normal ones.

    Raises:
        DataError: if there are no normal ones.
    """
    if not (labels == 0).any():
        raise DataError(
            f"test set: 0 normal and {len(labels)} anomalous samples, must have at least one normal; prepare data again"
        )
    return bool((labels == 1).any())


def roc_curve(labels: Integers, scores: Floats) -> tuple[Floats, Floats]:
    """False-positive rate and true-positive rate along falling thresholds, from (0, 0) to (1, 1)."""
    false_positive, true_positive, _ = sk.roc_curve(labels, scores)
    return false_positive, true_positive


def pr_curve(labels: Integers, scores: Floats) -> tuple[Floats, Floats]:
    """Recall and precision along falling thresholds, from recall 0 to 1."""
    precision, recall, _ = sk.precision_recall_curve(labels, scores)
    return recall[::-1], precision[::-1]


def auprc_over_groups(labels: Integers, scores: Floats, groups: Integers) -> GroupEstimate:
    """Average precision, sum_n (R_n - R_{n-1}) P_n over falling thresholds, of scores with labels and groups, all [T].

    Equal scores are called together. Without anomalous samples there is none.
    """
    ranks: Integers = np.unique(-scores, return_inverse=True)[1]
    left_out = []
    for label in (0, 1):
        mine = labels == label
        names, sizes = np.unique(groups[mine], return_counts=True)
        kept = [~(mine & (groups == name)) for name in names] if len(names) > 1 else []
        values = [_average_precision(labels[some], ranks[some]) for some in kept]
        left_out.append(LeftOut(names, sizes.astype(np.float64), np.array(values)))
    return jackknife(_average_precision(labels, ranks), *left_out, within=SHARE)


def _average_precision(labels: Integers, ranks: Integers) -> float:
    """From labels and the place of each score among all, 0 for the highest: [T] each."""
    anomalous = np.bincount(ranks, weights=labels.astype(np.float64))
    precision = np.cumsum(anomalous) / np.maximum(np.cumsum(np.bincount(ranks)), 1)
    return float((anomalous * precision).sum() / anomalous.sum())


def threshold_estimates(
    labels: Integers, groups: Integers, scores: Floats, threshold: float
) -> dict[str, GroupEstimate]:
    """F1, accuracy, precision, recall and false-positive rate when scores [T] > `threshold` are called anomalous.

    Precision is 0, without an interval, where nothing is called. Without anomalous samples only the last is there.

    Args:
        labels: int64 [T], 1 for anomalous samples.
        groups: int64 [T], independent groups.
        scores: [T].
        threshold: above which a sample is called anomalous.
    """
    called, anomalous = scores > threshold, labels == 1
    kinds = np.stack([called & anomalous, called & ~anomalous, ~called & anomalous, ~called & ~anomalous], axis=1)
    both = [sums_over_groups(kinds[mine].astype(np.float64), groups[mine]) for mine in (~anomalous, anomalous)]
    false = of_sums(lambda n: n[:, 1] / (n[:, 1] + n[:, 3]), both[0], within=SHARE)
    if not has_anomalous(labels):
        return {"false_positive_rate": false}
    precision = of_sums(_precision, *both, within=SHARE)
    return {
        "f1": of_sums(_f1, *both, within=SHARE),
        "accuracy": of_sums(lambda n: (n[:, 0] + n[:, 3]) / n.sum(1), *both, within=SHARE),
        "precision": precision if math.isfinite(precision.value) else replace(precision, value=0.0),
        "recall": of_sums(lambda n: n[:, 0] / (n[:, 0] + n[:, 2]), both[1], within=SHARE),
        "false_positive_rate": false,
    }


def _f1(counts: Floats) -> Floats:
    """Of true and false positives, false and true negatives [n, 4]: [n]."""
    hit, false, missed, _ = counts.T
    score: Floats = 2 * hit / np.maximum(2 * hit + false + missed, 1.0)
    return score


def _precision(counts: Floats) -> Floats:
    """Likewise; NaN where nothing is called."""
    hit, false = counts.T[:2]
    precision: Floats = np.where(hit + false > 0, hit / np.maximum(hit + false, 1.0), np.nan)
    return precision


def score_table(labels: Integers, groups: Integers, scores: Mapping[str, Floats], chosen: str) -> list[dict[str, Any]]:
    """A line per score: its name, whether it is the chosen one, AUROC and average precision with their intervals.

    Args:
        labels: int64 [T], 1 for anomalous samples.
        groups: int64 [T], independent groups.
        scores: [T] by name.
        chosen: the name of the model's own score.
    """
    return [
        {"score": name, "chosen": "yes" if name == chosen else "no"}
        | auroc_over_groups(labels, values, groups).line("auroc")
        | auprc_over_groups(labels, values, groups).line("auprc")
        for name, values in scores.items()
    ]
