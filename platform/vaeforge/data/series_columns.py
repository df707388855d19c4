"""Columns of series in text that are no voxels: they count rows, describe them, or hold motion and nuisance signals.

Nuisance signals are called as fMRIPrep calls them (https://fmriprep.org/en/stable/outputs.html, "Confounds").
"""

import re
from collections.abc import Sequence

import numpy as np

COUNTERS = (
    *("", "index", "unnamed: 0", "frame", "frames", "volume", "volumes", "vol", "timepoint", "time", "t", "tr"),
    *("scan", "row", "seconds", "sec"),
)
UNIT = re.compile(r"\s*(\(.*\)|\[.*\]|_(s|sec|seconds|ms))$")  # of a name of a column: Time (s), time_sec
LEAST_STEPS = 10  # rows in equal steps that tell times, in a column without a name, from values
OWNERS = re.compile(
    r"(sub|subject|participant|patient|session|ses|run|site)([_ ]?(id|no|number))?|subid", re.IGNORECASE
)
NUISANCE = re.compile(
    r"((global_signal|csf|white_matter|csf_wm|framewise_displacement|(trans|rot)_[xyz])"
    r"(_derivative1)?(_power2)?|(std_)?dvars|rmsd|([actw]|edge)_comp(_cor)?_\d+|cosine_?\d+"
    r"|(non_steady_state|motion)_outlier_?\d+|aroma_motion_\d+"
    r"|condition|trial_type|stimulus|task)",
    re.IGNORECASE,
)
SUMMARIES = {"mean", "average", "avg", "median", "std", "sd", "stdev", "sem", "var", "min", "max", "sum", "total"}


def counts_rows(name: str | None, values: Sequence[float], first: bool) -> bool:
    """Whether a column counts rows: in equal steps, and of no name, or of one that says so.

    Args:
        name: of the column; none where columns have no names.
        values: of its first rows, NaN for what is no number.
        first: whether it is the first column.
    """
    called = UNIT.sub("", name.strip().lower()) if name is not None else ""
    if called not in COUNTERS or (name is None and not first):
        return False
    known = [value for value in values if value == value]
    if len(known) < 3:
        return False
    steps = np.diff(known)
    # times are rounded when written; no measured voxel rises by the same step from one timepoint to all the next, and
    # none that is called a time falls so: its rows are written from the last one on
    even = (steps[0] > 0 or (called and steps[0] < 0)) and np.allclose(steps, steps.mean(), rtol=0.05)
    return bool(even and (called or (known[0] >= 0 and len(known) >= LEAST_STEPS) or _from_one(known)))


def _from_one(values: Sequence[float]) -> bool:
    return values[0] in (0, 1) and values[1] - values[0] == 1


def describes_rows(name: str) -> bool:
    """Whether a column of this name says of rows whose they are, or holds a nuisance signal."""
    return bool(OWNERS.fullmatch(name.strip()) or NUISANCE.fullmatch(name.strip()))


def names_owners(name: str) -> bool:
    """Whether a column of this name says whose rows are."""
    return bool(OWNERS.fullmatch(name.strip()))
