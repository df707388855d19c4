"""Reading of a family's data, with the checks that hold for every layout."""

from pathlib import Path

import numpy as np

from vaeforge.config.experiment import Experiment
from vaeforge.config.layouts import layout_named
from vaeforge.data.missing import FILL
from vaeforge.errors import DataError
from vaeforge.samples import DataSet


def read_source(folder: Path, experiment: Experiment) -> DataSet:
    """The data of the experiment's family below `folder`.

    Raises:
        DataError: as the layout's reader says, or where a part is empty or holds values that are no numbers.
    """
    definition = experiment.definition
    data = layout_named(definition.data).read(folder, experiment.prepare)
    masked = FILL in data.constants
    if masked and not definition.missing_values:
        raise DataError(
            f"{folder}: values are missing, and models of {definition.name} take none; leave out the channels that "
            "lack some with --channels when you import, or the samples"
        )
    for name, samples in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        if not len(samples):
            raise DataError(f"{folder}: nothing for {name} (counts {data.counts}); add data, or change `prepare`")
        for what, array in (("values", samples.stored), ("conditions", samples.condition)):
            meant = masked and array is samples.stored
            bad = 0 if array.dtype.kind == "u" else int((np.isinf(array) if meant else ~np.isfinite(array)).sum())
            if bad:
                raise DataError(f"{folder}: {name}: {bad} {what} are not finite; import the data again, which checks")
    return data
