"""Training samples of a model, measured for its contract: what inputs are compared with later."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.config.layouts import layout_named
from vaeforge.data.resize import centre_of
from vaeforge.evaluation.tasks import task_named
from vaeforge.package.input_statistics import InputStatistics, ValueScale, scale_of, statistics_of
from vaeforge.package.parity_inputs import subsample_evenly
from vaeforge.samples import CHUNK, TRAIN_SIZES, Samples
from vaeforge.trained import TrainedModel

SHARE, ANOMALY_SHARE = 0.1, 0.5  # of inputs outside, from which on a warning is given


@dataclass(frozen=True)
class MeasuredSamples:
    """Statistics of training samples, none where there are too few, and their values' scale, none for images."""

    statistics: InputStatistics | None
    scale: ValueScale | None


def measured(trained: TrainedModel) -> MeasuredSamples:
    """The training samples of `trained`, at most 2,048 at even distances; of those with room for crops, the centre."""
    prepared, definition = trained.prepared, trained.experiment.definition
    train, images = subsample_evenly(prepared.train), bool(layout_named(definition.data).picture_modes)
    scale = None if images else scale_of(np.asarray(train.x))
    share = ANOMALY_SHARE if task_named(definition.task).detects_anomalies else SHARE
    sizes = [(int(width), int(height)) for width, height in prepared.manifest.info.get(TRAIN_SIZES, ())]
    parts = _centres(train, trained.model.event_shape) if images else iter([np.asarray(train.x)])
    return MeasuredSamples(statistics_of(parts, scale, sizes, share), scale)


def _centres(train: Samples, event: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    """Images [n, C, S, S], some at a time, without the room that training images have for crops."""
    for start in range(0, len(train), CHUNK):
        x = train[start : start + CHUNK].x
        yield np.stack([centre_of(image, event[-1]) for image in x])
