"""Rows that a scoring reads, the same ones out of every format; no model is run."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
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

from vaeforge.data.source_reading import SourceReading
from vaeforge.data.voxels import SourceVoxels, grid_of
from vaeforge.errors import DataError
from vaeforge.package.contract import Contract, read_contract
from vaeforge.paths import write_json
from vaeforge.score.batches import ItemBatch
from vaeforge.score.files import find, reader_of
from vaeforge.score.read_options import ReadOptions

TESTS = Path(__file__).parents[1]
AFFINE = np.diag([3.0, 3, 3, 1])
SERIES = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)  # [T, V]
VOLUME = np.ascontiguousarray(SERIES.T).reshape(3, 2, 1, 9)  # its voxels in C order


def contract(root: Path, **changes: Any) -> Contract:
    content = json.loads((TESTS / "manifests/contract.json").read_text())
    write_json(root / "contract.json", content | changes)
    return read_contract(root / "contract.json")


def series_contract(root: Path, **changes: Any) -> Contract:
    told = {"family": "fmri", "data": "series", "event_shape": [6], "prepare": {}, "condition": [], "channels": []}
    grid = grid_of(np.ones((3, 2, 1), dtype=np.bool_), AFFINE)
    return replace(contract(root, **told), source_voxels=SourceVoxels(grid), **changes)


def rows(path: Path, made: Contract, **options: Any) -> ItemBatch:
    reading = ReadOptions(label=None, pictures=None, batch=64, threads=1, **options)
    (batch,) = reader_of(find(path), made, reading).batches((0, 0))
    return batch


def save_hdf5(path: Path, values: Any) -> None:
    with h5py.File(path, "w") as file:
        file["bold"] = values


def save_matlab_hdf5(path: Path, values: Any) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file["tc"] = values.T
        file["tc"].attrs["MATLAB_class"] = np.bytes_("single")
    with path.open("r+b") as opened:
        opened.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


MATRICES: dict[str, Callable[[Path, Any], Any]] = {
    "a.npy": np.save,
    "a.npz": lambda path, values: np.savez(path, bold=values),
    "a.h5": save_hdf5,
    "a.mat": lambda path, values: scipy.io.savemat(path, {"tc": values}),
    "new.mat": save_matlab_hdf5,
    "a.txt": lambda path, values: np.savetxt(path, values, fmt="%.9g"),
    "a.tsv": lambda path, values: np.savetxt(path, values, fmt="%.9g", delimiter="\t"),
    "a.csv": lambda path, values: np.savetxt(path, values, fmt="%.9g", delimiter=","),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("transposed", [False, True])
def test_a_series_has_the_same_rows_in_every_format(tmp_path: Path, name: str, transposed: bool) -> None:
    MATRICES[name](tmp_path / name, SERIES.T if transposed else SERIES)
    made = series_contract(tmp_path, source_reading=SourceReading(transposed=True) if transposed else None)
    found = rows(tmp_path / name, made)
    np.testing.assert_array_equal(found.x, SERIES)
    assert not found.rejected and found.names[0].endswith("0")


def test_a_series_as_a_table_has_the_same_rows(tmp_path: Path) -> None:
    table = pyarrow.table({f"voxel {place}": column for place, column in enumerate(SERIES.T)})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    np.testing.assert_array_equal(rows(tmp_path / "a.parquet", series_contract(tmp_path)).x, SERIES)


@pytest.mark.parametrize("stated", [True, False])
def test_a_volume_has_the_same_rows_wherever_its_time_is(tmp_path: Path, stated: bool) -> None:
    nibabel.save(nibabel.Nifti1Image(VOLUME, AFFINE), tmp_path / "last.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.moveaxis(VOLUME, -1, 0), AFFINE), tmp_path / "first.nii.gz")
    np.testing.assert_array_equal(rows(tmp_path / "last.nii.gz", series_contract(tmp_path)).x, SERIES)
    noted = series_contract(tmp_path, source_reading=None if stated else SourceReading(time_axis="first"))
    options = {"time_axis": "first"} if stated else {}
    np.testing.assert_array_equal(rows(tmp_path / "first.nii.gz", noted, **options).x, SERIES)
    again = rows(tmp_path / "last.nii.gz", noted, time_axis="last")
    np.testing.assert_array_equal(again.x, SERIES)


def test_a_matrix_of_other_voxels_says_which_option_turns_it(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"tc": SERIES.T})
    (reason,) = rows(tmp_path / "a.mat", series_contract(tmp_path)).rejected.values()
    assert reason == "it is float32 [6, 9], must be numbers [T, 6]; say --transposed true if its rows are voxels"


POINTS = pandas.DataFrame(np.random.default_rng(1).normal(size=(8, 5)), columns=["x", "y", "z", "a", "b"])


def save_points(path: Path) -> None:
    if path.suffix == ".csv":
        POINTS.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pandas(POINTS), path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: POINTS[name].to_numpy() for name in POINTS})
    else:
        with h5py.File(path, "w") as file:
            for name in POINTS:
                file[name] = POINTS[name].to_numpy()


def points_contract(root: Path, names: list[str], layer: str | None = None) -> Contract:
    told = {"family": "lipid", "data": "points", "event_shape": [len(names)], "condition": ["x", "y", "z"]}
    told |= {"prepare": {"reading": "points", "log1p": False, "scaling": "standard"}, "channels": names, "plane": True}
    return replace(contract(root, **told), source_reading=SourceReading(layer=layer) if layer else None)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.npz", "a.h5"])
def test_a_table_of_points_has_the_same_rows_in_every_format(tmp_path: Path, name: str) -> None:
    save_points(tmp_path / name)
    found = rows(tmp_path / name, points_contract(tmp_path, ["a", "b"]))
    np.testing.assert_allclose(found.x, POINTS[["a", "b"]], rtol=1e-6)
    np.testing.assert_allclose(found.condition, POINTS[["x", "y", "z"]], rtol=1e-6)


@pytest.mark.parametrize("form", ["dense", "csr", "csc"])
@pytest.mark.parametrize("layer", [None, "log"])
def test_anndata_has_the_rows_that_anndata_says(tmp_path: Path, form: str, layer: str | None) -> None:
    shutil.copy(TESTS / f"formats/anndata/{form}.h5ad", tmp_path / "a.h5ad")
    with np.load(TESTS / f"formats/anndata/{form}.npz") as archive:
        own = {name: archive[name] for name in archive.files}
    genes = own["var_names"].tolist()[::-1]  # found by their names, in whatever order
    found = rows(tmp_path / "a.h5ad", points_contract(tmp_path, genes, layer))
    np.testing.assert_array_equal(found.x, own[layer or "X"].astype(np.float32)[:, ::-1])
    np.testing.assert_array_equal(found.condition[:, :2], own["spatial"].astype(np.float32)[:, :2])
    assert found.names == tuple(own["obs_names"].tolist())


def test_series_of_matlab_are_no_points(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"tc": SERIES})
    (reason,) = rows(tmp_path / "a.mat", points_contract(tmp_path, ["a", "b"])).rejected.values()
    assert "holds series, but the model takes points" in reason


def test_texts_beside_volumes_are_notes_and_two_kinds_are_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(VOLUME, AFFINE), tmp_path / "a.nii.gz")
    np.savetxt(tmp_path / "motion.csv", SERIES)
    assert [path.name for path in find(tmp_path).paths] == ["a.nii.gz"]
    np.save(tmp_path / "a.npy", SERIES)
    with pytest.raises(DataError, match=r"holds 1 volumes .*, 1 arrays .*, must hold one kind"):
        find(tmp_path)
