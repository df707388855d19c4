"""Scans before a scanner's steady state: the first timepoints of a series, brighter than all that follow.

Found as nipype's NonSteadyStateDetector does, which fMRIPrep uses: by modified z scores, 0.6745 |x - median| / MAD
(Iglewicz and Hoaglin 1993), of the mean over voxels in the first 50 timepoints. Stricter in two ways, so that series
without a baseline are not asked about: these are brighter, and the first one is so by far.

Shapes: T timepoints, V voxels; a series [T, V].
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.missing import mean_of
from vaeforge.data.source_files import listed
from vaeforge.importing.parsed_source import ImportLog

LOOKED_AT = 50  # timepoints
LEAST = 10  # timepoints that tell what is usual
NORMAL = 0.6745  # MAD of a normal distribution of standard deviation 1
OUTLIER = 3.5  # modified z score from which on a timepoint is brighter
FAR = 10.0  # that of the first one


def bright_start(values: NDArray[np.float32]) -> int:
    """How many of the first timepoints of a series [T, V] are brighter than the others; NaN is a missing value."""
    if len(values) < LEAST:
        return 0
    means = mean_of(values[:LOOKED_AT], 1)
    apart = means - np.median(means)
    spread = float(np.median(np.abs(apart)))
    if not spread or NORMAL * apart[0] < FAR * spread:
        return 0
    usual = NORMAL * apart < OUTLIER * spread
    return int(np.argmax(usual))


def ask_about_start(where: str, found: Mapping[str, int], log: ImportLog) -> None:
    """Ask about series that begin so, by subject with how many timepoints."""
    named = [f"{name} ({count})" for name, count in found.items() if count]
    if named:
        most = max(found.values())
        log.ask(
            f"{where}: the first timepoints of {len(named)} series are far brighter than those that follow: "
            f"{listed(named)}; are these scans from before the scanner's steady state (dummy scans)? Say --dummy-scans "
            f"{most} to leave the first {most} of each series out, or --dummy-scans 0 to keep them",
            "they are timepoints as the others",
        )
