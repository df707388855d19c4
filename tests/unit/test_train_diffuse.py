"""Training of latent diffusion: what it learns, what it keeps, what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vaeforge.errors import CheckpointError, ConfigError, DataError
from vaeforge.training.checkpoint import Checkpoint, save
from vaeforge.training.diffuse import (
    Latents,
    TrainedDiffusion,
    averaged,
    fit_diffusion,
    learning_rate,
    load_diffusion,
    save_diffusion,
)
from vaeforge_models.diffusion import DiffusionSettings, LatentDiffusion

SHORT = {"width": 1 / 16, "steps": 12, "batch_size": 16, "validation_interval": 5, "lr": 1e-3}


def settings(**values: Any) -> DiffusionSettings:
    return DiffusionSettings.model_validate({**SHORT, **values})


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def mixture(count: int, seed: int) -> Tensor:
    """Half N((4, -1), 0.5^2 I), half N((-4, 3), 0.5^2 I): mean (0, 1), variance (16.25, 4.25)."""
    side = torch.randint(2, (count, 1), generator=seeded(seed)) * 2 - 1
    return side * torch.tensor([4.0, -2.0]) + torch.tensor([0.0, 1.0]) + 0.5 * normal(count, 2, seed=seed + 1)


def energy_distance(a: Tensor, b: Tensor) -> float:
    """2 E|a - b| - E|a - a'| - E|b - b'| (Szekely and Rizzo 2013)."""
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


def fit_short(seed: int = 0, **values: Any) -> TrainedDiffusion:
    return fit_diffusion(Latents(normal(40, 5)), Latents(normal(20, 5, seed=1)), settings(**values), seed)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@pytest.mark.long
def test_a_mixture_of_two_gaussians_is_learnt(sampler: str, learnt: TrainedDiffusion) -> None:
    z = learnt.model.sample(600, seeded(), sampler, 50)
    truth = mixture(600, seed=50)
    assert z.mean(0).tolist() == pytest.approx([0.0, 1.0], abs=0.6)
    assert z.var(0).tolist() == pytest.approx([16.25, 4.25], rel=0.2)
    gaussian = truth.mean(0) + truth.std(0) * normal(600, 2, seed=9)  # the prior, in the latents' units
    assert energy_distance(z, truth) < 0.05 * energy_distance(gaussian, truth)
    near = torch.cdist(z, torch.tensor([[4.0, -1.0], [-4.0, 3.0]])).min(1).values < 2.0  # 4 standard deviations
    assert near.float().mean() > 0.9


@pytest.fixture(scope="module")
def learnt() -> TrainedDiffusion:
    values = {"width": 0.25, "timesteps": 200, "steps": 400, "lr": 3e-3, "lr_schedule": "cosine", "batch_size": 256}
    values |= {"ema": 0.99, "validation_interval": 50}
    return fit_diffusion(Latents(mixture(2000, seed=0)), Latents(mixture(500, seed=20)), settings(**values), 0)


@pytest.mark.long
def test_losses_fall_and_the_best_weights_are_kept(learnt: TrainedDiffusion) -> None:
    assert [point.step for point in learnt.curve] == list(range(50, 401, 50))
    assert learnt.best.val_loss < 0.75 * learnt.curve[0].val_loss
    assert learnt.curve[-1].train_loss < 0.7 * learnt.curve[0].train_loss


@pytest.mark.long
@pytest.mark.parametrize(("kind", "steps"), [("mlp", 300), ("conv", 100)])
def test_the_noise_of_a_standard_normal_is_predicted_as_well_as_can_be(kind: str, steps: int) -> None:
    """For u ~ N(0, I) no predictor is better than sqrt(1 - abar_t) u_t, whose loss is abar_t.

    The MLP's first level has 8 features for 24 dimensions: without z_t's own path its loss could not fall below
    2/3 of the noise's variance at the noisy end.
    """
    values = {"kind": kind, "steps": steps, "lr": 5e-3, "lr_schedule": "cosine", "batch_size": 128, "ema": 0.95}
    fitted = fit_diffusion(
        Latents(normal(4000, 24)), Latents(normal(1000, 24, seed=1)), settings(**values, validation_interval=100), 0
    )
    floor = fitted.model.forward_process.alphas_cumprod.mean().item()
    assert 0.95 * floor < fitted.best.val_loss < floor + 0.03


@pytest.mark.long
def test_a_condition_is_learnt() -> None:
    """A bright image says z = (2, 2), a dark one z = (-2, -2)."""
    side = torch.randint(2, (400,), generator=seeded()) * 2.0 - 1
    z = 2 * side[:, None] + 0.1 * normal(400, 2)
    images = side[:, None, None, None].expand(-1, 1, 8, 8)
    values = settings(conditional=True, timesteps=100, steps=250, lr=5e-3, batch_size=64, ema=0.9)
    fitted = fit_diffusion(Latents(z, images), Latents(z[:50], images[:50]), values, 0)
    wanted = torch.tensor([1.0, -1.0]).repeat(20)
    drawn = fitted.model.sample(40, seeded(), "ddim", 20, wanted[:, None, None, None].expand(-1, 1, 8, 8))
    assert (drawn.sign() == wanted[:, None]).float().mean() > 0.95


@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_one_does_not(kind: str) -> None:
    before = torch.get_rng_state()
    first, again, other = fit_short(kind=kind), fit_short(kind=kind), fit_short(seed=1, kind=kind)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.curve == again.curve != other.curve
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])


def test_validation_comes_at_the_interval_and_at_the_end_and_each_step_pulses() -> None:
    pulses: list[int] = []
    fitted = fit_diffusion(
        Latents(normal(40, 5)), Latents(normal(20, 5, seed=1)), settings(), 0, lambda: pulses.append(1)
    )
    assert [point.step for point in fitted.curve] == [5, 10, 12]
    assert len(pulses) == 12


@pytest.mark.long
def test_the_kept_weights_are_the_best_ones_not_the_last() -> None:
    """Ten training latents are learnt by heart: the validation loss has its minimum before the end."""
    values = settings(width=0.25, steps=150, validation_interval=10, lr=1e-2, ema=None, timesteps=100)
    train, validation = Latents(normal(10, 8)), Latents(normal(300, 8, seed=1))
    fitted = fit_diffusion(train, validation, values, 0)
    assert fitted.best.step < 150
    shorter = fit_diffusion(train, validation, values.model_copy(update={"steps": fitted.best.step}), 0)
    for name, tensor in shorter.model.state_dict().items():
        assert torch.equal(tensor, fitted.model.state_dict()[name]), name


def test_averaged_weights_are_validated() -> None:
    smooth, plain = fit_short(ema=0.9), fit_short(ema=None)
    assert [p.train_loss for p in smooth.curve] == [p.train_loss for p in plain.curve]
    assert [p.val_loss for p in smooth.curve] != [p.val_loss for p in plain.curve]


@pytest.mark.parametrize("decay", [0.999, 0.3, None])
def test_the_average_begins_with_the_first_weights_and_its_decay_rises_to_the_given_one(decay: float | None) -> None:
    model = LatentDiffusion(settings(), 3)
    weights = [parameter.detach() for parameter in model.parameters()]
    expected, average = [weight.double().clone() for weight in weights], averaged(model, decay)
    for n in range(1, 12):
        for weight in weights:
            weight.add_(normal(*weight.shape, seed=n))
        average.update_parameters(model)
        kept = 0.0 if decay is None else min(decay, n / (10 + n))
        expected = [kept * before + (1 - kept) * weight for before, weight in zip(expected, weights, strict=True)]
        for found, known in zip(average.module.parameters(), expected, strict=True):
            torch.testing.assert_close(found.double(), known, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("schedule", "half_way"), [("constant", 1.0), ("cosine", 0.5)])
def test_learning_rate_at_the_start_and_half_way(schedule: str, half_way: float) -> None:
    values = settings(lr_schedule=schedule, steps=100, lr=0.2)
    assert [learning_rate(values, step) for step in (0, 50)] == pytest.approx([0.2, 0.2 * half_way])
    assert learning_rate(values, 75) == pytest.approx({"constant": 0.2, "cosine": 0.1 * (1 - 0.5**0.5)}[schedule])


def test_gradients_are_clipped() -> None:
    """Clipped to a norm far below Adam's epsilon of 1e-8, gradients move nothing."""
    still, moving = fit_short(clip_norm=1e-14, weight_decay=0.0).curve, fit_short(weight_decay=0.0).curve
    assert still[0].val_loss == pytest.approx(still[-1].val_loss, abs=1e-4)
    assert moving[0].val_loss - moving[-1].val_loss > 1e-3


