"""Batches of an epoch: which samples, augmentation draws and noise each optimiser step sees.

Everything is drawn for the whole batch from a generator seeded by (seed, epoch) and then cut into the ranks' shares:
how many ranks train changes nothing in what is learned from, and a resumed epoch repeats itself exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaeforge.config.experiment import Experiment, Training
from vaeforge.errors import ConfigError
from vaeforge.samples import Samples
from vaeforge.seeds import derive
from vaeforge.training.process_group import ProcessGroup
from vaeforge_models.vae import DataSpec


@dataclass(frozen=True)
class Batch:
    """One rank's share of a batch: raw [b, *event], condition [b, C], eps [b, L], and the size of the whole batch."""

    raw: Tensor
    condition: Tensor
    eps: Tensor
    total: int


def steps_per_epoch(training: Training, samples: int) -> int:
    """Optimiser steps in one epoch over `samples` samples."""
    return training.steps_per_epoch or -(-samples // (training.batch_size * training.accumulate))


def class_weights(samples: Samples) -> Tensor:
    """What makes every class equally likely to be drawn, from one-hot conditions: [N].

    Raises:
        ConfigError: if the conditions are no classes.
    """
    condition = torch.tensor(samples.condition[:])
    if not condition.shape[1] or not bool(((condition == 0) | (condition == 1)).all()):
        raise ConfigError("training.balance: got true, but the data have no classes; leave it false for this family")
    frequency = condition.sum(0)
    return 1.0 / (condition @ frequency)


def _order(training: Training, samples: Samples, generator: torch.Generator) -> Tensor:
    """The epoch's sample indices: one permutation, or as many as the wished number of steps takes."""
    effective = training.batch_size * training.accumulate
    wanted = len(samples) if training.steps_per_epoch is None else training.steps_per_epoch * effective
    if training.balance:
        return torch.multinomial(class_weights(samples), wanted, replacement=True, generator=generator)
    rounds = [torch.randperm(len(samples), generator=generator) for _ in range(-(-wanted // len(samples)))]
    return torch.cat(rounds)[:wanted]


def epoch_batches(
    experiment: Experiment, train: Samples, spec: DataSpec, latent_dim: int, epoch: int, group: ProcessGroup
) -> Iterator[list[Batch]]:
    """This rank's batches of one epoch in order, as many at a time as one optimiser step accumulates.

    Args:
        experiment: gives batch size, seed and augmentation.
        train: the training samples, the same on every rank.
        spec: the shape of a sample as the model takes it.
        latent_dim: L of the noise.
        epoch: epochs trained so far; with the seed it decides every draw.
        group: this rank's view of its group.
    """
    training, augmentation = experiment.training, experiment.definition.augmentation
    generator = torch.Generator().manual_seed(derive(training.seed, "epoch", epoch))
    order = _order(training, train, generator)
    for step in torch.split(order, training.batch_size * training.accumulate):
        batches = []
        for indices in torch.split(step, training.batch_size):
            draws = torch.rand(len(indices), augmentation.draws(spec) if augmentation else 0, generator=generator)
            eps = torch.randn(len(indices), latent_dim, generator=generator)
            mine = group.shard(len(indices))
            raw, condition = train.tensors(indices[mine].numpy(), group.device)
            if training.augment and augmentation is not None:
                raw = augmentation.apply(raw, draws[mine].to(group.device), spec)
            else:
                raw = centre_crop(raw, spec.event_shape)
            batches.append(Batch(raw, condition, eps[mine].to(group.device), len(indices)))
        yield batches


def centre_crop(raw: Tensor, event_shape: tuple[int, ...]) -> Tensor:
    """The middle [*event] of samples [B, *larger event]; a view."""
    for axis, size in enumerate(event_shape, start=1):
        raw = raw.narrow(axis, (raw.shape[axis] - size) // 2, size)
    return raw
