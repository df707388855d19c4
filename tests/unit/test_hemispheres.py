"""Hemispheres of one brain in two files, joined by an import and by every scoring after it."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nibabel.gifti import GiftiDataArray, GiftiImage

from project import command_line
from scoring import imported, scored, torch_scores
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import Matrix
from vaeforge.data.hemispheres import joined, paired, side_of

pytestmark = pytest.mark.usefixtures("undrawn")
LEFT, RIGHT = 7, 5  # vertices; meshes without the medial wall differ


def series(seed: int, voxels: int = LEFT + RIGHT, timepoints: int = 24) -> Any:
    return np.random.default_rng(seed).normal(size=(timepoints, voxels)).astype(np.float32)


def write_gifti(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = [GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES") for row in values]
    nibabel.save(GiftiImage(darrays=arrays), path)


def write_person(folder: Path, name: str, values: Any) -> None:
    """As fMRIPrep calls them."""
    for side, part in (("L", values[:, :LEFT]), ("R", values[:, LEFT:])):
        write_gifti(folder / f"{name}_hemi-{side}_space-fsaverage5_bold.func.gii", part)


def take(root: Path, *options: str, code: int = 0) -> str:
    done = command_line(root, "import", "set", "--family", "fmri", "--track", "false", *options)
    assert done.code == code, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def series_of(root: Path) -> dict[str, Any]:
    with np.load(root / "data/fmri/set/timeseries.npz") as archive:
        return {key: archive[key] for key in archive.files}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("sub-01_hemi-L_bold", ("sub-01_bold", "L")),
        ("sub-01.rh", ("sub-01", "R")),
        ("lh", ("", "L")),
        ("lh_sub-01", ("sub-01", "L")),
        ("rest left", ("rest", "L")),
        ("sub-01_lh_to_rh", ("sub-01_lh_to_rh", None)),
        ("sub-01_dir-LR_bold", ("sub-01_dir-LR_bold", None)),
    ],
)
def test_a_name_says_which_hemisphere_it_is(name: str, wanted: tuple[str, str | None]) -> None:
    assert side_of(name) == wanted


def test_two_of_one_side_and_one_alone_are_no_pair() -> None:
    names = ["b.rh", "a_hemi-R", "a_hemi-L", "c.lh", "d", "e.lh", "e_lh", "e.rh", "b.lh"]
    pairs, others = paired(names)
    assert (pairs, others) == ({"b": (8, 0), "a": (2, 1)}, [3, 4, 5, 6, 7])


def test_names_of_voxels_are_told_apart() -> None:
    def matrix(*names: str) -> Matrix:
        return Matrix(lambda: np.zeros((3, len(names))), lambda: names)

    assert joined(matrix("V1", "V2"), matrix("M1")).voxels() == ("V1", "V2", "M1")
    assert joined(matrix("V1", "V2"), matrix("V1")).voxels() == ("L V1", "L V2", "R V1")
    assert joined(matrix("V1"), matrix()).voxels() == ()


def test_other_timepoints_are_not_joined() -> None:
    left, right = Matrix(lambda: series(0, 4, 6)), Matrix(lambda: series(0, 4, 5))
    with pytest.raises(DamagedFileError, match=r"\[6, 4\] and \[5, 4\], must be matrices of the same timepoints"):
        joined(left, right).load()
    turned = joined(Matrix(lambda: series(0, 4, 6).T), Matrix(lambda: series(1, 3, 6).T), transposed=True)
    assert turned.load().shape == (7, 6)


def test_an_import_joins_what_it_would_ask_about(tmp_path: Path) -> None:
    for person in range(4):
        write_person(tmp_path / "set", f"sub-{person}", series(person))
    said = take(tmp_path, code=2)
    assert "Say --hemispheres joined if so, --hemispheres apart if each file is a brain" in said
    write_gifti(tmp_path / "set/sub-9_hemi-L_space-fsaverage5_bold.func.gii", series(9, LEFT))
    write_gifti(tmp_path / "set/sub-8_hemi-L_space-fsaverage5_bold.func.gii", series(8, LEFT))
    write_gifti(tmp_path / "set/sub-8_hemi-R_space-fsaverage5_bold.func.gii", series(8, RIGHT, 23))
    said = take(tmp_path, "--hemispheres", "joined")
    assert "5 series are the hemispheres of one brain each, the left one's vertices first" in said
    left_out = (tmp_path / "artifacts/import/fmri/set/quarantine.csv").read_text()
    assert "its other hemisphere is not there" in left_out and "[24, 7] and [23, 5], must be" in left_out
    found = series_of(tmp_path)
    assert list(found) == [f"sub-{person}_space-fsaverage5_bold" for person in range(4)]
    np.testing.assert_array_equal(found["sub-2_space-fsaverage5_bold"], series(2))


def test_tables_with_a_row_a_region_are_joined_as_such(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for person in range(4):
        for side, part in (("lh", series(person)[:, :LEFT]), ("rh", series(person)[:, LEFT:])):
            np.savetxt(tmp_path / f"set/{side}.person{person}.txt", part.T, fmt="%.9g")
    take(tmp_path, "--hemispheres", "joined", "--transposed", "true")
    np.testing.assert_array_equal(series_of(tmp_path)["person3"], series(3))


def test_what_cannot_be_joined_is_refused(tmp_path: Path) -> None:
    for person in range(3):
        write_gifti(tmp_path / f"set/sub-{person}.func.gii", series(person))
    said = take(tmp_path, "--hemispheres", "joined", code=2)
    assert "no two names differ in the hemisphere only" in said and "sub-0" in said
    nibabel.save(nibabel.Nifti1Image(np.ones((3, 3, 3, 5)), np.eye(4)), tmp_path / "set/sub-4.lh.nii")
    said = take(tmp_path, "--hemispheres", "joined", code=2)
    assert "sub-4.lh.nii is a volume, in which both lie; leave it out" in said


def test_surfaces_of_freesurfer_are_joined(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for person in range(4):
        for side, part in (("lh", series(person)[:, :LEFT]), ("rh", series(person)[:, LEFT:])):
            image = nibabel.MGHImage(part.T.reshape(-1, 1, 1, 24), np.eye(4))
            nibabel.save(image, tmp_path / f"set/sub-{person}.fsa5.{side}.mgz")
    image = nibabel.MGHImage(np.ones((2, 2, 2, 24), dtype=np.float32), np.eye(4))
    for side in ("lh", "rh"):
        nibabel.save(image, tmp_path / f"set/volume.{side}.mgz")
    take(tmp_path, "--hemispheres", "joined")
    found = series_of(tmp_path)
    assert list(found) == [f"sub-{person}.fsa5" for person in range(4)]
    np.testing.assert_array_equal(found["sub-1.fsa5"], series(1))
    left_out = (tmp_path / "artifacts/import/fmri/set/quarantine.csv").read_text()
    assert "is a volume of 2 x 2 x 2 x 24, must be a surface, N x 1 x 1 x timepoints" in left_out


@pytest.mark.slow
def test_a_model_of_both_hemispheres_scores_them_as_they_were_imported(tmp_path: Path) -> None:
    for person in range(5):
        write_person(tmp_path / "set", f"sub-{person}", series(person))
    _, model = imported(tmp_path, "fmri", "set", "--hemispheres", "joined")
    expected = [torch_scores(model, series(person)) for person in (6, 7)]
    for place in (0, 1):
        write_person(tmp_path / "new", f"sub-{place}", series(6 + place))
    write_gifti(tmp_path / "new/sub-2_hemi-R_space-fsaverage5_bold.func.gii", series(8, RIGHT))
    write_gifti(tmp_path / "new/rh/sub-3.func.gii", series(9, RIGHT))
    found = scored(tmp_path, "new")
    assert found["item"][0].startswith("sub-0_hemi-L_space-fsaverage5_bold.func.gii/")
    np.testing.assert_allclose(found["score"], np.concatenate(expected), rtol=1e-4)
    left_out = (tmp_path / "scored-new/quarantine.csv").read_text()
    assert "sub-2_hemi-R" in left_out and "rh/sub-3" in left_out
    assert left_out.count("its other hemisphere is not there") == 2
    np.save(tmp_path / "both.npy", series(6))
    np.testing.assert_allclose(scored(tmp_path, "both.npy")["score"], expected[0], rtol=1e-4)
