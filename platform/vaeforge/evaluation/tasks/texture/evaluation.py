"""Evaluation of the texture task: whether reconstructions and generated samples have the grain of the data.

Shapes: N images [N, C, H, W] in 0..255, averaged over C before grain is measured; K frequencies, G groups.

Grain is contrast sigma / mu, the width of the autocorrelation, and the radial power spectrum (`grain.py`).
An image without grain has no width, a black one no contrast: such images are counted as undefined, and left out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from vaeforge.data.grey_levels import WHITE
from vaeforge.errors import DataError
from vaeforge.evaluation.common_metrics import untrained_model
from vaeforge.evaluation.comparison import MODEL, ComparisonRow, compare_means, model_metrics
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
from vaeforge.evaluation.intervals import (
    ANY,
    CORRELATION,
    POSITIVE,
    GroupEstimate,
    GroupSums,
    mean_over_groups,
    of_sums,
    sums_over_groups,
)
from vaeforge.evaluation.pca_baseline import fit_pca_baseline
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.tasks.texture.figures import draw_grain, draw_spectra
from vaeforge.evaluation.tasks.texture.grain import autocorrelation_width, contrast, radial_spectrum
from vaeforge.samples import CHUNK
from vaeforge.trained import TrainedModel
from vaeforge_models.diagnostics import active_units

DATA, RECONSTRUCTIONS = "data", "reconstructions"
NAMES = {DATA: "data", RECONSTRUCTIONS: "reconstructions", PRIOR: KEYS[PRIOR], DIFFUSION: KEYS[DIFFUSION]}
QUALITIES = {"PSNR": ANY, "SSIM": CORRELATION, "contrast error": POSITIVE}
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
    groups, rows = trained.prepared.test_groups, list[ComparisonRow]()
    for metric, within in QUALITIES.items():
        values = {name: found[metric] for name, found in measured.items()}
        defined = np.all([np.isfinite(one) for one in values.values()], axis=0)
        if not defined.any():
            continue
        kept = {name: one[defined] for name, one in values.items()}
        rows += compare_means(metric, "lower" if "error" in metric else "higher", kept, groups[defined], within)
    names = {metric: f"test/{metric.lower().replace(' ', '_')}" for metric in QUALITIES}
    return EvaluationResult(model_metrics(rows, names), rows)


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
    lines = [_line(name, grain, measured[DATA]) for name, grain in measured.items()]
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


def _line(name: str, grain: Grain, data: Grain) -> dict[str, Any]:
    """One set as a line of the table: means with 95 % intervals over its groups, and how many images have no value."""
    line: dict[str, Any] = {"set": name, "images": len(grain.groups)}
    for key, values in (("contrast", grain.contrast), ("autocorrelation_width", grain.width)):
        defined = np.isfinite(values)
        if defined.any():
            line |= mean_over_groups(values[defined], grain.groups[defined], POSITIVE).line(key)
        else:
            line |= dict.fromkeys((key, f"{key}_low", f"{key}_high"))
        line[f"{key}_undefined"] = int((~defined).sum())
    key = "log_spectral_distance"
    if name == DATA:
        return line | dict.fromkeys((key, f"{key}_low", f"{key}_high"), 0.0)
    distance = spectral_distance(grain, data)
    return line | (distance.line(key) if distance else dict.fromkeys((key, f"{key}_low", f"{key}_high")))


def spectral_distance(grain: Grain, data: Grain) -> GroupEstimate | None:
    """The log-spectral distance of the mean spectra in dB; None where a power is 0.

    Where both have the same groups, these are left out of both at once. A distance cannot be negative, so that of two
    nearly equal sets lies above what it would be for more images. Intervals are about the distance itself: of two sets
    of three to ten clustered groups what the jackknife says of its bias is noisier than the bias, so that they held
    0.92 to 0.93 (`benchmarks/coverage.py`).
    """
    if not (min(grain.spectra.mean(0).min(), data.spectra.mean(0).min()) > 0):
        return None
    count = grain.spectra.shape[1]

    def distance(sums: Floats) -> Floats:
        mine, theirs = (sums[:, side, :count] / sums[:, side, count:] for side in (0, 1))
        found: Floats = np.sqrt(((10 * np.log10(mine / theirs)) ** 2).mean(1))
        return found

    return replace(of_sums(distance, *_spectral_sums(grain, data), within=POSITIVE), corrected=False)


def _spectral_sums(grain: Grain, data: Grain) -> list[GroupSums]:
    """Spectra and how many there are, added up within groups: [G, 2, K + 1], the first set's and the second's."""
    both = [np.column_stack([one.spectra, np.ones(len(one.groups))]) for one in (grain, data)]
    if np.array_equal(grain.groups, data.groups):
        return [sums_over_groups(np.stack(both, axis=1), data.groups)]
    first, second = (np.stack([one, np.zeros_like(one)], axis=1) for one in both)
    return [sums_over_groups(first, -1 - grain.groups), sums_over_groups(second[:, ::-1], data.groups)]


def _flat(lines: list[dict[str, Any]]) -> dict[str, float]:
    """The table as metrics `test/<measure>_<set>`; what is undefined is left out."""
    return {
        f"test/{key}_{NAMES[line['set']]}": float(value)
        for line in lines
        for key, value in line.items()
        if key not in ("set", "images") and value is not None and not (line["set"] == DATA and "spectral" in key)
    }
