"""One optimiser step: the gradient of the loss of all its samples, clipped, and the optimiser's move.

A step has one micro-batch or several (`training.accumulate`), and every rank holds a share of each. A loss that is
linear in the samples is followed micro-batch by micro-batch. Any other one takes two passes: the first measures all
micro-batches without gradients, the second follows the derivative of the whole loss, under the same noise and the same
dropout (`step_loss.py`). Only batch normalisation, which normalises each micro-batch by itself, tells several
micro-batches from one large batch.

`train_step.py` does this for one training, `lanes/lane_step.py` for several that train as one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from vaeforge.training.batches import Batch
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.step_loss import OwnTerms, SharedLoss, WholeLoss
from vaeforge_models.counter_random import Key
from vaeforge_models.objective import State
from vaeforge_models.scalars import Scalar

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class StepNumber:
    """Which optimiser step of a training it is.

    Attributes:
        number: 0..total-1; a tensor where the device counts, [K] for several trainings.
        total: steps of the planned training.
        key: of what is drawn within the model (dropout) in the training.
    """

    number: int | Tensor
    total: int | Tensor
    key: Key = 0

    @property
    def done(self) -> Scalar:
        """Steps before this one."""
        return self.number.double() if isinstance(self.number, Tensor) else self.number

    @property
    def progress(self) -> Scalar:
        """t at the end of the step, in (0, 1]."""
        return (self.done + 1) / self.total


class GradientStep(ABC):
    """An optimiser step of one training, or of several at once, whose terms have a dimension more in front.

    Attributes:
        group: this rank's view of its group.
        loss: of the samples of a step.
        schedule_state: the schedule's.
        terms_shape: of the terms of a step: (3,), or [K, 3].
    """

    group: ProcessGroup
    loss: SharedLoss
    schedule_state: State
    terms_shape: tuple[int, ...] = (3,)

    def step(self, batches: Sequence[Batch], at: StepNumber) -> tuple[Tensor, Tensor]:
        """Follow the loss of the micro-batches `batches`, then one step of the optimiser.

        Returns the whole step's loss, distortion and rate in nats per sample and the gradient's norm before clipping;
        the same on every rank.
        """
        self._begin(at)
        self._begin_draws(at)
        if self.loss.linear or len(batches) == 1:
            terms = self._one_by_one(batches, at.progress)
        else:
            terms = self._together(batches, at)
        norm = self._update()
        if self.schedule_state:
            self._advance_schedule(terms, at.progress)
        return terms, norm

    @abstractmethod
    def _begin(self, at: StepNumber) -> None:
        """Take the options of the step, and clear the gradients."""

    @abstractmethod
    def _begin_draws(self, at: StepNumber) -> None:
        """Begin what is drawn within the model, or the same again."""

    @abstractmethod
    def _forward(self, batch: Batch) -> OwnTerms:
        """This rank's share of a micro-batch through the model, with gradients where they are on."""

    @abstractmethod
    def _backward(self, surrogate: Tensor) -> None:
        """Add to the gradients."""

    @abstractmethod
    def _update(self) -> Tensor:
        """One step of the optimiser with the gradient clipped; the norm before clipping."""

    @abstractmethod
    def _advance_schedule(self, terms: Tensor, progress: Scalar) -> None:
        """Tell the schedule of a step's terms."""

    @abstractmethod
    def _buffers(self) -> Iterable[Tensor]:
        """What passes through the model may change beside gradients."""

    def _exchanged_once(self, last: bool) -> AbstractContextManager[None]:
        """Ranks exchange gradients once a step, with the last batch."""
        return nullcontext()

    def _one_by_one(self, batches: Sequence[Batch], progress: Scalar) -> Tensor:
        """The gradient of the mean of the micro-batches' own losses; the mean of their terms."""
        everything = sum(batch.total for batch in batches)
        terms = torch.zeros(self.terms_shape, dtype=torch.float64, device=self.group.device)
        for place, batch in enumerate(batches, start=1):
            weight = batch.total / everything
            with self._exchanged_once(place == len(batches)):
                own = self._forward(batch)
                whole = self.loss.whole([own], progress, self.schedule_state)
                self._backward(weight * self.loss.followed(own, whole, 0))
            terms += whole.terms * weight
        return terms

    def _together(self, batches: Sequence[Batch], at: StepNumber) -> Tensor:
        """The gradient of the loss of all micro-batches together, in two passes; its terms."""
        whole = self._measured(batches, at.progress)
        self._begin_draws(at)
        start = 0
        for place, batch in enumerate(batches, start=1):
            with self._exchanged_once(place == len(batches)):
                self._backward(self.loss.followed(self._forward(batch), whole, start))
            start += batch.total
        return whole.terms

    def _measured(self, batches: Sequence[Batch], progress: Scalar) -> WholeLoss:
        """The loss of all micro-batches, from a first pass that leaves no trace."""
        with torch.no_grad(), self._traceless():
            parts = [self._forward(batch) for batch in batches]
        return self.loss.whole(parts, progress, self.schedule_state)

    @contextmanager
    def _traceless(self) -> Iterator[None]:
        """Put back running statistics and torch's own random numbers afterwards: a second pass has the same ones."""
        device = self.group.device
        kept = [buffer.clone() for buffer in self._buffers()]
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
        for buffer, before in zip(self._buffers(), kept, strict=True):
            buffer.copy_(before)


def autocast(device: torch.device, amp: str) -> AbstractContextManager[None]:
    """The precision that `training.amp` asks for."""
    precision = PRECISIONS.get(amp)
    return nullcontext() if precision is None else torch.autocast(device.type, precision)
