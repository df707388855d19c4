"""Series on the command line: people are never on both sides, whatever their runs are called; questions and answers."""

import json
from pathlib import Path

import numpy as np
import pytest

from project import command_line

pytestmark = pytest.mark.usefixtures("undrawn")

RNG = np.random.default_rng(0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text("family: fmri\nfmri: {}\n")
    (tmp_path / "runs").mkdir()
    return tmp_path


def test_six_people_with_two_runs_each_are_never_on_both_sides(root: Path) -> None:
    for person in range(6):
        for run in (1, 2):
            np.savez(root / f"runs/sub-{person:02}_run-{run}.npz", RNG.normal(size=(20, 5)).astype(np.float32))
    imported = command_line(root, "import", "runs", "--family", "fmri")
    assert imported.code == 0, imported.stderr
    assert "12 series are 6 groups (by sub-… in their names)" in " ".join(imported.stdout.split())
    prepared = command_line(root, "prepare", "--family", "fmri")
    assert prepared.code == 0, prepared.stderr
    manifest = json.loads((root / "artifacts/prepared/fmri/manifest.json").read_text())
    units = manifest["info"]["units"]
    people = {part: {name[:6] for name in names} for part, names in units.items()}
    assert all(people.values()) and sum(map(len, people.values())) == len(set.union(*people.values())) == 6
    # a test group is a person
    assert len(np.unique(np.load(root / "artifacts/prepared/fmri/test_groups.npy"))) == len(people["test"])


def test_a_question_about_axes_ends_with_2_and_its_answer_imports(root: Path) -> None:
    for name, length in (("anna", 30), ("bert", 40)):
        np.savez(root / f"runs/{name}.npz", RNG.normal(size=(5, length)).astype(np.float32))
    asked = command_line(root, "import", "runs", "--family", "fmri")
    assert asked.code == 2 and "--transposed true" in asked.stderr
    assert not (root / "data").exists()
    assert "--yes true does not answer it" in asked.stderr  # nothing sensible could be assumed
    assert command_line(root, "import", "runs", "--family", "fmri", "--yes").code == 2
    assert command_line(root, "import", "runs", "--family", "fmri", "--transposed").code == 0
    with np.load(root / "data/fmri/runs/timeseries.npz") as archive:
        assert {name: archive[name].shape for name in archive.files} == {"anna": (30, 5), "bert": (40, 5)}


def test_runs_of_somebody_are_asked_about_and_yes_joins_them(root: Path) -> None:
    for person in ("anna", "bert", "carl", "dora", "emil"):
        for run in (1, 2):
            np.savez(root / f"runs/{person}_run-{run}.npz", RNG.normal(size=(20, 5)).astype(np.float32))
    asked = command_line(root, "import", "runs", "--family", "fmri")
    said = " ".join(asked.stderr.split())
    assert asked.code == 2 and "anna_run-1.npz = anna_run-2.npz" in said and "--groups none" in said
    assert "--yes true: they are of one person each" in said and not (root / "data").exists()
    agreed = command_line(root, "import", "runs", "--family", "fmri", "--yes")
    assert agreed.code == 0 and "assumed, as --yes was given" in " ".join(agreed.stdout.split()), agreed.stderr
    assert command_line(root, "prepare", "--family", "fmri").code == 0
    units = json.loads((root / "artifacts/prepared/fmri/manifest.json").read_text())["info"]["units"]
    people = [{name[:4] for name in names} for names in units.values()]
    assert sum(map(len, people)) == 5 == len(set.union(*people))


def test_rows_that_may_be_voxels_are_timepoints_to_yes(root: Path) -> None:
    """Neighbours along the rows resemble each other, neighbours along the columns do not: a voxel a row."""
    for name in ("anna", "bert", "carl"):
        courses = np.cumsum(RNG.normal(size=(6, 60)), axis=1).astype(np.float32)
        np.savez(root / f"runs/{name}.npz", courses)
    asked = command_line(root, "import", "runs", "--family", "fmri")
    assert asked.code == 2 and "--yes true: rows are timepoints" in " ".join(asked.stderr.split())
    assert command_line(root, "import", "runs", "--family", "fmri", "--yes").code == 0
    with np.load(root / "data/fmri/runs/timeseries.npz") as archive:
        assert archive["anna"].shape == (6, 60)
