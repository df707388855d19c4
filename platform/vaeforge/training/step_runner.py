"""The steps of an epoch: from samples that are read batch by batch, or that lie on the device.

Both learn the same. Where samples lie on the device, everything that differs from step to step does so too, among it
the number of the step, so that a step is the same sequence of operations as the one before it and can be captured as a
graph (`step_graph.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaeforge.config.experiment import Experiment, Training
from vaeforge.samples import Samples
from vaeforge.seeds import key_of
from vaeforge.training.batches import Batch, BatchForm, MicroBatch, epoch_batches, micro_batches
from vaeforge.training.epoch_draws import EpochDraws, epoch_draws, steps_per_epoch
from vaeforge.training.epoch_sums import EpochSums
from vaeforge.training.gradient_step import StepNumber
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.resident import ResidentSamples
from vaeforge.training.train_step import TrainStep
from vaeforge_models.vae import DataSpec


class StepRunner(ABC):
    """Runs the optimiser steps of one epoch after the other.

    Attributes:
        sums: what the running epoch has added up.
        steps: optimiser steps of an epoch.
        total: of the planned training.
        notes: what a person should know of how steps ran.
    """

    def __init__(
        self, experiment: Experiment, train: Samples, spec: DataSpec, train_step: TrainStep, group: ProcessGroup
    ):
        self.experiment, self.train, self.spec, self.train_step, self.group = experiment, train, spec, train_step, group
        self.sums = EpochSums(group.device)
        self.steps = steps_per_epoch(experiment.training, len(train))
        self.total = self.steps * experiment.training.epochs
        self.notes: list[str] = []
        self._key = key_of(experiment.training.seed, "dropout")

    @abstractmethod
    def run(self, epoch: int, on_step: Callable[[], None]) -> None:
        """Train the epoch that follows `epoch` finished ones; `on_step` is called as steps get done."""


class StreamedSteps(StepRunner):
    """Steps whose samples are read batch by batch: those of a processor, of several ranks, of large data."""

    def run(self, epoch: int, on_step: Callable[[], None]) -> None:
        self.sums.clear()
        latent_dim = self.train_step.model.latent_dim
        batches = epoch_batches(self.experiment, self.train, self.spec, latent_dim, epoch, self.group)
        for number, parts in enumerate(batches, start=epoch * self.steps):
            terms, norm = self.train_step.step(parts, StepNumber(number, self.total, self._key))
            self.sums.add(terms, norm, sum(part.total for part in parts))
            on_step()


@dataclass(frozen=True)
class StepLayout:
    """The batches of a step, with positions from the step's first one: all that differs in form between two steps."""

    batches: tuple[MicroBatch, ...]

    @property
    def samples(self) -> int:
        """Of the whole step."""
        return sum(batch.total for batch in self.batches)


class ResidentSteps(StepRunner):
    """Steps whose samples, draws and numbers all lie on the device.

    Args:
        experiment: what is trained.
        train: its training samples.
        spec: the shape of a sample as the model takes it.
        train_step: with its numbers on the device.
        group: this rank's view of its group.
        resident: `train` on the device.
    """

    def __init__(
        self,
        experiment: Experiment,
        train: Samples,
        spec: DataSpec,
        train_step: TrainStep,
        group: ProcessGroup,
        resident: ResidentSamples,
    ):
        super().__init__(experiment, train, spec, train_step, group)
        self._resident, device = resident, group.device
        constants = {name: value.to(device) for name, value in spec.constants.items()}
        self._form = BatchForm(experiment, replace(spec, constants=constants), train_step.model.latent_dim)
        self._number, self._first = (torch.zeros((), dtype=torch.int64, device=device) for _ in range(2))
        self._drawn = self._buffers(epoch_draws(experiment.training, train, 0, device))
        self._layouts = step_layouts(experiment.training, len(self._drawn.order))

    def run(self, epoch: int, on_step: Callable[[], None]) -> None:
        self.sums.clear()
        self._begin(epoch)
        for layout in self._layouts:
            self._run_step(layout)
            on_step()

    def _run_step(self, layout: StepLayout) -> None:
        self.step(layout)

    def step(self, layout: StepLayout) -> None:
        """The step that the device's counter names, and move the counter on; the host takes no part in it."""
        parts = [self._batch(batch) for batch in layout.batches]
        terms, norm = self.train_step.step(parts, StepNumber(self._number, self.total, self._key))
        self.sums.add(terms, norm, layout.samples)
        self._number.add_(1)

    def _batch(self, batch: MicroBatch) -> Batch:
        share = batch.share(self.group)
        effective = self.experiment.training.batch_size * self.experiment.training.accumulate
        offsets = torch.arange(share.start, share.stop, device=self.group.device)
        positions = (self._number - self._first) * effective + offsets
        draws, eps = self._drawn.at(positions, self._form.draws, self._form.latent_dim)
        raw, condition = self._resident.tensors(self._drawn.order[positions])
        return self._form.batch(raw, condition, draws, eps, batch.total)

    def _begin(self, epoch: int) -> None:
        """Put the draws of an epoch where steps look for them."""
        drawn = self._buffers(epoch_draws(self.experiment.training, self.train, epoch, self.group.device))
        for name in ("order", "augmentation", "noise"):
            getattr(self._drawn, name).copy_(getattr(drawn, name))
        self._number.fill_(epoch * self.steps)
        self._first.fill_(epoch * self.steps)

    def _buffers(self, drawn: EpochDraws) -> EpochDraws:
        return EpochDraws(drawn.order, *(self._placed(key) for key in (drawn.augmentation, drawn.noise)))

    def _placed(self, key: int | Tensor) -> Tensor:
        return torch.as_tensor(key, dtype=torch.int64, device=self.group.device)


def step_layouts(training: Training, positions: int) -> list[StepLayout]:
    """The layout of each step of an epoch of so many positions."""
    found, parts = [], list[MicroBatch]()
    for batch in micro_batches(training.batch_size, training.accumulate, positions):
        first = parts[0].start if parts else batch.start
        parts.append(batch)
        if batch.ends_step:
            found.append(StepLayout(tuple(MicroBatch(b.start - first, b.total, b.ends_step) for b in parts)))
            parts = []
    return found
