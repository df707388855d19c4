"""What every file format promises, by a tiny file of each; new ones, of other packages too, are picked up."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

from format_files import PIXELS, POINTS, SERIES, SPECTRA, SURFACE, VOLUME, WRITERS, read_all
from outside import environment_with, install_metadata
from vaeforge.data.file_format import FORMATS, FileFormat, file_formats, format_of, suffixes_of
from vaeforge.errors import DataError

ROOT = Path(__file__).parents[2]


def written(name: str, folder: Path) -> tuple[FileFormat, Path]:
    found = FORMATS.named(name)
    path = folder / f"a{found.suffixes[0]}"
    WRITERS[name](path)
    return found, path


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
    for values in read_all(found, path):
        if isinstance(values, dict):
            points = SPECTRA if found.spectra else POINTS
            expected = points if {"x", "y"} <= set(values) else pandas.DataFrame({"one": []})
            for column in expected if {"x", "y"} <= set(values) else ():
                np.testing.assert_allclose(values[column].astype(float), expected[column], rtol=1e-12)
        elif found.volume and values.ndim == 4:
            np.testing.assert_array_equal(values, SURFACE if found.series else VOLUME)
        elif found.picture:
            difference = np.abs(values[0, :, :, 0].astype(int) - PIXELS)
            assert difference.max() <= (40 if name == "jpeg" else 0)
        elif not found.table or name in ("npz", "hdf5", "matlab", "matlab_hdf5"):
            np.testing.assert_allclose(values, SERIES, rtol=1e-6)


@pytest.mark.filterwarnings("ignore")  # decoders' about damage
@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("csv", "tsv", "text")])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_a_file_that_was_cut_off_is_refused_in_one_sentence(name: str, share: float, tmp_path: Path) -> None:
    found, path = written(name, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    try:
        read_all(found, path)
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
        "heavy = {'nibabel', 'h5py', 'pandas', 'scipy', 'anndata', 'pydicom', 'torch'} & set(sys.modules); "
        "assert not heavy, heavy"
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
