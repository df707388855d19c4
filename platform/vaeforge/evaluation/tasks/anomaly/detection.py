"""Detection metrics: how well scores tell anomalous from normal samples, with intervals over groups.

Shapes: T test samples; label 1 is anomalous, larger scores are more anomalous. All intervals are the middle 95 % of the
same draws of whole groups within each label (see `bootstrap`); they are [0, 1], which says nothing, where a label has a
single group.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from vaeforge.errors import DataError
from vaeforge.evaluation.bootstrap import DRAWS, Interval, auroc_interval, bootstrap_auroc, draw_weights, ranks_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
THRESHOLD_METRICS = ("f1", "accuracy", "precision", "recall")


def require_both(labels: Integers) -> None:
    """Refuse a test set of one kind only, on which nothing can be told apart.

    Raises:
        DataError: if normal or anomalous samples are missing.
    """
    normal, anomalous = int((labels == 0).sum()), int((labels == 1).sum())
    if not normal or not anomalous:
        raise DataError(
            f"test set: {normal} normal and {anomalous} anomalous samples, must have at least one of each; "
            "prepare data that hold both"
        )


def detection_metrics(labels: Integers, scores: Floats, threshold: float) -> dict[str, float]:
    """Area under the ROC and the precision-recall curve, and what calling scores > `threshold` anomalous gives.

    `auprc` is average precision. Precision and F1 are 0 where nothing is called anomalous.
    """
    called = scores > threshold
    return {
        "auroc": float(sk.roc_auc_score(labels, scores)),
        "auprc": float(sk.average_precision_score(labels, scores)),
        "f1": float(sk.f1_score(labels, called, zero_division=0)),
        "accuracy": float(sk.accuracy_score(labels, called)),
        "precision": float(sk.precision_score(labels, called, zero_division=0)),
        "recall": float(sk.recall_score(labels, called, zero_division=0)),
    }


def roc_curve(labels: Integers, scores: Floats) -> tuple[Floats, Floats]:
    """False-positive rate and true-positive rate along falling thresholds, from (0, 0) to (1, 1)."""
    false_positive, true_positive, _ = sk.roc_curve(labels, scores)
    return false_positive, true_positive


def pr_curve(labels: Integers, scores: Floats) -> tuple[Floats, Floats]:
    """Recall and precision along falling thresholds, from recall 0 to 1."""
    precision, recall, _ = sk.precision_recall_curve(labels, scores)
    return recall[::-1], precision[::-1]


def weighted_auprc(labels: Integers, ranks: Integers, weights: Floats) -> float:
    """Average precision, sum_n (R_n - R_{n-1}) P_n over falling thresholds, samples counted `weights` times; all [T].

    `ranks` are those of the scores (`bootstrap.ranks_of`); equal scores are called together.
    """
    levels = int(ranks.max()) + 1
    anomalous = np.bincount(ranks, weights * labels, minlength=levels)[::-1]
    everything = np.bincount(ranks, weights, minlength=levels)[::-1]
    precision = np.cumsum(anomalous) / np.maximum(np.cumsum(everything), np.finfo(np.float64).tiny)
    return float((anomalous * precision).sum() / anomalous.sum())


def _draws(labels: Integers, groups: Integers, seed: int, draws: int) -> Iterator[Floats]:
    """The weights [T] of each draw: the very ones of `bootstrap_auroc` under the same seed."""
    generator = np.random.default_rng(seed)
    return (draw_weights(labels, groups, generator) for _ in range(draws))


def bootstrap_auprc(
    labels: Integers, groups: Integers, scores: Mapping[str, Floats], seed: int, draws: int = DRAWS
) -> dict[str, Floats]:
    """The average precision of each named score [T] in each draw, the same draws for all: [draws] each.

    Args:
        labels: int64 [T], 1 for anomalous samples.
        groups: int64 [T], independent groups.
        scores: [T] by name.
        seed: of the draws.
        draws: how many times groups are drawn.
    """
    ranks = {name: ranks_of(values) for name, values in scores.items()}
    found = [
        [weighted_auprc(labels, ranks[name], weights) for name in scores]
        for weights in _draws(labels, groups, seed, draws)
    ]
    return dict(zip(scores, np.array(found).T, strict=True))


def area_intervals(
    labels: Integers, groups: Integers, scores: Mapping[str, Floats], seed: int
) -> dict[str, tuple[Interval, Interval]]:
    """The intervals of AUROC and of average precision of each named score [T].

    Args:
        labels: int64 [T], 1 for anomalous samples.
        groups: int64 [T], independent groups.
        scores: [T] by name.
        seed: of the draws.
    """
    areas = bootstrap_auroc(labels, groups, scores, seed), bootstrap_auprc(labels, groups, scores, seed)
    roc, pr = ({name: auroc_interval(drawn[name], labels, groups) for name in scores} for drawn in areas)
    return {name: (roc[name], pr[name]) for name in scores}


def threshold_intervals(
    labels: Integers, groups: Integers, scores: Floats, threshold: float, seed: int, draws: int = DRAWS
) -> dict[str, Interval]:
    """The intervals of F1, accuracy, precision and recall when scores [T] > `threshold` are called anomalous.

    Args:
        labels: int64 [T], 1 for anomalous samples.
        groups: int64 [T], independent groups.
        scores: [T].
        threshold: above which a sample is called anomalous.
        seed: of the draws.
        draws: how many times groups are drawn.
    """
    called, anomalous = scores > threshold, labels == 1
    kinds = np.stack([called & anomalous, called & ~anomalous, ~called & anomalous, ~called & ~anomalous], axis=1)
    counts = np.stack([weights @ kinds for weights in _draws(labels, groups, seed, draws)])
    return {
        name: auroc_interval(drawn, labels, groups)
        for name, drawn in zip(THRESHOLD_METRICS, _rates(counts), strict=True)
    }


def _rates(counts: Floats) -> Iterator[Floats]:
    """F1, accuracy, precision and recall of true and false positives, false and true negatives [draws, 4]."""
    hit, false, missed, right = counts.T
    yield 2 * hit / np.maximum(2 * hit + false + missed, 1.0)
    yield (hit + right) / counts.sum(1)
    yield hit / np.maximum(hit + false, 1.0)  # 0 where nothing is called, as in `detection_metrics`
    yield hit / (hit + missed)


def score_table(
    labels: Integers, groups: Integers, scores: Mapping[str, Floats], chosen: str, seed: int
) -> list[dict[str, Any]]:
    """A line per score: its name, whether it is the chosen one, AUROC and average precision with their intervals.

    Args:
        labels: int64 [T], 1 for anomalous samples.
        groups: int64 [T], independent groups.
        scores: [T] by name.
        chosen: the name of the model's own score.
        seed: of the draws.
    """
    intervals = area_intervals(labels, groups, scores, seed)
    lines = []
    for name, values in scores.items():
        point, (roc, pr) = detection_metrics(labels, values, np.inf), intervals[name]
        line: dict[str, Any] = {"score": name, "chosen": "yes" if name == chosen else "no"}
        line |= {"auroc": point["auroc"], "auroc_low": roc.low, "auroc_high": roc.high}
        lines.append(line | {"auprc": point["auprc"], "auprc_low": pr.low, "auprc_high": pr.high})
    return lines
