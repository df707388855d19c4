"""The texture task: grain of all sets against direct computation, quality beside simpler ones, bad images."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from manifest_samples import prepared_manifest
from vaeforge.config.loader import load
from vaeforge.data.prepared import Prepared
from vaeforge.evaluation.comparison import MODEL
from vaeforge.evaluation.generation_metrics import DIFFUSION, MEAN, PRIOR, UNTRAINED, pca_space
from vaeforge.evaluation.intervals import GroupEstimate
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.tasks.texture import evaluation as texture
from vaeforge.evaluation.tasks.texture.evaluation import (
    DATA,
    Grain,
    evaluate,
    grain_result,
    measure_grain,
    quality_result,
    spectral_distance,
)
from vaeforge.evaluation.tasks.texture.figures import draw_grain, draw_spectra
from vaeforge.samples import Samples
from vaeforge.trained import TrainedModel
from vaeforge_models.diffusion import DiffusionSettings, LatentDiffusion
from vaeforge_models.vae import build_seeded

SIDE = 32
Images = np.ndarray[Any, np.dtype[np.float32]]


def speckle(count: int, seed: int, sigma: float = 1.5) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Blurred noise, [count, 1, 32, 32]."""
    noise = np.random.default_rng(seed).normal(size=(count, 1, SIDE, SIDE))
    smooth = gaussian_filter(noise, (0, 0, sigma, sigma), mode="wrap")
    return np.asarray((120 + 30 * smooth / smooth.std()).clip(0, 255).astype(np.uint8))


@pytest.fixture
def trained(tmp_path: Path) -> TrainedModel:
    overrides = {"model.latent_dim": 6, "model.width": 0.0625, "prepare.size": SIDE}
    experiment = load(tmp_path, "speckle", "sample", overrides).experiment
    train, validation, test = (Samples.unconditional(speckle(n, seed)) for seed, n in enumerate((40, 20, 48)))
    groups = np.repeat(np.arange(24), 2)
    prepared = Prepared(tmp_path, prepared_manifest(), train, validation, test, np.zeros(48, np.int64), groups, {})
    model = build_seeded(experiment.definition.build, experiment.model, prepared.spec, seed=5).eval()
    return TrainedModel(model, prepared, experiment)


