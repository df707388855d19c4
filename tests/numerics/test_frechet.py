"""Fréchet distance against closed forms, scipy and torchmetrics; inception-style score against its formula."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import _compute_fid

from vaeforge.errors import DataError
from vaeforge.evaluation.frechet import frechet_distance, inception_style_score


def normal(count: int, width: int = 6, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, width))


def with_moments(mean: list[float], covariance: list[list[float]], count: int, seed: int) -> np.ndarray:
    """Samples whose mean and covariance are exactly these."""
    raw = normal(count, len(mean), seed)
    centred = raw - raw.mean(0)
    white = centred @ np.linalg.inv(np.linalg.cholesky(np.cov(centred.T))).T
    return white @ np.linalg.cholesky(np.array(covariance)).T + mean


def test_diagonal_covariances_have_a_closed_form() -> None:
    first = with_moments([0, 0], [[4, 0], [0, 9]], 50, 0)
    second = with_moments([3, 4], [[1, 0], [0, 25]], 70, 1)
    # |m|^2 = 9 + 16; (2 - 1)^2 + (3 - 5)^2 = 5
    assert frechet_distance(first, second) == pytest.approx(25 + 5, rel=1e-10)


def test_covariances_that_do_not_commute_have_a_closed_form_in_two_dimensions() -> None:
    a, b = [[2.0, 1.0], [1.0, 3.0]], [[4.0, -1.0], [-1.0, 1.0]]
    # tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)); M = A B: tr = 8 - 1 - 1 + 3 = 9, det = 5 * 3 = 15
    expected = (2 + 3) + (4 + 1) - 2 * math.sqrt(9 + 2 * math.sqrt(15))
    found = frechet_distance(with_moments([1, 1], a, 40, 0), with_moments([1, 1], b, 40, 1))
    assert found == pytest.approx(expected, rel=1e-10)


def moments(*sets: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(values.mean(0), np.cov(values.T)) for values in sets]


def test_frechet_is_that_of_scipy_and_of_torchmetrics() -> None:
    first, second = normal(200, 12, 0), normal(200, 12, 1, shift=0.3) * np.linspace(0.5, 2, 12)
    (mean_1, one), (mean_2, two) = moments(first, second)
    shared = np.trace(scipy.linalg.sqrtm(one @ two)).real
    expected = ((mean_1 - mean_2) ** 2).sum() + np.trace(one) + np.trace(two) - 2 * shared
    found = frechet_distance(first, second)
    assert found == pytest.approx(expected, rel=1e-10)
    tensors = [torch.from_numpy(values) for values in (mean_1, one, mean_2, two)]
    assert found == pytest.approx(float(_compute_fid(*tensors)), rel=1e-10)


@pytest.mark.parametrize("count", [13, 12, 9, 2])
def test_frechet_of_fewer_samples_than_features_takes_the_symmetric_root(count: int) -> None:
    first, second = normal(count, 12, 0), normal(count, 12, 1, shift=0.3) * np.linspace(0.5, 2, 12)
    (mean_1, one), (mean_2, two) = moments(first, second)
    values, vectors = np.linalg.eigh(one)
    root = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root @ two @ root), 0, None)).sum()
    expected = ((mean_1 - mean_2) ** 2).sum() + np.trace(one) + np.trace(two) - 2 * shared
    assert frechet_distance(first, second) == pytest.approx(expected, abs=1e-5)  # its roots of zeros are some 1e-8


def test_frechet_of_a_set_with_itself_and_of_a_shifted_copy() -> None:
    values = normal(30, 50).astype(np.float32)
    assert frechet_distance(values, values) == pytest.approx(0, abs=1e-9)
    # 50 features moved by 2: 50 * 4, whatever the covariance
    assert frechet_distance(values, values.astype(np.float64) + 2) == pytest.approx(200, rel=1e-6)


def test_sets_of_other_widths_or_of_one_sample_are_refused() -> None:
    for pair in ((normal(5, 3), normal(5, 4)), (normal(1), normal(5))):
        with pytest.raises(DataError, match="must be"):
            frechet_distance(*pair)


def test_inception_style_score_of_certain_and_of_clueless_classifiers() -> None:
    certain = np.eye(4)[np.arange(40) % 4]
    assert inception_style_score(certain, splits=1) == pytest.approx((4, 0))
    assert inception_style_score(certain, splits=10) == pytest.approx((4, 0))  # each part holds every class once
    assert inception_style_score(np.full((40, 4), 0.25)).mean == pytest.approx(1)
    # p = (0.9, 0.1) and (0.1, 0.9), mean (0.5, 0.5): exp(log 2 + 0.9 log 0.9 + 0.1 log 0.1)
    expected = 2 * math.exp(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    mixed = np.tile([[0.9, 0.1], [0.1, 0.9]], (20, 1))
    assert inception_style_score(mixed, splits=2) == pytest.approx((expected, 0))


def test_inception_style_score_refuses_what_is_no_probability() -> None:
    for bad in (np.ones((20, 3)), np.tile([1.5, -0.5], (20, 1)), np.full((20, 2), np.nan)):
        with pytest.raises(DataError, match="sum to 1"):
            inception_style_score(bad)
    with pytest.raises(DataError, match="10 splits"):
        inception_style_score(np.full((9, 2), 0.5))
