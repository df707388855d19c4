"""What an import takes is scored, too: one subject or one table in every format, on the command line, scores alike."""

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest
import torch
from numpy.typing import NDArray

from packaged_sample import packaged
from project import command_line
from samples import SMALL
from scoring import imported, scored, scores_of, torch_scores
from vaeforge.data.prepared import load_prepared
from vaeforge.package.contract import read_contract

pytestmark = pytest.mark.usefixtures("undrawn")

RNG = np.random.default_rng(0)
AFFINE = np.array([[-3.0, 0, 0, 30], [0, 3, 0, -40], [0, 0, 3, -20], [0, 0, 0, 1]])  # the first axis runs to the left


def volumes(root: Path, count: int = 5) -> NDArray[np.float32]:
    """NIfTI files of people; the values [T, V] of the first one, read by nibabel alone, along its axes from left on.

    They are the same each time, and so is the model that is converted.
    """
    (root / "nifti").mkdir()
    rng = np.random.default_rng(0)
    inside = rng.random((4, 3, 2)) < 0.7
    first = np.zeros(0)
    for person in range(count):
        values = np.where(inside[..., None], rng.normal(100, 10, (4, 3, 2, 12)), 0).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(values, AFFINE), root / f"nifti/sub-{person}.nii.gz")
        first = values if person == 0 else first
    matrix: NDArray[np.float32] = first[::-1][inside[::-1]].T
    return matrix


@pytest.mark.slow
def test_a_subject_scores_alike_in_every_format(tmp_path: Path) -> None:
    matrix = volumes(tmp_path)
    _, model = imported(tmp_path, "fmri", "nifti")
    np.savez(tmp_path / "one.npz", bold=matrix)
    np.save(tmp_path / "one.npy", matrix)
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file["bold"] = matrix
    rows = [[repr(float(value)) for value in row] for row in matrix]
    (tmp_path / "one.tsv").write_text("\n".join("\t".join(row) for row in rows))
    (tmp_path / "one.csv").write_text("\n".join(",".join(row) for row in rows))
    (tmp_path / "one.1D").write_text("\n".join("  ".join(row) for row in rows))
    pyarrow.parquet.write_table(
        pyarrow.table({f"voxel {n}": column for n, column in enumerate(matrix.T)}), tmp_path / "one.parquet"
    )
    expected = torch_scores(model, matrix)
    volume = scored(tmp_path, "nifti/sub-0.nii.gz")
    np.testing.assert_allclose(volume["score"], expected, rtol=1e-4)
    for name in ("one.npz", "one.npy", "one.h5", "one.tsv", "one.csv", "one.1D", "one.parquet"):
        np.testing.assert_array_equal(scored(tmp_path, name)["score"], volume["score"], name)


@pytest.mark.slow
def test_a_folder_of_volumes_is_scored_without_the_texts_beside_them(tmp_path: Path) -> None:
    volumes(tmp_path)
    (tmp_path / "nifti/participants.tsv").write_text("participant_id\tage\nsub-0\t30\n")
    (tmp_path / "nifti/motion.csv").write_text("x,y\n1,2\n")
    imported(tmp_path, "fmri", "nifti")
    items = scored(tmp_path, "nifti")["item"].tolist()
    assert len(items) == 5 * 12 and items[0] == "sub-0.nii.gz/0"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "move", "said"),
    [((5, 3, 2), 0, "its grid is 5 x 3 x 2 voxels, must be 4 x 3 x 2"), ((4, 3, 2), 6, "its voxels lie up to 6 mm")],
)
def test_a_volume_on_another_grid_is_refused_with_what_mends_it(
    tmp_path: Path, shape: tuple[int, int, int], move: float, said: str
) -> None:
    volumes(tmp_path)
    imported(tmp_path, "fmri", "nifti")
    moved = AFFINE.copy()
    moved[2, 3] += move
    values = RNG.normal(100, 10, (*shape, 12)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, moved), tmp_path / "other.nii")
    done = command_line(tmp_path, "score", "bundle", "other.nii")
    assert done.code == 2 and said in done.stderr and "resample it onto the grid" in done.stderr


@pytest.mark.slow
def test_volumes_need_a_model_that_learned_from_some(tmp_path: Path) -> None:
    volumes(tmp_path)
    (tmp_path / "runs").mkdir()
    for person in range(5):
        np.savez(tmp_path / f"runs/sub-{person}.npz", RNG.normal(size=(12, 6)).astype(np.float32))
    imported(tmp_path, "fmri", "runs")
    done = command_line(tmp_path, "score", "bundle", "nifti")
    assert done.code == 2 and "the model's contract names no grid" in done.stderr


