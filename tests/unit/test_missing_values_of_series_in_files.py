"""Missing values of series on the command line: what is kept, what is left out by name, and scores as pandas tells."""

import csv
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pandas
import pytest

from packaged_sample import packaged
from project import command_line
from samples import SMALL
from scoring import scores_of
from vaeforge.data.prepared import load_prepared
from vaeforge.package.contract import read_contract

pytestmark = pytest.mark.usefixtures("undrawn")

PEOPLE, STEPS, PARCELS = 6, 40, 24
NAMES = [f"ROI_{number:02}" for number in range(PARCELS)]
KEPT = [name for name in NAMES if name not in ("ROI_04", "ROI_09")]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of six people: 2 % of the cells empty, ROI_04 empty in sub-3, ROI_09 nearly empty in all."""
    folder = tmp_path_factory.mktemp("series")
    (folder / "params.yaml").write_text("family: fmri\nfmri: {}\n")
    (folder / "runs").mkdir()
    for person in range(PEOPLE):
        table(person).to_csv(folder / f"runs/sub-{person}.csv", index=False)
    return folder


def table(person: int) -> pandas.DataFrame:
    rng = np.random.default_rng(person)
    values = (rng.normal(size=(STEPS, 3)) @ LOADINGS + rng.normal(size=(STEPS, PARCELS))).astype(np.float32)
    values[rng.random(values.shape) < 0.02] = np.nan
    values[3:, 9] = np.nan
    if person == 3:
        values[:, 4] = np.nan
    return pandas.DataFrame(values, columns=NAMES)


LOADINGS = np.random.default_rng(77).normal(0, 2, (3, PARCELS))


def missing_cells() -> dict[str, int]:
    """By person, among the parcels that are kept."""
    return {f"sub-{person}": int(table(person)[KEPT].isna().sum().sum()) for person in range(PEOPLE)}


@pytest.fixture(scope="module")
def said(root: Path) -> str:
    """What an import says."""
    done = command_line(root, "import", "runs", "--family", "fmri")
    assert done.code == 0, done.stderr
    return " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def package(root: Path, said: str) -> Path:
    done = command_line(root, "prepare", "--family", "fmri")
    assert done.code == 0, done.stderr
    return packaged(root, "fmri", **{f"model__{key}": value for key, value in SMALL["fmri"].items()})


def test_what_is_left_out_and_missing_is_said_with_names_and_counts(root: Path, said: str) -> None:
    counts = missing_cells()
    worst = max(counts, key=lambda name: counts[name])
    share = sum(counts.values()) / (PEOPLE * STEPS * len(KEPT))
    assert "2 of 24 voxels left out of all series" in said
    assert "voxel 4 (from 0), 'ROI_04'" in said and "voxel 9 (from 0), 'ROI_09'" in said
    told = f"{sum(counts.values())} of {PEOPLE * STEPS * len(KEPT)} values are missing ({share:.2%}), most in {worst!r}"
    assert told in said, said
    with (root / "data/fmri/runs/.import/quarantine.csv").open(newline="") as file:
        reasons = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    people = "; ".join(f"sub-{person}" for person in range(PEOPLE))
    assert reasons == {
        "voxel 4 (from 0), 'ROI_04'": "has no value in 1 of 6 series (sub-3); left out of all",
        "voxel 9 (from 0), 'ROI_09'": "has values at fewer than half of the timepoints in 6 of 6 series "
        f"({people}); left out of all",
    }


@pytest.mark.slow
def test_no_timepoint_is_lost_and_every_value_is_what_pandas_reads(root: Path, said: str, package: Path) -> None:
    with np.load(root / "data/fmri/runs/timeseries.npz") as archive:
        for person in range(PEOPLE):
            np.testing.assert_array_equal(archive[f"sub-{person}"], table(person)[KEPT].to_numpy())
    manifest = json.loads((root / "artifacts/prepared/fmri/manifest.json").read_text())
    counts = manifest["counts"]
    assert sum(counts[part] for part in ("train", "validation", "test")) == PEOPLE * STEPS
    assert (counts["voxels"], counts["left_out"]) == (22, 0)
    assert counts["missing_values"] == sum(missing_cells().values())
    people = [int(name[4:]) for name in manifest["info"]["units"]["train"]]
    train = pandas.concat([table(person)[KEPT] for person in people])
    constants = load_prepared(root / "artifacts/prepared/fmri").constants
    np.testing.assert_allclose(constants["fill"], train.mean(), rtol=1e-5)
    np.testing.assert_allclose(constants["std"], train.std(ddof=0), rtol=1e-5)


@pytest.mark.slow
def test_the_same_files_are_scored_by_what_is_there(root: Path, package: Path) -> None:
    """By hand: the graph gets the training mean; the error is the mean over the cells that are there."""
    assert read_contract(package / "contract.json").missing
    session = onnxruntime.InferenceSession(package / "model.onnx")
    constants = load_prepared(root / "artifacts/prepared/fmri").constants
    for person in (0, 3):
        name = f"runs/sub-{person}.csv"
        done = command_line(root, "score", str(package), name, "--output", f"scored-{person}")
        assert done.code == 0 and "note" not in done.stdout, done.stdout + done.stderr
        scores = scores_of(root / f"scored-{person}")["score"]
        x = table(person)[KEPT].to_numpy()
        filled = np.where(np.isnan(x), constants["fill"], x)
        named = dict(zip((one.name for one in session.get_outputs()), session.run(None, {"x": filled}), strict=True))
        squares = ((x - named["reconstruction"]) / constants["std"]) ** 2
        np.testing.assert_allclose(scores, np.nanmean(squares, axis=1), rtol=1e-4)
        assert len(scores) == STEPS
