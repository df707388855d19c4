"""Draws of an epoch: the sample at each of its positions, and the keys of augmentation and noise there.

Positions are numbered from 0 over the whole epoch, whoever draws them and in whatever portions: the numbers at a
position follow from the seed, the epoch and the position alone (`vaeforge_models.counter_random`).

Shapes: M positions, N samples, L latent dimensions, A draws that an augmentation takes for a sample.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaeforge.config.experiment import Training
from vaeforge.errors import ConfigError
from vaeforge.samples import Samples
from vaeforge.seeds import key_of
from vaeforge_models.counter_random import Key, choices, normal, permutation, uniform


@dataclass(frozen=True)
class EpochDraws:
    """An epoch's samples and keys.

    Attributes:
        order: the sample at each position, int64 [M].
        augmentation: key of the uniform numbers that augmentation takes.
        noise: key of the normal numbers that latents are drawn with.
    """

    order: Tensor
    augmentation: Key
    noise: Key

    def at(self, positions: Tensor, draws: int, latent_dim: int) -> tuple[Tensor, Tensor]:
        """Uniform numbers [R, A] and normal ones [R, L] at `positions` [R]."""
        return uniform(self.augmentation, positions, draws), normal(self.noise, positions, latent_dim)


def epoch_draws(training: Training, samples: Samples, epoch: int, device: torch.device) -> EpochDraws:
    """The draws of an epoch, with the order on `device`.

    Raises:
        ConfigError: if classes are to be balanced and there are none.
    """
    keys = (key_of(training.seed, purpose, epoch) for purpose in ("augmentation", "noise"))
    return EpochDraws(_order(training, samples, epoch, device), *keys)


def steps_per_epoch(training: Training, samples: int) -> int:
    """Optimiser steps in one epoch over `samples` samples."""
    return training.steps_per_epoch or -(-samples // (training.batch_size * training.accumulate))


def positions_per_epoch(training: Training, samples: int) -> int:
    """Samples that an epoch over `samples` takes: each once, or as many as the wished number of steps does."""
    if training.steps_per_epoch is None:
        return samples
    return training.steps_per_epoch * training.batch_size * training.accumulate


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


def _order(training: Training, samples: Samples, epoch: int, device: torch.device) -> Tensor:
    """One permutation of the samples, or as many as the wished number of steps takes."""
    wanted = positions_per_epoch(training, len(samples))
    if training.balance:
        return choices(key_of(training.seed, "classes", epoch), class_weights(samples).to(device), wanted)
    rounds = [
        permutation(key_of(training.seed, "order", epoch, number), len(samples), device)
        for number in range(-(-wanted // len(samples)))
    ]
    return torch.cat(rounds)[:wanted]