def test_batches_may_be_larger_than_the_data() -> None:
    fitted = fit_diffusion(Latents(normal(3, 2)), Latents(normal(1, 2)), settings(batch_size=64), 0)
    assert fitted.curve[-1].step == 12


@pytest.mark.slow
def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    fitted = fit_short(kind="conv", noise="cosine")
    checkpoint = save_diffusion(tmp_path / "diffusion.pt", fitted)
    loaded = load_diffusion(checkpoint)
    assert checkpoint.epoch == fitted.best.step
    assert loaded.curve == fitted.curve
    assert loaded.model.settings == fitted.model.settings
    assert torch.equal(loaded.model.sample(3, seeded()), fitted.model.sample(3, seeded()))


def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint = save_diffusion(tmp_path / "diffusion.pt", fit_short())
    content = bytearray(checkpoint.path.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.path.write_bytes(content)
    with pytest.raises(CheckpointError, match="SHA-256"):
        load_diffusion(checkpoint)
    foreign = save(tmp_path / "other.pt", {"model": {}}, epoch=1)
    with pytest.raises(CheckpointError, match="no diffusion model"):
        load_diffusion(foreign)
    with pytest.raises(CheckpointError, match="not found"):
        load_diffusion(Checkpoint(str(tmp_path / "none.pt"), "", 0))


@pytest.mark.parametrize(
    ("train", "validation", "conditions", "message"),
    [
        (normal(4), normal(4, 3), None, r"training latents: got torch.float32 \[4\]"),
        (normal(0, 3), normal(4, 3), None, r"training latents: got torch.float32 \[0, 3\]"),
        (normal(4, 3).double(), normal(4, 3), None, "training latents: got torch.float64"),
        (normal(4, 3), normal(4, 2), None, r"validation latents: got torch.float32 \[4, 2\]"),
        (normal(4, 3) / 0, normal(4, 3), None, "not finite"),
        (normal(4, 3), normal(4, 3), normal(4, 1, 8, 8), "training conditions: got"),
    ],
)
def test_unusable_latents_are_refused(train: Tensor, validation: Tensor, conditions: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_diffusion(Latents(train, conditions), Latents(validation), settings(), 0)


@pytest.mark.parametrize("given", [None, normal(4, 3, 8, 8), normal(3, 1, 8, 8), normal(4, 8, 8)])
def test_unusable_conditions_are_refused(given: Any) -> None:
    with pytest.raises(DataError, match="training conditions: got"):
        fit_diffusion(Latents(normal(4, 3), given), Latents(normal(4, 3)), settings(conditional=True), 0)


def test_a_diverging_training_says_so() -> None:
    with pytest.raises(ConfigError, match=r"lower diffusion\.lr"):
        fit_short(lr=1e30, steps=50)
