"""Detection metrics against arithmetic done by hand."""

import numpy as np
import pytest

from vaeforge.errors import DataError
from vaeforge.evaluation.auroc import auroc_over_groups
from vaeforge.evaluation.tasks.anomaly.detection import (
    auprc_over_groups,
    has_anomalous,
    pr_curve,
    roc_curve,
    threshold_estimates,
)

LABELS = np.array([0, 0, 1, 1])
SCORES = np.array([0.1, 0.4, 0.35, 0.8])


def at(threshold: float) -> dict[str, float]:
    found = threshold_estimates(LABELS, np.arange(4), SCORES, threshold)
    return {name: estimate.value for name, estimate in found.items()}


def test_metrics_by_hand() -> None:
    # Pairs: .35 > .1, .35 < .4, .8 > .1, .8 > .4: 3 of 4. Called anomalous above .3: .4 (wrong), .35 and .8 (right).
    # Average precision: recall 1/2 at precision 1, then recall 1 at precision 2/3: 1/2 * 1 + 1/2 * 2/3.
    # Of the two normal ones .4 lies above .3.
    expected = {"precision": 2 / 3, "recall": 1.0, "f1": 4 / 5, "accuracy": 3 / 4, "false_positive_rate": 1 / 2}
    assert at(0.3) == pytest.approx(expected)
    assert auroc_over_groups(LABELS, SCORES, np.arange(4)).value == 3 / 4
    assert auprc_over_groups(LABELS, SCORES, np.arange(4)).value == pytest.approx(5 / 6)


def test_a_score_at_the_threshold_is_normal() -> None:
    assert at(0.8)["recall"] == 0
    assert at(np.nextafter(0.8, 0))["recall"] == 0.5


def test_nothing_called_anomalous_gives_zeros() -> None:
    assert at(1.0) == {"precision": 0, "recall": 0, "f1": 0, "accuracy": 0.5, "false_positive_rate": 0}


def test_curves_run_from_end_to_end() -> None:
    false_positive, true_positive = roc_curve(LABELS, SCORES)
    assert (false_positive[0], true_positive[0], false_positive[-1], true_positive[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(true_positive, false_positive) == pytest.approx(3 / 4)
    recall, precision = pr_curve(LABELS, SCORES)
    assert (recall[0], precision[0], recall[-1], precision[-1]) == (0, 1, 1, 0.5)


def test_a_test_set_without_normal_samples_is_refused() -> None:
    with pytest.raises(DataError, match="0 normal and 3 anomalous samples, must have at least one normal"):
        has_anomalous(np.ones(3, np.int64))


def test_normal_samples_alone_have_a_false_positive_rate_and_nothing_else() -> None:
    scores = np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.3])  # two of six above .35
    found = threshold_estimates(np.zeros(6, np.int64), np.arange(6) // 2, scores, 0.35)
    assert list(found) == ["false_positive_rate"]
    assert found["false_positive_rate"].value == pytest.approx(2 / 6)