def conditionally_diffused(trained: TrainedModel) -> TrainedModel:
    settings = DiffusionSettings(kind="conv", width=0.125, timesteps=50, sampling_steps=5, conditional=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return replace(trained, diffusion=LatentDiffusion(settings, 6).eval())


@pytest.fixture(params=["plain", "conditional"])
def result(
    request: pytest.FixtureRequest, trained: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, EvaluationResult]:
    if request.param != "conditional":
        monkeypatch.setattr(texture, "image_space", lambda _: pca_space(trained))  # the network takes seconds
    chosen = trained if request.param == "plain" else conditionally_diffused(trained)
    return request.param, evaluate(chosen)


@pytest.mark.slow
def test_everything_is_found(result: tuple[str, EvaluationResult]) -> None:
    kind, found = result
    made = [PRIOR] if kind == "plain" else [PRIOR, DIFFUSION]
    assert all(math.isfinite(value) for value in found.metrics.values())
    assert [line["set"] for line in found.tables["grain"]] == [DATA, "reconstructions", *made]
    assert [line["set"] for line in found.tables["memorisation"]] == made
    assert ("samples_diffusion" in found.figures) == (kind != "plain")
    assert ("test/log_spectral_distance_diffusion" in found.metrics) == (kind != "plain")
    assert {"spectrum_data", "spectrum_reconstructions", "spectrum_prior"} <= set(found.curves)
    assert {row.metric.split(" (")[0] for row in found.rows} == {"PSNR", "SSIM", "contrast error", "KID"}
    assert all(isinstance(figure, Figure) for figure in found.figures.values())


def test_quality_against_scikit_image(trained: TrainedModel) -> None:
    found = quality_result(trained)
    rows = {(row.metric, row.name): row for row in found.rows}
    raw = trained.prepared.test.x
    with torch.no_grad():
        model = trained.model.reconstruct(torch.from_numpy(raw), torch.zeros(48, 0))[0].numpy() * 255
    mean = np.broadcast_to(trained.prepared.train.x.astype(np.float64).mean(0), raw.shape)
    for name, images in ((MODEL, model), (MEAN, mean)):
        pairs = list(zip(raw[:, 0].astype(np.float64), images[:, 0].astype(np.float64), strict=True))
        psnr = np.mean([peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs])
        options = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        # torchmetrics averages over the whole image, mirrored at its edges; scikit-image leaves five pixels out
        mirrored = [[np.pad(image, 5, mode="reflect") for image in pair] for pair in pairs]
        ssim = np.mean([structural_similarity(a, b, **options) for a, b in mirrored])
        error = np.mean([abs(a.std() / a.mean() - b.std() / b.mean()) for a, b in pairs])
        assert rows["PSNR", name].value == pytest.approx(psnr, rel=1e-4)
        assert rows["SSIM", name].value == pytest.approx(ssim, abs=1e-4)
        assert rows["contrast error", name].value == pytest.approx(error, rel=1e-4)
    assert {name for _, name in rows} >= {MODEL, MEAN, UNTRAINED}
    own = rows["PSNR", MODEL]
    assert (found.metrics["test/psnr"], found.metrics["test/psnr_low"]) == (own.value, own.low)
    assert own.low < own.value < own.high
    # these weights are those before training
    assert rows["SSIM", UNTRAINED].better == "higher"


def test_grain_of_blurred_noise(trained: TrainedModel) -> None:
    found = grain_result(trained, {PRIOR: speckle(60, 7).astype(np.float32)})
    data, _, same = found.tables["grain"]
    raw = trained.prepared.test.x[:, 0].reshape(48, -1).astype(np.float64)
    assert data["contrast"] == pytest.approx((raw.std(1) / raw.mean(1)).mean())
    assert data["contrast_low"] < data["contrast"] < data["contrast_high"]
    # noise blurred by sigma has the width 4 sigma sqrt(ln 2) = 5.0 pixels
    assert data["autocorrelation_width"] == pytest.approx(4 * 1.5 * math.sqrt(math.log(2)), rel=0.1)
    assert same["log_spectral_distance"] < 2
    assert found.metrics["test/contrast_prior"] == same["contrast"]
    assert "test/log_spectral_distance_data" not in found.metrics


def test_another_grain_is_told_apart(trained: TrainedModel) -> None:
    coarse = grain_result(trained, {PRIOR: speckle(60, 7, sigma=3).astype(np.float32)}).tables["grain"]
    assert coarse[2]["autocorrelation_width_low"] > coarse[0]["autocorrelation_width_high"]
    assert coarse[2]["log_spectral_distance_low"] > 5


def test_constant_and_black_images_are_counted(trained: TrainedModel) -> None:
    images = np.concatenate([speckle(5, 1), np.full((2, 1, SIDE, SIDE), 80, np.uint8), np.zeros((1, 1, SIDE, SIDE))])
    line = grain_result(trained, {PRIOR: images.astype(np.float32)}).tables["grain"][2]
    assert (line["contrast_undefined"], line["autocorrelation_width_undefined"]) == (1, 3)
    alone = measure_grain(speckle(5, 1).astype(np.float32), np.arange(5))
    assert line["autocorrelation_width"] == pytest.approx(alone.width.mean())
    assert line["contrast"] == pytest.approx(np.append(alone.contrast, [0, 0]).mean())


@pytest.mark.slow
def test_a_collapsed_model_is_measured_and_not_a_crash(trained: TrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texture, "image_space", lambda _: pca_space(trained))
    model: Any = trained.model
    with torch.no_grad():
        model.decoder[-1].weight.zero_()  # the same grey everywhere
        model.to_mu.weight.zero_()
    found = evaluate(trained)
    line = next(line for line in found.tables["grain"] if line["set"] == PRIOR)
    assert line["autocorrelation_width_undefined"] == line["images"]
    assert line["autocorrelation_width"] is None and line["log_spectral_distance"] is None
    assert "test/log_spectral_distance_prior" not in found.metrics
    assert found.metrics["test/contrast_prior"] == pytest.approx(0, abs=1e-6)


def test_black_test_images_are_left_out_of_the_contrast_error(trained: TrainedModel) -> None:
    x = np.array(trained.prepared.test.x)
    x[:3] = 0
    prepared = replace(trained.prepared, test=Samples.unconditional(x))
    rows = quality_result(replace(trained, prepared=prepared)).rows
    rest = replace(
        trained.prepared,
        test=Samples.unconditional(x[3:]),
        test_groups=trained.prepared.test_groups[3:],
        test_labels=trained.prepared.test_labels[3:],
    )
    expected = quality_result(replace(trained, prepared=rest)).rows
    errors = [[row.value for row in found if row.metric == "contrast error"] for found in (rows, expected)]
    assert errors[0] == pytest.approx(errors[1])


def distance(grain: Grain, data: Grain) -> GroupEstimate:
    found = spectral_distance(grain, data)
    assert found is not None
    return found


def test_the_spectral_distance_in_decibels() -> None:
    ones = Grain(np.ones(4), np.ones(4), np.ones((4, 3)), np.arange(4))
    tenfold = replace(ones, spectra=np.full((4, 3), 10.0))
    # 10 log10(10) = 10 dB at each frequency, for every image: of how sure that is they say nothing
    assert (distance(tenfold, ones).value, distance(tenfold, ones).interval()) == (pytest.approx(10.0), None)
    mixed = replace(ones, spectra=np.tile([1.0, 10.0, 100.0], (4, 1)))
    assert distance(mixed, ones).value == pytest.approx(math.sqrt((0 + 100 + 400) / 3))
    assert spectral_distance(replace(ones, spectra=np.zeros((4, 3))), ones) is None
    assert distance(replace(tenfold, groups=np.zeros(4, np.int64)), ones).interval() is None


def slow_distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.sqrt(np.mean((10 * np.log10(first.mean(0) / second.mean(0))) ** 2)))


def test_groups_are_left_out_of_both_sets_where_these_are_paired() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.uniform(1, 4, (12, 5)), rng.uniform(2, 3, (12, 5))
    groups = np.arange(12) // 3
    first, second = (Grain(np.ones(12), np.ones(12), spectra, groups) for spectra in (one, other))
    left_out = [slow_distance(one[groups != g], other[groups != g]) for g in range(4)]
    assert distance(first, second).se == pytest.approx(math.sqrt(3 * np.var(left_out)))
    alone = replace(first, groups=np.arange(12) // 2)  # six groups of its own
    parts = [
        5 * np.var([slow_distance(one[alone.groups != g], other) for g in range(6)]),
        3 * np.var([slow_distance(one, other[groups != g]) for g in range(4)]),
    ]
    assert distance(alone, second).se == pytest.approx(math.sqrt(sum(parts)))


def test_figures_of_sets_without_a_value() -> None:
    nothing = np.full(3, np.nan)
    figure = draw_grain({"width": {"data": np.array([1.0, 2.0]), "grey": nothing}, "none": {"grey": nothing}})
    assert len(figure.axes) == 2
    draw_spectra(np.array([0.1, 0.2]), {"data": np.array([1.0, 2.0]), "grey": np.zeros(2)}).canvas.draw()
