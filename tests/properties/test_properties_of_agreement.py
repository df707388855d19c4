"""Agreement of a reconstruction with the truth: correlation, errors in dB, spatial and temporal statistics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn import FACTORS, SEEDS, SHIFTS, gaussian, shuffled
from vaeforge.evaluation.tasks.maps.spatial import morans_i, neighbours_of, pearson, relative_error
from vaeforge.evaluation.tasks.series.metrics import distances, error_metrics, folds_of, moments, voxel_fit
from vaeforge.evaluation.tasks.texture.grain import (
    autocorrelation_width,
    contrast,
    log_spectral_distance,
    radial_spectrum,
)

POINTS, CHANNELS = st.integers(8, 30), st.integers(1, 4)


@given(POINTS, CHANNELS, SEEDS, FACTORS, SHIFTS)
def test_correlation_knows_neither_scale_nor_origin_nor_order(
    n: int, c: int, seed: int, factor: float, shift: float
) -> None:
    x, y, order = gaussian(seed, n, c), gaussian(seed + 1, n, c), shuffled(seed, n)
    own = pearson(x, y)
    np.testing.assert_allclose(pearson(x, factor * y + shift), own, atol=1e-9)
    np.testing.assert_allclose(pearson(x, -y), -own, atol=1e-12)
    np.testing.assert_allclose(pearson(y, x), own, atol=1e-12)
    np.testing.assert_allclose(pearson(x[order], y[order]), own, atol=1e-9)
    np.testing.assert_allclose(pearson(np.tile(x, (2, 1)), np.tile(y, (2, 1))), own, atol=1e-9)


@given(POINTS, CHANNELS, SEEDS, FACTORS, SHIFTS)
def test_fit_over_time_knows_no_direction_of_time(n: int, v: int, seed: int, factor: float, shift: float) -> None:
    x = gaussian(seed, n, v)
    y, folds = x + gaussian(seed + 1, n, v), folds_of(np.arange(n))
    own, back = voxel_fit(x, y, folds), voxel_fit(x[::-1], y[::-1], folds)
    moved = voxel_fit(factor * x + shift, factor * y + shift, folds)
    for other in (back, moved):
        np.testing.assert_allclose(other.pearson, own.pearson, atol=1e-9)
        np.testing.assert_allclose(other.r2, own.r2, atol=1e-9)
    assert (own.r2 <= np.square(own.pearson) + 1e-9).all()  # the best line through the points explains the most


@given(POINTS, CHANNELS, SEEDS, FACTORS, SHIFTS)
def test_errors_follow_the_unit_of_the_values(n: int, v: int, seed: int, factor: float, shift: float) -> None:
    x, e = gaussian(seed, n, v), gaussian(seed + 1, n, v)
    own, scaled = error_metrics(x, x + e), error_metrics(factor * x, factor * (x + e))
    for name, power in {"mse": 2, "rmse": 1, "mae": 1}.items():
        assert scaled[name] == pytest.approx(factor**power * own[name])
    for name in ("nrmse", "snr", "psnr"):
        assert scaled[name] == pytest.approx(own[name])
    moved = error_metrics(x + shift, x + e + shift)
    for name in ("mse", "mae", "nrmse", "psnr"):
        assert moved[name] == pytest.approx(own[name])
    better = error_metrics(x, x + e / 10)  # a tenth of the error is 20 dB
    assert better["psnr"] - own["psnr"] == pytest.approx(20) == better["snr"] - own["snr"]


@given(POINTS, CHANNELS, SEEDS, FACTORS, SHIFTS)
def test_morans_i_knows_neither_scale_nor_origin_nor_sign_nor_frame(
    n: int, c: int, seed: int, factor: float, shift: float
) -> None:
    x, places, order = gaussian(seed, n, c), gaussian(seed + 1, n, 3), shuffled(seed, n)
    near = neighbours_of(places, 4)
    own = morans_i(x, near)
    np.testing.assert_allclose(morans_i(factor * x + shift, near), own, atol=1e-9)
    np.testing.assert_allclose(morans_i(-x, near), own, atol=1e-9)
    np.testing.assert_allclose(morans_i(x[order], neighbours_of(places[order], 4)), own, atol=1e-9)
    np.testing.assert_allclose(morans_i(x, neighbours_of(3 * places[:, ::-1] + 7, 4)), own, atol=1e-9)


@given(POINTS, CHANNELS, SEEDS, FACTORS)
def test_relative_error_has_no_unit(n: int, c: int, seed: int, factor: float) -> None:
    x, e = gaussian(seed, n, c), gaussian(seed + 1, n, c)
    own = relative_error(x, x + e)
    np.testing.assert_allclose(relative_error(-factor * x, -factor * (x + e)), own)
    np.testing.assert_allclose(relative_error(x, x + factor * e), factor * own)


@given(st.integers(2, 40), SEEDS, FACTORS, SHIFTS)
def test_distances_of_distributions_move_with_both(n: int, seed: int, factor: float, shift: float) -> None:
    x, y = gaussian(seed, n, 2), gaussian(seed + 1, n, 2) + 1
    own, turned = distances(x, y), distances(y, x)
    assert turned == pytest.approx(own)
    assert 0 <= own["js"] <= np.log(2) + 1e-12 and 0 <= own["ks"] <= 1
    assert distances(factor * x + shift, factor * y + shift)["ks"] == pytest.approx(own["ks"])
    shape, moved = moments(x), moments(factor * x + shift)
    assert [moved[k] for k in ("skewness", "kurtosis")] == pytest.approx([shape[k] for k in ("skewness", "kurtosis")])
    assert (moved["mean"], moved["sd"]) == pytest.approx((factor * shape["mean"] + shift, factor * shape["sd"]))


@given(SEEDS, FACTORS, SHIFTS)
def test_grain_knows_neither_brightness_nor_sides(seed: int, factor: float, shift: float) -> None:
    images = np.random.default_rng(seed).exponential(size=(2, 1, 16, 12))
    for same in (images[:, :, ::-1], images[..., ::-1], images.swapaxes(2, 3), factor * images):
        np.testing.assert_allclose(contrast(same), contrast(images))
        np.testing.assert_allclose(autocorrelation_width(same), autocorrelation_width(images))
    np.testing.assert_allclose(autocorrelation_width(images + shift), autocorrelation_width(images))
    own, brighter = radial_spectrum(images), radial_spectrum(factor * images)
    # power goes with the square: 20 log10 of the factor
    assert log_spectral_distance(brighter, own) == pytest.approx(abs(20 * np.log10(factor)))
    assert log_spectral_distance(own, brighter) == pytest.approx(log_spectral_distance(brighter, own))
