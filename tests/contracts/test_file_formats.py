"""What every file format promises, by a tiny file of each; new ones, of other packages too, are picked up.

Files are written by other libraries than those that read them where there are such.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest
import scipy.io
import tifffile
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage
from PIL import Image

from outside import environment_with, install_metadata
from vaeforge.data.decoding import decode
from vaeforge.data.file_format import FORMATS, FileFormat, TableRequest, file_formats, format_of, suffixes_of
from vaeforge.data.volume_file import values_of
from vaeforge.errors import DataError

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (9, 7), np.uint8)
SERIES = RNG.normal(size=(6, 4)).astype(np.float32)  # [T, V]
VOLUME = RNG.normal(size=(2, 3, 2, 5)).astype(np.float32)
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


# how a tiny file of each format is written, by the format's module
WRITERS: dict[str, Callable[[Path], Any]] = {
    "anndata": save_anndata,
    "bmp": save_picture,
    "cifti": save_cifti,
    "csv": lambda path: POINTS.to_csv(path, index=False),
    "gifti": save_gifti,
    "hdf5": save_hdf5,
    "jpeg": save_picture,
    "matlab": lambda path: scipy.io.savemat(path, {"one": SERIES}),
    "matlab_hdf5": save_matlab_hdf5,
    "mgh": lambda path: nibabel.save(nibabel.MGHImage(VOLUME, np.eye(4)), path),
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


def written(name: str, folder: Path) -> tuple[FileFormat, Path]:
    found = FORMATS.named(name)
    path = folder / f"a{found.suffixes[0]}"
    WRITERS[name](path)
    return found, path


def read(found: FileFormat, path: Path) -> list[Any]:
    """Everything that can be read out of a file."""
    values: list[Any] = [decode(path).pixels] if found.picture else []
    values += [matrix.load() for matrix in found.series(path).values()] if found.series else []
    values += [values_of(found.volume(path), path)] if found.volume else []
    return values + ([dict(found.table(path, TableRequest()).columns)] if found.table else [])


def test_each_format_has_a_tiny_file_here() -> None:
    assert FORMATS.names() == sorted(WRITERS)


@pytest.mark.parametrize("name", WRITERS)
def test_a_format_is_whole(name: str) -> None:
    found = FORMATS.named(name)
    assert found in file_formats() and found.suffixes and all(one == one.lower() for one in found.suffixes)
    assert all(suffix.startswith(".") for suffix in found.suffixes)
    readers = [content for content in ("picture", "series", "volume", "table") if found.reads(content)]
    assert readers and (found.kind == "pictures") == (readers == ["picture"])
    page = (ROOT / "docs/import.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| {found.name} |"))
    assert all(f"`{suffix}`" in row for suffix in found.suffixes)


@pytest.mark.parametrize("name", WRITERS)
def test_a_tiny_file_is_known_and_read_value_by_value(name: str, tmp_path: Path) -> None:
    found, path = written(name, tmp_path)
    assert format_of(path) is found
    assert found.begins is None or found.begins_so(path.read_bytes()[:1024])
    for values in read(found, path):
        if isinstance(values, dict):
            expected = POINTS if {"x", "y"} <= set(values) else pandas.DataFrame({"one": []})
            for column in expected if {"x", "y"} <= set(values) else ():
                np.testing.assert_allclose(values[column].astype(float), expected[column], rtol=1e-12)
        elif found.volume:
            np.testing.assert_array_equal(values, VOLUME)
        elif found.picture:
            difference = np.abs(values[0, :, :, 0].astype(int) - PIXELS)
            assert difference.max() <= (40 if name == "jpeg" else 0)
        elif not found.table or name in ("npz", "hdf5"):
            np.testing.assert_allclose(values, SERIES, rtol=1e-6)


@pytest.mark.filterwarnings("ignore")  # decoders' about damage
@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("csv", "tsv", "text")])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_a_file_that_was_cut_off_is_refused_in_one_sentence(name: str, share: float, tmp_path: Path) -> None:
    found, path = written(name, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    try:
        read(found, path)
    except DataError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:  # what is left is a whole picture
        assert name in ("bmp", "jpeg") and share


def test_suffixes_that_formats_share_are_told_apart_by_the_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    old, first = written("matlab", tmp_path / "old")
    new, second = written("matlab_hdf5", tmp_path)
    assert format_of(first) is old and format_of(second) is new


def test_longer_suffixes_go_first_and_case_does_not_count() -> None:
    assert format_of(Path("A.NII.GZ")) is FORMATS.named("nifti")
    assert format_of(Path("a.gz")) is None and ".nii.gz" in suffixes_of("volume")


def test_asking_for_suffixes_loads_no_library_that_reads() -> None:
    program = (
        "import sys; from vaeforge.data.file_format import suffixes_of; suffixes_of('table'); "
        "heavy = {'nibabel', 'h5py', 'pandas', 'scipy', 'anndata', 'torch'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], env=environment_with(), check=True)


FOREIGN = """
import numpy
from vaeforge.data.file_format import FileFormat, Matrix


def read_series(path):
    return {"": Matrix(lambda: numpy.loadtxt(path))}


FORMAT = FileFormat(name="Foreign", suffixes=(".foreign",), kind="arrays", series=read_series)
"""
USE = """
import sys
from pathlib import Path
import numpy
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.step import run_import
from vaeforge.paths import Project

folder = Path(sys.argv[1])
(folder / "set").mkdir()
for name in "abc":
    numpy.savetxt(folder / f"set/{name}.foreign", numpy.random.default_rng(ord(name)).normal(size=(7, 3)))
project = Project(folder)
print(run_import(folder / "set", "fmri", "series", project, ImportOptions(name="all", track=False)).counts)
"""


@pytest.mark.slow
def test_a_format_from_outside_is_found(tmp_path: Path) -> None:
    (tmp_path / "foreign_format.py").write_text(FOREIGN)
    install_metadata(tmp_path, "foreign", "[vaeforge.file_formats]\nforeign = foreign_format:FORMAT\n")
    command = [sys.executable, "-c", USE, str(tmp_path)]
    done = subprocess.run(command, env=environment_with(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "{'subjects': 3, 'timepoints': 21, 'voxels': 3}"
