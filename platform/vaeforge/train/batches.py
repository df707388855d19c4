"""Which samples, augmentation draws and noise each step trains on.

Everything is drawn for the whole batch from a generator seeded by (seed, epoch) and then cut into the ranks' shares:
how many ranks train changes nothing in what is learned from, and a resumed epoch repeats itself exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaeforge.config import Experiment, Training
from vaeforge.seeds import derive
from vaeforge.train.group import Group


@dataclass(frozen=True)
class Batch:
    """One rank's share of a step: raw [b, *event], eps [b, L], and the size of the whole batch."""

    raw: Tensor
    eps: Tensor
    total: int


def steps_per_epoch(training: Training, samples: int) -> int:
    """Optimiser steps in one epoch over `samples` samples."""
    return training.steps_per_epoch or -(-samples // training.batch_size)


def _order(training: Training, samples: int, generator: torch.Generator) -> Tensor:
    """The epoch's sample indices: one permutation, or as many as the wished number of steps takes."""
    if training.steps_per_epoch is None:
        return torch.randperm(samples, generator=generator)
    wanted = training.steps_per_epoch * training.batch_size
    rounds = [torch.randperm(samples, generator=generator) for _ in range(-(-wanted // samples))]
    return torch.cat(rounds)[:wanted]


def epoch_batches(
    experiment: Experiment,
    train: NDArray[np.uint8],
    event_shape: tuple[int, ...],
    latent_dim: int,
    epoch: int,
    group: Group,
) -> Iterator[Batch]:
    """This rank's batches of one epoch, in order; `train` is [N, C, H + margin, W + margin]."""
    training, family = experiment.training, experiment.definition
    generator = torch.Generator().manual_seed(derive(training.seed, "epoch", epoch))
    order = _order(training, len(train), generator)
    for indices in torch.split(order, training.batch_size):
        draws = torch.rand(len(indices), family.augment_draws, generator=generator)
        eps = torch.randn(len(indices), latent_dim, generator=generator)
        mine = group.share(len(indices))
        raw = torch.from_numpy(train[indices[mine].numpy()]).to(group.device)
        if training.augment:
            raw = family.augment(raw, draws[mine].to(group.device), event_shape)
        else:
            raw = centre_crop(raw, event_shape)
        yield Batch(raw, eps[mine].to(group.device), len(indices))


def centre_crop(raw: Tensor, event_shape: tuple[int, ...]) -> Tensor:
    """The middle [*event] of samples [B, *larger event]; a view."""
    for axis, size in enumerate(event_shape, start=1):
        raw = raw.narrow(axis, (raw.shape[axis] - size) // 2, size)
    return raw
