"""One optimiser step: the loss of a whole batch that several ranks hold together, and its gradient.

The loss may be non-linear in means over the whole batch (free bits, capacity, log MSE, total correlation, couplings
between samples), so that adding up ranks' losses would be wrong. Instead each rank differentiates the loss by those
means at their all-reduced values, and follows its own samples' part: coefficient times own sum. After the ranks'
gradients are added that is the gradient that one process would have computed.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from vaeforge.config.experiment import Experiment
from vaeforge.training.batches import Batch
from vaeforge.training.lr_schedule import learning_rate_at
from vaeforge.training.process_group import ProcessGroup
from vaeforge_models.objective import LossSums, batch_loss, effective_beta, surrogate_loss, training_distortion
from vaeforge_models.precision import floating
from vaeforge_models.total_correlation import decompose
from vaeforge_models.vae import VAE, Posterior

TorchState = dict[str, Any]  # what an object of torch hands out as its `state_dict`
PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class TrainStepState:
    """The parts of a `TrainStep` that change.

    Attributes:
        optimizer: torch's state of the optimiser: moments, learning rate and other options.
        schedule_kind: the schedule whose state it is, by its name in the configuration.
        schedule: that state; empty for a schedule that is a function of progress.
        scaler: torch's state of the gradient scaler; empty but for fp16.
    """

    optimizer: TorchState
    schedule_kind: str
    schedule: dict[str, float]
    scaler: TorchState


class TrainStep:
    """The optimiser of one training, and the state of its schedule."""

    def __init__(self, experiment: Experiment, model: VAE, group: ProcessGroup, dataset_size: int):
        self.experiment, self.model, self.group, self.dataset_size = experiment, model, group, dataset_size
        self.ddp_model = group.ddp(model)
        optimizer, training = experiment.optimizer, experiment.training
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer.name]
        self.optimizer = kind(model.parameters(), lr=optimizer.lr, weight_decay=optimizer.weight_decay)
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=training.amp == "fp16")
        self.schedule, self.schedule_state = experiment.beta, experiment.beta.initial()
        dimensions = math.prod(model.event_shape)
        self.log_mse_dimensions = dimensions if model.calibrated else None
        self.beta_scale = effective_beta(1.0, dimensions, model.latent_dim, training.normalised_beta)

    def step(self, batches: Sequence[Batch], progress: float) -> tuple[Tensor, Tensor]:
        """Accumulate the gradients of `batches`, then one step of the optimiser.

        Returns the whole step's loss, distortion and rate in nats per sample and the gradient's norm before clipping;
        the same on every rank.
        """
        self._set_learning_rate(progress)
        self.optimizer.zero_grad(set_to_none=True)
        everything = sum(batch.total for batch in batches)
        terms = torch.zeros(3, dtype=torch.float64, device=self.group.device)
        for place, batch in enumerate(batches, start=1):
            weight = batch.total / everything
            with self._no_sync_unless_last(place == len(batches)):
                surrogate, found = self._loss(batch, progress)
                # DDP averages over ranks what has to be added
                torch.autograd.backward([self.scaler.scale(surrogate * (self.group.world_size * weight))])
            terms += found * weight
        norm = self._update()
        if self.schedule_state:
            _, distortion, rate = terms.tolist()
            self.schedule_state = self.schedule.update(self.schedule_state, distortion, rate, progress)
        return terms, norm

    def beta(self, progress: float) -> float:
        """The weight of the rate in force."""
        return self.schedule.beta(progress, self.schedule_state) * self.beta_scale

    def state(self) -> TrainStepState:
        """What has changed since the start, for a checkpoint."""
        optimizer, scaler = self.optimizer.state_dict(), self.scaler.state_dict()
        return TrainStepState(optimizer, self.schedule.schedule, dict(self.schedule_state), scaler)

    def restore(self, state: TrainStepState, inherited: bool = False) -> None:
        """Go on from `state`; an inherited one gives its moments, and its schedule's state to a schedule of its kind.

        What the experiment says of the optimiser (learning rate, weight decay, ...) stays in force then.
        """
        own = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state.optimizer)
        self.scaler.load_state_dict(state.scaler)
        if not inherited:
            self.schedule_state = dict(state.schedule)
            return
        for group, options in zip(self.optimizer.param_groups, own, strict=True):
            group.update(options)
        same = state.schedule_kind == self.schedule.schedule
        self.schedule_state = dict(state.schedule) if same else self.schedule.initial()

    def _set_learning_rate(self, progress: float) -> None:
        rate = learning_rate_at(self.experiment.optimizer, progress)
        if rate is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = rate

    def _no_sync_unless_last(self, last: bool) -> AbstractContextManager[None]:
        """Ranks exchange gradients once a step, with the last batch."""
        if last or not isinstance(self.ddp_model, DistributedDataParallel):
            return nullcontext()
        no_sync: AbstractContextManager[None] = self.ddp_model.no_sync()
        return no_sync

    def _autocast(self) -> AbstractContextManager[None]:
        precision = PRECISIONS.get(self.experiment.training.amp)
        return nullcontext() if precision is None else torch.autocast(self.group.device.type, precision)

    def _loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """What to differentiate on this rank, and the whole batch's loss, distortion and rate."""
        with self._autocast():
            x, output, mu, logvar = self.ddp_model(batch.raw, batch.condition, batch.eps)
        output, posterior = floating(output), Posterior(floating(mu), floating(logvar))
        own = LossSums(self.model.distortion(x, output).sum(), posterior.rate().sum(0) * self.beta_scale)
        penalty = self.model.penalty(output, posterior).sum()
        sums = torch.cat([torch.stack([penalty, own.distortion]), own.kl]).detach()
        means = self.group.sum(sums) / batch.total
        added, mean, kl = means[0], means[1], means[2:]
        whole = batch_loss(self.schedule, mean, kl, progress, self.schedule_state, self.log_mse_dimensions)
        surrogate, loss = surrogate_loss(own, whole, batch.total) + penalty / batch.total, whole.value + added
        for function, tensors in self._batch_terms(output, posterior, batch, progress):
            value, part = self._batch_term(function, tensors, batch.total)
            surrogate, loss = surrogate + part, loss + value
        distortion = training_distortion(mean, self.log_mse_dimensions)
        return surrogate, torch.stack([loss, distortion, kl.sum() / self.beta_scale]).double()

    def _batch_terms(
        self, output: Tensor, posterior: Posterior, batch: Batch, progress: float
    ) -> list[tuple[Callable[..., Tensor], list[Tensor]]]:
        """LossSums that need all samples of a batch at once, and this rank's share of what they take."""
        found: list[tuple[Callable[..., Tensor], list[Tensor]]] = []
        if self.model.batch_coupled:
            found.append((self.model.batch_penalty, [self.model.mean(output), batch.condition]))
        extra = self.experiment.training.total_correlation - 1.0
        if extra:
            weight = extra * self.beta(progress)

            def total_correlation(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
                return weight * decompose(z, mu, logvar, self.dataset_size)[1]

            found.append((total_correlation, [posterior.sample(batch.eps), posterior.mu, posterior.logvar]))
        return found

    def _batch_term(self, function: Callable[..., Tensor], own: Sequence[Tensor], total: int) -> tuple[Tensor, Tensor]:
        """`function` of the whole batch's tensors, and what to differentiate for this rank's part of its gradient."""
        whole = [self.group.gather(tensor.detach(), total).requires_grad_() for tensor in own]
        with torch.enable_grad():
            value = function(*whole)
        gradients = torch.autograd.grad(value, whole, allow_unused=True)
        share = self.group.shard(total)
        parts = [(g[share] * t).sum() for g, t in zip(gradients, own, strict=True) if g is not None]
        return value.detach(), torch.stack(parts).sum()

    def _update(self) -> Tensor:
        """One step with the gradient clipped; the norm before clipping, 0 for a step that fp16 overflowed."""
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.experiment.optimizer.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return torch.where(norm.isfinite(), norm, 0.0) if self.scaler.is_enabled() else norm
