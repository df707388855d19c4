"""The figures of a detector: ROC, precision and recall, where the scores lie, all scores beside each other, and where
in the images the errors lie.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaeforge.evaluation.drawing import COLUMNS, INCHES, canvas, full_row, in_colours, one_axes, pixels, show_sheet

Floats = NDArray[np.float64]


def draw_roc(false_positive: Floats, true_positive: Floats, metrics: Mapping[str, float]) -> Figure:
    """The curve, with the area and its interval."""
    figure, axes = one_axes("false-positive rate", "true-positive rate")
    ends = [metrics.get(f"test/auroc_{end}") for end in ("low", "high")]
    known = " .. ".join(f"{end:.3f}" for end in ends if end is not None) or "no interval"
    axes.plot(false_positive, true_positive, label=f"AUROC {metrics['test/auroc']:.3f} ({known})")
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
    """Where the scores of the three kinds lie, of which one may be empty, and the threshold between them."""
    figure, axes = one_axes("score", "samples")
    parts = {"validation normal": validation}
    parts |= {"test normal": scores[labels == 0], "test anomalous": scores[labels == 1]}
    edges = np.histogram_bin_edges(np.concatenate(list(parts.values())), bins=30)
    for name, values in parts.items():
        if len(values):
            axes.hist(values, bins=edges, alpha=0.5, label=name)
    axes.axvline(threshold, color="black", linestyle="--", label="threshold")
    axes.legend(loc="upper right")
    return figure


def draw_areas(table: Sequence[Mapping[str, Any]]) -> Figure:
    """AUROC of every score with its interval, if any, the chosen one filled; `table` is that of `score_table`."""
    figure, axes = one_axes("AUROC", "")
    for place, line in enumerate(reversed(table)):
        if line["auroc_low"] is not None:
            axes.plot([line["auroc_low"], line["auroc_high"]], [place, place], color="grey")
        chosen = line["chosen"] == "yes"
        axes.plot(line["auroc"], place, "o", color="black", fillstyle="full" if chosen else "none")
    axes.set_yticks(range(len(table)), [line["score"] for line in reversed(table)], fontsize=7)
    axes.axvline(0.5, linestyle=":", color="grey")
    axes.set_xlim(-0.02, 1.02)
    return figure


def draw_error_maps(kinds: Mapping[str, tuple[NDArray[Any], NDArray[np.float32]]]) -> Figure:
    """Two rows for each named kind: images [n, C, H, W] in 0..255 and their error maps [n, H, W], n <= 8.

    All maps have one scale, so that kinds can be compared.
    """
    highest = max(float(maps.max()) for _, maps in kinds.values())
    images, rows = [], []
    for name, (raw, maps) in kinds.items():
        colours, scale = in_colours(maps, highest)
        images += [full_row(pixels(raw)), full_row(colours)]
        rows += [name, "error"]
    figure = canvas(INCHES * COLUMNS, INCHES * 2.2 * len(kinds))
    bar = figure.colorbar(scale, ax=show_sheet(figure, np.concatenate(images), rows=rows), shrink=0.6)
    bar.set_label("squared error, mean over channels, model units", fontsize=7)
    return figure
