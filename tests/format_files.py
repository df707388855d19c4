"""A tiny sound file of every file format, written by other libraries than those that read them where there are such."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import scipy.io
import tifffile
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage
from PIL import Image

from dicom_files import write_dicom
from imzml_files import write_imzml
from microscope_files import write_dm, write_mrc
from vaeforge.data.decoding import decode
from vaeforge.data.file_format import FileFormat, TableRequest
from vaeforge.data.volume_file import values_of

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (9, 7), np.uint8)
SERIES = RNG.normal(size=(6, 4)).astype(np.float32)  # [T, V]
VOLUME = RNG.normal(size=(2, 3, 2, 5)).astype(np.float32)
SURFACE = SERIES.T.reshape(-1, 1, 1, len(SERIES))  # as FreeSurfer keeps it
MASSES = TableRequest(masses=("a=100", "b=150"), tolerance="0.01Da")
SPECTRA = pandas.DataFrame(  # what `write_imzml` writes, at these masses
    {"x": [1, 2, 1], "y": [1, 1, 2], "a": [1, 12, 0], "b": [2, 0, 5]}
)
POINTS = pandas.DataFrame(RNG.normal(size=(8, 5)), columns=["x", "y", "z", "a", "b"])


def save_picture(path: Path) -> None:
    Image.fromarray(PIXELS).save(path, **({"lossless": True} if path.suffix == ".webp" else {}))


def save_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["one"] = SERIES


def save_matlab_hdf5(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file["one"] = SERIES.T  # MATLAB's axes are reversed there
        file["one"].attrs["MATLAB_class"] = np.bytes_("single")
    with path.open("r+b") as opened:
        opened.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def save_anndata(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["X"], file["obsm/spatial"] = POINTS[["a", "b"]].to_numpy(), POINTS[["x", "y", "z"]].to_numpy()
        for name, rows in (("obs", [*map(str, range(len(POINTS)))]), ("var", ["a", "b"])):
            file[f"{name}/_index"] = rows
            file[name].attrs.update({"encoding-type": "dataframe", "_index": "_index", "column-order": []})


def save_cifti(path: Path) -> None:
    space = BrainModelAxis.from_mask(np.ones((2, 2, 1), dtype=bool), name="thalamus_left", affine=np.eye(4))
    nibabel.save(Cifti2Image(SERIES, header=(SeriesAxis(0, 2, len(SERIES)), space)), path)


def save_gifti(path: Path) -> None:
    arrays = [GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES") for row in SERIES]
    nibabel.save(GiftiImage(darrays=arrays), path)


AFNI_HEADER = {  # what is needed to read a file comes last
    "TAXIS_NUMS": ("integer", (VOLUME.shape[3], 0, 77001)),
    "TAXIS_FLOATS": ("float", (0, 1500, 0, 0, 0)),
    "DELTA": ("float", (-3, -3, 3)),
    "IJK_TO_DICOM_REAL": ("float", (-3, 0, 0, 10, 0, -3, 0, 20, 0, 0, 3, -30)),
    "BRICK_FLOAT_FACS": ("float", (0,) * VOLUME.shape[3]),
    "DATASET_RANK": ("integer", (3, VOLUME.shape[3])),
    "DATASET_DIMENSIONS": ("integer", VOLUME.shape[:3]),
    "BYTEORDER_STRING": ("string", "'LSB_FIRST~"),
    "BRICK_TYPES": ("integer", (3,) * VOLUME.shape[3]),
}


def save_afni(path: Path, header: Mapping[str, Any] = AFNI_HEADER, values: Any = VOLUME) -> None:
    entries = []
    for name, (kind, own) in header.items():
        text = own if isinstance(own, str) else " ".join(map(str, own))
        entries.append(f"type = {kind}-attribute\nname = {name}\ncount = {len(own)}\n{text}\n")
    path.write_text("\n".join(entries))
    brick = ".brik" if path.suffix.islower() else ".BRIK"
    path.with_suffix(brick).write_bytes(values.astype("<f4").tobytes(order="F"))


# how a tiny file of each format is written, by the format's module
WRITERS: dict[str, Callable[[Path], Any]] = {
    "afni": save_afni,
    "anndata": save_anndata,
    "bmp": save_picture,
    "cifti": save_cifti,
    "csv": lambda path: POINTS.to_csv(path, index=False),
    "dicom": lambda path: write_dicom(path, PIXELS[None]),
    "dm": lambda path: write_dm(path, PIXELS[None]),
    "gifti": save_gifti,
    "imzml": write_imzml,
    "hdf5": save_hdf5,
    "jpeg": save_picture,
    "matlab": lambda path: scipy.io.savemat(path, {"one": SERIES}),
    "matlab_hdf5": save_matlab_hdf5,
    "mgh": lambda path: nibabel.save(nibabel.MGHImage(SURFACE, np.eye(4)), path),
    "mrc": lambda path: write_mrc(path, PIXELS[None]),
    "nifti": lambda path: nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), path),
    "npy": lambda path: np.save(path, SERIES),
    "npz": lambda path: np.savez(path, one=SERIES),
    "parquet": lambda path: pyarrow.parquet.write_table(pyarrow.Table.from_pandas(POINTS), path),
    "png": save_picture,
    "text": lambda path: np.savetxt(path, SERIES),
    "tiff": lambda path: tifffile.imwrite(path, PIXELS),
    "tsv": lambda path: POINTS.to_csv(path, index=False, sep="\t"),
    "webp": save_picture,
}


def read_all(found: FileFormat, path: Path) -> list[Any]:
    """Everything that can be read out of a file; volumes first, of which some are no series of a surface."""
    values: list[Any] = [decode(path).pixels] if found.picture else []
    values += [values_of(found.volume(path), path)] if found.volume else []
    values += [matrix.load() for matrix in found.series(path).values()] if found.series else []
    return values + (
        [dict(found.table(path, MASSES if found.spectra else TableRequest()).columns)] if found.table else []
    )
