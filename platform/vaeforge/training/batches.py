"""Batches of an epoch: which samples, augmentation draws and noise each optimiser step sees.

Everything is drawn for the positions of the whole batch (`epoch_draws.py`), of which a rank takes its share: how many
ranks train changes nothing in what is learned from, and a resumed epoch repeats itself exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaeforge.config.experiment import Experiment
from vaeforge.samples import Samples
from vaeforge.training.epoch_draws import EpochDraws, epoch_draws
from vaeforge.training.loading import read, read_in_order
from vaeforge.training.process_group import ProcessGroup
from vaeforge_models.vae import DataSpec

BLOCK_VALUES = 2**17  # drawn at once: many small batches together cost as little as one large one


@dataclass(frozen=True)
class Batch:
    """One rank's share of a batch: raw [b, *event], condition [b, C], eps [b, L], and the size of the whole batch."""

    raw: Tensor
    condition: Tensor
    eps: Tensor
    total: int


@dataclass(frozen=True)
class MicroBatch:
    """The positions of a batch within its epoch: `start` to `start + total`, and whether it is a step's last."""

    start: int
    total: int
    ends_step: bool

    def share(self, group: ProcessGroup) -> slice:
        """The positions of which a rank holds the samples."""
        own = group.shard(self.total)
        return slice(self.start + own.start, self.start + own.stop)


@dataclass(frozen=True)
class _Plan:
    """What a rank does for one batch: indices [b], uniform draws [b, A], eps [b, L]."""

    batch: MicroBatch
    indices: Tensor
    draws: Tensor
    eps: Tensor


class BatchForm:
    """How samples become batches: their augmentation or crop, and how many numbers that takes.

    Attributes:
        draws: A, uniform numbers for a sample.
        latent_dim: L of the noise.
    """

    def __init__(self, experiment: Experiment, spec: DataSpec, latent_dim: int):
        self.spec, self.latent_dim = spec, latent_dim
        self._augmentation = experiment.definition.augmentation if experiment.training.augment else None
        self.draws = self._augmentation.draws(spec) if self._augmentation else 0

    def batch(self, raw: Tensor, condition: Tensor, draws: Tensor, eps: Tensor, total: int) -> Batch:
        """The samples `raw` [b, *larger event] as the model sees them, on whatever device they are."""
        if self._augmentation is not None:
            return Batch(self._augmentation.apply(raw, draws, self.spec), condition, eps, total)
        return Batch(centre_crop(raw, self.spec.event_shape), condition, eps, total)


def micro_batches(batch_size: int, accumulate: int, positions: int) -> list[MicroBatch]:
    """The batches of an epoch of so many positions; the last step, and its last batch, may be smaller."""
    found: list[MicroBatch] = []
    for step in range(0, positions, batch_size * accumulate):
        end = min(step + batch_size * accumulate, positions)
        for start in range(step, end, batch_size):
            total = min(batch_size, end - start)
            found.append(MicroBatch(start, total, start + total == end))
    return found


def epoch_batches(
    experiment: Experiment, train: Samples, spec: DataSpec, latent_dim: int, epoch: int, group: ProcessGroup
) -> Iterator[list[Batch]]:
    """This rank's batches of one epoch in order, as many at a time as one optimiser step accumulates.

    Args:
        experiment: gives batch size, seed, augmentation, and how many threads read ahead.
        train: the training samples, the same on every rank.
        spec: the shape of a sample as the model takes it.
        latent_dim: L of the noise.
        epoch: epochs trained so far; with the seed it decides every draw.
        group: this rank's view of its group.
    """
    training, device = experiment.training, group.device
    form = BatchForm(experiment, spec, latent_dim)
    page_locked = training.loader_workers > 0 and device.type == "cuda"
    plans = _plans(experiment, train, form, epoch, group)
    found: list[Batch] = []
    for plan, parts in read_in_order(
        lambda plan: read(train, plan.indices.numpy(), page_locked), plans, training.loader_workers, device
    ):
        raw, condition = (part.to(device, non_blocking=True) for part in parts)
        found.append(form.batch(raw, condition, plan.draws.to(device), plan.eps.to(device), plan.batch.total))
        if plan.batch.ends_step:
            yield found
            found = []


def _plans(experiment: Experiment, train: Samples, form: BatchForm, epoch: int, group: ProcessGroup) -> Iterator[_Plan]:
    """All that is drawn, in the order of the batches."""
    training = experiment.training
    drawn = epoch_draws(training, train, epoch, torch.device("cpu"))
    batches = micro_batches(training.batch_size, training.accumulate, len(drawn.order))
    together = max(1, BLOCK_VALUES // (training.batch_size * max(1, form.draws + form.latent_dim)))
    for first in range(0, len(batches), together):
        yield from _block(batches[first : first + together], drawn, form, group)


def _block(batches: list[MicroBatch], drawn: EpochDraws, form: BatchForm, group: ProcessGroup) -> Iterator[_Plan]:
    """Batches that follow one another, drawn at once."""
    shares = [batch.share(group) for batch in batches]
    positions = torch.cat([torch.arange(share.start, share.stop) for share in shares])
    draws, eps = drawn.at(positions, form.draws, form.latent_dim)
    sizes = [share.stop - share.start for share in shares]
    parts = (torch.split(one, sizes) for one in (drawn.order[positions], draws, eps))
    for batch, indices, own_draws, own_eps in zip(batches, *parts, strict=True):
        yield _Plan(batch, indices, own_draws, own_eps)


def centre_crop(raw: Tensor, event_shape: tuple[int, ...]) -> Tensor:
    """The middle [*event] of samples [B, *larger event]; a view."""
    for axis, size in enumerate(event_shape, start=1):
        raw = raw.narrow(axis, (raw.shape[axis] - size) // 2, size)
    return raw
