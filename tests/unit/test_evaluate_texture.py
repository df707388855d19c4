"""Speckle statistics against theory: developed speckle, white and blurred noise; SSIM against scikit-image."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from vaeforge.errors import DataError
from vaeforge.evaluation.tasks.texture.grain import (
    autocorrelation_width,
    compare_texture,
    contrast,
    log_spectral_distance,
    radial_spectrum,
)


def white(count: int = 16, height: int = 96, width: int = 96, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 5, (count, 1, height, width))


def blurred(sigma: float, count: int = 16) -> np.ndarray:
    return np.stack([gaussian_filter(one[0], sigma, mode="wrap")[None] for one in white(count, 192, 192)])


def speckle(count: int = 8, aperture: float = 0.15, seed: int = 0) -> np.ndarray:
    """Intensity of a complex Gaussian field through a round aperture (in cycles per pixel)."""
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(count, 192, 192)) + 1j * rng.normal(size=(count, 192, 192))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(192), np.fft.fftfreq(192)))
    return (np.abs(np.fft.ifft2(np.fft.fft2(field) * (frequency <= aperture))) ** 2)[:, None]


def test_developed_speckle_has_contrast_one() -> None:
    exponential = np.random.default_rng(0).exponential(3.0, (4, 1, 300, 300))
    # the deviation of the estimate is about sqrt(2) / 300
    np.testing.assert_allclose(contrast(exponential), 1, atol=0.02)
    assert contrast(speckle()).mean() == pytest.approx(1, abs=0.03)
    # two patterns added incoherently: 1 / sqrt(2)
    assert contrast(speckle(seed=1) + speckle(seed=2)).mean() == pytest.approx(1 / math.sqrt(2), abs=0.03)


def test_contrast_is_of_each_image_and_free_of_scale() -> None:
    images = np.zeros((2, 1, 8, 8), np.uint8)
    images[0, 0, :4], images[1, 0] = 200, 50  # half 0, half 200: mean 100, deviation 100
    np.testing.assert_allclose(contrast(images), [1, 0])
    np.testing.assert_allclose(contrast(images / 255), [1, 0], atol=1e-12)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.5, 4.0])
def test_the_width_of_blurred_noise_is_that_of_its_autocovariance(sigma: float) -> None:
    # blur by s: autocovariance exp(-r^2 / (4 s^2)), one half at r = 2 s sqrt(ln 2)
    assert autocorrelation_width(blurred(sigma)).mean() == pytest.approx(4 * sigma * math.sqrt(math.log(2)), rel=0.04)


def test_white_noise_is_one_pixel_wide() -> None:
    # 1 at lag 0, about 0 at lag 1: one half at half a pixel
    np.testing.assert_allclose(autocorrelation_width(white()), 1, atol=0.03)


def test_the_width_of_speckle_is_that_of_the_airy_pattern() -> None:
    # |2 J1(v) / v|^2 = 1/2 at v = 1.6163, v = 2 pi a r with the aperture's radius a in cycles per pixel
    assert autocorrelation_width(speckle(16)).mean() == pytest.approx(2 * 1.6163 / (2 * math.pi * 0.15), rel=0.05)


def test_the_width_is_that_of_a_slow_double_sum() -> None:
    image = blurred(1.5, 1)[0, 0, :12, :10]
    deviations = image - image.mean()
    by_radius: dict[int, list[float]] = {}
    for dy in range(-11, 12):
        for dx in range(-9, 10):
            pairs = [
                deviations[y, x] * deviations[y + dy, x + dx]
                for y in range(max(0, -dy), min(12, 12 - dy))
                for x in range(max(0, -dx), min(10, 10 - dx))
            ]
            if dy * dy + dx * dx <= 25:
                by_radius.setdefault(dy * dy + dx * dx, []).append(float(np.mean(pairs)))
    radii = sorted(by_radius)
    profile = [float(np.mean(by_radius[r])) / by_radius[0][0] for r in radii]
    i = next(i for i, value in enumerate(profile) if value <= 0.5)
    before, after = math.sqrt(radii[i - 1]), math.sqrt(radii[i])
    half = before + (profile[i - 1] - 0.5) / (profile[i - 1] - profile[i]) * (after - before)
    assert autocorrelation_width(image[None, None])[0] == pytest.approx(2 * half, rel=1e-10)


@pytest.mark.parametrize("shape", [(96, 96), (64, 90)])
def test_the_spectrum_of_white_noise_is_flat_at_its_variance(shape: tuple[int, int]) -> None:
    spectrum = radial_spectrum(white(64, *shape))
    np.testing.assert_allclose(spectrum.power, 25, rtol=0.15)
    assert spectrum.power.mean() == pytest.approx(25, rel=0.02)
    spacing = 1 / min(shape)
    np.testing.assert_allclose(spectrum.frequency, np.arange(2 * spacing, 0.5 + spacing / 2, spacing))


def test_the_spectrum_of_a_wave_peaks_at_its_frequency() -> None:
    columns = np.arange(96)
    wave = 100 + np.sin(2 * np.pi * 12 * columns / 96) * np.ones((96, 1))
    spectrum = radial_spectrum(wave[None, None])
    assert spectrum.frequency[spectrum.power.argmax()] == pytest.approx(12 / 96)
    assert spectrum.power[np.abs(spectrum.frequency - 0.125) > 2.5 / 96].max() < 1e-3 * spectrum.power.max()


def test_the_distance_of_spectra_is_in_decibels() -> None:
    images = white()
    one = radial_spectrum(images)
    assert log_spectral_distance(one, one) == 0
    # ten times the amplitude: a hundred times the power, 20 dB everywhere
    assert log_spectral_distance(one, radial_spectrum(images * 10)) == pytest.approx(20)
    other = radial_spectrum(white(seed=1))
    assert log_spectral_distance(one, other) == pytest.approx(log_spectral_distance(other, one))
    assert log_spectral_distance(one, other) < 1


def test_a_smoothing_generator_shows_in_every_number() -> None:
    real = speckle(8)
    smooth = np.stack([gaussian_filter(one[0], 1.5)[None] for one in real])
    found = compare_texture(real, smooth)
    assert found["contrast_generated"] < 0.9 * found["contrast_real"]
    assert found["autocorrelation_width_generated"] > 1.2 * found["autocorrelation_width_real"]
    assert found["log_spectral_distance"] > 3 > compare_texture(real, speckle(8, seed=3))["log_spectral_distance"]


def test_images_of_any_number_give_what_each_gives_alone() -> None:
    images = speckle(3).repeat(30, axis=0)[:, :, :24, :24]  # 90: more than one chunk
    for measure in (contrast, autocorrelation_width):
        np.testing.assert_allclose(measure(images)[::30], [measure(images[i : i + 1])[0] for i in (0, 30, 60)])


def test_what_cannot_be_measured_is_refused() -> None:
    flat = np.full((2, 1, 16, 16), 7.0)
    ramp = np.broadcast_to(np.arange(16.0), (1, 1, 16, 16))
    with pytest.raises(DataError, match="black"):
        contrast(flat * 0)
    with pytest.raises(DataError, match="negative"):
        contrast(white() - 100)
    with pytest.raises(DataError, match="does not vary"):
        autocorrelation_width(flat / 3)
    with pytest.raises(DataError, match="a power is 0"):
        log_spectral_distance(radial_spectrum(flat), radial_spectrum(white(2, 16, 16)))
    with pytest.raises(DataError, match="images of one size"):
        log_spectral_distance(radial_spectrum(white(2, 16, 16)), radial_spectrum(white(2, 24, 24)))
    for bad in (np.zeros((2, 3, 16, 16)), np.zeros((0, 1, 16, 16)), np.zeros((2, 1, 7, 16)), np.zeros((2, 16, 16))):
        for measure in (contrast, autocorrelation_width, radial_spectrum):
            with pytest.raises(DataError, match="texture: got images"):
                measure(bad)
    with pytest.raises(DataError, match="not finite"):
        contrast(np.where(ramp > 14, np.nan, ramp))


def test_grains_as_large_as_the_image_have_no_width() -> None:
    half = np.ones((1, 1, 8, 200))
    half[..., 100:] = 2  # along the short side, nothing changes
    with pytest.raises(DataError, match="stays above half up to 4 pixels"):
        autocorrelation_width(half)


def test_the_ssim_in_use_is_that_of_scikit_image_with_its_borders_mirrored() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (48, 48)).astype(np.float64)
    second = np.clip(first + rng.normal(0, 30, (48, 48)), 0, 255)
    # Wang et al.: Gaussian of sigma 1.5 over 11 x 11 pixels, covariances divided by N. scikit-image leaves a border of
    # 5 pixels out of the mean, torchmetrics takes it in, mirrored.
    settings = {"data_range": 255.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    mirrored = [np.pad(values, 5, mode="reflect") for values in (first, second)]
    pair = [torch.from_numpy(values)[None, None] for values in (second, first)]
    found = float(structural_similarity_index_measure(*pair, data_range=255.0))
    assert found == pytest.approx(structural_similarity(*mirrored, **settings), abs=1e-12)
    assert found != pytest.approx(structural_similarity(first, second, **settings), abs=1e-4)
