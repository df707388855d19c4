"""Resampling of blocks: the weighted AUROC against scikit-learn, and what intervals may and may not claim."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vaeforge.evaluation.bootstrap import (
    Interval,
    auroc_interval,
    bootstrap_auroc,
    difference_interval,
    draw_weights,
    weighted_auroc,
)

LABELS = np.repeat([0, 1], 20)
GROUPS = np.concatenate([np.repeat(np.arange(5), 4), np.repeat(np.arange(5, 10), 4)])


def overlapping(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=40) + LABELS


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_weighted_auroc_is_that_of_scikit_learn(decimals: int) -> None:
    scores = overlapping().round(decimals)  # rounding makes ties
    weights = np.random.default_rng(1).integers(0, 4, 40).astype(float)
    assert weighted_auroc(LABELS, scores, np.ones(40)) == pytest.approx(roc_auc_score(LABELS, scores))
    expected = roc_auc_score(LABELS, scores, sample_weight=weights)
    assert weighted_auroc(LABELS, scores, weights) == pytest.approx(expected)


def test_blocks_are_drawn_whole_and_within_their_label() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        weights = draw_weights(LABELS, GROUPS, generator)
        per_block = weights.reshape(10, 4)
        assert (per_block == per_block[:, :1]).all()
        assert per_block[:5, 0].sum() == per_block[5:, 0].sum() == 5


def test_a_block_that_holds_both_labels_counts_for_each_by_itself() -> None:
    weights = draw_weights(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), np.random.default_rng(3))
    assert weights[[0, 2]].sum() == weights[[1, 3]].sum() == 2


def test_more_patches_of_the_same_blocks_promise_nothing_more() -> None:
    scores = overlapping()
    once = bootstrap_auroc(LABELS, GROUPS, {"a": scores}, seed=0, draws=200)["a"]
    tenfold = [np.repeat(values, 10) for values in (LABELS, GROUPS, scores)]
    again = bootstrap_auroc(tenfold[0], tenfold[1], {"a": tenfold[2]}, seed=0, draws=200)["a"]
    np.testing.assert_allclose(once, again)


def test_the_interval_encloses_the_auroc_and_comes_again() -> None:
    scores = overlapping()
    first, second = (bootstrap_auroc(LABELS, GROUPS, {"a": scores}, seed=7)["a"] for _ in range(2))
    assert (first == second).all()
    assert len(first) >= 2000
    low, high = auroc_interval(first, LABELS, GROUPS)
    assert 0 < low < roc_auc_score(LABELS, scores) < high < 1
    assert np.mean((first >= low) & (first <= high)) == pytest.approx(0.95, abs=0.02)


def test_scores_of_one_order_do_not_differ() -> None:
    scores = overlapping()
    drawn = bootstrap_auroc(LABELS, GROUPS, {"a": scores, "b": np.exp(scores)}, seed=0, draws=100)
    assert difference_interval(drawn["a"], drawn["b"], LABELS, GROUPS) == Interval(0.0, 0.0)


def test_one_block_of_a_label_says_nothing() -> None:
    groups = np.where(LABELS == 1, 99, GROUPS)
    drawn = bootstrap_auroc(LABELS, groups, {"a": LABELS.astype(float), "b": -overlapping()}, seed=0, draws=50)
    assert auroc_interval(drawn["a"], LABELS, groups) == Interval(0.0, 1.0)
    assert difference_interval(drawn["a"], drawn["b"], LABELS, groups) == Interval(-1.0, 1.0)
