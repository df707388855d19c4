"""How well scores tell anomalous from normal samples. Larger scores are stranger; label 1 is anomalous."""

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from vaeforge.errors import DataError

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def require_both(labels: Labels) -> None:
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


def threshold_of(validation_scores: Floats, quantile: float) -> float:
    """The score that a share `quantile` of the validation normals stay below; the test set has no part in it."""
    return float(np.quantile(validation_scores, quantile))


def detection_metrics(labels: Labels, scores: Floats, threshold: float) -> dict[str, float]:
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


def roc_curve(labels: Labels, scores: Floats) -> tuple[Floats, Floats]:
    """False-positive rate and true-positive rate along falling thresholds, from (0, 0) to (1, 1)."""
    false_positive, true_positive, _ = sk.roc_curve(labels, scores)
    return false_positive, true_positive


def pr_curve(labels: Labels, scores: Floats) -> tuple[Floats, Floats]:
    """Recall and precision along falling thresholds, from recall 0 to 1."""
    precision, recall, _ = sk.precision_recall_curve(labels, scores)
    return recall[::-1], precision[::-1]
