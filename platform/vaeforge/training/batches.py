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
from vaeforge.training.loading import read, read_in_order
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


@dataclass(frozen=True)
class _Plan:
    """What a rank does for one batch: indices [b], uniform draws [b, A], eps [b, L]; the size of the whole batch."""

    indices: Tensor
    draws: Tensor
    eps: Tensor
    total: int
    ends_step: bool


def epoch_batches(
    experiment: Experiment, train: Samples, spec: DataSpec, latent_dim: int, epoch: int, group: ProcessGroup
) -> Iterator[list[Batch]]:
    """This rank's batches of one epoch in order, as many at a time as one optimiser step accumulates.

    Args:
        experiment: gives batch size, seed, augmentation, and how many threads read ahead.
        train: the training samples, the same on every rank.
        spec: the shape of a sample as the model takes it.
        latent_dim: L of the noise.
        epoch: epochs trained so far; with the seed it decides every draw.
        group: this rank's view of its group.
    """
    training, augmentation, device = experiment.training, experiment.definition.augmentation, group.device
    page_locked = training.loader_workers > 0 and device.type == "cuda"
    plans = _plans(experiment, train, spec, latent_dim, epoch, group)
    found: list[Batch] = []
    for plan, parts in read_in_order(
        lambda plan: read(train, plan.indices.numpy(), page_locked), plans, training.loader_workers, device
    ):
        raw, condition = (part.to(device, non_blocking=True) for part in parts)
        if training.augment and augmentation is not None:
            raw = augmentation.apply(raw, plan.draws.to(device), spec)
        else:
            raw = centre_crop(raw, spec.event_shape)
        found.append(Batch(raw, condition, plan.eps.to(device), plan.total))
        if plan.ends_step:
            yield found
            found = []


def _plans(
    experiment: Experiment, train: Samples, spec: DataSpec, latent_dim: int, epoch: int, group: ProcessGroup
) -> Iterator[_Plan]:
    """All that is drawn, in the order of the batches."""
    training, augmentation = experiment.training, experiment.definition.augmentation
    generator = torch.Generator().manual_seed(derive(training.seed, "epoch", epoch))
    order = _order(training, train, generator)
    for step in torch.split(order, training.batch_size * training.accumulate):
        parts = torch.split(step, training.batch_size)
        for place, indices in enumerate(parts, start=1):
            draws = torch.rand(len(indices), augmentation.draws(spec) if augmentation else 0, generator=generator)
            eps = torch.randn(len(indices), latent_dim, generator=generator)
            mine = group.shard(len(indices))
            yield _Plan(indices[mine], draws[mine], eps[mine], len(indices), place == len(parts))


def centre_crop(raw: Tensor, event_shape: tuple[int, ...]) -> Tensor:
    """The middle [*event] of samples [B, *larger event]; a view."""
    for axis, size in enumerate(event_shape, start=1):
        raw = raw.narrow(axis, (raw.shape[axis] - size) // 2, size)
    return raw
