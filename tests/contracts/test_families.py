"""What every family promises; a new one is picked up by itself."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch

from vaeforge.config import Experiment
from vaeforge.loading import load
from vaeforge.train.loop import Arrays, fit
from vaeforge_models.families import families
from vaeforge_models.vae import VAE, initialise, parameter_count

EVENT = (3, 32, 32)


@pytest.fixture(params=sorted(families()))
def family(request: pytest.FixtureRequest) -> Any:
    return families()[request.param]


@pytest.fixture
def model(family: Any) -> VAE:
    return initialise(family.build, family.settings(), EVENT, seed=1)


def raw(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, *EVENT), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)


def test_shapes(model: VAE) -> None:
    x, output, mu, logvar = model(raw(5), torch.randn(5, model.latent_dim))
    assert x.shape == model.mean(output).shape == (5, *EVENT)
    assert mu.shape == logvar.shape == (5, model.latent_dim)
    reconstruction, _, score = model.reconstruct(raw(5))
    assert reconstruction.shape == (5, *EVENT)
    assert score.shape == model.distortion(x, output).shape == (5,)


def test_every_parameter_has_a_finite_gradient(model: VAE) -> None:
    x, output, mu, logvar = model(raw(5), torch.randn(5, model.latent_dim))
    (model.distortion(x, output).sum() + mu.square().sum() + logvar.square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_numbers_do_not_depend_on_the_batch(model: VAE) -> None:
    model.eval()
    eps = torch.randn(6, model.latent_dim)
    x, output, mu, _ = model(raw(6), eps)
    x_part, output_part, mu_part, _ = model(raw(6)[2:5], eps[2:5])
    torch.testing.assert_close(mu[2:5], mu_part, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model.distortion(x, output)[2:5], model.distortion(x_part, output_part))


def test_normalisation_and_back(model: VAE) -> None:
    torch.testing.assert_close(model.denormalise(model.normalise(raw(3))), raw(3).float())


def test_the_seed_decides_the_weights_and_leaves_the_global_generator_alone(family: Any) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (initialise(family.build, family.settings(), EVENT, seed=s) for s in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_evaluation_is_deterministic(model: VAE) -> None:
    model.eval()
    assert torch.equal(model.reconstruct(raw(4))[0], model.reconstruct(raw(4))[0])


def test_state_survives_a_round_trip(family: Any, model: VAE) -> None:
    other = initialise(family.build, family.settings(), EVENT, seed=9)
    other.load_state_dict(model.state_dict())
    assert torch.equal(model.reconstruct(raw(3))[0], other.reconstruct(raw(3))[0])


def test_augmentation_keeps_range_and_follows_its_draws(family: Any) -> None:
    large = torch.randint(0, 256, (6, 3, 48, 48), dtype=torch.uint8)
    draws = torch.rand(6, family.augment_draws)
    augmented = family.augment(large, draws, EVENT)
    assert augmented.shape == (6, *EVENT)
    assert augmented.min() >= 0 and augmented.max() <= 255
    torch.testing.assert_close(augmented[2:4], family.augment(large[2:4], draws[2:4], EVENT))
    assert family.augment(large[:0], draws[:0], EVENT).shape == (0, *EVENT)


def test_presets_are_valid_experiments_that_survive_json(family: Any, tmp_path: Any) -> None:
    for preset in family.presets:
        experiment = load(tmp_path, family.name, preset).experiment
        assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment
        assert pickle.loads(pickle.dumps(experiment)) == experiment


def test_the_published_preset_is_the_full_net(tmp_path: Any) -> None:
    experiment = load(tmp_path, "endoscopy", "published").experiment
    with torch.device("meta"):
        model = experiment.definition.build(experiment.model, (3, 96, 96))
    convolutions = sum(16 * a * b + b for a, b in [(3, 32), (32, 64), (64, 128), (128, 256)])
    transposed = sum(16 * a * b + b for a, b in [(256, 128), (128, 64), (64, 32), (32, 3)])
    heads = 2 * (9216 * 128 + 128) + (128 * 9216 + 9216)
    assert parameter_count(model) == convolutions + transposed + heads


def test_every_preset_trains(family: Any, tmp_path: Any) -> None:
    overrides = {"training.epochs": 1, "training.steps_per_epoch": 1, "training.batch_size": 2}
    for preset in family.presets:
        experiment = load(tmp_path, family.name, preset, overrides).experiment
        side = experiment.prepare.size
        images = np.random.default_rng(0).integers(0, 256, (3, 3, side, side), dtype=np.uint8)
        (report,) = fit(experiment, Arrays(images, images[:2]))
        assert report.outcome == "completed"
        assert np.isfinite(report.metrics["val/nelbo"])
