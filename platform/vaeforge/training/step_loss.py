"""The loss of one optimiser step, whose samples several ranks and micro-batches hold, and each one's part of it.

The loss may be non-linear in means over all B samples of the step (free bits, capacity, log MSE) or couple them (total
correlation, penalties of a family). So the parts are measured first (`whole`); then each follows the derivative of the
loss by those means, and by the coupled values of all samples, times its own (`followed`). The gradients of the parts
add up to the one that a single batch of B samples on one process would have.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaeforge.config.experiment import Experiment
from vaeforge.training.process_group import ProcessGroup
from vaeforge_models.objective import (
    BatchLoss,
    LossSums,
    batch_loss,
    effective_beta,
    surrogate_loss,
    training_distortion,
)
from vaeforge_models.scalars import Scalar
from vaeforge_models.total_correlation import decompose
from vaeforge_models.vae import VAE, Posterior

Coupling = Callable[..., Tensor]


@dataclass(frozen=True)
class OwnTerms:
    """What a rank's share of a micro-batch adds to the loss, with its graph.

    Attributes:
        sums: distortion and KL.
        observed: how many values of its samples are not missing.
        penalty: the sum of the family's penalty, scalar.
        coupled: the rows [b, ...] of what each coupling takes.
        total: samples of the micro-batch over all ranks.
    """

    sums: LossSums
    observed: Tensor
    penalty: Tensor
    coupled: tuple[tuple[Tensor, ...], ...]
    total: int

    def measured(self) -> Tensor:
        """The sums without their graph: [3 + L]."""
        scalars = torch.stack([self.penalty, self.sums.distortion, self.observed.to(self.penalty)], -1)
        return torch.cat([scalars, self.sums.kl], -1).detach()


@dataclass(frozen=True)
class WholeLoss:
    """The loss of all samples of some micro-batches, and its derivatives.

    Attributes:
        terms: loss, distortion and rate in nats per sample, float64 [3].
        by_means: derivative by the means of distortion and KL.
        penalty_weight: of the mean penalty.
        by_coupled: for each coupling, derivative by what it takes of all samples [B, ...]; none where there is none.
        total: B.
    """

    terms: Tensor
    by_means: BatchLoss
    penalty_weight: Scalar
    by_coupled: tuple[tuple[Tensor | None, ...], ...]
    total: int


class SharedLoss(ABC):
    """The loss of samples that ranks and micro-batches share, of one training or of several at once.

    Attributes:
        dimensions: D, all values of a sample.
        axis: of the samples; before it stand those of the trainings, where there are several.
    """

    axis = 0

    def __init__(self, experiment: Experiment, model: VAE, group: ProcessGroup, dataset_size: int):
        self.model, self.group, self.dataset_size = model, group, dataset_size
        self.dimensions = math.prod(model.event_shape)
        self.correlated = experiment.training.total_correlation != 1.0

    @property
    def linear(self) -> bool:
        """Whether the loss of a batch is the mean of the losses of its parts, so that each can be followed alone."""
        return self._linear_in_means() and not (self.model.calibrated or self.model.batch_coupled or self.correlated)

    @abstractmethod
    def _linear_in_means(self) -> bool:
        """Whether the schedule's loss is linear in distortion and KL."""

    @abstractmethod
    def _size(self, state: Mapping[str, Scalar]) -> Scalar:
        """By how much the whole loss is scaled."""

    @abstractmethod
    def _by_means(
        self, mean: Tensor, kl: Tensor, progress: Scalar, state: Mapping[str, Scalar], log_mse_dimensions: Scalar | None
    ) -> BatchLoss:
        """The loss by the means, without what couples samples."""

    @abstractmethod
    def _couplings(self, progress: Scalar, state: Mapping[str, Scalar]) -> list[Coupling]:
        """What couples all samples, as functions of what `OwnTerms.coupled` holds of them: nats per sample."""

    def own(
        self, x: Tensor, output: Tensor, posterior: Posterior, eps: Tensor, condition: Tensor, total: int
    ) -> OwnTerms:
        """This rank's share of a micro-batch.

        Args:
            x: normalised values [b, *event].
            output: of the decoder.
            posterior: of the encoder.
            eps: the noise [b, L] that the latents were drawn with.
            condition: [b, C].
            total: samples of the micro-batch over all ranks.
        """
        sums = LossSums(self.model.distortion(x, output).sum(), posterior.rate().sum(0))
        coupled: list[tuple[Tensor, ...]] = []
        if self.model.batch_coupled:
            coupled.append((self.model.mean(output), condition))
        if self.correlated:
            coupled.append((posterior.sample(eps), posterior.mu, posterior.logvar))
        penalty = self.model.penalty(output, posterior).sum()
        return OwnTerms(sums, self.model.dimensions(x).sum(), penalty, tuple(coupled), total)

    def whole(self, parts: Sequence[OwnTerms], progress: Scalar, state: Mapping[str, Scalar]) -> WholeLoss:
        """The loss of all samples of the micro-batches `parts`, over all ranks; a collective.

        Args:
            parts: this rank's share of each; their graphs are left alone.
            progress: t of the training.
            state: the schedule's.
        """
        total, size = sum(part.total for part in parts), self._size(state)
        means = self.group.sum(torch.stack([part.measured() for part in parts]).sum(0)) / total
        penalty, mean, observed, kl = *means[..., :3].unbind(-1), means[..., 3:]
        log_mse_dimensions = self._log_mse_dimensions(observed)
        by_means = self._by_means(mean, kl, progress, state, log_mse_dimensions)
        loss, by_coupled = by_means.value + size * penalty, []
        for place, coupling in enumerate(self._couplings(progress, state)):
            tensors = self._gathered([part.coupled[place] for part in parts], [part.total for part in parts])
            value, gradients = _differentiated(coupling, tensors)
            loss = loss + value
            by_coupled.append(gradients)
        distortion = training_distortion(mean, log_mse_dimensions)
        terms = torch.stack([loss, distortion, kl.sum(-1)], -1).double()
        return WholeLoss(terms, by_means, size, tuple(by_coupled), total)

    def followed(self, own: OwnTerms, whole: WholeLoss, start: int) -> Tensor:
        """A scalar whose gradients, added over ranks and micro-batches, are that of the whole loss.

        Args:
            own: this rank's share of a micro-batch.
            whole: see `whole`.
            start: samples of the micro-batches before this one.
        """
        surrogate = surrogate_loss(own.sums, whole.by_means, whole.total)
        surrogate = surrogate + own.penalty * (whole.penalty_weight / whole.total)
        mine = self.group.shard(own.total)
        rows = slice(start + mine.start, start + mine.stop)
        for tensors, gradients in zip(own.coupled, whole.by_coupled, strict=True):
            for gradient, tensor in zip(gradients, tensors, strict=True):
                if gradient is not None:
                    followed = gradient.narrow(self.axis, rows.start, rows.stop - rows.start) * tensor
                    surrogate = surrogate + followed.flatten(self.axis).sum(-1)
        return surrogate

    def _log_mse_dimensions(self, observed: Tensor) -> Scalar | None:
        """D of a calibrated likelihood: the mean number of observed values of the step's samples; else none."""
        if not self.model.calibrated:
            return None
        return observed if self.model.masked else self.dimensions

    def _gathered(self, own: Sequence[tuple[Tensor, ...]], totals: Sequence[int]) -> list[Tensor]:
        """The rows of all ranks and micro-batches, in order, without their graphs."""
        columns = zip(*own, strict=True)
        return [
            torch.cat([self.group.gather(part.detach(), n) for part, n in zip(column, totals, strict=True)], self.axis)
            for column in columns
        ]


