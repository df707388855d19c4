"""Scans as scanners and scripts leave them: time as the first axis, bright scans before the steady state."""

import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from project import command_line
from scoring import imported, scored, torch_scores

pytestmark = pytest.mark.usefixtures("undrawn")

AFFINE = np.array([[3.0, 0, 0, -30], [0, 3, 0, -40], [0, 0, 3, -20], [0, 0, 0, 1]])


def scan(seed: int, timepoints: int = 24, dummies: int = 0, masked: bool = False) -> NDArray[np.float32]:
    """Voxels [6, 5, 4, T] of a mean of their own, noise of 1 %, and brighter scans at the beginning."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(600, 1200, (6, 5, 4, 1))
    values = mean * (1 + 0.01 * rng.standard_normal((6, 5, 4, timepoints)))
    if masked:  # filtered: nothing but the background tells what is where
        inside = np.random.default_rng(0).random((6, 5, 4, 1)) < 0.6
        values = np.where(inside, rng.standard_normal(values.shape), 0)
    for place in range(dummies):
        values[..., place] *= 1.6 - 0.2 * place
    return values.astype(np.float32)


def write(path: Path, values: NDArray[Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), path)


def take(root: Path, *options: str, code: int = 0) -> str:
    done = command_line(root, "import", "set", "--family", "fmri", "--track", "false", *options)
    assert done.code == code, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def series_of(root: Path, name: str = "set") -> dict[str, Any]:
    with np.load(root / f"data/fmri/{name}/timeseries.npz") as archive:
        return {key: archive[key] for key in archive.files}


@pytest.mark.parametrize("masked", [False, True])
def test_time_as_the_first_axis_is_asked_about_and_turned(tmp_path: Path, masked: bool) -> None:
    for person in range(3):
        write(tmp_path / f"set/sub-{person}.nii.gz", np.moveaxis(scan(person, masked=masked), -1, 0))
    said = take(tmp_path, code=2)
    assert "time may be the first axis of 3 NIfTI file(s)" in said and "sub-0.nii.gz (24 x 6 x 5 x 4)" in said
    assert "--time-axis first if it is" in said and not (tmp_path / "data").exists()
    take(tmp_path, "--time-axis", "first")
    right = scan(1, masked=masked)
    voxels = right[right.any(axis=-1)] if masked else right.reshape(-1, 24)
    np.testing.assert_array_equal(series_of(tmp_path)["sub-1"], voxels.T)
    take(tmp_path, "--time-axis", "last", "--name", "as-it-is")
    assert len(series_of(tmp_path, "as-it-is")["sub-1"]) == 4


def test_time_first_of_several_lengths_is_asked_about_where_grids_would_differ(tmp_path: Path) -> None:
    for person in range(3):
        write(tmp_path / f"set/sub-{person}.nii.gz", np.moveaxis(scan(person, 20 + person), -1, 0))
    said = take(tmp_path, "--yes", code=2)
    assert "time may be the first axis" in said and "--yes true does not answer it" in said
    take(tmp_path, "--time-axis", "first")
    assert [len(values) for values in series_of(tmp_path).values()] == [20, 21, 22]


@pytest.mark.parametrize("masked", [False, True])
def test_scans_with_time_last_are_not_asked_about(tmp_path: Path, masked: bool) -> None:
    for person in range(3):
        write(tmp_path / f"set/sub-{person}.nii.gz", scan(person, masked=masked))
    assert "question" not in take(tmp_path)


def test_bright_scans_at_the_beginning_are_asked_about_and_left_out(tmp_path: Path) -> None:
    for person in range(3):
        write(tmp_path / f"set/sub-{person}.nii.gz", scan(person, dummies=3 if person == 1 else 2))
    said = take(tmp_path, code=2)
    assert (
        "the first timepoints of 3 series are far brighter than those that follow: sub-0 (2); sub-1 (3); sub-2 (2)"
        in said
    )
    assert "Say --dummy-scans 3 to leave the first 3 of each series out, or --dummy-scans 0 to keep them" in said
    assert "the first 3 timepoint(s) of each series are left out" in take(tmp_path, "--dummy-scans", "3")
    np.testing.assert_array_equal(series_of(tmp_path)["sub-1"], scan(1, dummies=3).reshape(-1, 24).T[3:])
    take(tmp_path, "--dummy-scans", "0", "--name", "whole")
    assert len(series_of(tmp_path, "whole")["sub-1"]) == 24
    take(tmp_path, "--yes", "--name", "agreed")
    assert len(series_of(tmp_path, "agreed")["sub-1"]) == 24


def test_bright_scans_in_texts_are_asked_about_by_inspect_too(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for person in range(3):
        np.savetxt(tmp_path / f"set/sub-{person}.txt", scan(person, dummies=1).reshape(-1, 24).T[:, :12])
    done = command_line(tmp_path, "inspect", "set", "--family", "fmri")
    assert done.code == 2 and "are far brighter than those that follow" in " ".join(done.stdout.split())
    done = command_line(tmp_path, "inspect", "set", "--family", "fmri", "--dummy-scans", "1")
    assert done.code == 0, done.stdout + done.stderr


@pytest.mark.parametrize("options", [("--time-axis", "first"), ("--dummy-scans", "-1"), ("--time-axis", "third")])
def test_options_of_scans_that_cannot_be_meant_are_refused(tmp_path: Path, options: tuple[str, str]) -> None:
    (tmp_path / "set").mkdir()
    np.savetxt(tmp_path / "set/one.txt", scan(0).reshape(-1, 24).T[:, :12])
    assert options[0] in take(tmp_path, *options, code=2)


def test_few_timepoints_are_left_after_dummy_scans(tmp_path: Path) -> None:
    for person in range(2):
        write(tmp_path / f"set/sub-{person}.nii.gz", scan(person))
    assert "at least 2 timepoints" in take(tmp_path, "--dummy-scans", "23", code=2)


@pytest.mark.slow
def test_files_with_time_first_are_scored_as_they_were_imported(tmp_path: Path) -> None:
    for person in range(5):
        write(tmp_path / f"set/sub-{person}.nii.gz", np.moveaxis(scan(person), -1, 0))
    _, model = imported(tmp_path, "fmri", "set", "--time-axis", "first")
    expected = torch_scores(model, scan(0).reshape(-1, 24).T)
    np.testing.assert_allclose(scored(tmp_path, "set/sub-0.nii.gz")["score"], expected, rtol=1e-4)
    write(tmp_path / "upright.nii.gz", scan(0))
    np.testing.assert_allclose(scored(tmp_path, "upright.nii.gz", "--time-axis", "last")["score"], expected, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:invalid value encountered in det")
def test_a_scan_whose_voxels_lie_nowhere_is_left_out(tmp_path: Path) -> None:
    for person in range(3):
        write(tmp_path / f"set/sub-{person}.nii", np.moveaxis(scan(person), -1, 0))
    header = bytearray((tmp_path / "set/sub-1.nii").read_bytes())
    header[80:84] = struct.pack("<f", np.nan)  # pixdim[1], which the affine is made of
    header[252:256] = bytes(4)  # where neither qform_code nor sform_code is set
    (tmp_path / "set/sub-1.nii").write_bytes(header)
    assert "1 quarantined" in take(tmp_path, "--time-axis", "first")
    left_out = (tmp_path / "artifacts/import/fmri/set/quarantine.csv").read_text()
    assert "sub-1.nii" in left_out and "does not say where its voxels lie: its affine is not finite" in left_out
