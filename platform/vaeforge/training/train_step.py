"""One optimiser step: the gradient of the loss of all its samples, clipped, and the optimiser's move.

A step has one micro-batch or several (`training.accumulate`), and every rank holds a share of each. A loss that is
linear in the samples is followed micro-batch by micro-batch. Any other one takes two passes: the first measures all
micro-batches without gradients, the second follows the derivative of the whole loss, under the same noise and the same
dropout (`step_loss.py`). Only batch normalisation, which normalises each micro-batch by itself, tells several
micro-batches from one large batch.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from vaeforge.config.experiment import Experiment
from vaeforge.training.batches import Batch
from vaeforge.training.device_adam import DeviceAdam
from vaeforge.training.lr_schedule import options_at
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.step_loss import OwnTerms, StepLoss, WholeLoss
from vaeforge_models import dropout
from vaeforge_models.counter_random import Key, derived
from vaeforge_models.objective import State
from vaeforge_models.precision import floating
from vaeforge_models.scalars import Scalar
from vaeforge_models.vae import VAE, Posterior

TorchState = dict[str, Any]  # what an object of torch hands out as its `state_dict`
PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class StepNumber:
    """Which optimiser step of a training it is.

    Attributes:
        number: 0..total-1; a tensor where the device counts.
        total: steps of the planned training.
        key: of what is drawn within the model (dropout) in the training.
    """

    number: int | Tensor
    total: int
    key: Key = 0

    @property
    def done(self) -> Scalar:
        """Steps before this one."""
        return self.number.double() if isinstance(self.number, Tensor) else self.number

    @property
    def progress(self) -> Scalar:
        """t at the end of the step, in (0, 1]."""
        return (self.done + 1) / self.total


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
    """The optimiser of one training, and the state of its schedule.

    Args:
        experiment: what is trained.
        model: on the group's device.
        group: this rank's view of its group.
        dataset_size: N, training samples.
        on_device: whether all numbers of a step are tensors on the device (learning rate, schedule), so that the host
            waits for none of them and the step can be captured; else floats.
    """

    def __init__(
        self, experiment: Experiment, model: VAE, group: ProcessGroup, dataset_size: int, on_device: bool = False
    ):
        self.experiment, self.model, self.group, self.on_device = experiment, model, group, on_device
        self.ddp_model = group.ddp(model)
        self.optimizer = self._optimizer()
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=experiment.training.amp == "fp16")
        self.loss = StepLoss(experiment, model, group, dataset_size)
        self.schedule, self.schedule_state = self.loss.schedule, State()
        self._set_schedule_state(self.loss.schedule.initial())
        self._place_options()

    def _optimizer(self) -> torch.optim.Optimizer:
        settings, parameters = self.experiment.optimizer, self.model.parameters()
        if self.on_device:
            return DeviceAdam(parameters, settings.lr, settings.weight_decay, settings.name == "adamw")
        kind: type[torch.optim.Adam] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
        return kind(parameters, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)

    def step(self, batches: Sequence[Batch], at: StepNumber) -> tuple[Tensor, Tensor]:
        """Follow the loss of the micro-batches `batches`, then one step of the optimiser.

        Returns the whole step's loss, distortion and rate in nats per sample and the gradient's norm before clipping;
        the same on every rank.
        """
        self._set_options(at)
        self.optimizer.zero_grad(set_to_none=True)
        dropout.begin_step(self.model, self._dropout_key(at))
        if self.loss.linear or len(batches) == 1:
            terms = self._one_by_one(batches, at.progress)
        else:
            terms = self._together(batches, at)
        norm = self._update()
        if self.schedule_state:
            _, distortion, rate = terms.unbind() if self.on_device else terms.tolist()
            self._set_schedule_state(self.schedule.update(self.schedule_state, distortion, rate, at.progress))
        return terms, norm

    def _set_schedule_state(self, state: State) -> None:
        """Take over `state`; tensors stay where they are, as a captured step reads and writes them there."""
        if not self.on_device:
            self.schedule_state = dict(state)
            return
        for name, value in state.items():
            kept = self.schedule_state.setdefault(name, self._number(0.0))
            assert isinstance(kept, Tensor)
            kept.copy_(self._number(value))

    def _number(self, value: Scalar) -> Tensor:
        """A number on the device, written there where the host has it."""
        if isinstance(value, Tensor):
            return value
        return torch.full((), value, dtype=torch.float64, device=self.group.device)

    def _dropout_key(self, at: StepNumber) -> Tensor:
        return derived(at.key, at.number, self.group.device)

    def _one_by_one(self, batches: Sequence[Batch], progress: Scalar) -> Tensor:
        """The gradient of the mean of the micro-batches' own losses; the mean of their terms."""
        everything = sum(batch.total for batch in batches)
        terms = torch.zeros(3, dtype=torch.float64, device=self.group.device)
        for place, batch in enumerate(batches, start=1):
            weight = batch.total / everything
            with self._no_sync_unless_last(place == len(batches)):
                own = self._forward(batch)
                whole = self.loss.whole([own], progress, self.schedule_state)
                self._backward(weight * self.loss.followed(own, whole, 0))
            terms += whole.terms * weight
        return terms

    def _together(self, batches: Sequence[Batch], at: StepNumber) -> Tensor:
        """The gradient of the loss of all micro-batches together, in two passes; its terms."""
        whole = self._measured(batches, at.progress)
        dropout.begin_step(self.model, self._dropout_key(at))
        start = 0
        for place, batch in enumerate(batches, start=1):
            with self._no_sync_unless_last(place == len(batches)):
                self._backward(self.loss.followed(self._forward(batch), whole, start))
            start += batch.total
        return whole.terms

    @torch.no_grad()
    def _measured(self, batches: Sequence[Batch], progress: Scalar) -> WholeLoss:
        """The loss of all micro-batches, from a first pass that leaves no trace."""
        with self._traceless():
            parts = [self._forward(batch) for batch in batches]
        return self.loss.whole(parts, progress, self.schedule_state)

    @contextmanager
    def _traceless(self) -> Iterator[None]:
        """Put back running statistics and torch's own random numbers afterwards: a second pass has the same ones."""
        device = self.group.device
        kept = [buffer.clone() for buffer in self.model.buffers()]
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
        for buffer, before in zip(self.model.buffers(), kept, strict=True):
            buffer.copy_(before)

    def beta(self, progress: float) -> float:
        """The weight of the rate in force."""
        return float(self.schedule.beta(progress, self.schedule_state))

    @property
    def lr(self) -> float:
        """The learning rate in force."""
        return float(self.optimizer.param_groups[0]["lr"])

    def state(self) -> TrainStepState:
        """What has changed since the start, for a checkpoint."""
        optimizer = self.optimizer.state_dict()
        for group in optimizer["param_groups"]:
            group.update(lr=float(group["lr"]), betas=tuple(float(one) for one in group["betas"]))
        schedule = {name: float(value) for name, value in self.schedule_state.items()}
        return TrainStepState(optimizer, self.schedule.schedule, schedule, self.scaler.state_dict())

    def restore(self, state: TrainStepState, inherited: bool = False) -> None:
        """Go on from `state`; an inherited one gives its moments, and its schedule's state to a schedule of its kind.

        What the experiment says of the optimiser (learning rate, weight decay, ...) stays in force then.
        """
        own = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state.optimizer)
        self.scaler.load_state_dict(state.scaler)
        same = state.schedule_kind == self.schedule.schedule
        self._set_schedule_state(dict(state.schedule) if same or not inherited else self.schedule.initial())
        for group, options in zip(self.optimizer.param_groups, own, strict=True):
            moved = {} if inherited else {name: group[name] for name in ("lr", "betas")}
            group.update(options | moved)
        self._place_options()

    def _place_options(self) -> None:
        """Where the device counts, options are tensors that stay where they are: a captured step reads them there."""
        for group in self.optimizer.param_groups if self.on_device else ():
            lr, *betas = (self._number(float(one)) for one in (group["lr"], *group["betas"]))
            group.update(lr=lr, betas=tuple(betas))

    def _set_options(self, at: StepNumber) -> None:
        options = options_at(self.experiment.optimizer, at.done, at.total)
        if options is None:
            return
        for group in self.optimizer.param_groups:
            beta1 = group["betas"][0] if options.beta1 is None else options.beta1
            if self.on_device:
                group["lr"].copy_(self._number(options.lr))
                group["betas"][0].copy_(self._number(beta1))
            else:
                group["lr"], group["betas"] = options.lr, (beta1, group["betas"][1])

    def _no_sync_unless_last(self, last: bool) -> AbstractContextManager[None]:
        """Ranks exchange gradients once a step, with the last batch."""
        if last or not isinstance(self.ddp_model, DistributedDataParallel):
            return nullcontext()
        no_sync: AbstractContextManager[None] = self.ddp_model.no_sync()
        return no_sync

    def _autocast(self) -> AbstractContextManager[None]:
        precision = PRECISIONS.get(self.experiment.training.amp)
        return nullcontext() if precision is None else torch.autocast(self.group.device.type, precision)

    def _forward(self, batch: Batch) -> OwnTerms:
        """This rank's share of a micro-batch through the model, with gradients where they are on."""
        dropout.begin_micro_batch(self.model, batch.total, self.group.shard(batch.total))
        model = self.ddp_model if torch.is_grad_enabled() else self.model
        with self._autocast():
            x, output, mu, logvar = model(batch.raw, batch.condition, batch.eps)
        posterior = Posterior(floating(mu), floating(logvar))
        return self.loss.own(x, floating(output), posterior, batch.eps, batch.condition, batch.total)

    def _backward(self, surrogate: Tensor) -> None:
        """Add to the gradients; DDP averages over ranks what has to be added."""
        torch.autograd.backward([self.scaler.scale(surrogate * self.group.world_size)])

    def _update(self) -> Tensor:
        """One step with the gradient clipped; the norm before clipping, 0 for a step that fp16 overflowed."""
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.experiment.optimizer.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return torch.where(norm.isfinite(), norm, 0.0) if self.scaler.is_enabled() else norm
