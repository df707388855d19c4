"""The steps of an epoch of several lanes: each lane's samples, draws and numbers, for all lanes at once.

Lanes begin an epoch together, whichever epoch of their own trainings it is, and have as many steps in it as the others.

Shapes: K lanes, M positions of an epoch, b samples of a batch, L latent dimensions of the stack.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaeforge.config.experiment import Experiment
from vaeforge.samples import Samples
from vaeforge.seeds import key_of
from vaeforge.training.batches import Batch, BatchForm, MicroBatch
from vaeforge.training.epoch_draws import epoch_draws, positions_per_epoch, steps_per_epoch
from vaeforge.training.epoch_sums import EpochSums
from vaeforge.training.gradient_step import StepNumber
from vaeforge.training.lanes.lane_step import LaneStep
from vaeforge.training.resident import ResidentSamples
from vaeforge.training.step_graph import StepCapture
from vaeforge.training.step_runner import StepLayout, step_layouts
from vaeforge_models.counter_random import normal, uniform
from vaeforge_models.vae import DataSpec


@dataclass(frozen=True)
class LaneEpoch:
    """What a lane trains next: its experiment, its true latent size, the epochs that it has behind it."""

    experiment: Experiment
    latent_dim: int
    epoch: int


class LaneRunner:
    """Runs epochs of all lanes.

    Attributes:
        sums: what the running epoch has added up, of each lane.
        notes: what a person should know of how steps ran.
    """

    def __init__(
        self,
        experiment: Experiment,
        train: Samples,
        source: Samples | ResidentSamples,
        spec: DataSpec,
        step: LaneStep,
        lanes: int,
    ):
        """
        Args:
            experiment: of any lane; what lanes share is taken from it.
            train: the training samples.
            source: the same, on the device where that is a GPU.
            spec: the shape of a sample as the models take it.
            step: of the lanes.
            lanes: K.
        """
        self._train, self._source, self._step, device = train, source, step, step.group.device
        self._device = device
        constants = {name: value.to(device) for name, value in spec.constants.items()}
        self._form = BatchForm(experiment, replace(spec, constants=constants), step.model.latent_dim)
        self.sums, self.notes = EpochSums(device, lanes), list[str]()
        training = experiment.training
        positions = positions_per_epoch(training, len(train))
        self._steps, self._effective = steps_per_epoch(training, len(train)), training.batch_size * training.accumulate
        self._layouts = step_layouts(training, positions)
        self._done = torch.zeros((), dtype=torch.int64, device=device)  # steps of the epoch
        self._order = torch.zeros(lanes, positions, dtype=torch.int64, device=device)
        whole = torch.zeros(6, lanes, dtype=torch.int64, device=device)
        self._augmentation, self._noise, self._dropout, self._first, self._total, self._latents = whole.unbind()
        self._capture = None
        if device.type == "cuda":
            self._capture = StepCapture(self.step, self._layouts[0], training.compile, self.notes)

    def run(self, lanes: Sequence[LaneEpoch], on_step: Callable[[], None]) -> None:
        """Train the next epoch of every lane; `on_step` is called as steps get done."""
        self.sums.clear()
        self._begin(lanes)
        for layout in self._layouts:
            if self._capture is None:
                self.step(layout)
                on_step()
            else:
                self._capture.run(layout)
                self._capture.keep_pace(on_step)
        if self._capture is not None:
            self._capture.drain(on_step)

    def seconds_a_step(self, lanes: Sequence[LaneEpoch], warm_up: int, counted: int) -> float:
        """How long a step takes, over and over the first of an epoch, after `warm_up` that are not counted."""
        self._begin(lanes)
        if self._capture is not None:
            warm_up += self._capture.settling
        started = 0.0
        for number in range(warm_up + counted):
            if number == warm_up:
                self._wait()
                started = time.perf_counter()
            self._done.zero_()
            (self.step if self._capture is None else self._capture.run)(self._layouts[0])
        self._wait()
        return (time.perf_counter() - started) / counted

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def step(self, layout: StepLayout) -> None:
        """The step that the device's counter names, and move the counter on."""
        parts = [self._batch(batch) for batch in layout.batches]
        at = StepNumber(self._first + self._done, self._total, self._dropout)
        terms, norm = self._step.step(parts, at)
        self.sums.add(terms, norm, layout.samples)
        self._done.add_(1)

    def _begin(self, lanes: Sequence[LaneEpoch]) -> None:
        """Put the draws of the lanes' epochs where steps look for them."""
        self._done.zero_()
        for number, lane in enumerate(lanes):
            training = lane.experiment.training
            drawn = epoch_draws(training, self._train, lane.epoch, self._device)
            self._order[number].copy_(drawn.order)
            self._augmentation[number], self._noise[number] = drawn.augmentation, drawn.noise
            self._dropout[number] = key_of(training.seed, "dropout")
            self._first[number], self._latents[number] = lane.epoch * self._steps, lane.latent_dim
            self._total[number] = self._steps * training.epochs

    def _batch(self, batch: MicroBatch) -> Batch:
        """A batch of each lane: raw [K, b, *event], condition [K, b, C], eps [K, b, L]."""
        positions = self._done * self._effective + torch.arange(
            batch.start, batch.start + batch.total, device=self._device
        )
        lanes, latent_dim = len(self._order), self._form.latent_dim
        draws = uniform(self._augmentation, positions, self._form.draws)
        eps = normal(self._noise, positions, latent_dim, self._latents)
        beyond = torch.arange(latent_dim, device=self._device) >= self._latents[:, None, None]
        raw, condition = self._samples(self._order[:, positions].flatten())
        flat = self._form.batch(raw, condition, draws.flatten(0, 1), eps.masked_fill(beyond, 0.0), batch.total)
        x, c = (torch.unflatten(one, 0, (lanes, batch.total)) for one in (flat.raw, flat.condition))
        return Batch(x, c, flat.eps, batch.total)

    def _samples(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        return self._source.tensors(chosen.numpy() if isinstance(self._source, Samples) else chosen)
