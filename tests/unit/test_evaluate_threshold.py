"""The threshold from validation normals: by hand, and its false-positive rate against the theory of ranks."""

import numpy as np
import pytest

from vaeforge.evaluation.threshold import Threshold, normals_needed, shortage, shortage_in, threshold_of


@pytest.mark.parametrize(
    ("count", "quantile", "rank"),
    [
        (19, 0.95, 19),  # 20 * 0.95 = 19: just enough
        (20, 0.95, 20),  # ceil(19.95)
        (39, 0.95, 38),
        (99, 0.95, 95),
        (100, 0.95, 96),  # ceil(95.95)
        (9, 0.7, 7),  # 10 * 0.7 is a little more than 7 in floating point
        (10, 0.95, 10),  # too few: the largest
    ],
)
def test_the_order_statistic_by_hand(count: int, quantile: float, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    assert threshold_of(scores, quantile) == Threshold(rank, quantile, (count + 1 - rank) / (count + 1))


@pytest.mark.parametrize("count", [10, 20, 50])
def test_no_more_normal_samples_than_planned_lie_above_it(count: int) -> None:
    # Scores are uniform, so 1 - threshold is the false-positive rate of one validation set. Its mean is that of a
    # Beta variable, (n + 1 - r) / (n + 1); today's interpolated quantile gave 0.120, 0.092 and 0.066.
    repeats, rng = 4000, np.random.default_rng(count)
    found = [threshold_of(rng.random(count), 0.95) for _ in range(repeats)]
    rates = np.array([1 - one.value for one in found])
    promised = {10: 1 / 11, 20: 1 / 21, 50: 2 / 51}[count]
    assert found[0].rate == pytest.approx(promised)
    assert rates.mean() == pytest.approx(promised, abs=4 * rates.std() / np.sqrt(repeats))
    assert promised <= 0.05 or count < normals_needed(0.95)


def test_equal_scores_are_not_called_anomalous() -> None:
    assert threshold_of(np.full(30, 2.0), 0.95).value == 2.0


def test_too_few_normals_are_said() -> None:
    assert [normals_needed(q) for q in (0.5, 0.9, 0.95, 0.99)] == [1, 9, 19, 99]
    assert shortage(0.95, 1 / 20) == ""
    told = shortage(0.95, 1 / 11)
    assert "needs 19 validation normals and has 10" in told
    assert "9.09 % of normal samples are expected above it instead of 5 %" in told
    assert shortage_in({"val/threshold_quantile": 0.95, "val/threshold_rate": 1 / 11}) == told
    assert shortage_in({"val/nelbo": 1.0}) == ""  # a task without a threshold
