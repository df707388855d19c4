"""MATLAB files of both kinds through import and score; real ones of MATLAB's own, which SciPy carries for its tests."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from project import command_line
from scoring import imported, scored, torch_scores
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import format_of, series_in

pytestmark = pytest.mark.usefixtures("undrawn")
REAL = Path(scipy.io.__file__).parent / "matlab/tests/data"


def save_v73(path: Path, variables: dict[str, Any]) -> None:
    """As MATLAB writes it: axes reversed, a class, a header of 512 bytes before HDF5."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in variables.items():
            file[name] = np.asarray(values).T
            file[name].attrs["MATLAB_class"] = np.bytes_(str(np.asarray(values).dtype).replace("float64", "double"))
        file.create_group("#refs#")
    with path.open("r+b") as opened:
        opened.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def people(root: Path) -> list[Any]:
    """Three people in files of version 5, two of 7.3; a scalar and a text beside the matrix."""
    (root / "set").mkdir()
    matrices = [np.random.default_rng(person).normal(size=(20, 6)) for person in range(5)]
    for person, matrix in enumerate(matrices):
        path = root / f"set/sub-{person}.mat"
        if person < 3:
            scipy.io.savemat(path, {"ROI_data": matrix, "TR": 0.72, "site": "Basel"}, do_compression=person == 0)
        else:
            save_v73(path, {"ROI_data": matrix, "TR": [[0.72]]})
    return matrices


def take(root: Path, *options: str, code: int = 0) -> str:
    done = command_line(root, "import", "set", "--family", "fmri", "--track", "false", *options)
    assert done.code == code, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def test_both_versions_give_the_matrices_that_matlab_shows(tmp_path: Path) -> None:
    matrices = people(tmp_path)
    take(tmp_path)
    with np.load(tmp_path / "data/fmri/set/timeseries.npz") as archive:
        assert archive.files == [f"sub-{person}" for person in range(5)]
        for person, matrix in enumerate(matrices):
            np.testing.assert_array_equal(archive[f"sub-{person}"], matrix.astype(np.float32))


@pytest.mark.slow
def test_matlab_scores_as_what_it_was_imported_as(tmp_path: Path) -> None:
    matrices = people(tmp_path)
    _, model = imported(tmp_path, "fmri", "set")
    for person in (0, 4):
        expected = torch_scores(model, matrices[person].astype(np.float32))
        np.testing.assert_allclose(scored(tmp_path, f"set/sub-{person}.mat")["score"], expected, rtol=1e-4)
    save_v73(tmp_path / "turned.mat", {"tc": matrices[4].T})
    refused = command_line(tmp_path, "score", "bundle", "turned.mat", "--output", "none")
    assert (
        refused.code == 2 and "must be numbers [T, 6]; say --transposed true if its rows are voxels" in refused.stderr
    )
    turned = scored(tmp_path, "turned.mat", "--transposed", "true")["score"]
    np.testing.assert_allclose(turned, torch_scores(model, matrices[4].astype(np.float32)), rtol=1e-4)


def test_a_file_that_matlab_wrote_in_7_3_holds_what_its_older_twin_does() -> None:
    path = REAL / "testhdf5_7.4_GLNX86.mat"
    assert format_of(path).name == "MATLAB 7.3"
    (matrix,) = series_in(path).values()
    twin = scipy.io.loadmat(REAL / "testdouble_7.4_GLNX86.mat")["testdouble"]
    assert twin.shape == (1, 9)  # a row, whose axis of length 1 is kept
    np.testing.assert_array_equal(matrix.load(), twin)


@pytest.mark.parametrize("version", ["4.2c_SOL2", "6.1_SOL2", "6.5.1_GLNX86", "7.1_GLNX86", "7.4_GLNX86"])
@pytest.mark.parametrize("name", ["testmatrix", "testdouble", "testminus"])
def test_files_that_matlab_wrote_are_read_value_by_value(version: str, name: str) -> None:
    path = REAL / f"{name}_{version}.mat"
    (matrix,) = series_in(path).values()
    np.testing.assert_array_equal(matrix.load(), scipy.io.loadmat(path)[name])


@pytest.mark.parametrize("name", ["teststring_7.4_GLNX86", "testcell_7.4_GLNX86", "teststruct_7.4_GLNX86"])
def test_files_without_numbers_are_refused_with_what_they_hold(name: str) -> None:
    with pytest.raises(DamagedFileError, match=r"holds no variable of numbers, only test\w+ \((char|cell|struct)\)"):
        series_in(REAL / f"{name}.mat")


def test_regions_in_rows_are_asked_about(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for person in range(3):
        courses = np.cumsum(np.random.default_rng(person).normal(size=(6, 60)), axis=1)
        scipy.io.savemat(tmp_path / f"set/sub-{person}.mat", {"tc": courses})
    assert "--transposed true if rows are voxels" in take(tmp_path, code=2)
    take(tmp_path, "--transposed", "true")
    with np.load(tmp_path / "data/fmri/set/timeseries.npz") as archive:
        assert archive["sub-1"].shape == (60, 6)


def test_links_out_of_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    save_v73(tmp_path / "set/sub-0.mat", {"tc": np.zeros((20, 6))})
    with h5py.File(tmp_path / "set/sub-0.mat", "r+") as file:
        file["other"] = h5py.ExternalLink("elsewhere.mat", "tc")
    assert "other is a link, must be in the file itself" in take(tmp_path, code=2)
