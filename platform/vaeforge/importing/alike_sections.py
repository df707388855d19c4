"""Sections and donors that cannot all be right: one that was exported twice, one whose places are in another unit."""

from collections.abc import Mapping

import numpy as np
import pandas
from numpy.typing import NDArray

from vaeforge.data.source_files import listed
from vaeforge.importing.parsed_source import ImportLog

COPIED = 0.5  # the share of a section's points that another one has, too
LEAST_DISTINCT = 10  # different points of a section, fewer tell nothing
ANOTHER_UNIT = 100.0  # times the median extent, or a part of it


def ask_about_copies(
    values: Mapping[str, NDArray[np.float32]], labels: Mapping[str, NDArray[np.str_]], log: ImportLog
) -> None:
    """Ask where sections or donors have the same values: of a copy, one may train and one test.

    Args:
        values: of the channels [N].
        labels: section, hemisphere and donor [N].
        log: takes the question.
    """
    for label in (label for label in ("section", "donor") if label in labels):
        rows = pandas.DataFrame(
            {"row": pandas.util.hash_pandas_object(pandas.DataFrame(values), index=False), "of": labels[label]}
        ).drop_duplicates()
        shared = rows["row"].duplicated(keep=False)
        found = shared.groupby(rows["of"]).agg(["mean", "size"])
        copies = [str(name) for name in found.index[(found["mean"] >= COPIED) & (found["size"] >= LEAST_DISTINCT)]]
        if copies:
            log.ask(
                f"{label}s {listed(copies)} have the same values at half of their points or more; is one a copy? "
                "Remove it if so: one could train, the other test",
                "they are different measurements",
            )
            return


def ask_about_units(
    places: Mapping[str, NDArray[np.float32]], labels: Mapping[str, NDArray[np.str_]], log: ImportLog
) -> None:
    """Ask where x and y of sections or donors reach a hundred times as far as those of most, or a hundredth.

    Args:
        places: x and y [N].
        labels: section, hemisphere and donor [N].
        log: takes the question.
    """
    for label in (label for label in ("donor", "section") if label in labels):
        frame = pandas.DataFrame({axis: places[axis] for axis in ("x", "y")}).groupby(labels[label])
        extent = (frame.max() - frame.min()).max(axis=1)
        extent = extent[extent > 0]
        ratio = extent / extent.median() if len(extent) else extent
        other = [str(name) for name in extent.index[(ratio >= ANOTHER_UNIT) | (ratio <= 1 / ANOTHER_UNIT)]]
        if other:
            log.ask(
                f"x and y of {label}s {listed(other)} reach {float(ratio[other[0]]):.4g} times as far as others; "
                "are they in another unit? Bring all into one if so",
                "all are in one unit",
            )
            return
