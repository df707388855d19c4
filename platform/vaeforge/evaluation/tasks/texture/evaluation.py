"""Evaluation of the texture task: whether reconstructions and generated samples have the grain of the data.

Shapes: N images [N, C, H, W] in 0..255, averaged over C before grain is measured; K frequencies, B draws.

Grain is contrast sigma / mu, the width of the autocorrelation, and the radial power spectrum (`grain.py`).
An image without grain has no width, a black one no contrast: such images are counted as undefined, and left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from vaeforge.data.images import WHITE
from vaeforge.errors import DataError
from vaeforge.evaluation.bootstrap import DRAWS, Interval, bootstrap_means, percentile_interval
from vaeforge.evaluation.common_metrics import bootstrap_seed, untrained_model
from vaeforge.evaluation.comparison import MODEL, ComparisonRow, compare_means
from vaeforge.evaluation.drawing import spread_over
from vaeforge.evaluation.generation_metrics import (
    DIFFUSION,
    KEYS,
    MEAN,
    PRIOR,
    UNTRAINED,
    compare_generated,
    image_space,
)
from vaeforge.evaluation.images import draw_grid, draw_interpolation, draw_reconstructions, draw_samples
from vaeforge.evaluation.inference import posteriors
from vaeforge.evaluation.pca_baseline import fit_pca_baseline
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.tasks.texture.figures import draw_grain, draw_spectra
from vaeforge.evaluation.tasks.texture.grain import autocorrelation_width, contrast, radial_spectrum
from vaeforge.samples import CHUNK
from vaeforge.seeds import derive
from vaeforge.trained import TrainedModel
from vaeforge_models.diagnostics import active_units

DATA, RECONSTRUCTIONS = "data", "reconstructions"
NAMES = {DATA: "data", RECONSTRUCTIONS: "reconstructions", PRIOR: KEYS[PRIOR], DIFFUSION: KEYS[DIFFUSION]}
TEXTURES = 400
DRAWN = 32
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Images = NDArray[np.float32]
Reconstruct = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Grain:
    """The grain of each image of one set: contrast and width (pixels) [N], NaN where undefined, spectra [N, K]."""

    contrast: Floats
    width: Floats
    spectra: Floats
    groups: Integers


def evaluate(trained: TrainedModel) -> EvaluationResult:
    """Image quality beside simpler reconstructions, grain of all sets, generated sets beside real ones, figures.

    Raises:
        DataError: if generated and real samples cannot be compared, see `compare_generated`.
        CheckpointError: if the feature network is not installed.
    """
    model, prepared = trained.model, trained.prepared
    generated = compare_generated(trained, image_space(model))
    made = {name: model.denormalise(torch.from_numpy(values)).numpy() for name, values in generated.sets.items()}
    chosen = prepared.test[spread_over(np.arange(len(prepared.test)))]
    figures = {
        "reconstructions": draw_reconstructions(model, chosen, "evenly spaced"),
        "interpolation": draw_interpolation(model, chosen),
        "samples": draw_samples(model),
        "samples_real": draw_grid(generated.control.tensors(slice(0, DRAWN))[0].float().numpy()),
    }
    if DIFFUSION in made:
        figures["samples_diffusion"] = draw_grid(made[DIFFUSION][:DRAWN])
    found = EvaluationResult(figures=figures).joined(quality_result(trained)).joined(grain_result(trained, made))
    return found.joined(generated.result)


def quality_result(trained: TrainedModel) -> EvaluationResult:
    """PSNR (dB, peak 255), SSIM and the error of the contrast of reconstructions at z = mu, beside simpler ones."""
    measured = _qualities(trained)
    groups, seed = trained.prepared.test_groups, bootstrap_seed(trained.experiment)
    rows: list[ComparisonRow] = []
    metrics: dict[str, float] = {}
    for metric, better in (("PSNR", "higher"), ("SSIM", "higher"), ("contrast error", "lower")):
        values = {name: found[metric] for name, found in measured.items()}
        defined = np.all([np.isfinite(one) for one in values.values()], axis=0)
        if not defined.any():
            continue
        kept = {name: one[defined] for name, one in values.items()}
        compared = compare_means(metric, "higher" if better == "higher" else "lower", kept, groups[defined], seed)
        own = next(row for row in compared if row.name == MODEL)
        key = f"test/{metric.lower().replace(' ', '_')}"
        metrics |= {key: own.value, f"{key}_low": own.low, f"{key}_high": own.high}
        rows += compared
    return EvaluationResult(metrics, rows)


@torch.no_grad()
def _qualities(trained: TrainedModel) -> dict[str, dict[str, Floats]]:
    """PSNR, SSIM and contrast error [N] of each way of reconstructing the test samples."""
    ways = _reconstructors(trained)
    parts: dict[str, list[dict[str, Floats]]] = {name: [] for name in ways}
    for raw, condition in trained.prepared.test.batches():
        for name, reconstruct in ways.items():
            image = trained.model.denormalise(reconstruct(raw, condition)).clamp(0, WHITE)
            parts[name].append(_quality(image, raw.float()))
    return {
        name: {key: np.concatenate([one[key] for one in found]) for key in found[0]} for name, found in parts.items()
    }


def _reconstructors(trained: TrainedModel) -> dict[str, Reconstruct]:
    """From raw images and conditions to reconstructions in model units.

    PCA has as many components as units act, and one: in unevenly lit images that is little more than their brightness.
    """
    model, prepared = trained.model, trained.prepared
    mu = torch.from_numpy(posteriors(model, prepared.validation)[0])
    active = max(1, active_units(mu.sum(0), mu.square().sum(0), len(mu)))
    plane = fit_pca_baseline(model, prepared.train, active)
    before = untrained_model(trained.experiment, prepared)

    def flat(components: int) -> Reconstruct:
        def reconstruct(raw: Tensor, condition: Tensor) -> Tensor:
            values = model.normalise(raw).flatten(1).double().numpy()
            return torch.from_numpy(plane.reconstruct(values, components)).float().reshape(len(raw), *model.event_shape)

        return reconstruct

    return {
        MEAN: flat(0),
        "PCA 1": flat(1),
        f"PCA {len(plane.directions)}": flat(len(plane.directions)),
        UNTRAINED: lambda raw, condition: before.reconstruct(raw, condition)[0],
        MODEL: lambda raw, condition: model.reconstruct(raw, condition)[0],
    }


def _quality(image: Tensor, target: Tensor) -> dict[str, Floats]:
    psnr = peak_signal_noise_ratio(image, target, data_range=WHITE, reduction="none", dim=(1, 2, 3))
    ssim = structural_similarity_index_measure(image, target, data_range=WHITE, reduction="none")
    assert isinstance(ssim, Tensor)  # a tuple only where the full image is asked for
    contrasts = [_defined(contrast, _grey(images.numpy())) for images in (image, target)]
    error = np.abs(contrasts[0] - contrasts[1])
    return {"PSNR": psnr.double().numpy(), "SSIM": ssim.double().numpy(), "contrast error": error}


def grain_result(trained: TrainedModel, made: dict[str, Images]) -> EvaluationResult:
    """Contrast, width and spectrum of at most 400 test samples, their reconstructions, and the sets in `made`."""
    test = trained.prepared.test
    places = spread_over(np.arange(len(test)), TEXTURES)
    raw, condition = test.tensors(places)
    with torch.no_grad():
        parts = zip(torch.split(raw, CHUNK), torch.split(condition, CHUNK), strict=True)
        reconstruction = torch.cat([trained.model.reconstruct(one, given)[0] for one, given in parts])
    sets = {DATA: raw.float().numpy(), RECONSTRUCTIONS: trained.model.denormalise(reconstruction).numpy(), **made}
    groups = trained.prepared.test_groups[places]
    frequency = radial_spectrum(_grey(sets[DATA])).frequency
    measured = {
        name: measure_grain(
            images, groups if len(images) == len(groups) and name not in made else np.arange(len(images))
        )
        for name, images in sets.items()
    }
    powers = {name: grain.spectra.mean(0) for name, grain in measured.items()}
    lines = [_line(name, grain, measured[DATA], bootstrap_seed(trained.experiment)) for name, grain in measured.items()]
    histograms = {
        "contrast": {name: grain.contrast for name, grain in measured.items()},
        "autocorrelation width, pixels": {name: grain.width for name, grain in measured.items()},
    }
    figures = {"spectra": draw_spectra(frequency, powers), "grain": draw_grain(histograms)}
    curves = {f"spectrum_{NAMES[name]}": (frequency, power) for name, power in powers.items()}
    return EvaluationResult(_flat(lines), curves=curves, tables={"grain": lines}, figures=figures)


def measure_grain(images: Images, groups: Integers) -> Grain:
    """The grain of images [N, C, H, W] in 0..255 with groups [N]."""
    grey = _grey(images)
    spectra = np.stack([radial_spectrum(grey[i : i + 1]).power for i in range(len(grey))])
    return Grain(_defined(contrast, grey), _defined(autocorrelation_width, grey), spectra, groups)


def _grey(images: NDArray[Any]) -> NDArray[np.float64]:
    """Intensities [N, 1, H, W]: means over channels, and nothing below 0."""
    grey: Floats = images.astype(np.float64).mean(1, keepdims=True).clip(min=0)
    return grey


def _defined(measure: Callable[[Floats], Floats], images: Floats) -> Floats:
    """`measure` of each image, NaN where it has no value: [N]."""
    try:
        return measure(images)
    except DataError:
        return np.array([_one(measure, images[i : i + 1]) for i in range(len(images))])


def _one(measure: Callable[[Floats], Floats], image: Floats) -> float:
    try:
        return float(measure(image)[0])
    except DataError:
        return float("nan")


def _line(name: str, grain: Grain, data: Grain, seed: int) -> dict[str, Any]:
    """One set as a line of the table: means with 95 % intervals over its groups, and how many images have no value."""
    line: dict[str, Any] = {"set": name, "images": len(grain.groups)}
    for key, values in (("contrast", grain.contrast), ("autocorrelation_width", grain.width)):
        defined = np.isfinite(values)
        low, high = _interval(values[defined], grain.groups[defined], derive(seed, name, key))
        mean = float(values[defined].mean()) if defined.any() else None
        line |= {key: mean, f"{key}_low": low, f"{key}_high": high, f"{key}_undefined": int((~defined).sum())}
    distance, low, high = (0.0, 0.0, 0.0) if name == DATA else spectral_distance(grain, data, seed)
    return line | {
        "log_spectral_distance": distance,
        "log_spectral_distance_low": low,
        "log_spectral_distance_high": high,
    }


def _interval(values: Floats, groups: Integers, seed: int) -> tuple[float | None, float | None]:
    if len(np.unique(groups)) < 2:
        return None, None
    return percentile_interval(bootstrap_means(groups, {"": values}, seed)[""])


def spectral_distance(grain: Grain, data: Grain, seed: int) -> tuple[float | None, float | None, float | None]:
    """The log-spectral distance of the mean spectra in dB, and its 95 % interval; None where a power is 0.

    Groups of both sets are drawn, the same ones where both have the same groups. A distance cannot be negative, so the
    draws of two nearly equal sets lie above it.
    """
    mine, theirs = (_mean_spectra(one, derive(seed, "spectra", len(one.groups))) for one in (grain, data))
    if not (min(mine.min(), theirs.min()) > 0):
        return None, None, None
    distances = np.sqrt(((10 * np.log10(mine / theirs)) ** 2).mean(1))
    few = min(len(np.unique(one.groups)) for one in (grain, data)) < 2
    spread: Interval | tuple[None, None] = (None, None) if few else percentile_interval(distances[1:])
    return float(distances[0]), *spread


def _mean_spectra(grain: Grain, seed: int) -> Floats:
    """The mean spectrum, then that of each draw of whole groups: [1 + B, K]."""
    names, group_of, sizes = np.unique(grain.groups, return_inverse=True, return_counts=True)
    sums = np.zeros((len(names), grain.spectra.shape[1]))
    np.add.at(sums, group_of, grain.spectra)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    times = np.concatenate([np.ones((1, len(names))), drawn])
    means: Floats = (times @ sums) / (times @ sizes)[:, None]
    return means


def _flat(lines: list[dict[str, Any]]) -> dict[str, float]:
    """The table as metrics `test/<measure>_<set>`; what is undefined is left out."""
    return {
        f"test/{key}_{NAMES[line['set']]}": float(value)
        for line in lines
        for key, value in line.items()
        if key not in ("set", "images") and value is not None and not (line["set"] == DATA and "spectral" in key)
    }
