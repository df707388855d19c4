"""One optimiser step: accumulation, mixed precision, sampling by class, and options of the rate."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vaeforge.config.experiment import Experiment
from vaeforge.config.loader import load
from vaeforge.errors import ConfigError
from vaeforge.samples import Samples
from vaeforge.training.batches import Batch, epoch_batches
from vaeforge.training.epoch_draws import class_weights, steps_per_epoch
from vaeforge.training.gradient_step import StepNumber
from vaeforge.training.loop import TrainingData, fit, untrained
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.train_step import TrainStep
from vaeforge_models.vae import DataSpec

Make = Callable[..., Any]


def batch(arrays: TrainingData, chosen: slice, seed: int, latent_dim: int) -> Batch:
    raw, condition = arrays.train.tensors(chosen)
    whole = torch.randn(len(arrays.train), latent_dim, generator=torch.Generator().manual_seed(seed))
    return Batch(raw[:, :, 8:40, 8:40], condition, whole[chosen], len(raw))


def gradients(experiment: Experiment, arrays: TrainingData, parts: list[slice]) -> dict[str, torch.Tensor]:
    """What one step over the given parts of the training samples follows."""
    model = untrained(experiment, arrays.spec)
    train_step = TrainStep(experiment, model, ProcessGroup(), len(arrays.train))
    train_step.step([batch(arrays, part, 3, model.latent_dim) for part in parts], StepNumber(0, 2))
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_accumulated_batches_are_one_large_batch(make_experiment: Make, make_arrays: Make) -> None:
    """Parts of 9, 9 and 5 samples give the gradient of all 23 at once."""
    experiment, arrays = make_experiment(optimizer={"clip_norm": 1e12}), make_arrays(train=23)
    whole = gradients(experiment, arrays, [slice(0, 23)])
    parts = gradients(experiment, arrays, [slice(0, 9), slice(9, 18), slice(18, 23)])
    for name, expected in whole.items():
        torch.testing.assert_close(parts[name], expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_an_epoch_of_accumulated_steps_sees_every_sample_once(make_experiment: Make, make_arrays: Make) -> None:
    experiment, arrays = make_experiment(training={"batch_size": 4, "accumulate": 3}), make_arrays(train=23)
    assert steps_per_epoch(experiment.training, 23) == 2
    steps = list(epoch_batches(experiment, arrays.train, arrays.spec, 5, 0, ProcessGroup()))
    assert [[part.total for part in step] for step in steps] == [[4, 4, 4], [4, 4, 3]]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_nearly_the_same(make_experiment: Make, make_arrays: Make, precision: str) -> None:
    plain, mixed = (
        [r.metrics for r in fit(make_experiment(training={"epochs": 3, "amp": amp}), make_arrays())]
        for amp in ("off", precision)
    )
    assert mixed[-1]["train/loss"] == pytest.approx(plain[-1]["train/loss"], rel=0.02)
    assert mixed[-1] != plain[-1]  # it was really used
    assert mixed[-1]["train/loss"] < mixed[0]["train/loss"]


def test_classes_are_drawn_equally_often_on_request(tmp_path: Path) -> None:
    one_hot = np.eye(3, dtype=np.float32)[np.repeat([0, 1, 2], [90, 9, 1])]
    samples = Samples(np.zeros((100, 1, 16, 16), np.uint8), one_hot)
    np.testing.assert_allclose((class_weights(samples).numpy()[:, None] * one_hot).sum(0), 1.0, rtol=1e-5)
    overrides = {"training.balance": True, "training.steps_per_epoch": 40, "training.batch_size": 30}
    experiment = load(tmp_path, "cilia", None, overrides).experiment
    steps = epoch_batches(experiment, samples, DataSpec((1, 16, 16), 3), 2, 0, ProcessGroup())
    drawn = torch.stack([part.condition.sum(0) for step in steps for part in step]).sum(0)
    assert drawn.sum() == 40 * 30
    np.testing.assert_allclose((drawn / drawn.sum()).numpy(), 1 / 3, atol=0.06)


def test_classes_cannot_be_balanced_where_there_are_none(make_arrays: Make) -> None:
    with pytest.raises(ConfigError, match=r"training\.balance: got true, but the data have no classes"):
        class_weights(make_arrays().train)


def test_normalised_beta_is_beta_times_values_over_latents(make_experiment: Make, make_arrays: Make) -> None:
    """beta_norm = beta L / D: 5 latent dimensions, 3 x 32 x 32 values."""
    arrays = make_arrays()
    plain = make_experiment(beta={"schedule": "constant", "value": 0.01 * 3072 / 5})
    normalised = make_experiment(beta={"schedule": "constant", "value": 0.01}, training={"normalised_beta": True})
    first, second = (next(fit(experiment, arrays)).metrics for experiment in (plain, normalised))
    assert first["beta"] == pytest.approx(second["beta"]) == pytest.approx(6.144)
    assert first["train/loss"] == pytest.approx(second["train/loss"], rel=1e-5)
    assert first["val/nelbo"] == pytest.approx(second["val/nelbo"], rel=1e-5)


def test_total_correlation_is_of_the_latents_alone(make_experiment: Make, make_arrays: Make) -> None:
    arrays, loose = make_arrays(), {"clip_norm": 1e12}
    plain, weighted = (
        gradients(make_experiment(optimizer=loose, training={"total_correlation": weight}), arrays, [slice(0, 12)])
        for weight in (1.0, 6.0)
    )
    torch.testing.assert_close(plain["decoder.1.weight"], weighted["decoder.1.weight"])
    assert not torch.allclose(plain["to_logvar.weight"], weighted["to_logvar.weight"], rtol=1e-3)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_one_kernel_for_all_weights_is_torchs_adam_and_takes_its_state_over(
    make_experiment: Make, make_arrays: Make, name: str
) -> None:
    """Five steps beside torch's own loop over the weights, the state of its first two taken over."""
    arrays = make_arrays(train=23)
    settings = {"name": name, "lr": 0.01, "weight_decay": 0.1, "schedule": "plateau"}
    experiment = make_experiment(optimizer=settings)
    model = untrained(experiment, arrays.spec)
    train_step = TrainStep(experiment, model, ProcessGroup(), len(arrays.train))
    copies = [p.detach().clone().requires_grad_() for p in model.parameters()]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    reference = kind(copies, lr=0.01, weight_decay=0.1, foreach=False)
    for number in range(5):
        train_step.step([batch(arrays, slice(0, 23), number, model.latent_dim)], StepNumber(number, 5))
        for other, own in zip(copies, model.parameters(), strict=True):
            other.grad = None if own.grad is None else own.grad.clone()
        reference.step()
        if number == 1:
            train_step.optimizer.load_state_dict(copy.deepcopy(reference.state_dict()))
        for other, own in zip(copies, model.parameters(), strict=True):
            torch.testing.assert_close(other, own, rtol=1e-5, atol=1e-6)
