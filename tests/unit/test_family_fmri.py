"""The fully connected family: its losses against plain arithmetic, its noise, its size, and when it collapses."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import kstest

from samples import small_experiment
from vaeforge.config.loader import load
from vaeforge.samples import Samples
from vaeforge.training.loop import TrainingData, fit
from vaeforge_models.families.fmri import FAMILY, NOISE, FmriSettings, FmriVAE, add_noise
from vaeforge_models.vae import DataSpec, build_seeded, parameter_count

V = 40


def spec_with(std: float = 3.0) -> DataSpec:
    return DataSpec((V,), constants={"mean": torch.full((V,), 7.0), "std": torch.full((V,), std)})


def model_with(likelihood: str = "squared_error") -> FmriVAE:
    chosen = FmriSettings.model_validate({"latent_dim": 4, "hidden": [8], "likelihood": likelihood})
    model = build_seeded(FmriVAE, chosen, spec_with(), seed=0)
    assert isinstance(model, FmriVAE)
    return model


def test_voxels_are_z_scored_with_the_training_statistics() -> None:
    raw = torch.tensor([[7.0, 10.0, 1.0] + [7.0] * (V - 3)])
    assert model_with().normalise(raw)[0, :3].tolist() == [0.0, 1.0, -2.0]


def test_the_three_likelihoods() -> None:
    x, output = torch.randn(2, 5, V, generator=torch.Generator().manual_seed(0))
    squares = ((x - output).numpy() ** 2).sum(1)
    np.testing.assert_allclose(model_with().distortion(x, output), squares, rtol=1e-5)
    np.testing.assert_allclose(model_with("mean_squared_error").distortion(x, output), squares / V, rtol=1e-5)
    calibrated = model_with("calibrated")
    np.testing.assert_allclose(calibrated.distortion(x, output), squares, rtol=1e-5)
    assert calibrated.calibrated and not model_with().calibrated and not model_with("mean_squared_error").calibrated


def test_the_published_net() -> None:
    settings = FmriSettings.model_validate(FAMILY.presets["published"]["model"])
    with torch.device("meta"):
        model = FmriVAE(settings, DataSpec((3092,)))
    widths = [3092, 1024, 512, 256]
    down = sum(a * b + 2 * b for a, b in pairwise(widths))  # no bias, two numbers per normalised
    heads = 2 * (256 * 256 + 256)
    up = sum(a * b + 2 * b for a, b in [(256, 256), (256, 512), (512, 1024)]) + 1024 * 3092 + 3092
    assert parameter_count(model) == down + heads + up
    assert sum(isinstance(module, torch.nn.Dropout) and module.p == 0.1 for module in model.modules()) == 6


def test_published_settings(tmp_path: Path) -> None:
    experiment = load(tmp_path, "fmri", "published").experiment
    optimizer = experiment.optimizer
    assert (optimizer.name, optimizer.lr, optimizer.weight_decay) == ("adam", 1e-4, 1e-6)
    assert (optimizer.schedule, experiment.training.patience) == ("cosine", 20)
    assert (experiment.diffusion.kind, experiment.diffusion.timesteps, experiment.diffusion.width) == ("mlp", 1000, 1.0)


def test_samples_that_are_no_series_are_refused() -> None:
    with pytest.raises(ValueError, match=r"samples are of shape \(1, 8, 8\), must be \(voxels,\)"):
        FmriVAE(FmriSettings(), DataSpec((1, 8, 8)))


@pytest.mark.parametrize("hidden", [[], [0], [64, -1]])
def test_widths_must_be_positive(hidden: list[int]) -> None:
    with pytest.raises(ValidationError, match="hidden"):
        FmriSettings.model_validate({"hidden": hidden})


def test_the_noise_is_normal_with_a_hundredth_of_each_voxels_spread() -> None:
    spec = DataSpec((2,), constants={"std": torch.tensor([1.0, 50.0])})
    draws = torch.rand(20_000, 2, generator=torch.Generator().manual_seed(1))
    noise = add_noise(torch.zeros(20_000, 2), draws, spec).numpy() / [NOISE, 50 * NOISE]
    assert NOISE == 0.01
    for voxel in noise.T:
        assert kstest(voxel, "norm").pvalue > 0.01


def test_the_noise_is_finite_at_the_ends_of_the_draws() -> None:
    draws = torch.tensor([[0.0] * V, [0.5] * V, [1 - 2**-24] * V])
    noisy = add_noise(torch.zeros(3, V), draws, spec_with(std=1.0))
    assert torch.isfinite(noisy).all()
    assert (noisy[1] == 0).all()
    torch.testing.assert_close(noisy[0], -noisy[2], rtol=0.05, atol=0)


def series(count: int, seed: int) -> Samples:
    """Three shared courses and a little noise, about unit variance in every voxel."""
    directions = np.random.default_rng(0).normal(size=(3, V)) / np.sqrt(3)
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 3)) @ directions + 0.2 * rng.normal(size=(count, V))
    return Samples.unconditional(values.astype(np.float32))


@pytest.mark.slow
def test_the_published_loss_collapses_and_the_default_does_not(tmp_path: Path) -> None:
    """Of V = 40 voxels the largest eigenvalue is near 40 / 3: above beta / 2 = 1 / 2, below beta V / 2 = 20."""
    train = series(256, 1)
    mean, std = (torch.from_numpy(part) for part in (train.x.mean(0), train.x.std(0)))
    arrays = TrainingData(train, series(64, 2), DataSpec((V,), constants={"mean": mean, "std": std}))
    found = {}
    for likelihood in ("squared_error", "mean_squared_error"):
        experiment = small_experiment(
            FAMILY,
            tmp_path,
            model__hidden=[16],
            model__latent_dim=6,
            model__likelihood=likelihood,
            training__epochs=8,
            training__steps_per_epoch=30,
            training__batch_size=32,
            optimizer__lr=1e-2,
        )
        (*_, last) = fit(experiment, arrays)
        found[likelihood] = last.metrics
    assert found["squared_error"]["val/active_units"] >= 3
    assert found["squared_error"]["val/mse"] < 0.3
    assert found["mean_squared_error"]["val/active_units"] == 0
    assert found["mean_squared_error"]["val/mse"] > 0.8
