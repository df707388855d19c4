"""An optimiser step of one training: its model, its optimiser, the state of its schedule (see `gradient_step.py`)."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from vaeforge.config.experiment import Experiment
from vaeforge.training.batches import Batch
from vaeforge.training.device_adam import DeviceAdam
from vaeforge.training.gradient_step import GradientStep, StepNumber, autocast
from vaeforge.training.lr_schedule import options_at
from vaeforge.training.optimizers import Adam, AdamW
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.step_loss import OwnTerms, StepLoss
from vaeforge_models import dropout
from vaeforge_models.counter_random import derived
from vaeforge_models.objective import State
from vaeforge_models.precision import floating
from vaeforge_models.scalars import Scalar
from vaeforge_models.vae import VAE, Posterior

TorchState = dict[str, Any]  # what an object of torch hands out as its `state_dict`


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


class TrainStep(GradientStep):
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
        kind: type[Adam | AdamW] = {"adam": Adam, "adamw": AdamW}[settings.name]
        return kind(parameters, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)

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

    def _begin(self, at: StepNumber) -> None:
        self._set_options(at)
        self.optimizer.zero_grad(set_to_none=True)

    def _begin_draws(self, at: StepNumber) -> None:
        dropout.begin_step(self.model, derived(at.key, at.number, self.group.device))

    def _advance_schedule(self, terms: Tensor, progress: Scalar) -> None:
        _, distortion, rate = terms.unbind() if self.on_device else terms.tolist()
        self._set_schedule_state(self.schedule.update(self.schedule_state, distortion, rate, progress))

    def _buffers(self) -> Iterable[Tensor]:
        return self.model.buffers()

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
        settings = self.experiment.optimizer
        options = options_at(settings.schedule, settings.lr, at.done, at.total)
        if options is None:
            return
        for group in self.optimizer.param_groups:
            beta1 = group["betas"][0] if options.beta1 is None else options.beta1
            if self.on_device:
                group["lr"].copy_(self._number(options.lr))
                group["betas"][0].copy_(self._number(beta1))
            else:
                group["lr"], group["betas"] = options.lr, (beta1, group["betas"][1])

    def _exchanged_once(self, last: bool) -> AbstractContextManager[None]:
        if last or not isinstance(self.ddp_model, DistributedDataParallel):
            return nullcontext()
        no_sync: AbstractContextManager[None] = self.ddp_model.no_sync()
        return no_sync

    def _forward(self, batch: Batch) -> OwnTerms:
        dropout.begin_micro_batch(self.model, batch.total, self.group.shard(batch.total))
        model = self.ddp_model if torch.is_grad_enabled() else self.model
        with autocast(self.group.device, self.experiment.training.amp):
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
