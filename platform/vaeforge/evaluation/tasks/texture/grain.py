"""The grain of speckle: how strong, how wide, and at which frequencies; of each grey image, and of two sets compared.

Shapes: N images [N, 1, H, W], K radial frequencies. Everything is taken in float64; the scale of the values cancels in
contrast and width, and is the unit of the spectrum.

- contrast sigma / mu: 1 for fully developed, polarised speckle (Goodman 2007, ch. 3).
- autocorrelation width: the full width at half maximum of the normalised autocovariance, averaged over directions, in
  pixels: the size of a grain. Noise blurred by a Gaussian of sigma s has 4 s sqrt(ln 2).
- radial power spectrum: power per frequency averaged over directions; white noise of variance v has v everywhere.
- log-spectral distance (Gray and Markel 1976): the root mean square over frequencies of 10 log10(P1 / P2), in dB.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaeforge.errors import DataError

Floats = NDArray[np.float64]
Images = NDArray[np.uint8] | NDArray[np.floating]
CHUNK = 64
MIN_SIDE = 8
ROUNDING = 1e-24  # the variance that rounding alone gives a constant image, by its mean square


class Spectrum(NamedTuple):
    """Frequencies in cycles per pixel, above 0 and at most 0.5, and the mean power at each: [K]."""

    frequency: Floats
    power: Floats


def contrast(images: Images) -> Floats:
    """sigma / mu of each image over its pixels: [N].

    Raises:
        DataError: if the images are not of that shape, hold negative or infinite values, or one is black.
    """
    return _each(images, _contrast)


def _contrast(values: Floats) -> Floats:
    means = values.mean((1, 2))
    if values.min() < 0 or not (means > 0).all():
        raise DataError("speckle contrast: an image is black or has negative values; must be intensities, not all 0")
    result: Floats = values.std((1, 2)) / means
    return result


def autocorrelation_width(images: Images) -> Floats:
    """The width of the autocovariance of each image in pixels: [N]. White noise has 1, the least that there is.

    The autocovariance is linear (zero-padded, so that opposite edges do not meet), each lag divided by its number of
    pixel pairs, averaged over equal radii, and crosses one half between two of them, by linear interpolation.

    Raises:
        DataError: if the images are not of that shape, one does not vary, or one stays above half to a half image.
    """
    return _each(images, _width)


def _width(values: Floats) -> Floats:
    height, width = values.shape[1:]
    covariance = _autocovariance(values)
    rows, columns = np.meshgrid(_lags(height), _lags(width), indexing="ij")
    squared = rows**2 + columns**2
    chosen = squared <= (min(height, width) // 2) ** 2
    radii, where, counts = np.unique(squared[chosen], return_inverse=True, return_counts=True)
    profiles = np.stack([np.bincount(where, one[chosen]) / counts for one in covariance])
    if not (profiles[:, 0] > ROUNDING * (values**2).mean((1, 2))).all():
        raise DataError("autocorrelation width: an image does not vary; must not be constant")
    return np.array([2 * _half_radius(np.sqrt(radii), one / one[0]) for one in profiles])


def _autocovariance(values: Floats) -> Floats:
    """The mean product of deviations of each image [N, H, W] at all lags, in FFT order: [N, 2H, 2W]."""
    height, width = values.shape[1:]
    padded, deviations = (2 * height, 2 * width), values - values.mean((1, 2), keepdims=True)
    products = np.fft.irfft2(np.abs(np.fft.rfft2(deviations, padded)) ** 2, padded)
    pairs = np.outer(height - np.abs(_lags(height)), width - np.abs(_lags(width)))
    result: Floats = products / np.maximum(pairs, 1)  # the lag of a whole side has no pairs, and is not used
    return result


def _lags(side: int) -> NDArray[np.int64]:
    """0..side - 1, -side..-1: [2 * side]."""
    return np.concatenate([np.arange(side), np.arange(-side, 0)])


def _half_radius(radii: Floats, profile: Floats) -> float:
    """Where a profile [R] that begins with 1 first falls to one half."""
    below = np.flatnonzero(profile <= 0.5)
    if not len(below):
        raise DataError(
            f"autocorrelation width: an image stays above half up to {radii[-1]:g} pixels; "
            "its grains are as large as the image, or it is a ramp: take a larger field, or subtract the background"
        )
    i = int(below[0])
    step = (profile[i - 1] - 0.5) / (profile[i - 1] - profile[i])
    return float(radii[i - 1] + step * (radii[i] - radii[i - 1]))


def radial_spectrum(images: Images) -> Spectrum:
    """The mean power spectrum of the images, each less its mean, under a Hann window (edges would leak otherwise).

    Frequencies are grouped to the nearest multiple of 1 / min(H, W). The lowest, which the window mixes with what the
    mean left, is dropped.

    Raises:
        DataError: if the images are not of that shape.
    """
    height, width = _require_images(images)
    window = np.outer(_hann(height), _hann(width))
    spacing = min(height, width)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij"))
    bins = np.rint(frequency * spacing).astype(np.int64)
    total = np.zeros((height, width))
    for values in _chunks(images):
        total += (np.abs(np.fft.fft2((values - values.mean((1, 2), keepdims=True)) * window)) ** 2).sum(0)
    mean = total / (len(images) * (window**2).sum())
    last = spacing // 2
    power = np.bincount(bins.ravel(), mean.ravel())[2 : last + 1] / np.bincount(bins.ravel())[2 : last + 1]
    return Spectrum(np.arange(2, last + 1) / spacing, power)


def _hann(side: int) -> Floats:
    """The periodic Hann window: [side]."""
    window: Floats = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(side) / side)
    return window


def log_spectral_distance(first: Spectrum, second: Spectrum) -> float:
    """How far two spectra at the same frequencies lie apart, in dB: a factor of 10 at every frequency is 10 dB.

    Raises:
        DataError: if the frequencies differ, or a power is 0.
    """
    if first.frequency.shape != second.frequency.shape or not np.allclose(first.frequency, second.frequency):
        raise DataError("log-spectral distance: the frequencies differ; must be spectra of images of one size")
    if not (min(first.power.min(), second.power.min()) > 0):
        raise DataError("log-spectral distance: a power is 0; must be positive: the images do not vary")
    decibels = 10 * np.log10(first.power / second.power)
    return float(np.sqrt((decibels**2).mean()))


def compare_texture(real: Images, generated: Images) -> dict[str, float]:
    """Mean contrast and width (pixels) of both sets, and their log-spectral distance (dB), for a flat metrics file.

    Both sets must be on the same scale: the spectra are not normalised, so that lost contrast shows in the distance.

    Raises:
        DataError: if the sizes differ, or see the single measures.
    """
    sets = {"real": real, "generated": generated}
    means = {f"contrast_{name}": float(contrast(images).mean()) for name, images in sets.items()}
    means |= {f"autocorrelation_width_{name}": float(autocorrelation_width(i).mean()) for name, i in sets.items()}
    return means | {"log_spectral_distance": log_spectral_distance(radial_spectrum(real), radial_spectrum(generated))}


def _each(images: Images, measure: Callable[[Floats], Floats]) -> Floats:
    _require_images(images)
    return np.concatenate([measure(values) for values in _chunks(images)])


def _require_images(images: Images) -> tuple[int, int]:
    """H and W."""
    if images.ndim != 4 or images.shape[1] != 1 or len(images) < 1 or min(images.shape[2:]) < MIN_SIDE:
        raise DataError(f"texture: got images {images.shape}, must be [N >= 1, 1, H >= {MIN_SIDE}, W >= {MIN_SIDE}]")
    return images.shape[2], images.shape[3]


def _chunks(images: Images) -> Iterator[Floats]:
    """At most 64 images at a time: [n, H, W]."""
    for start in range(0, len(images), CHUNK):
        values = np.asarray(images[start : start + CHUNK, 0], dtype=np.float64)
        if not np.isfinite(values).all():
            raise DataError(f"texture: images {start}..{start + len(values) - 1} hold values that are not finite")
        yield values