class StepLoss(SharedLoss):
    """The training loss of an experiment.

    Attributes:
        schedule: the experiment's, its given weights those of the summed rate.
    """

    def __init__(self, experiment: Experiment, model: VAE, group: ProcessGroup, dataset_size: int):
        super().__init__(experiment, model, group, dataset_size)
        training = experiment.training
        scale = effective_beta(1.0, self.dimensions, model.latent_dim, training.normalised_beta)
        self.schedule = experiment.beta.scaled(scale) if training.normalised_beta else experiment.beta
        self.extra_correlation = training.total_correlation - 1.0

    def _linear_in_means(self) -> bool:
        return self.schedule.linear

    def _size(self, state: Mapping[str, Scalar]) -> Scalar:
        return self.schedule.size(state)

    def _by_means(
        self, mean: Tensor, kl: Tensor, progress: Scalar, state: Mapping[str, Scalar], log_mse_dimensions: Scalar | None
    ) -> BatchLoss:
        return batch_loss(self.schedule, mean, kl, progress, state, log_mse_dimensions)

    def _couplings(self, progress: Scalar, state: Mapping[str, Scalar]) -> list[Coupling]:
        size = self._size(state)
        found: list[Coupling] = []
        if self.model.batch_coupled:
            found.append(lambda output, condition: size * self.model.batch_penalty(output, condition))
        weight = size * self.extra_correlation * self.schedule.beta(progress, state)
        if self.correlated:
            found.append(lambda z, mu, logvar: weight * decompose(z, mu, logvar, self.dataset_size).total_correlation)
        return found


def _differentiated(coupling: Coupling, tensors: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """The value of a coupling and its derivative by each of `tensors`."""
    with torch.enable_grad():
        inputs = [tensor.clone().requires_grad_() for tensor in tensors]
        value = coupling(*inputs)
    return value.detach(), torch.autograd.grad(value.sum(), inputs, allow_unused=True)
