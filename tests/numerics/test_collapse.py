"""Which beta collapses a linear VAE is known before training: on Gaussian data of a known spectrum it comes true."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vaeforge.config.loader import load
from vaeforge.data.pca_spectrum import collapse_beta, describe, predicted, spectrum_of
from vaeforge.data.prepared import PcaSpectrum
from vaeforge.samples import DataSet, Samples
from vaeforge.training.batches import Batch
from vaeforge.training.gradient_step import StepNumber
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.train_step import TrainStep
from vaeforge.training.validation import validate
from vaeforge_models.diagnostics import predicted_active_units
from vaeforge_models.likelihoods import squared_error_distortion
from vaeforge_models.vae import VAE, Posterior

SPECTRUM = (4.0, 2.0, 1.0, 0.5, 0.25, 0.125)
SAMPLES, STEPS = 600, 900


class LinearVAE(VAE):
    """Linear both ways, as many latent units as values."""

    def __init__(self, calibrated: bool):
        super().__init__()
        self.latent_dim, self.event_shape = len(SPECTRUM), (len(SPECTRUM),)
        self.calibrated = calibrated
        self.mu, self.decoder = (nn.Linear(len(SPECTRUM), len(SPECTRUM)) for _ in range(2))
        self.logvar = nn.Parameter(torch.zeros(len(SPECTRUM)))

    def normalise(self, raw: Tensor) -> Tensor:
        return raw

    def denormalise(self, x: Tensor) -> Tensor:
        return x

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        mu = self.mu(x)
        return Posterior(mu, self.logvar.expand_as(mu))

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(z)
        return decoded

    def mean(self, output: Tensor) -> Tensor:
        return output

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        return squared_error_distortion(x, output)


def gaussian() -> Samples:
    """Samples whose covariance has the spectrum exactly, rotated so that no axis is special."""
    rng = np.random.default_rng(0)
    white = rng.normal(size=(SAMPLES, len(SPECTRUM)))
    white -= white.mean(0)
    white = white @ np.linalg.inv(np.linalg.cholesky(white.T @ white / SAMPLES)).T
    rotation = np.linalg.qr(rng.normal(size=(len(SPECTRUM),) * 2))[0]
    return Samples.unconditional((white * np.sqrt(SPECTRUM) @ rotation).astype(np.float32))


def active_units(beta: float, folder: Path, calibrated: bool = False) -> int:
    """How many units a linear VAE keeps when it is trained under `beta`."""
    overrides: dict[str, Any] = {"optimizer.lr": 0.02, "optimizer.schedule": "cosine", "beta.value": beta}
    experiment = load(folder, "endoscopy", None, overrides).experiment
    data, generator = gaussian(), torch.Generator().manual_seed(1)
    torch.manual_seed(0)
    model = LinearVAE(calibrated)
    train_step = TrainStep(experiment, model, ProcessGroup(), SAMPLES)
    raw, condition = data.tensors(slice(None))
    for step in range(STEPS):
        eps = torch.randn(SAMPLES, model.latent_dim, generator=generator)
        train_step.step([Batch(raw, condition, eps, SAMPLES)], StepNumber(step, STEPS))
    return int(validate(model, data, ProcessGroup(), 1)["val/active_units"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("beta", "expected"),
    [
        (9.0, 0),
        pytest.param(7.0, 1, marks=pytest.mark.long),
        pytest.param(3.0, 2, marks=pytest.mark.long),
        pytest.param(1.4, 3, marks=pytest.mark.long),
        (0.7, 4),
    ],
)
def test_a_linear_vae_keeps_as_many_units_as_predicted(beta: float, expected: int, tmp_path: Path) -> None:
    """sigma^2 = beta / 2 lies between two eigenvalues: 4.5 | 4 | 3.5 | 2 | 1.5 | 1 | 0.7 | 0.5 | 0.35 | 0.25."""
    assert predicted_active_units(SPECTRUM, beta / 2) == expected
    assert active_units(beta, tmp_path) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("beta", "alive"), [(3.4, False), pytest.param(2.7, True, marks=pytest.mark.long)])
def test_a_calibrated_likelihood_dies_where_beta_times_its_error_reaches_the_largest_eigenvalue(
    beta: float, alive: bool, tmp_path: Path
) -> None:
    """Collapsed, the mean squared error is 7.875 / 6 = 1.3125, and 4 / 1.3125 = 3.048."""
    spectrum = PcaSpectrum(dimensions=6, total=sum(SPECTRUM), squared_error=SPECTRUM)
    assert collapse_beta(spectrum, "calibrated") == pytest.approx(4 * 6 / 7.875)
    assert (active_units(beta, tmp_path, calibrated=True) > 0) is alive


def units_of_the_minimum(eigenvalues: Sequence[float], dimensions: int, beta: float) -> int:
    """How many units the minimum of D/2 log MSE + beta * KL uses, by gradients on each direction's encoder and decoder.

    Of a direction of variance v, with z = a x + sqrt(s) eps and the reconstruction w z: the error is
    v (1 - w a)^2 + w^2 s and the KL (a^2 v + s - 1 - log s) / 2. The units start as if each were in use.
    """
    v = torch.tensor(eigenvalues, dtype=torch.float64)
    a, w = (1 / v.sqrt()).requires_grad_(), v.sqrt().clone().requires_grad_()
    log_s = torch.full_like(v, -3.0).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [a, w, log_s], max_iter=20_000, tolerance_grad=1e-11, tolerance_change=0, history_size=50,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def objective() -> Tensor:
        optimizer.zero_grad()
        s = log_s.exp()
        error = (v * (1 - w * a).square() + w.square() * s).sum()
        kl = 0.5 * (a.square() * v + s - 1 - log_s).sum()
        loss: Tensor = dimensions / 2 * torch.log(error / dimensions) + beta * kl
        torch.autograd.backward([loss])
        return loss

    optimizer.step(objective)
    return int((a.square() * v > 0.01).sum())


@pytest.mark.parametrize(
    ("eigenvalues", "dimensions", "beta", "expected"),
    [
        # at k = 5, left 0.125: 0.25 > 1.05 * 0.125 / 0.75 = 0.175; at k = 6: D - beta k < 0
        (SPECTRUM, 6, 1.05, 5),
        # at k = 2, left 1.875: 2 > 2 * 1.875 / (6 - 4) = 1.875; at k = 3: D - beta k = 0
        (SPECTRUM, 6, 2.0, 2),
        # at k = 1, left 3.875: 4 > 3 * 3.875 / 3 = 3.875; k = 2: D - beta k = 0
        (SPECTRUM, 6, 3.0, 1),
        # at k = 1: 4 > 3.1 * 3.875 / 2.9 = 4.14 does not hold
        (SPECTRUM, 6, 3.1, 0),
        # at k = 4, left 0.375: 0.5 > 1.4 * 0.375 / 0.4 = 1.31 does not hold; k = 3, left 0.875: 1 > 0.68
        (SPECTRUM, 6, 1.4, 3),
        # at k = 5, left 0.4: 0.3 > 3 * 0.4 / 5 = 0.24; at k = 6, left 0.2: 0.2 > 3 * 0.2 / 2 = 0.3 does not hold
        ((3.0, 2.5, 1.0, 0.4, 0.3, 0.2, 0.1, 0.1), 20, 3.0, 5),
    ],
)
def test_calibrated_units_are_those_of_the_minimum(
    eigenvalues: tuple[float, ...], dimensions: int, beta: float, expected: int
) -> None:
    spectrum = PcaSpectrum(dimensions, sum(eigenvalues), eigenvalues)
    assert predicted(spectrum, "calibrated", beta) == expected
    assert units_of_the_minimum(eigenvalues, dimensions, beta) == expected


@pytest.mark.slow
def test_a_calibrated_linear_vae_keeps_as_many_units_as_predicted(tmp_path: Path) -> None:
    spectrum = PcaSpectrum(dimensions=6, total=sum(SPECTRUM), squared_error=SPECTRUM)
    assert active_units(1.0, tmp_path, calibrated=True) == predicted(spectrum, "calibrated", 1.0) == 5
    # six units of weight 1/2 cost less than six values gain: the error goes to zero, and all are kept
    assert predicted(spectrum, "calibrated", 0.5) == 6


def test_the_spectrum_is_that_of_the_training_data(tmp_path: Path) -> None:
    """Eigenvalues of grey images in [0, 1], and of what class means leave over."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, 1, 16, 16), dtype=np.uint8)
    images[25:] //= 4
    classes = np.repeat(np.eye(2, dtype=np.float32), 25, axis=0)
    experiment = load(tmp_path, "endoscopy").experiment

    def spectrum(condition: Any) -> Any:
        samples = Samples(images, condition)
        return spectrum_of(DataSet(samples, samples, samples, np.zeros(50, np.int64), ["a"] * 50), experiment)

    plain, conditional = spectrum(np.zeros((50, 0), np.float32)), spectrum(classes)
    flat = images.reshape(50, -1) / 255
    expected = np.linalg.svd(flat - flat.mean(0), compute_uv=False) ** 2 / 50
    np.testing.assert_allclose(plain.squared_error, expected, rtol=1e-4, atol=1e-6)
    assert plain.total == pytest.approx(flat.var(0).sum(), rel=1e-5)
    centred = np.concatenate([part - part.mean(0) for part in (flat[:25], flat[25:])])
    within = np.linalg.svd(centred, compute_uv=False) ** 2 / 50
    np.testing.assert_allclose(conditional.squared_error, within, rtol=1e-4, atol=1e-6)
    assert "all collapse above beta" in describe(plain, "bernoulli")


def test_what_each_likelihood_predicts() -> None:
    spectrum = PcaSpectrum(dimensions=6, total=7.875, squared_error=SPECTRUM, bernoulli=(9.0, 1.0))
    assert collapse_beta(spectrum, "squared_error") == 8
    assert collapse_beta(spectrum, "bernoulli") == 9
    assert collapse_beta(spectrum, "mean_squared_error") == pytest.approx(8 / 6)
    assert predicted(spectrum, "squared_error", 3.0) == 2
    assert predicted(spectrum, "bernoulli", 3.0) == 1
    assert predicted(spectrum, "mean_squared_error", 0.5) == 2
    assert predicted(spectrum, "calibrated", 3.2) == 0 and predicted(spectrum, "calibrated", 2.8) >= 1
