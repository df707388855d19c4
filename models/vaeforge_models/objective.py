"""The training objective: the interface of schedules, and the gradient of a loss of whole-batch means over ranks.

Shapes: B samples of one optimiser step over all ranks (and micro-batches), L latent dimensions, D values of a sample.
Units: nats. `distortion` is the mean over B of -log p(x|z), `kl` [L] the mean over B of KL(q(z_j|x) || p(z_j)), `rate`
their sum over j, t the training progress in [0, 1].

A loss f(distortion, kl) need not be linear in its means (free bits: a maximum; capacity: an absolute value; calibrated
likelihood: a logarithm), so the mean of the ranks' own losses is not the loss. With c = df/d(mean) at the all-reduced
means, which every rank knows, the chain rule gives

    df/dw = sum_ranks d/dw [ c_distortion * sum_own distortion_i + c_kl . sum_own kl_i ] / B

so each rank differentiates the bracket over its own samples, and the ranks' gradients add up to the exact one.

Several models that train as one (lanes) have these numbers with one more dimension in front, K: distortion [K],
kl [K, L], and a schedule whose settings are [K], too. What follows is written for both.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from vaeforge_models.scalars import Scalar
from vaeforge_models.settings import Settings

if TYPE_CHECKING:  # see `scalars`
    from torch import Tensor

State = dict[str, Scalar]
NO_STATE: Mapping[str, Scalar] = MappingProxyType({})


class BetaSchedule(Settings, ABC):
    """The interface of every kind of schedule; a training loop calls it and never asks for the kind.

    A planned schedule is a function of t and keeps no state. A controller answers to the terms of the training; its
    state is a flat dictionary of finite numbers, so that it survives JSON unchanged. Without a state (`NO_STATE`) a
    controller answers as at its first step. Progress and state are floats, or tensors on a device (`scalars.py`).

    Attributes:
        linear: whether the loss is linear in distortion and KL, so that the mean of the losses of parts of a batch is
            the loss of the batch.
        given_weights: the settings that weigh the rate, as opposed to nats and to weights that are found in training.
    """

    schedule: str
    linear: ClassVar[bool] = True
    given_weights: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def beta(self, t: Scalar, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        """The weight in force at t, which is also what is reported."""

    @abstractmethod
    def full_beta_at(self) -> float:
        """The progress at which beta first reaches its largest value; 0 where beta is not planned."""

    def initial(self) -> State:
        """The state before the first step."""
        return {}

    def loss(
        self,
        distortion: "Tensor",
        kl: "Tensor",
        t: Scalar,
        state: Mapping[str, Scalar] = NO_STATE,
        units: "Tensor | None" = None,
    ) -> "Tensor":
        """The scalar training loss of the whole batch from its mean distortion (scalar) and mean KL [L].

        Args:
            distortion: mean, nats per sample.
            kl: mean of each latent dimension; 0 where a lane has no such dimension.
            t: training progress.
            state: the schedule's.
            units: bool [K, L], which dimensions each lane has; none where all have all.
        """
        return distortion + self.beta(t, state) * kl.sum(-1)

    def size(self, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        """By how much the whole loss is scaled: what a family or the total correlation adds is to be scaled alike."""
        return 1.0

    def scaled(self, factor: float) -> Self:
        """This schedule with its given weights times `factor`; targets, tolerances and floors in nats stay."""
        return self.model_copy(update={name: factor * getattr(self, name) for name in self.given_weights})

    def update(self, state: Mapping[str, Scalar], distortion: Scalar, rate: Scalar, t: Scalar) -> State:
        """The state after a step; the given one is left as it was.

        Controllers keep theirs when a term is not finite: such a training has failed, and its state must stay readable.

        Args:
            state: before the step.
            distortion: the whole batch's mean, as trained on, nats per sample.
            rate: the whole batch's mean, nats per sample.
            t: training progress.
        """
        return dict(state)


@dataclass(frozen=True)
class LossSums:
    """Sums over a rank's own samples, with their graphs.

    Attributes:
        distortion: scalar; with a calibrated likelihood the summed squared error.
        kl: per latent dimension, [L].
    """

    distortion: "Tensor"
    kl: "Tensor"


class BatchLoss(NamedTuple):
    """The loss of the whole batch (detached scalar) and its derivatives with respect to the means.

    `d_distortion` (scalar) belongs to the mean that was given, so to the squared error where that was given; `d_kl` is
    [L].
    """

    value: "Tensor"
    d_distortion: "Tensor"
    d_kl: "Tensor"


def training_distortion(mean: "Tensor", log_mse_dimensions: Scalar | None) -> "Tensor":
    """The distortion that is trained on, for the whole batch's mean distortion.

    Args:
        mean: mean distortion; with `log_mse_dimensions` the mean summed squared error.
        log_mse_dimensions: D of the calibrated likelihood D/2 log(MSE), MSE = mean / D (Rybkin et al. 2021), or none
            where the mean is the distortion already. Where values are missing, D is the mean number of observed ones
            of the whole batch's samples. A perfect reconstruction gives -inf.
    """
    if log_mse_dimensions is None:
        return mean
    return 0.5 * log_mse_dimensions * (mean / log_mse_dimensions).log()


def batch_loss(
    schedule: BetaSchedule,
    distortion_mean: "Tensor",
    kl_mean: "Tensor",
    t: Scalar,
    state: Mapping[str, Scalar] = NO_STATE,
    log_mse_dimensions: Scalar | None = None,
    units: "Tensor | None" = None,
) -> BatchLoss:
    """The whole batch's loss and its derivatives with respect to its all-reduced means (see the module's docstring).

    Args:
        schedule: gives the loss.
        distortion_mean: scalar; its graph is ignored.
        kl_mean: [L]; its graph is ignored.
        t: training progress.
        state: the schedule's.
        log_mse_dimensions: see `training_distortion`.
        units: see `BetaSchedule.loss`.
    """
    import torch

    with torch.enable_grad():
        distortion, kl = (mean.detach().clone().requires_grad_() for mean in (distortion_mean, kl_mean))
        value = schedule.loss(training_distortion(distortion, log_mse_dimensions), kl, t, state, units)
        d_distortion, d_kl = torch.autograd.grad(value.sum(), (distortion, kl))
    return BatchLoss(value.detach(), d_distortion, d_kl)


def surrogate_loss(terms: LossSums, whole: BatchLoss, total: int) -> "Tensor":
    """A scalar whose gradients, added over ranks and micro-batches, are the gradient of the whole batch's loss.

    Only its gradient means anything; the loss is `whole.value`. Gradients must be *added*: where DDP averages them,
    multiply by the number of ranks.

    Args:
        terms: sums over own samples.
        whole: of the means over all `total` samples.
        total: B, the samples of the optimiser step over all ranks and micro-batches.
    """
    own = whole.d_distortion.to(terms.distortion) * terms.distortion + (whole.d_kl.to(terms.kl) * terms.kl).sum(-1)
    return own / total


def effective_beta(beta: float, dimensions: int, latent_dim: int, normalised: bool) -> float:
    """The weight of the summed rate for a given beta.

    With `normalised`, the given number is beta_norm = beta * L / D (Higgins et al. 2017, section 4.2), which makes
    weights comparable between sizes of data and latent space: beta = beta_norm * D / L. It concerns weights that are
    given (`BetaSchedule.given_weights`), not those that a controller finds, and no number of nats.

    Raises:
        ValueError: if a size is not positive.
    """
    if dimensions < 1 or latent_dim < 1:
        raise ValueError(f"effective_beta: got dimensions={dimensions}, latent_dim={latent_dim}, both must be >= 1")
    return beta * dimensions / latent_dim if normalised else beta
