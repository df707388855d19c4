"""The figures of a detector: ROC, precision and recall, and where the scores lie."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaeforge.evaluate.drawing import one_axes

Floats = NDArray[np.float64]


def draw_roc(false_positive: Floats, true_positive: Floats, metrics: Mapping[str, float]) -> Figure:
    """The curve, with the area and its interval."""
    figure, axes = one_axes("false-positive rate", "true-positive rate")
    low, high = metrics["test/auroc_low"], metrics["test/auroc_high"]
    axes.plot(false_positive, true_positive, label=f"AUROC {metrics['test/auroc']:.3f} ({low:.3f} .. {high:.3f})")
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey", label="chance")
    axes.legend(loc="lower right")
    return figure


def draw_pr(recall: Floats, precision: Floats, metrics: Mapping[str, float], chance: float) -> Figure:
    """The curve, with the average precision."""
    figure, axes = one_axes("recall", "precision")
    axes.plot(recall, precision, label=f"average precision {metrics['test/auprc']:.3f}")
    axes.axhline(chance, linestyle=":", color="grey", label="chance")
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower left")
    return figure


def draw_scores(scores: Floats, labels: NDArray[np.int64], validation: Floats, threshold: float) -> Figure:
    """Where the scores of the three kinds lie, and the threshold between them."""
    figure, axes = one_axes("score", "samples")
    parts = {"validation normal": validation}
    parts |= {"test normal": scores[labels == 0], "test anomalous": scores[labels == 1]}
    edges = np.histogram_bin_edges(np.concatenate(list(parts.values())), bins=30)
    for name, values in parts.items():
        axes.hist(values, bins=edges, alpha=0.5, label=name)
    axes.axvline(threshold, color="black", linestyle="--", label="threshold")
    axes.legend()
    return figure
