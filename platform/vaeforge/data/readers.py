"""Reading of a family's data, with the checks that hold for every layout."""

from pathlib import Path

import numpy as np

from vaeforge.config.experiment import Experiment
from vaeforge.config.layouts import layout_named
from vaeforge.errors import DataError
from vaeforge.samples import DataSet


def read_source(folder: Path, experiment: Experiment) -> DataSet:
    """The data of the experiment's family below `folder`.

    Raises:
        DataError: as the layout's reader says, or where a part is empty or holds values that are no numbers.
    """
    data = layout_named(experiment.definition.data).read(folder, experiment.prepare)
    for name, samples in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        if not len(samples):
            raise DataError(f"{folder}: nothing for {name} (counts {data.counts}); add data, or change `prepare`")
        for what, array in (("values", samples.x), ("conditions", samples.condition)):
            bad = 0 if array.dtype == np.uint8 else int((~np.isfinite(array)).sum())
            if bad:
                raise DataError(f"{folder}: {name}: {bad} {what} are not finite; import the data again, which checks")
    return data
