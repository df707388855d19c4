"""Detection: what AUROC, average precision and the threshold depend on, and what they do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from drawn import FACTORS, SEEDS, SHIFTS, Scored, renamed, scored, shuffled
from vaeforge.evaluation.auroc import auroc, auroc_difference, auroc_over_groups
from vaeforge.evaluation.tasks.anomaly.detection import auprc_over_groups, threshold_estimates
from vaeforge.evaluation.threshold import threshold_of

NORMALS = arrays(np.int64, st.integers(2, 60), elements=st.integers(-20, 20)).map(lambda a: a.astype(np.float64))


def numbers(data: Scored) -> list[float]:
    """Values, standard errors and degrees of freedom of both areas."""
    both = [measure(data.labels, data.scores, data.groups) for measure in (auroc_over_groups, auprc_over_groups)]
    return [number for one in both for number in (one.value, one.se, one.df)]


@given(scored(), SEEDS)
def test_the_order_of_samples_and_the_names_of_groups_change_nothing(data: Scored, seed: int) -> None:
    other = data.at(shuffled(seed, len(data.labels)))
    other = Scored(other.labels, other.scores, renamed(seed, other.groups))
    assert numbers(other) == pytest.approx(numbers(data), nan_ok=True)


@given(scored(), FACTORS, SHIFTS)
def test_rising_transforms_of_scores_change_nothing(data: Scored, factor: float, shift: float) -> None:
    for scores in (factor * data.scores + shift, data.scores**3, np.exp(data.scores / 8), np.arctan(data.scores)):
        assert numbers(Scored(data.labels, scores, data.groups)) == pytest.approx(numbers(data), nan_ok=True)


@given(scored())
def test_swapped_labels_and_turned_scores_mirror_the_area(data: Scored) -> None:
    own = auroc_over_groups(data.labels, data.scores, data.groups)
    for labels, scores in ((1 - data.labels, data.scores), (data.labels, -data.scores)):
        other = auroc_over_groups(labels, scores, data.groups)
        assert (other.value, other.se) == pytest.approx((1 - own.value, own.se), abs=1e-12)
        ends, mirrored = own.interval(), other.interval()
        assert (ends is None) == (mirrored is None)
        if ends is not None and mirrored is not None:
            assert mirrored == pytest.approx((1 - ends.high, 1 - ends.low), abs=1e-9)


@given(scored())
def test_an_area_is_the_share_of_pairs_that_are_in_order(data: Scored) -> None:
    normal, anomalous = (data.scores[data.labels == label] for label in (0, 1))
    pairs = [1.0 if a > n else 0.5 if a == n else 0.0 for a in anomalous for n in normal]
    assert auroc(data.labels, data.scores) == pytest.approx(np.mean(pairs))


@given(scored())
def test_samples_counted_twice_in_their_groups_change_nothing(data: Scored) -> None:
    assert numbers(data.at(np.tile(np.arange(len(data.labels)), 2))) == pytest.approx(numbers(data), nan_ok=True)


@given(scored())
def test_a_score_does_not_differ_from_itself(data: Scored) -> None:
    found = auroc_difference(data.labels, data.scores, 2 * data.scores + 1, data.groups)
    assert (found.value, found.se) == pytest.approx((0.0, 0.0), abs=1e-12)


@given(scored(), st.integers(-7, 7), FACTORS, SHIFTS)
def test_a_threshold_may_be_moved_with_the_scores(data: Scored, limit: int, factor: float, shift: float) -> None:
    own = threshold_estimates(data.labels, data.groups, data.scores, limit + 0.5)
    moved = threshold_estimates(data.labels, data.groups, factor * data.scores + shift, factor * (limit + 0.5) + shift)
    assert {name: one.value for name, one in moved.items()} == pytest.approx({n: one.value for n, one in own.items()})


@given(NORMALS, st.sampled_from([0.5, 0.8, 0.9, 0.95]), FACTORS, SHIFTS, SEEDS)
def test_a_threshold_moves_with_its_normals(
    normals: np.ndarray, quantile: float, factor: float, shift: float, seed: int
) -> None:
    own = threshold_of(normals, quantile)
    assert threshold_of(normals[shuffled(seed, len(normals))], quantile) == own
    moved = threshold_of(factor * normals + shift, quantile)
    assert (moved.value, moved.rate) == (pytest.approx(factor * own.value + shift), own.rate)


@given(NORMALS, st.floats(0.05, 0.95), st.floats(0.0, 0.04))
def test_a_threshold_only_rises_with_the_quantile(normals: np.ndarray, quantile: float, more: float) -> None:
    low, high = threshold_of(normals, quantile), threshold_of(normals, quantile + more)
    assert low.value <= high.value and low.rate >= high.rate
    # (n + 1 - r) of n + 1 places lie above, one of which is the new sample's own
    assert (normals > low.value).sum() <= low.rate * (len(normals) + 1) - 1 + 1e-9
