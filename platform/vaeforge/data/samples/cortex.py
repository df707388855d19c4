"""The lipid sample: seven measured maps over points of the human cortex, which stand in for lipid maps.

    python -m vaeforge.data.samples.cortex [--wheel PATH] [--output data/lipid]

Writes <output>/cortex/points.parquet, a row per point: x, y, z (float32, mm; x left to right, y back to front, z up),
section (int64: which of `SECTIONS` slabs of equal width along y, 0 at the back), hemisphere (L or R) and the channels
(float32, units of the source). Of the vertices with a value in every channel an even subset is kept, see `spaced`.
The values are the same wherever this runs; the file's bytes depend on the versions of pandas and pyarrow.
Shapes: V vertices, lh then rh; P points; C channels.
"""

import base64
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vaeforge.data.samples.wheels import Wheel, member, opened, run, write_sample
from vaeforge.errors import DataError

WHEEL = Wheel(
    "brainspace==0.3.0",
    "aec3854a9ad2ed8f05ee4da04943307833135320c990688ba7f16def1ce0132c",
    "brainspace-0.3.0.dist-info/licenses/LICENSE",
)
SURFACE = "brainspace/datasets/surfaces/conte69_32k_{side}.gii"
MAP = "brainspace/datasets/matrices/main_group/conte69_32k_{channel}.csv"
CHANNELS = ("curvature", "thickness", "t1wt2w", "fc_gradient0", "fc_gradient1", "mpc_gradient0", "mpc_gradient1")
SECTIONS = 12
SPACING = 2.6  # mm: about 10,000 of the 58,558 vertices with values
ATTRIBUTION = f"""# Where these points come from

`points.parquet` holds points of `brainspace/datasets/surfaces/conte69_32k_lh.gii` and `conte69_32k_rh.gii` with the
values of `brainspace/datasets/matrices/main_group/conte69_32k_*.csv` ({", ".join(CHANNELS)}) of the
Python package BrainSpace 0.3.0 (https://github.com/MICA-MNI/BrainSpace, PyPI wheel with SHA-256
{WHEEL.sha256}),
copyright (c) 2019 The BrainSpace developers, BSD 3-Clause: see LICENSE. The package credits the markers to the main
data set of Vos de Wael et al., 2018, PNAS; they are averages over a group, not one person's.

Terms upstream: LICENSE is the package's. The surface files' own provenance lists midthickness surfaces of
subjects of the WU-Minn Human Connectome Project, so the coordinates are derived from its data. Its Open Access Data
Use Terms allow passing on derived data under those same terms and ask to acknowledge the project. Read them before
passing this file on.

Changes, by `python -m vaeforge.data.samples.cortex`: vertices without a value in every channel were dropped (58,558 of
64,984 remain); of these, going through each hemisphere in the source's order, a vertex was kept if none kept before
lies within {SPACING} mm; `section` is the slab, of {SECTIONS} of equal width along y over the kept points, 0 at the
back; numbers were rounded to 32-bit floats. The channels are no lipids: the sample tests that maps conditioned on
coordinates are read, held out by section and learned.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sample; returns the exit code."""
    return run("cortex", WHEEL, Path("data/lipid"), make_sample, arguments)


def make_sample(wheel: Path | None, output: Path) -> Path:
    """Write the sample into `output`/cortex from `wheel`, downloaded if none is given; returns that folder.

    Raises:
        DataError: if the wheel cannot be had, is not the pinned one or its files disagree.
    """
    with opened(WHEEL, wheel) as archive:
        sides = [points_of(member(archive, SURFACE.format(side=side))) for side in ("lh", "rh")]
        maps = np.stack([read_map(archive, channel) for channel in CHANNELS], axis=1)
        files = {"points.parquet": parquet(table(sides[0], sides[1], maps))}
        return write_sample(output / "cortex", files, member(archive, WHEEL.license), ATTRIBUTION)


def points_of(gifti: bytes) -> NDArray[np.float32]:
    """The vertices [V, 3] of a GIFTI surface whose arrays are little-endian, zlib-compressed and in base64."""
    stored = {"Encoding": "GZipBase64Binary", "Endian": "LittleEndian", "DataType": "NIFTI_TYPE_FLOAT32"}
    for array in ElementTree.fromstring(gifti).iter("DataArray"):
        if array.get("Intent") == "NIFTI_INTENT_POINTSET":
            found = {key: array.get(key) for key in stored}
            if found != stored:
                raise DataError(f"surface: got points stored as {found}, must be {stored}; give the pinned wheel")
            return np.frombuffer(zlib.decompress(base64.b64decode(array.findtext("Data", ""))), "<f4").reshape(-1, 3)
    raise DataError("surface: got no NIFTI_INTENT_POINTSET, must hold one; give the pinned wheel")


def read_map(archive: zipfile.ZipFile, channel: str) -> NDArray[np.float64]:
    """One channel [V], NaN where there is no value."""
    return np.loadtxt(member(archive, MAP.format(channel=channel)).decode().splitlines(), ndmin=1)


def table(left: NDArray[np.float32], right: NDArray[np.float32], maps: NDArray[np.float64]) -> pd.DataFrame:
    """The kept points, left before right, with the columns of the module's docstring; maps are [V, C]."""
    points = np.concatenate([left, right])
    if len(points) != len(maps):
        raise DataError(f"cortex: got {len(maps)} values for {len(points)} vertices, must be one each")
    side = np.where(np.arange(len(points)) < len(left), "L", "R")
    complete = np.isfinite(maps).all(axis=1)
    halves = [np.flatnonzero(complete & (side == name)) for name in ("L", "R")]
    kept = np.concatenate([half[spaced(points[half], SPACING)] for half in halves])
    frame = pd.DataFrame(dict(zip("xyz", points[kept].T, strict=True)))
    frame["section"], frame["hemisphere"] = slabs(points[kept, 1], SECTIONS), side[kept]
    for index, channel in enumerate(CHANNELS):
        frame[channel] = maps[kept, index].astype(np.float32)
    return frame


def spaced(points: NDArray[np.float32], spacing: float) -> NDArray[np.int64]:
    """Indices, rising, of points [P, 3] of which no two are within `spacing` and every other is near one of them."""
    exact, free, kept = points.astype(np.float64), np.ones(len(points), dtype=np.bool_), []
    for index in range(len(points)):
        if free[index]:
            kept.append(index)
            free &= ((exact - exact[index]) ** 2).sum(axis=1) > spacing**2
    return np.array(kept, dtype=np.int64)


def slabs(positions: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Which of `count` slabs of equal width from the least to the greatest position each lies in: int64 [P]."""
    edges = np.linspace(positions.min(), positions.max(), count + 1, dtype=np.float64)
    return np.searchsorted(edges[1:-1], positions.astype(np.float64), side="right").astype(np.int64)


def parquet(frame: pd.DataFrame) -> bytes:
    """The frame as a Parquet file, compressed by zstd."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, engine="pyarrow", compression="zstd", index=False)
    return buffer.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
