"""Area under the ROC curve over independent groups.

AUROC is P(anomalous score > normal score) + P(equal) / 2. Groups are left out of each label in turn, since normal and
anomalous samples are two samples; a group that has both counts as one (`intervals.jackknife`).

Shapes: T samples; label 1 is anomalous, 0 normal.
"""

import numpy as np
from numpy.typing import NDArray

from vaeforge.evaluation.intervals import SHARE, GroupEstimate, LeftOut, jackknife, sums_over_groups

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def auroc(labels: Integers, scores: Floats) -> float:
    """P(anomalous score > normal score) + P(equal) / 2; both [T]."""
    normal, anomalous = (int((labels == label).sum()) for label in (0, 1))
    return float(_wins(labels, scores)[labels == 1].sum() / (normal * anomalous))


def auroc_over_groups(labels: Integers, scores: Floats, groups: Integers) -> GroupEstimate:
    """The AUROC of scores with labels and groups, all [T]."""
    return jackknife(auroc(labels, scores), *_left_out(labels, _wins(labels, scores), groups), within=SHARE)


def auroc_difference(labels: Integers, first: Floats, second: Floats, groups: Integers) -> GroupEstimate:
    """The AUROC of `first` less that of `second`, two scores of the same samples.

    Args:
        labels: int64 [T], 1 for anomalous samples.
        first: scores [T].
        second: scores [T].
        groups: int64 [T], the independent group of each sample.
    """
    return auroc_over_groups(labels, first, groups).minus(auroc_over_groups(labels, second, groups))


def groups_per_label(labels: Integers, groups: Integers) -> tuple[int, int]:
    """How many groups hold normal and how many hold anomalous samples."""
    normal, anomalous = (len(np.unique(groups[labels == label])) for label in (0, 1))
    return normal, anomalous


def _wins(labels: Integers, scores: Floats) -> Floats:
    """Samples of the other label that each one is on the right side of, equal scores one half: [T]."""
    wins = np.empty(len(labels))
    normal, anomalous = np.sort(scores[labels == 0]), np.sort(scores[labels == 1])
    for label, others in ((0, anomalous), (1, normal)):
        mine = scores[labels == label]
        below = (np.searchsorted(others, mine, "left") + np.searchsorted(others, mine, "right")) / 2
        wins[labels == label] = below if label else len(others) - below
    return wins


def _left_out(labels: Integers, wins: Floats, groups: Integers) -> list[LeftOut]:
    """The area without each group of normal and each of anomalous samples."""
    found = []
    for label in (0, 1):
        mine = labels == label
        summed, others = sums_over_groups(wins[mine], groups[mine]), int((~mine).sum())
        pairs = (summed.sizes.sum() - summed.sizes) * others
        values = (summed.sums.sum() - summed.sums) / pairs if len(pairs) > 1 else np.full(1, np.nan)
        found.append(LeftOut(summed.names, summed.sizes, values))
    return found
