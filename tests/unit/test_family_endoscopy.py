"""The endoscopy family: its scores against torch.distributions and by hand, what it is built for, and augmentation."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from pydantic import ValidationError
from torch.distributions import Bernoulli, Normal, kl_divergence

from vaeforge.config.experiment import Experiment
from vaeforge.package.export import export
from vaeforge.training.batches import centre_crop, epoch_batches
from vaeforge.training.loop import TrainingData, fit
from vaeforge.training.process_group import ProcessGroup
from vaeforge_models.families.endoscopy import FAMILY, EndoscopySettings, EndoscopyVAE
from vaeforge_models.vae import DataSpec, Posterior

LN2 = math.log(2)


def build(shape: tuple[int, ...] = (3, 32, 32), **settings: Any) -> EndoscopyVAE:
    torch.manual_seed(0)
    return EndoscopyVAE(EndoscopySettings(latent_dim=2, width=4, **settings), DataSpec(shape)).eval()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [  # 256 values of 1 given 1/2, mu = (1, 1) and sigma = 1: the rate is 2 * 1/2
        ({"score": "mse"}, 0.25),
        ({"score": "bce"}, 256 * LN2),
        ({"score": "rate"}, 1.0),
        ({"score": "nelbo"}, 256 * LN2 + 1),
        ({"score": "nelbo", "likelihood": "squared_error"}, 256 / 4 + 1),
        ({"score": "nelbo", "likelihood": "calibrated"}, 256 / 2 * math.log(1 / 4) + 1),
    ],
)
def test_golden_scores(settings: dict[str, Any], expected: float) -> None:
    model = build((1, 16, 16), **settings)
    posterior = Posterior(torch.ones(3, 2), torch.zeros(3, 2))
    found = model.score(torch.ones(3, 1, 16, 16), torch.full((3, 1, 16, 16), 0.5), posterior)
    torch.testing.assert_close(found, torch.full((3,), expected))


def test_scores_against_distributions() -> None:
    raw = torch.randint(0, 256, (5, 3, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    x, none = raw.double() / 255, torch.zeros(5, 0)
    with torch.no_grad():
        reconstruction, posterior, _ = build().reconstruct(raw, none)
    mean, sigma = posterior.mu.double(), (0.5 * posterior.logvar.double()).exp()
    rate = kl_divergence(Normal(mean, sigma), Normal(0.0, 1.0)).sum(1)
    bernoulli = Bernoulli(reconstruction.double(), validate_args=False)
    bce = -bernoulli.log_prob(x).flatten(1).sum(1)
    expected = {"mse": (x - reconstruction).square().flatten(1).mean(1), "bce": bce, "rate": rate, "nelbo": bce + rate}
    for name, values in expected.items():
        with torch.no_grad():
            found = build(score=name).reconstruct(raw, none)[2]
        torch.testing.assert_close(found.double(), values.double(), rtol=1e-4, atol=1e-6)


def test_a_certain_and_wrong_pixel_is_not_infinitely_strange() -> None:
    posterior = Posterior(torch.zeros(1, 2), torch.zeros(1, 2))
    black, white = torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    score = build((1, 16, 16), score="bce").score(white, black, posterior)
    torch.testing.assert_close(score, torch.tensor([256 * math.log(510)]))  # half a grey level is 1/510
    perfect = build((1, 16, 16), score="nelbo", likelihood="calibrated").score(white, white, posterior)
    torch.testing.assert_close(perfect, torch.tensor([256 / 2 * 2 * math.log(1 / 510)]))


def test_a_broken_reconstruction_has_no_score() -> None:
    posterior, x = Posterior(torch.zeros(1, 2), torch.zeros(1, 2)), torch.ones(1, 1, 16, 16)
    for name in ("mse", "bce", "nelbo"):  # NaN, which whoever measures refuses; not an error from within torch
        assert build((1, 16, 16), score=name).score(x, x * math.nan, posterior).isnan().all()


def test_mse_is_the_default_and_unknown_scores_are_refused() -> None:
    assert EndoscopySettings().score == "mse"
    with pytest.raises(ValidationError, match="'mse', 'bce', 'rate' or 'nelbo'"):
        EndoscopySettings.model_validate({"score": "elbo"})


@pytest.mark.slow
def test_the_score_is_in_the_exported_graph(tmp_path: Path) -> None:
    model = build((1, 16, 16), score="nelbo")  # bce + rate
    session = onnxruntime.InferenceSession(str(export(model, tmp_path)["model"]), providers=["CPUExecutionProvider"])
    raw = torch.randint(0, 256, (5, 1, 16, 16), generator=torch.Generator().manual_seed(2)).float()
    (found,) = session.run(["score"], {"x": raw.numpy()})
    with torch.no_grad():
        expected = model.reconstruct(raw, torch.zeros(5, 0))[2]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 16, 16), (2, 32, 16), (3, 48, 64), (5, 16, 32)])
def test_any_channels_and_multiples_of_16(shape: tuple[int, ...]) -> None:
    model = build(shape)
    reconstruction, posterior, score = model.reconstruct(torch.zeros(2, *shape), torch.zeros(2, 0))
    assert reconstruction.shape == (2, *shape)
    assert (posterior.mu.shape, score.shape) == ((2, 2), (2,))
    raw = torch.full((2, shape[0], shape[1] + 8, shape[2] + 8), 200, dtype=torch.uint8)
    assert FAMILY.augmentation is not None
    augmented = FAMILY.augmentation.apply(raw, torch.rand(2, 8), DataSpec(shape))
    assert augmented.shape == (2, *shape)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((3, 40, 32), "40 x 32 pixels, both must be multiples of 16"), ((7,), "must be images")],
)
def test_other_shapes_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(shape)


@pytest.mark.parametrize("likelihood", ["bernoulli", "squared_error", "calibrated"])
@pytest.mark.slow
def test_every_likelihood_learns(
    likelihood: str, make_experiment: Callable[..., Experiment], make_arrays: Callable[..., TrainingData]
) -> None:
    training = {"epochs": 20, "augment": False}
    experiment = make_experiment(model={"likelihood": likelihood}, training=training, optimizer={"lr": 0.01})
    distortions = [report.metrics["train/distortion"] for report in fit(experiment, make_arrays())]
    assert distortions[-1] < distortions[0] - 1  # nat
    assert build(likelihood=likelihood).calibrated is (likelihood == "calibrated")


def test_augmentation_comes_before_scaling(
    make_experiment: Callable[..., Experiment], make_arrays: Callable[..., TrainingData]
) -> None:
    """What a training step gets is on the scale of the files, clipped there; the model alone divides by 255."""
    arrays = make_arrays()
    experiments = [make_experiment(training={"augment": augment}) for augment in (True, False)]
    (varied,), (plain,) = (next(epoch_batches(e, arrays.train, arrays.spec, 5, 0, ProcessGroup())) for e in experiments)
    crops = centre_crop(torch.from_numpy(np.array(arrays.train.x)), arrays.spec.event_shape)
    assert all(any(torch.equal(one, crop) for crop in crops) for one in plain.raw)
    assert not any(torch.equal(one, crop.float()) for one in varied.raw for crop in crops)
    assert varied.raw.min() >= 0 and 200 < varied.raw.max() <= 255
    scaled = build().normalise(varied.raw)
    assert scaled.min() >= 0 and scaled.max() <= 1
    torch.testing.assert_close(scaled * 255, varied.raw)


def test_brightness_is_clipped_at_white() -> None:
    assert FAMILY.augmentation is not None
    white = torch.full((1, 3, 48, 48), 250, dtype=torch.uint8)
    draws = torch.tensor([[0.5, 0.5, 0.5, 0.5, 0.5, 1.0, 0.5, 0.5]])  # brightness times 1.1
    augmented = FAMILY.augmentation.apply(white, draws, DataSpec((3, 32, 32)))
    torch.testing.assert_close(augmented, torch.full((1, 3, 32, 32), 255.0))
