"""Importing time series from npz, NIfTI and CSV: one grid of voxels, no value that is no number, nothing executed."""

import csv
import gzip
import pickle
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from vaeforge.errors import DataError
from vaeforge.importing import description
from vaeforge.importing.import_options import ImportOptions, ImportResult
from vaeforge.importing.step import run_import
from vaeforge.paths import Project, read_json

RNG = np.random.default_rng(0)
A, B = (RNG.normal(size=(7, 5)).astype(np.float32) for _ in range(2))


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "rendered" not in request.fixturenames:
        monkeypatch.setattr(description, "save_chart", lambda chart, folder: None)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "given").mkdir()
    return tmp_path / "given"


def take(project: Project, source: Path, **options: Any) -> ImportResult:
    return run_import(source, "fmri", "series", project, ImportOptions(**options))


def refused(project: Project, source: Path, message: str, **options: Any) -> None:
    with pytest.raises(DataError, match=message):
        take(project, source, **options)
    assert not list((project.root / "data").rglob("*"))


def series(result: ImportResult) -> dict[str, Any]:
    with np.load(result.folder / "timeseries.npz", allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def quarantine(result: ImportResult) -> dict[str, str]:
    with (result.folder / ".import/quarantine.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}


def nifti(path: Path, values: Any, affine: Any = None) -> None:
    nibabel.Nifti1Image(np.asarray(values), np.eye(4) if affine is None else affine).to_filename(path)


def volume(seed: int, timepoints: int = 6) -> Any:
    """2 x 2 x 2 voxels over time; voxel (0, 0, 0) is constant."""
    values = np.random.default_rng(seed).normal(size=(2, 2, 2, timepoints)).astype(np.float32)
    values[0, 0, 0] = 3
    return values


def test_keys_of_one_archive_are_subjects(project: Project, source: Path) -> None:
    np.savez(source / "all.npz", first=A, second=B.astype(np.float64))
    result = take(project, source / "all.npz")
    found = series(result)
    assert (list(found), result.folder.name) == (["first", "second"], "all")
    assert np.array_equal(found["first"], A)
    assert found["second"].dtype == np.float32
    assert result.counts == {"subjects": 2, "timepoints": 14, "voxels": 5}


def test_files_with_one_array_of_a_generic_name_are_subjects(project: Project, source: Path) -> None:
    np.savez(source / "anna.npz", A)
    np.savez(source / "bert.npz", tc=B)
    np.savez(source / "rest.npz", **{"sub-03": A + 1})
    assert sorted(series(take(project, source))) == ["anna", "bert", "sub-03"]


def test_text_with_and_without_a_header_is_read(project: Project, source: Path) -> None:
    np.savetxt(source / "anna.csv", A, delimiter=",")
    np.savetxt(source / "bert.csv", B, delimiter=";", header="v1;v2;v3;v4;v5", comments="")
    found = series(take(project, source))
    np.testing.assert_allclose(found["anna"], A, rtol=1e-6)
    np.testing.assert_allclose(found["bert"], B, rtol=1e-6)


def test_statistics_of_each_subject_are_written(rendered: None, project: Project, source: Path) -> None:
    values = np.array([[1, 5], [1, 7], [1, 9]], dtype=np.float32)
    np.savez(source / "all.npz", only=values)
    beside = take(project, source / "all.npz").folder / ".import"
    with (beside / "statistics.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert [row[name] for name in ("subject", "timepoints", "voxels", "constant_voxels")] == ["only", "3", "2", "1"]
    # (3 * 1 + 5 + 7 + 9) / 6 = 4
    assert (float(row["mean"]), row["min"], row["max"]) == (4, "1", "9")
    assert {path.name for path in beside.glob("*.png")} == {"traces.png", "timepoints.png", "intensities.png"}


def test_nifti_voxels_are_those_that_vary_in_all_subjects(project: Project, source: Path) -> None:
    one, two = volume(1), volume(2, timepoints=4)
    two[1, 1, 1] = 0
    one[0, 1, 0] = np.nan  # outside of the brain
    nifti(source / "sub-01_bold.nii.gz", one)
    nifti(source / "sub-02_bold.nii", two)
    result = take(project, source)
    kept = np.ones((2, 2, 2), dtype=bool)
    kept[0, 0, 0] = kept[1, 1, 1] = kept[0, 1, 0] = False
    found = series(result)
    assert sorted(found) == ["sub-01_bold", "sub-02_bold"]
    np.testing.assert_array_equal(found["sub-02_bold"], two[kept].T)
    with np.load(result.folder / ".import/voxels.npz") as voxels:
        assert np.array_equal(voxels["mask"], kept)
    assert "5 of 8 voxels kept, those that vary in all subjects" in result.notes


def test_a_mask_decides_the_voxels(project: Project, source: Path) -> None:
    mask = np.zeros((2, 2, 2), dtype=np.uint8)
    mask[0, 0, 0] = mask[1, 0, 1] = 1
    nifti(source / "mask.nii.gz", mask)
    nifti(source / "sub-01.nii.gz", volume(1))
    result = take(project, source, mask=source / "mask.nii.gz")
    np.testing.assert_array_equal(series(result)["sub-01"], volume(1)[mask > 0].T)
    assert (result.quarantined, read_json(result.manifest, "")["options"]["mask"]) == (0, "mask.nii.gz")


def test_scaled_integers_of_nifti_are_scaled(project: Project, source: Path) -> None:
    stored = np.arange(32, dtype=np.int16).reshape(2, 2, 2, 4)
    image = nibabel.Nifti1Image(stored, np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    image.to_filename(source / "sub-01.nii.gz")
    again = np.asarray(nibabel.load(source / "sub-01.nii.gz").dataobj)
    np.testing.assert_array_equal(series(take(project, source))["sub-01"], again.reshape(8, 4).T)


def test_a_corrupt_or_flat_nifti_is_left_out(project: Project, source: Path) -> None:
    nifti(source / "good.nii.gz", volume(1))
    nifti(source / "cut.nii.gz", volume(2, timepoints=400))
    whole = (source / "cut.nii.gz").read_bytes()
    (source / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (source / "zero.nii").write_bytes(b"")
    (source / "text.nii.gz").write_bytes(gzip.compress(b"no image at all"))
    nifti(source / "anatomy.nii.gz", volume(3)[..., 0])
    result = take(project, source)
    assert list(series(result)) == ["good"]
    left_out = quarantine(result)
    assert set(left_out) == {"cut.nii.gz", "zero.nii", "text.nii.gz", "anatomy.nii.gz"}
    assert left_out["anatomy.nii.gz"] == "is (2, 2, 2), must have 4 dimensions"


def test_a_nifti_that_announces_more_than_it_holds_is_left_out(project: Project, source: Path) -> None:
    nifti(source / "good.nii", volume(1))
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_data_shape((30000, 30000, 30000, 100))
    (source / "huge.nii").write_bytes(header.binaryblock + bytes(400))
    assert "announces (30000, 30000, 30000, 100)" in quarantine(take(project, source))["huge.nii"]


def test_grids_that_differ_are_refused(project: Project, source: Path) -> None:
    nifti(source / "a.nii", volume(1))
    nifti(source / "b.nii", RNG.normal(size=(2, 2, 3, 5)).astype(np.float32))
    refused(project, source, r"differ in their grids.*a\.nii 2 x 2 x 2; b\.nii 2 x 2 x 3")


def test_affines_that_differ_a_little_are_said_and_voxels_elsewhere_are_refused(project: Project, source: Path) -> None:
    nifti(source / "a.nii", volume(1))
    nifti(source / "b.nii", volume(2), affine=np.diag([1.1, 1, 1, 1]))
    assert any("affines" in remark for remark in take(project, source).notes)
    nifti(source / "b.nii", volume(2), affine=np.diag([2, 2, 2, 1]))
    # the corner (1, 1, 1) lies at (2, 2, 2): sqrt(3) mm away
    with pytest.raises(DataError, match=r"b\.nii 1\.73 mm"):
        take(project, source, name="second")


def test_mirrored_grids_are_brought_to_one_orientation(project: Project, source: Path) -> None:
    values = np.random.default_rng(3).normal(size=(3, 2, 2, 6)).astype(np.float32)
    ras = np.diag([2.0, 2, 2, 1])
    las = np.array([[-2.0, 0, 0, 4], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    nifti(source / "a.nii", values, ras)
    nifti(source / "b.nii", values[::-1] + 1, las)  # the same places, stored from right to left
    found = series(take(project, source))
    np.testing.assert_allclose(found["b"], found["a"] + 1, rtol=1e-6)
    # voxels in C order of (x, y, z): the third one is at (0, 1, 0)
    assert np.array_equal(found["a"][:, 2], values[0, 1, 0])


def test_runs_of_a_person_are_one_group(project: Project, source: Path) -> None:
    for person in range(3):
        for run in (1, 2):
            np.savez(source / f"sub-{person:02}_run-{run}.npz", RNG.normal(size=(7, 5)).astype(np.float32))
    result = take(project, source)
    rows = (result.folder / "groups.csv").read_text().split()
    assert rows[:3] == ["item,group", "sub-00_run-1,sub-00", "sub-00_run-2,sub-00"]
    assert any("6 series are 3 groups (by sub-… in their names)" in note for note in result.notes)


def test_names_that_differ_in_a_run_are_asked_about(project: Project, source: Path) -> None:
    np.savez(source / "anna_run1.npz", A)
    np.savez(source / "anna_run2.npz", B)
    refused(project, source, "--groups none")
    assert take(project, source, groups="none").counts["groups"] == 2
    assert take(project, source, groups="^[a-z]+", name="other").counts["groups"] == 1


def test_a_table_of_participants_is_no_series_and_names_groups(project: Project, source: Path) -> None:
    np.savez(source / "sub-01.npz", A)
    np.savez(source / "sub-02.npz", B)
    (source / "participants.tsv").write_text("participant_id\tage\tfamily\nsub-01\t30\tx\nsub-02\t31\tx\n")
    result = take(project, source, group_column="family")
    assert (result.counts["subjects"], result.counts["groups"]) == (2, 1)


def test_parts_of_folders_are_kept(project: Project, source: Path) -> None:
    for part, name in (("train", "sub-1"), ("train", "sub-2"), ("test", "sub-3")):
        (source / part).mkdir(exist_ok=True)
        np.savez(source / part / f"{name}.npz", RNG.normal(size=(7, 5)).astype(np.float32))
    folder = take(project, source, split="folders").folder
    assert (folder / "parts.csv").read_text() == "item,part\nsub-1,train\nsub-2,train\nsub-3,test\n"


def test_voxels_in_rows_are_asked_about_and_turned(project: Project, source: Path) -> None:
    for name, length in (("a", 30), ("b", 40)):
        np.savez(source / f"{name}.npz", RNG.normal(size=(5, length)).astype(np.float32))
    refused(project, source, "all have 5 rows, but 2 different numbers of columns.*--transposed")
    found = series(take(project, source, transposed=True))
    assert {name: array.shape for name, array in found.items()} == {"a": (30, 5), "b": (40, 5)}


def test_series_that_are_smooth_along_rows_are_asked_about(project: Project, source: Path) -> None:
    for name in "ab":
        steps = RNG.normal(size=(6, 100)).cumsum(axis=1)  # six walks, one a row
        np.savez(source / f"{name}.npz", steps.astype(np.float32))
    refused(project, source, "neighbours correlate along rows")
    assert series(take(project, source, transposed=True))["a"].shape == (100, 6)
    assert series(take(project, source, transposed=False, name="other"))["a"].shape == (6, 100)


def test_labels_of_regions_row_numbers_and_comments_are_no_values(project: Project, source: Path) -> None:
    def lines(first: str, *rows: str) -> str:
        return "\n".join((first, *rows, ""))

    (source / "labels.csv").write_text(lines("1001,1002", "0.5,1.5", "2.5,3.5", "4.5,5.25"))
    (source / "counted.csv").write_text(lines(",v,w", "0,0.5,1.5", "1,2.5,3.5", "2,4.5,5.75"))
    (source / "comment.txt").write_text(lines("# TR=2", "0.5 1.5", "2.5 3.5", "4.5 6.25"))
    (source / "trailing.csv").write_text(lines("v,w", "0.5,1.5,", "2.5,3.5,", "4.5,7.5,"))
    (source / "commas.csv").write_text(lines("v;w", "0,5;1,5", "2,5;3,5", "4,5;8,5"))
    (source / "quoted.csv").write_text(lines('"v, left",w', "0.5,1.5", "2.5,3.5", "4.5,9.5"))
    last = {"labels": 5.25, "counted": 5.75, "comment": 6.25, "trailing": 7.5, "commas": 8.5, "quoted": 9.5}
    found = series(take(project, source, yes=True))  # the columns have other names in each
    assert {name: array.tolist() for name, array in found.items()} == {
        name: [[0.5, 1.5], [2.5, 3.5], [4.5, value]] for name, value in last.items()
    }


def test_texts_beside_volumes_are_no_series(project: Project, source: Path) -> None:
    nifti(source / "sub-01_bold.nii.gz", volume(1))
    nifti(source / "sub-02_bold.nii.gz", volume(2))
    (source / "motion.tsv").write_text("x\ty\n0.1\t0.2\n0.3\t0.4\n")
    result = take(project, source)
    assert sorted(series(result)) == ["sub-01_bold", "sub-02_bold"]
    assert "beside volumes" in quarantine(result)["motion.tsv"]


def test_a_region_that_one_subject_does_not_cover_is_left_out_of_all(project: Project, source: Path) -> None:
    lacking = A.copy()
    lacking[:, 3] = np.nan
    np.savez(source / "all.npz", first=lacking, second=B)
    result = take(project, source)
    found = series(result)
    assert np.array_equal(found["first"], A[:, [0, 1, 2, 4]]) and np.array_equal(found["second"], B[:, [0, 1, 2, 4]])
    assert quarantine(result) == {"voxel 3 (from 0)": "has no value in 1 of 2 series (first); left out of all"}


def test_scrubbed_volumes_are_timepoints_left_out_and_make_no_background_a_voxel(
    project: Project, source: Path
) -> None:
    values = volume(1, 9)
    values[..., 2:4] = np.nan
    nifti(source / "sub-01_bold.nii.gz", values)
    nifti(source / "sub-02_bold.nii.gz", volume(2))
    result = take(project, source)
    found = series(result)
    kept = [0, 1, 4, 5, 6, 7, 8]
    np.testing.assert_array_equal(found["sub-01_bold"], values.reshape(8, 9)[1:, kept].T)  # (0, 0, 0) is constant
    assert found["sub-02_bold"].shape == (6, 7) and "missing_values" not in result.counts
    assert list(quarantine(result)) == [f"sub-01_bold.nii.gz: timepoint {time} (from 0)" for time in (2, 3)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", ["npz", "csv", "nii"])
def test_a_value_that_is_no_number_is_missing_and_nothing_else(
    project: Project, source: Path, bad: float, form: str
) -> None:
    broken = np.random.default_rng(5).normal(size=(7, 8))
    good = np.random.default_rng(6).normal(size=(7, 8))
    broken[3, 4] = broken[6, 0] = bad
    for name, values in (("good", good), ("broken", broken)):
        if form == "npz":
            np.savez(source / f"{name}.npz", values)
        elif form == "csv":
            np.savetxt(source / f"{name}.csv", values, delimiter=",")
        else:
            nifti(source / f"{name}.nii", values.T.reshape(2, 2, 2, 7))
    result = take(project, source)
    found = series(result)
    expected = broken.astype(np.float32)
    expected[3, 4] = expected[6, 0] = np.nan
    np.testing.assert_array_equal(found["broken"], expected)
    np.testing.assert_array_equal(found["good"], good.astype(np.float32))
    assert not quarantine(result) and result.counts["missing_values"] == 2
    assert any("2 of 112 values are missing (1.79%), most in 'broken' (3.6%)" in note for note in result.notes)


def test_what_float32_cannot_hold_counts_as_infinite(project: Project, source: Path) -> None:
    np.savez(source / "all.npz", good=A, large=np.full((7, 5), 1e300))
    assert quarantine(take(project, source / "all.npz"))["all.npz: large"] == "5 of 5 voxels have no value"


def test_unequal_numbers_of_voxels_are_refused(project: Project, source: Path) -> None:
    np.savez(source / "all.npz", first=A, second=A[:, :4])
    refused(project, source / "all.npz", "all have 7 rows, but 2 different numbers of columns")
    message = "2 different numbers of voxels.*first 7 x 5; second 7 x 4"
    refused(project, source / "all.npz", message, transposed=False)


@pytest.mark.parametrize("values", [A[:1], A[0], np.array([["a", "b"]] * 3), A.astype(complex), A[:, :0]])
def test_arrays_that_are_no_series_are_left_out(project: Project, source: Path, values: Any) -> None:
    np.savez(source / "all.npz", good=A, odd=values)
    assert "must be real numbers [timepoints, voxels]" in quarantine(take(project, source))["all.npz: odd"]


def test_duplicate_subjects_and_series_are_refused(project: Project, source: Path) -> None:
    np.savez(source / "a.npz", **{"sub-01": A})
    np.savez(source / "b.npz", **{"sub-01": B})
    refused(project, source, r"1 subjects have the name of another.*a\.npz: sub-01 = b\.npz: sub-01")
    np.savez(source / "b.npz", **{"sub-02": A})
    refused(project, source, r"1 series occur twice.*a\.npz: sub-01 = b\.npz: sub-02")


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_pickled_objects_are_refused_and_not_executed(project: Project, source: Path, tmp_path: Path) -> None:
    np.savez(source / "all.npz", good=A, bad=np.array([Trap(tmp_path / "sprung")], dtype=object))
    refused(project, source, "bad holds pickled Python objects.*nothing was executed")
    (source / "all.npz").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    refused(project, source / "all.npz", "is a pickle, must be .npz")
    assert not (tmp_path / "sprung").exists()


def test_damaged_archives_are_left_out(project: Project, source: Path) -> None:
    np.savez(source / "good.npz", A)
    np.savez(source / "cut.npz", B)
    whole = (source / "cut.npz").read_bytes()
    (source / "cut.npz").write_bytes(whole[:-60])
    (source / "zero.npz").write_bytes(b"")
    with zipfile.ZipFile(source / "plain.npz", "w") as packed:
        packed.writestr("readme.txt", "no array")
    with zipfile.ZipFile(source / "forged.npz", "w") as packed:
        head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 100000), }"
        packed.writestr("a.npy", b"\x93NUMPY\x01\x00" + (len(head) + 1).to_bytes(2, "little") + head + b"\n")
    left_out = quarantine(take(project, source))
    assert set(left_out) == {"cut.npz", "zero.npz", "plain.npz", "forged.npz"}
    assert "which is not what is there" in left_out["forged.npz"]


def test_names_that_would_lead_elsewhere_are_left_out(project: Project, source: Path) -> None:
    np.savez(source / "all.npz", **{"good": A, "x/../../y": B})
    assert "holds a slash" in quarantine(take(project, source))["all.npz: x/../../y"]


def test_nothing_usable_is_refused(project: Project, source: Path) -> None:
    (source / "notes.txt").write_bytes(b"")
    refused(project, source, r"nothing usable in it \(1 item\(s\) quarantined\); notes\.txt")
    np.savez(source / "a.npz", A)
    refused(project, source, "--mask: given, but there is no volume", mask=source / "m.nii")


def test_masks_that_do_not_fit_are_refused(project: Project, source: Path) -> None:
    nifti(source / "a.nii", volume(1))
    refused(project, source, "--mask: .* not found", mask=source.parent / "missing.nii")
    nifti(source.parent / "mask.nii", np.ones((2, 2, 3), dtype=np.uint8))
    refused(project, source, r"is \(2, 2, 3\), must be \(2, 2, 2\)", mask=source.parent / "mask.nii")
    nifti(source.parent / "mask.nii", np.zeros((2, 2, 2), dtype=np.uint8))
    refused(project, source, "no voxel", mask=source.parent / "mask.nii")