@pytest.mark.slow
def test_a_source_scores_whose_voxels_were_left_out_in_part(tmp_path: Path) -> None:
    """One voxel is not covered in one series, one is constant: the source has eight, the model takes six."""
    (tmp_path / "runs").mkdir()
    series = [RNG.normal(size=(12, 8)).astype(np.float32) for _ in range(5)]
    series[1][:, 2] = np.nan
    for person, matrix in enumerate(series):
        matrix[:, 5] = 7
        np.savez(tmp_path / f"runs/sub-{person}.npz", matrix)
    _, model = imported(tmp_path, "fmri", "runs")
    kept = [0, 1, 3, 4, 6, 7]
    np.savetxt(tmp_path / "one.txt", series[1], fmt="%.9g")
    np.savetxt(tmp_path / "kept.txt", series[1][:, kept], fmt="%.9g")
    expected = torch_scores(model, series[1][:, kept])
    for name in ("runs/sub-1.npz", "one.txt", "kept.txt"):
        np.testing.assert_allclose(scored(tmp_path, name)["score"], expected, rtol=1e-4, err_msg=name)


@pytest.mark.slow
def test_series_in_hdf5_and_npy_are_imported(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    series = [RNG.normal(size=(12, 4)).astype(np.float32) for _ in range(5)]
    with h5py.File(tmp_path / "runs/all.h5", "w") as file:
        for person in range(3):
            file[f"anna {person}"] = series[person]
    with h5py.File(tmp_path / "runs/bert.hdf5", "w") as file:
        file["bold"] = series[3]
    np.save(tmp_path / "runs/carl.npy", series[4])
    (tmp_path / "runs/damaged.h5").write_bytes(b"no HDF5")
    imported(tmp_path, "fmri", "runs")
    with np.load(tmp_path / "data/fmri/runs/timeseries.npz") as archive:
        assert sorted(archive.files) == ["anna 0", "anna 1", "anna 2", "bert", "carl"]
        np.testing.assert_array_equal(archive["bert"], series[3])
        np.testing.assert_array_equal(archive["carl"], series[4])
    left_out = list(csv.reader((tmp_path / "data/fmri/runs/.import/quarantine.csv").read_text().splitlines()))
    assert left_out[1][0] == "damaged.h5" and left_out[1][1].startswith("cannot be read as HDF5")


@pytest.mark.slow
@pytest.mark.parametrize("axes", [("x", "y", "z"), pytest.param(("x", "y"), marks=pytest.mark.long)])
def test_a_table_of_points_scores_alike_in_every_format(tmp_path: Path, axes: tuple[str, ...]) -> None:
    places = np.zeros((60, 3), dtype=np.float32)
    places[:, : len(axes)] = RNG.permutation(np.argwhere(np.ones((5, 4, 3))))[:, : len(axes)]
    places[:, 0] += np.arange(60) / 64  # no place is there twice
    values = RNG.normal(3, 1, (60, 4)).astype(np.float32)
    columns = {axis: places[:, number] for number, axis in enumerate(axes)}
    columns |= {f"lipid {number}": column for number, column in enumerate(values.T)}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")
    _, model = imported(tmp_path, "lipid", "table.parquet")
    np.savez(tmp_path / "columns.npz", **columns)  # type: ignore[arg-type]
    with h5py.File(tmp_path / "columns.h5", "w") as file:
        for name, column in columns.items():
            file[name] = column
    channels = np.array([f"lipid {number}" for number in range(4)])
    np.savez(tmp_path / "assembled.npz", coordinates=places, values=values, channels=channels)
    with h5py.File(tmp_path / "assembled.hdf5", "w") as file:
        file["coordinates"], file["values"], file["channels"] = places, values, channels.astype("S")
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    lines = ["\t".join(columns), *("\t".join(map(repr, row)) for row in rows)]
    (tmp_path / "table.tsv").write_text("\n".join(lines))
    np.savez(tmp_path / "prepared.npz", x=values, condition=places)  # the form of prepared arrays
    expected = torch_scores(model, values, places)
    first = scored(tmp_path, "table.parquet")["score"]
    np.testing.assert_allclose(first, expected, rtol=1e-4)
    for name in ("columns.npz", "columns.h5", "assembled.npz", "assembled.hdf5", "table.tsv", "prepared.npz"):
        np.testing.assert_array_equal(scored(tmp_path, name)["score"], first, name)


@pytest.mark.long
def test_a_table_without_z_is_no_plane_for_a_model_of_space(tmp_path: Path) -> None:
    places = np.argwhere(np.ones((5, 4, 3))).astype(np.float32)
    columns = dict(zip(("x", "y", "z"), places.T, strict=True)) | {"a": RNG.normal(size=60), "b": RNG.normal(size=60)}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")
    imported(tmp_path, "lipid", "table.parquet")
    del columns["z"]
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "flat.parquet")
    done = command_line(tmp_path, "score", "bundle", "flat.parquet")
    assert done.code == 2 and "lacks z" in done.stderr


