"""The way of each format of series and points to a score: imported, prepared, trained on for an epoch, scored.

The first format of a group gives the model; of the same values in any other, prepare makes the same arrays, and the
model scores them alike. imzML, AnnData and DICOM have ways of their own in their tests.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pandas
import pytest
import scipy.io
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage

from format_files import save_afni
from project import command_line
from samples import SMALL
from scoring import noted, scored, write_bundle
from vaeforge.config.experiment import Experiment, family_named
from vaeforge.data.prepared import Prepared, load_prepared
from vaeforge.training.checkpoint import load_model
from vaeforge.training.loop import TrainingData, fit

# three models are exported, and each format is imported
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("undrawn")]
RNG = np.random.default_rng(0)
PEOPLE, T, GRID = 5, 24, (2, 3, 1)
SERIES = [RNG.normal(size=(T, 6)).astype(np.float32) for _ in range(PEOPLE)]
POINTS = pandas.DataFrame(RNG.gamma(2, 1, (200, 6)).astype(np.float32), columns=["x", "y", "z", "a", "b", "c"])
AFFINE = np.diag([3.0, 3, 3, 1])
AFNI = {
    "TAXIS_NUMS": ("integer", (T, 0, 77002)),
    "TAXIS_FLOATS": ("float", (0, 2, 0, 0, 0)),
    "DELTA": ("float", (-3, -3, 3)),
    "IJK_TO_DICOM_REAL": ("float", (-3, 0, 0, 0, 0, -3, 0, 0, 0, 0, 3, 0)),
    "DATASET_RANK": ("integer", (3, T)),
    "DATASET_DIMENSIONS": ("integer", GRID),
    "BYTEORDER_STRING": ("string", "'LSB_FIRST~"),
    "BRICK_TYPES": ("integer", (3,) * T),
}


def save_hdf5(path: Path, values: Any) -> None:
    with h5py.File(path, "w") as file:
        file["bold"] = values


def save_matlab_hdf5(path: Path, values: Any) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file["tc"] = values.T
        file["tc"].attrs["MATLAB_class"] = np.bytes_("single")
    with path.open("r+b") as opened:
        opened.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def save_cifti(path: Path, values: Any) -> None:
    space = BrainModelAxis.from_mask(np.ones(GRID, dtype=bool), name="thalamus_left", affine=AFFINE)
    nibabel.save(Cifti2Image(values, header=(SeriesAxis(0, 2, T), space)), path)


def save_gifti(path: Path, values: Any) -> None:
    arrays = [GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES") for row in values]
    nibabel.save(GiftiImage(darrays=arrays), path)


def volume(values: Any) -> Any:
    return np.ascontiguousarray(values.T).reshape(*GRID, T)


def save_points(path: Path, table: Any) -> None:
    arrays = {name: table[name].to_numpy() for name in table}
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",", float_format="%.9g")


Write = Callable[[Path, Any], Any]
MATRICES: dict[str, Write] = {
    ".npy": np.save,
    ".npz": lambda path, values: np.savez(path, tc=values),
    ".h5": save_hdf5,
    ".mat": lambda path, values: scipy.io.savemat(path, {"tc": values}),
    "_v73.mat": save_matlab_hdf5,
    ".dtseries.nii": save_cifti,
    ".func.gii": save_gifti,
    ".1D": lambda path, values: np.savetxt(path, values, fmt="%.9g"),
    ".tsv": lambda path, values: np.savetxt(path, values, fmt="%.9g", delimiter="\t"),
    ".csv": lambda path, values: np.savetxt(path, values, fmt="%.9g", delimiter=","),
}
GRIDS: dict[str, Write] = {
    ".nii.gz": lambda path, values: nibabel.save(nibabel.Nifti1Image(volume(values), AFFINE), path),
    ".mgz": lambda path, values: nibabel.save(nibabel.MGHImage(volume(values), AFFINE), path),
    "+orig.HEAD": lambda path, values: save_afni(path, AFNI, volume(values)),
}
TABLES: dict[str, Write] = dict.fromkeys((".parquet", ".csv", ".tsv", ".npz", ".h5"), save_points)
GROUPS = {"matrices": ("fmri", MATRICES), "grids": ("fmri", GRIDS), "tables": ("lipid", TABLES)}


def prepared_of(root: Path, group: str, suffix: str) -> tuple[Prepared, str]:
    """The prepared data of files of a format, and one of these."""
    family, writers = GROUPS[group]
    items = {f"sub-{number}": values for number, values in enumerate(SERIES)} if family == "fmri" else {"set": POINTS}
    (root / "given").mkdir(parents=True)
    for name, values in items.items():
        writers[suffix](root / f"given/{name}{suffix}", values)
    (root / "params.yaml").write_text(f"family: {family}\n{family}: {{}}\n")
    answers = ("--track", "false", "--yes", "true")
    for command in (("import", "given", "--family", family, *answers), ("prepare", "--family", family)):
        done = command_line(root, *command)
        assert done.code == 0, done.stderr
    return load_prepared(root / "artifacts/prepared" / family), f"given/{next(iter(items))}{suffix}"


@pytest.fixture(scope="module", params=GROUPS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, ...]]:
    """A model of a group's first format, the arrays that it learned from and its scores of a file."""
    group, root = str(request.param), tmp_path_factory.mktemp(str(request.param))
    family, writers = GROUPS[group]
    prepared, file = prepared_of(root, group, next(iter(writers)))
    settings = {**family_named(family).presets["sample"].get("model", {}), **SMALL[family]}
    training = {"epochs": 1, "batch_size": 32, "evaluation_samples": 1}
    experiment = Experiment.model_validate({"family": family, "model": settings, "training": training})
    data = TrainingData(prepared.train, prepared.validation, prepared.spec)
    (report,) = fit(experiment, data, folder=root / "training")
    assert report.checkpoint is not None
    trained = load_model(report.checkpoint, experiment, prepared.spec).eval()
    write_bundle(root / "bundle", family, trained, **noted(prepared))
    yield group, root, prepared, scored(root, file)["score"]


def test_every_format_of_a_group_is_prepared_and_scored_alike(model: tuple[Any, ...], tmp_path: Path) -> None:
    group, root, first, scores = model
    assert len(scores) == (T if group != "tables" else len(POINTS)) and np.isfinite(scores).all()
    for number, suffix in enumerate([*GROUPS[group][1]][1:]):
        prepared, file = prepared_of(tmp_path / str(number), group, suffix)
        for part in ("train", "validation", "test"):
            one, other = getattr(first, part), getattr(prepared, part)
            np.testing.assert_array_equal(other.stored, one.stored, err_msg=suffix)
            np.testing.assert_array_equal(other.condition, one.condition, err_msg=suffix)
        (tmp_path / str(number) / "bundle").symlink_to(root / "bundle")
        again = scored(tmp_path / str(number), file)["score"]
        np.testing.assert_allclose(again, scores, rtol=1e-5, err_msg=suffix)
