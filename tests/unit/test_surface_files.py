"""CIFTI, GIFTI and MGH through import and score's reading, value by value against nibabel's own answer.

Real files are those that nibabel carries for its tests.
"""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, ParcelsAxis, ScalarAxis, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage

from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import format_of, series_in
from vaeforge.data.volume_file import values_of
from vaeforge.errors import DataError, QuestionError
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.step import run_import
from vaeforge.paths import Project

pytestmark = pytest.mark.usefixtures("undrawn")
REAL = Path(nibabel.__file__).parent
TIME = SeriesAxis(0, 2, 10)
BRAIN = BrainModelAxis.from_surface(np.arange(4), 10, "CIFTI_STRUCTURE_CORTEX_LEFT") + BrainModelAxis.from_mask(
    np.ones((2, 2, 1), dtype=bool), name="thalamus_left", affine=np.eye(4)
)


def matrix(seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=(10, 8)).astype(np.float32)


def parcels() -> Any:
    names = [f"Vis_{number}" for number in range(8)]
    voxels = [np.array([[number, 0, 0]]) for number in range(8)]
    return ParcelsAxis(names, voxels, [{} for _ in names], affine=np.eye(4), volume_shape=(8, 1, 1))


def write_gifti(path: Path, values: Any, intent: str = "NIFTI_INTENT_TIME_SERIES") -> None:
    nibabel.save(GiftiImage(darrays=[GiftiDataArray(row, intent=intent) for row in values]), path)


def take(root: Path, **options: Any) -> dict[str, Any]:
    chosen = ImportOptions(name="set", track=False, replace=True, **options)
    folder = run_import(root / "given", "fmri", "series", Project(root), chosen).folder
    with np.load(folder / "timeseries.npz") as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture
def given(tmp_path: Path) -> Path:
    (tmp_path / "given").mkdir()
    return tmp_path / "given"


@pytest.mark.parametrize("suffix", [".dtseries.nii", ".ptseries.nii"])
def test_cifti_is_a_series_called_as_its_brainordinates(given: Path, suffix: str) -> None:
    space = BRAIN if suffix == ".dtseries.nii" else parcels()
    for person in range(3):
        nibabel.save(Cifti2Image(matrix(person), header=(TIME, space)), given / f"sub-{person}{suffix}")
    (given / "motion.txt").write_text("1 2\n3 4\n")  # a note beside scans
    found = take(given.parent)
    assert list(found) == ["sub-0", "sub-1", "sub-2"]
    for person in range(3):
        own = np.asarray(nibabel.load(given / f"sub-{person}{suffix}").dataobj)
        np.testing.assert_array_equal(found[f"sub-{person}"], own)
    with np.load(given.parent / "data/fmri/set/.import/voxels.npz") as archive:
        names = archive["names"].tolist()
    wanted = ["CORTEX_LEFT 0", "CORTEX_LEFT 3", "THALAMUS_LEFT 0 0 0", "THALAMUS_LEFT 1 1 0"]
    assert [names[place] for place in (0, 3, 4, 7)] == (
        wanted if suffix == ".dtseries.nii" else ["Vis_0", "Vis_3", "Vis_4", "Vis_7"]
    )


def test_cifti_that_is_no_series_and_under_another_suffix_is_refused(given: Path) -> None:
    image = Cifti2Image(matrix(0)[:2], header=(ScalarAxis(["a", "b"]), BRAIN))
    nibabel.save(image, given / "sub-1.dscalar.nii")
    with pytest.raises(DataError, match=r"sub-1\.dscalar\.nii: is CIFTI of 2 x 8 values, which is read under"):
        take(given.parent)
    (given / "sub-1.dscalar.nii").rename(given / "sub-1.dtseries.nii")
    with pytest.raises(DataError, match="is Scalar x BrainModel, must be a series in seconds"):
        take(given.parent)


def test_gifti_is_a_series_of_an_array_for_each_timepoint(given: Path) -> None:
    for person in range(3):
        write_gifti(
            given / f"sub-{person}.func.gii",
            matrix(person),
            "NIFTI_INTENT_NONE" if person else "NIFTI_INTENT_TIME_SERIES",
        )
    found = take(given.parent)
    np.testing.assert_array_equal(found["sub-2"], matrix(2))


def test_a_real_gifti_holds_what_nibabel_says() -> None:
    path = REAL / "gifti/tests/data/task.func.gii"
    (series,) = series_in(path).values()
    own = nibabel.load(path).agg_data("time series")  # vertices x timepoints
    np.testing.assert_array_equal(series.load(), own.T)


@pytest.mark.parametrize("name", ["external.gii", "ascii.gii", "label.gii", "rh.shape.curv.gii"])
def test_gifti_without_a_series_is_refused(name: str) -> None:
    (series,) = series_in(REAL / "gifti/tests/data" / name).values()
    with pytest.raises(DamagedFileError, match=r"in another file|must hold one \[V\] for each timepoint"):
        series.load()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # nibabel's own
def test_a_real_mgh_holds_what_nibabel_says() -> None:
    path = REAL / "tests/data/test.mgz"
    found = format_of(path)
    assert found is not None and found.volume is not None
    np.testing.assert_array_equal(values_of(found.volume(path), path), nibabel.load(path).get_fdata())


def test_surfaces_in_mgh_are_series_and_hemispheres_are_asked_about(given: Path) -> None:
    for person in range(3):
        values = matrix(person).T.reshape(8, 1, 1, 10)
        nibabel.save(nibabel.MGHImage(values, np.eye(4)), given / f"sub-{person}.lh.mgz")
    np.testing.assert_array_equal(take(given.parent)["sub-1.lh"], matrix(1))
    nibabel.save(nibabel.MGHImage(matrix(9).T.reshape(8, 1, 1, 10), np.eye(4)), given / "sub-1.rh.mgz")
    with pytest.raises(QuestionError, match=r"differ in the hemisphere only: sub-1\.lh = sub-1\.rh"):
        take(given.parent)
    assert len(take(given.parent, yes=True)) == 4
