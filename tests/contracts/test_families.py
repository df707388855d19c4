"""What every family promises; a new one is picked up by itself."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from samples import random_arrays, random_prepared, random_samples, small_experiment
from vaeforge.config.experiment import Experiment
from vaeforge.config.layouts import layout_names
from vaeforge.config.loader import load
from vaeforge.evaluation.tasks import task_named
from vaeforge.package.export import export
from vaeforge.package.parity import check_parity
from vaeforge.training.loop import fit, untrained
from vaeforge_models.families import families
from vaeforge_models.family import Family
from vaeforge_models.vae import VAE, build_seeded, parameter_count

OUR_OWN = {"cilia", "endoscopy", "fmri", "lipid", "speckle"}


@pytest.fixture(params=sorted(families()))
def family(request: pytest.FixtureRequest) -> Family:
    return families()[request.param]


@pytest.fixture
def experiment(family: Family, tmp_path: Path) -> Experiment:
    return small_experiment(family, tmp_path)


@pytest.fixture
def model(family: Family, experiment: Experiment) -> VAE:
    return untrained(experiment, family.example)


def batch(family: Family, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return random_samples(family, family.example, count, seed=2).tensors(slice(None))


def test_shapes(family: Family, model: VAE) -> None:
    raw, condition = batch(family, 5)
    event = family.example.event_shape
    x, output, mu, logvar = model(raw, condition, torch.randn(5, model.latent_dim))
    assert x.shape == model.mean(output).shape == (5, *event)
    assert mu.shape == logvar.shape == (5, model.latent_dim)
    reconstruction, posterior, score = model.reconstruct(raw, condition)
    assert reconstruction.shape == (5, *event)
    assert score.shape == model.distortion(x, output).shape == model.penalty(output, posterior).shape == (5,)
    assert model.event_shape == event


def test_every_parameter_has_a_finite_gradient(family: Family, model: VAE) -> None:
    raw, condition = batch(family, 9)
    x, output, mu, logvar = model(raw, condition, torch.randn(9, model.latent_dim))
    (model.distortion(x, output).sum() + mu.square().sum() + logvar.square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_numbers_do_not_depend_on_the_batch(family: Family, model: VAE) -> None:
    model.eval()
    eps = torch.randn(6, model.latent_dim)
    raw, condition = batch(family, 6)
    x, output, mu, _ = model(raw, condition, eps)
    x_part, output_part, mu_part, _ = model(raw[2:5], condition[2:5], eps[2:5])
    torch.testing.assert_close(mu[2:5], mu_part, atol=1e-5, rtol=1e-4)
    whole, part = model.distortion(x, output)[2:5], model.distortion(x_part, output_part)
    torch.testing.assert_close(whole, part, rtol=1e-4, atol=1e-4)


def test_terms_are_summed_over_dimensions_in_nats(family: Family, model: VAE) -> None:
    """A tenth more error in every value costs as much more as D says; nothing is averaged over dimensions."""
    model.eval()
    raw, condition = batch(family, 4)
    x, output, _, _ = model(raw, condition, torch.zeros(4, model.latent_dim))
    squared = (x - model.mean(output)).square().flatten(1).sum(1)
    settings = str(getattr(model, "likelihood", "squared_error"))
    if settings in ("squared_error", "calibrated"):
        torch.testing.assert_close(model.distortion(x, output), squared, rtol=1e-4, atol=1e-4)
    else:
        assert settings == "bernoulli"
        assert (model.distortion(x, output) >= 2 * squared - 1e-3).all()  # Pinsker's inequality, value by value


def test_normalisation_and_back(family: Family, model: VAE) -> None:
    raw, _ = batch(family, 3)
    torch.testing.assert_close(model.denormalise(model.normalise(raw)), raw.float(), rtol=1e-4, atol=1e-4)


def test_the_seed_decides_the_weights_and_leaves_the_global_generator_alone(
    family: Family, experiment: Experiment
) -> None:
    before = torch.random.get_rng_state()
    build = (family.build, experiment.model, family.example)
    first, again, other = (build_seeded(*build, seed=s) for s in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_evaluation_is_deterministic(family: Family, model: VAE) -> None:
    model.eval()
    raw, condition = batch(family, 4)
    assert torch.equal(model.reconstruct(raw, condition)[0], model.reconstruct(raw, condition)[0])


def test_state_survives_a_round_trip(family: Family, experiment: Experiment, model: VAE) -> None:
    raw, condition = batch(family, 3)
    other = build_seeded(family.build, experiment.model, family.example, seed=9)
    other.load_state_dict(model.state_dict())
    pickled = pickle.loads(pickle.dumps(model.eval()))
    expected = model.reconstruct(raw, condition)[0]
    assert torch.equal(expected, other.eval().reconstruct(raw, condition)[0])
    assert torch.equal(expected, pickled.reconstruct(raw, condition)[0])


@pytest.mark.slow
def test_a_seed_gives_the_same_training_and_a_resumed_one_ends_alike(
    family: Family, experiment: Experiment, tmp_path: Path
) -> None:
    arrays = random_arrays(family)
    whole = [report.metrics for report in fit(experiment, arrays)]
    first = next(fit(experiment, arrays, folder=tmp_path))
    assert first.checkpoint is not None
    rest = [report.metrics for report in fit(experiment, arrays, folder=tmp_path, resume=[first.checkpoint])]
    assert [first.metrics, *rest] == whole


def test_augmentation_follows_its_draws(family: Family) -> None:
    augmentation, spec = family.augmentation, family.example
    if augmentation is None:
        return
    raw, draws = batch(family, 6)[0], torch.rand(6, augmentation.draws(spec))
    augmented = augmentation.apply(raw, draws, spec)
    assert augmented.shape == (6, *spec.event_shape)
    if raw.dtype == torch.uint8:
        assert augmented.min() >= 0 and augmented.max() <= 255
    torch.testing.assert_close(augmented[2:4], augmentation.apply(raw[2:4], draws[2:4], spec))
    assert augmentation.apply(raw[:0], draws[:0], spec).shape == (0, *spec.event_shape)


@pytest.mark.slow
def test_the_exported_graphs_compute_what_torch_computes(
    family: Family, experiment: Experiment, tmp_path: Path
) -> None:
    """Of trained weights; families of our own: `tests/unit/test_package_step.py`, `tests/e2e/test_every_family.py`."""
    if family.name in OUR_OWN:
        pytest.skip("exported by tests/unit/test_package_step.py")
    prepared = random_prepared(family, tmp_path)
    (*_, last) = fit(experiment, random_arrays(family), folder=tmp_path / "checkpoints")
    assert last.checkpoint is not None
    model = build_seeded(family.build, experiment.model, family.example, seed=0)
    model.load_state_dict(torch.load(last.checkpoint.file, weights_only=True)["model"])
    files = export(model.eval(), tmp_path, condition_dim=family.example.condition_dim)
    assert check_parity(model, files, prepared).passed


@pytest.mark.long
def test_the_published_model_exports(family: Family, tmp_path: Path) -> None:
    experiment = load(tmp_path, family.name, "published").experiment
    model = untrained(experiment, family.example).eval()
    files = export(model, tmp_path, condition_dim=family.example.condition_dim)
    assert check_parity(model, files, random_prepared(family, tmp_path)).passed


def test_presets_are_valid_experiments_that_survive_json_and_pickle(family: Family, tmp_path: Path) -> None:
    assert {"sample", "published"} <= set(family.presets)
    for preset in family.presets:
        experiment = load(tmp_path, family.name, preset).experiment
        assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment
        assert pickle.loads(pickle.dumps(experiment)) == experiment


def test_task_and_data_are_known(family: Family) -> None:
    assert task_named(family.task).name == family.task
    assert family.data in layout_names()


def test_every_preset_trains(family: Family, tmp_path: Path) -> None:
    overrides: dict[str, Any] = {"training.epochs": 1, "training.steps_per_epoch": 1, "training.batch_size": 3}
    for preset in family.presets:
        experiment = load(tmp_path, family.name, preset, {**overrides, "training.evaluation_samples": 1}).experiment
        (report,) = fit(experiment, random_arrays(family, 4, 2))
        assert report.outcome == "completed"
        assert np.isfinite(report.metrics["val/nelbo"])


def test_the_published_endoscopy_preset_is_the_full_net(tmp_path: Path) -> None:
    experiment = load(tmp_path, "endoscopy", "published").experiment
    spec = type(families()["endoscopy"].example)((3, 96, 96))
    with torch.device("meta"):
        model = experiment.definition.build(experiment.model, spec)
    convolutions = sum(16 * a * b + b for a, b in [(3, 32), (32, 64), (64, 128), (128, 256)])
    transposed = sum(16 * a * b + b for a, b in [(256, 128), (128, 64), (64, 32), (32, 3)])
    heads = 2 * (9216 * 128 + 128) + (128 * 9216 + 9216)
    assert parameter_count(model) == convolutions + transposed + heads
