"""Which file reads which layout of data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vaeforge.config.experiment import Experiment
from vaeforge.data import read_classes, read_frames, read_pictures, read_points, read_series
from vaeforge.data.dataset import DataSet
from vaeforge.errors import DataError
from vaeforge_models.family import DataKind

READERS: dict[DataKind, Callable[[Path, Any], DataSet]] = {
    "pictures": read_pictures.read,
    "classes": read_classes.read,
    "frames": read_frames.read,
    "series": read_series.read,
    "points": read_points.read,
}


def read_source(folder: Path, experiment: Experiment) -> DataSet:
    """The data of the experiment's family below `folder`.

    Raises:
        DataError: as the layout's reader says, or where a part is empty or holds values that are no numbers.
    """
    data = READERS[experiment.definition.data](folder, experiment.prepare)
    for name, samples in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        if not len(samples):
            raise DataError(f"{folder}: nothing for {name} (counts {data.counts}); add data, or change `prepare`")
        for what, array in (("values", samples.x), ("conditions", samples.condition)):
            bad = 0 if array.dtype == np.uint8 else int((~np.isfinite(array)).sum())
            if bad:
                raise DataError(f"{folder}: {name}: {bad} {what} are not finite; import the data again, which checks")
    return data
