"""Distances of feature sets: Fréchet against closed forms, scipy and torchmetrics, KID against a double loop."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from vaeforge.errors import DataError
from vaeforge.evaluate import frechet
from vaeforge.evaluate.extractor import Features, ungrouped
from vaeforge.evaluate.frechet import (
    REAL,
    bootstrap_kid,
    distribution_table,
    frechet_distance,
    inception_style_score,
    kid,
)


def normal(count: int, width: int = 6, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, width))


def with_moments(mean: list[float], covariance: list[list[float]], count: int, seed: int) -> np.ndarray:
    """Samples whose mean and covariance are exactly these."""
    raw = normal(count, len(mean), seed)
    centred = raw - raw.mean(0)
    white = centred @ np.linalg.inv(np.linalg.cholesky(np.cov(centred.T))).T
    return white @ np.linalg.cholesky(np.array(covariance)).T + mean


def named(values: np.ndarray, name: str = "network", weights: str = "abc") -> Features:
    return ungrouped(values, name, weights)


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


def slow_kid(x: np.ndarray, y: np.ndarray) -> float:
    def mean(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (same and i == j)]
        return sum((float(a[i] @ b[j]) / a.shape[1] + 1) ** 3 for i, j in pairs) / len(pairs)

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


@pytest.mark.parametrize("counts", [(7, 7), (9, 5), (2, 3)])
def test_kid_is_that_of_a_double_loop(counts: tuple[int, int]) -> None:
    x, y = normal(counts[0], seed=0), normal(counts[1], seed=1, shift=0.5)
    assert kid(x, y) == pytest.approx(slow_kid(x, y), rel=1e-11)


def test_kid_over_chunks_is_that_of_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frechet, "CHUNK", 7)
    x, y = normal(40, seed=0), normal(40, seed=1, shift=0.5)
    assert kid(x, y) == pytest.approx(float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y))), rel=1e-11)


def test_kid_of_one_distribution_is_zero_on_average() -> None:
    drawn = [kid(normal(30, seed=2 * i), normal(30, seed=2 * i + 1)) for i in range(200)]
    assert min(drawn) < 0 < max(drawn)
    assert abs(np.mean(drawn)) < 3 * np.std(drawn) / math.sqrt(200)


def test_the_bootstrap_starts_from_kid_itself_however_samples_are_grouped() -> None:
    x, y = normal(24, seed=0), normal(24, seed=1, shift=0.4)
    for size in (1, 2, 3):
        groups = np.random.default_rng(size).permutation(np.arange(24) // size)
        pair = [replace(named(values), groups=groups) for values in (x, y)]
        assert bootstrap_kid(*pair, 0, 1).value == pytest.approx(kid(x, y), rel=1e-10)


def slow_grouped_kid(x: Features, y: Features, drawn: list[list[int]]) -> float:
    """KID of the samples of drawn groups, each draw a group of its own, copies of a group never paired."""

    def gather(one: Features, groups: list[int]) -> list[tuple[int, int, np.ndarray]]:
        return [(k, g, v) for k, g in enumerate(groups) for v in one.values[one.groups == g]]

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a @ b) / len(a) + 1) ** 3

    def within(items: list[tuple[int, int, np.ndarray]]) -> float:
        chosen = [
            kernel(items[i][2], items[j][2])
            for i in range(len(items))
            for j in range(len(items))
            if i != j and (items[i][0] == items[j][0] or items[i][1] != items[j][1])
        ]
        return float(np.mean(chosen))

    first, second = gather(x, drawn[0]), gather(y, drawn[1])
    cross = float(np.mean([kernel(a[2], b[2]) for a in first for b in second]))
    return within(first) + within(second) - 2 * cross


def test_a_draw_of_groups_is_that_of_a_double_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = np.repeat(np.arange(8), [3, 1, 2, 1, 2, 1, 1, 2])
    x = Features(normal(13, 4, 0), groups, "network", "abc")
    y = Features(normal(13, 4, 1, 0.5), groups[::-1].copy(), "network", "abc")
    drawn = [[0, 0, 0, 2, 3, 3, 6, 7], [1, 1, 2, 4, 4, 5, 0, 7]]
    counts = [np.bincount(one, minlength=8).astype(float)[None] for one in drawn]
    iterator = iter(counts)
    monkeypatch.setattr(frechet, "_draw", lambda *_: next(iterator))
    interval = bootstrap_kid(x, y, 0, 1, draws=1).interval
    assert interval is not None
    assert interval.low == interval.high == pytest.approx(slow_grouped_kid(x, y, drawn), rel=1e-10)


def test_about_ninety_five_of_a_hundred_intervals_hold_the_true_kid() -> None:
    shift, width, covered = 0.7, 4, 0
    big_x, big_y = normal(6000, width, 91), normal(6000, width, 92, shift)
    truth = kid(big_x, big_y)
    for i in range(100):
        pair = named(normal(60, width, 2 * i)), named(normal(60, width, 2 * i + 1, shift))
        interval = bootstrap_kid(*pair, 0, 1, draws=200).interval
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    assert 88 <= covered <= 100


def test_samples_that_repeat_each_other_widen_the_interval() -> None:
    x, y = normal(40, seed=0), normal(40, seed=1, shift=0.5)
    widths = []
    for copies in (1, 5):
        groups = np.repeat(np.arange(40), copies)
        pair = [Features(np.repeat(one, copies, 0), groups, "network", "abc") for one in (x, y)]
        interval = bootstrap_kid(*pair, 0, 1).interval
        naive = bootstrap_kid(*(replace(one, groups=np.arange(len(groups))) for one in pair), 0, 1).interval
        assert interval is not None and naive is not None
        widths.append((interval.high - interval.low, naive.high - naive.low))
    assert widths[1][0] > 1.5 * widths[1][1]  # sqrt(5) for independent copies, less what they share
    assert widths[1][0] == pytest.approx(widths[0][0], rel=0.35)


def test_seven_groups_give_no_interval() -> None:
    pair = [Features(normal(21, seed=i), np.arange(21) // 3, "network", "abc") for i in (0, 1)]
    assert bootstrap_kid(*pair, 0, 1).interval is None


def test_the_table_cuts_all_rows_to_the_smallest_and_puts_real_first() -> None:
    near, far = named(normal(80, seed=2)), named(normal(64, seed=3, shift=1.0))
    table = distribution_table(named(normal(90, seed=0)), named(normal(70, seed=1)), {"near": near, "far": far}, 5)
    assert [row.name for row in table.rows] == [REAL, "near", "far"]
    assert (table.n, table.kid_n, table.headline, table.weights) == (64, 64, "KID (network)", "abc")
    real, close, apart = table.rows
    assert apart.kid_low is not None and apart.kid_high is not None and real.kid_high is not None
    assert apart.kid_low > max(real.kid_high, 0) and apart.kid_low < apart.kid < apart.kid_high
    # means 1 apart in 6 dimensions: 6, and the same upward bias as real against real
    assert apart.frechet == pytest.approx(6 + real.frechet, abs=1.5)
    assert close.frechet < 2 * real.frechet


def test_the_table_depends_on_its_seed_and_no_row_on_another() -> None:
    a, b, row = (named(normal(count, seed=i)) for i, count in enumerate((40, 40, 50)))
    once, again = (distribution_table(a, b, {"row": row}, seed=3) for _ in range(2))
    assert once == again != distribution_table(a, b, {"row": row}, seed=4)
    assert distribution_table(a, b, {"other": row, "row": row}, seed=3).rows[2] == once.rows[1]


def test_from_a_fixed_number_of_samples_on_the_headline_is_frechet(monkeypatch: pytest.MonkeyPatch) -> None:
    assert frechet.FRECHET_FROM == 2560
    monkeypatch.setattr(frechet, "FRECHET_FROM", 40)
    a, b, row = (named(normal(count, 2, i)) for i, count in enumerate((50, 51, 70)))
    table = distribution_table(a, b, {"row": row}, 0)
    assert (table.n, table.kid_n, table.headline) == (50, 40, "Fréchet distance (network)")
    below = distribution_table(a, b, {"row": named(normal(39, 2, 3))}, 0)
    assert (below.n, below.kid_n, below.headline) == (39, 39, "KID (network)")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (named(normal(9), name="other"), "extractor: got other, must be network"),
        (named(normal(9), weights="def"), "weights: got def, must be abc"),
        (named(normal(9, 5)), "features: got 5, must be 6"),
    ],
)
def test_rows_of_another_extractor_are_refused(row: Features, said: str) -> None:
    with pytest.raises(DataError, match=said):
        distribution_table(named(normal(9)), named(normal(9)), {"row": row}, 0)


def test_a_row_may_not_pose_as_real() -> None:
    with pytest.raises(DataError, match="real against real"):
        distribution_table(named(normal(9)), named(normal(9)), {REAL: named(normal(9))}, 0)


def test_sets_of_other_widths_or_of_one_sample_are_refused() -> None:
    for measure in (frechet_distance, kid):
        for pair in ((normal(5, 3), normal(5, 4)), (normal(1), normal(5))):
            with pytest.raises(DataError, match="must be"):
                measure(*pair)


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