def holed_table(root: Path) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]]:
    """A table of 300 points and 100 lipids, 2 % of the cells empty; its columns, and places."""
    places = np.argwhere(np.ones((10, 6, 5))).astype(np.float32)
    values = RNG.normal(3, 1, (300, 100)).astype(np.float32)
    values[RNG.random(values.shape) < 0.02] = np.nan
    columns = dict(zip(("x", "y", "z"), places.T, strict=True))
    columns |= {f"lipid {number}": column for number, column in enumerate(values.T)}
    pandas.DataFrame(columns).to_csv(root / "table.csv", index=False)
    return columns, values


@pytest.mark.long
def test_scattered_missing_cells_cost_no_points_and_are_scored_as_missing(tmp_path: Path) -> None:
    columns, values = holed_table(tmp_path)
    _, model = imported(tmp_path, "lipid", "table.csv")
    counts = json.loads((tmp_path / "artifacts/prepared/lipid/manifest.json").read_text())["counts"]
    parts = sum(counts[part] for part in ("train", "validation", "test"))
    assert (parts, counts["dropped_rows"], counts["missing_values"]) == (300, 0, int(np.isnan(values).sum()))
    assert np.isfinite(values).all(axis=1).sum() < 60  # points that have every value
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")
    pandas.DataFrame(columns).to_csv(tmp_path / "words.tsv", index=False, sep="\t", na_rep="n.d.")
    places = np.stack([columns[axis] for axis in "xyz"], axis=1)
    np.savez(tmp_path / "prepared.npz", x=values, condition=places)
    # by hand: the encoder gets the training mean, the error is over the cells that are there
    mean = load_prepared(tmp_path / "artifacts/prepared/lipid").constants["fill"]
    with torch.no_grad():
        x, condition = torch.from_numpy(np.where(np.isnan(values), mean, values)), torch.from_numpy(places)
        found = model.reconstruct(x, condition)[0]
        squares = (model.normalise(x) - found).square().numpy()
    expected = np.nanmean(np.where(np.isnan(values), np.nan, squares), axis=1)
    package = packaged(tmp_path, "lipid", **{f"model__{key}": value for key, value in SMALL["lipid"].items()})
    assert read_contract(package / "contract.json").missing
    done = command_line(tmp_path, "score", str(package), "table.csv", "--output", "packaged")
    assert done.code == 0 and "note" not in done.stdout, done.stdout + done.stderr  # they look like the training data
    scores = scores_of(tmp_path / "packaged")["score"]
    assert len(scores) == 300 and np.isfinite(scores).all()
    for name in ("table.csv", "table.parquet", "words.tsv", "prepared.npz"):
        result = scored(tmp_path, name)
        np.testing.assert_allclose(result["score"], expected, rtol=1e-4, err_msg=name)
        assert len(result["score"]) == 300


@pytest.mark.slow
def test_a_point_without_any_value_cannot_be_scored(tmp_path: Path) -> None:
    holed_table(tmp_path)
    imported(tmp_path, "lipid", "table.csv")
    lines = (tmp_path / "table.csv").read_text().splitlines()
    lines[1] = "0,0,0" + "," * 100
    (tmp_path / "one.csv").write_text("\n".join(lines))
    assert len(scored(tmp_path, "one.csv")["score"]) == 299
    refused = (tmp_path / "scored-one.csv/quarantine.csv").read_text()
    assert "100 of 100 values are NaN or infinite" in refused


@pytest.mark.slow
def test_a_model_of_complete_data_takes_no_missing_values(tmp_path: Path) -> None:
    columns, _ = holed_table(tmp_path)
    whole = {name: np.nan_to_num(column, nan=3.0) for name, column in columns.items()}
    pandas.DataFrame(whole).to_csv(tmp_path / "whole.csv", index=False)
    imported(tmp_path, "lipid", "whole.csv")
    assert "fill" not in load_prepared(tmp_path / "artifacts/prepared/lipid").constants
    assert len(scored(tmp_path, "table.csv")["score"]) < 60
