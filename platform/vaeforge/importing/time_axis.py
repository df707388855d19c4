"""Time axes of 4-D files: NIfTI has time last, and arrays saved as they were in memory may have it first.

What tells: along time, a voxel differs less from its mean, or from being background (0), than along space. That holds
for scans as they come, and for masked ones. Where neither holds (filtered, and without background), nothing tells.

Shapes: a file [X, Y, Z, T], or with time first [T, X, Y, Z].
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.source_files import listed
from vaeforge.data.source_reading import FIRST
from vaeforge.errors import QuestionError
from vaeforge.importing.parsed_source import ImportLog

SIDE = 32  # places along each axis that are looked at
FEW = 4  # places along an axis that are too few to tell anything
LESS = 0.25  # of the spread along the last axis, below which that along another is small


def time_looks_first(values: NDArray[Any], first: int) -> bool:
    """Whether time is the axis `first` of an array [X, Y, Z, T] rather than the last one."""
    if min(values.shape[first], values.shape[-1]) < FEW:
        return False
    steps = tuple(slice(None, None, -(-size // SIDE)) for size in values.shape)
    looked_at = np.nan_to_num(values[steps].astype(np.float64))
    return any(
        _spread(one, first) < LESS * _spread(one, -1) for one in (looked_at, (looked_at != 0).astype(np.float64))
    )


def _spread(values: NDArray[np.float64], axis: int) -> float:
    """The mean variance along an axis."""
    return float(values.var(axis=axis, ddof=1).mean())


def ask_about_time(root: Path, found: Sequence[str], shapes: Mapping[str, tuple[int, ...]], log: ImportLog) -> None:
    """Ask about files whose first axis looks like time.

    Args:
        root: the source, for messages.
        found: those files.
        shapes: of all files.
        log: takes the question.

    Raises:
        QuestionError: if nothing could be assumed, since as they are the files' grids do not fit one another.
    """
    if not found:
        return
    named = [f"{name} ({' x '.join(map(str, shapes[name]))})" for name in found]
    question = (
        f"{root}: time may be the first axis of {len(named)} NIfTI file(s), which have it last: along the first, "
        f"voxels differ less from their mean, or from 0, than along the last: {listed(named)}; say --time-axis first "
        "if it is, --time-axis last if not"
    )
    if len({shape[:3] for shape in shapes.values()}) > 1 and len({shape[1:] for shape in shapes.values()}) == 1:
        raise QuestionError(question, time_axis=FIRST)
    log.ask(question, "time is the last axis")
