"""Options by which a source was imported hold when files like it are scored, are said, and can be said otherwise."""

import json
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pandas
import pytest
from PIL import Image

from project import command_line
from scoring import CHANNELS, imported, scored, scores_of, torch_scores, untrained, write_bundle
from vaeforge.records import to_json
from vaeforge_models.vae import VAE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]  # three models are exported
LENGTH = 12


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, VAE]:
    """A model of a table whose coordinates are xccf, yccf, zccf; its x and y are pixels of a picture."""
    root, rng = tmp_path_factory.mktemp("points"), np.random.default_rng(0)
    places = {name: rng.normal(size=200).astype(np.float32) for name in ("xccf", "yccf", "zccf")}
    pixels = {"x": np.arange(200) % 20, "y": np.arange(200) // 20}
    values = {name: rng.normal(size=200).astype(np.float32) for name in CHANNELS["lipid"]}
    pandas.DataFrame({**pixels, **places, **values}).to_csv(root / "brain.csv", index=False)
    options = ("--columns", "x=xccf,y=yccf,z=zccf", "--channels", "lipid*")
    return root, imported(root, "lipid", "brain.csv", *options)[1]


def of_torch(model: VAE, table: pandas.DataFrame, axes: list[str]) -> Any:
    return torch_scores(model, table[list(CHANNELS["lipid"])].to_numpy(), table[axes].to_numpy(np.float32))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_columns_named_at_the_import_are_the_coordinates(points: tuple[Path, VAE], suffix: str) -> None:
    root, model = points
    table = pandas.read_csv(root / "brain.csv")
    if suffix == "parquet":
        table.to_parquet(root / "brain.parquet")
    if suffix == "npz":
        np.savez(root / "brain.npz", **{name: table[name].to_numpy() for name in table})
    found = scored(root, f"brain.{suffix}")["score"]
    np.testing.assert_allclose(found, of_torch(model, table, ["xccf", "yccf", "zccf"]), rtol=1e-4)
    assert not np.allclose(found, of_torch(model, table, ["x", "y", "zccf"]), rtol=1e-3)


def test_columns_are_said_and_can_be_said_otherwise(points: tuple[Path, VAE]) -> None:
    root, model = points
    table = pandas.read_csv(root / "brain.csv").rename(columns={"zccf": "depth"})
    table.to_csv(root / "other.csv", index=False)
    done = command_line(root, "score", "bundle", "other.csv", "--output", "refused")
    assert done.code == 2 and "lacks z" in done.stderr
    done = command_line(root, "score", "bundle", "other.csv", "--output", "other", "--columns", "x=x,z=depth")
    assert done.code == 0 and "columns y=yccf where a table has them, as at the import" in done.stderr
    found = scored(root, "other.csv", "--columns", "x=x,z=depth")["score"]
    np.testing.assert_allclose(found, of_torch(model, table, ["x", "yccf", "depth"]), rtol=1e-4)


def test_a_table_with_the_names_of_a_data_set_is_scored_too(points: tuple[Path, VAE]) -> None:
    root, model = points
    table = pandas.read_parquet(root / "data/lipid/brain/points.parquet")
    found = scored(root, "data/lipid/brain/points.parquet")["score"]
    np.testing.assert_allclose(found, of_torch(model, table, ["x", "y", "z"]), rtol=1e-4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--columns", "x=xcf"), "has no column 'xcf' (given for x by --columns)"),
        (("--columns", "ex=xccf"), "--columns: got ex, must be among x, y, z, section"),
        (("--transposed", "true"), "--transposed: turns arrays of series, but brain.csv holds tables of points"),
        (("--white", "4095"), "--white: got 4095.0, but brain.csv holds tables; leave it out"),
        (("--pages", "max"), "--pages: got 'max', but brain.csv holds tables; leave it out"),
    ],
)
def test_options_that_do_not_fit_are_refused(points: tuple[Path, VAE], given: tuple[str, ...], said: str) -> None:
    done = command_line(points[0], "score", "bundle", "brain.csv", "--output", "refused-options", *given)
    assert done.code == 2 and said in done.stderr, done.stderr


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, VAE, Any]:
    """A model of arrays [voxels, timepoints], and the first one's values [timepoints, voxels], as many of each."""
    root, rng = tmp_path_factory.mktemp("series"), np.random.default_rng(1)
    (root / "runs").mkdir()
    matrices = rng.normal(size=(5, LENGTH, LENGTH)).astype(np.float32)
    for person, matrix in enumerate(matrices):
        np.savez(root / f"runs/sub-{person}.npz", bold=matrix.T)
    model = imported(root, "fmri", "runs", "--transposed", "true")[1]
    return root, model, matrices[0]


def written(root: Path, matrix: Any, name: str) -> None:
    """An array in the file `name`, as it is."""
    if name.endswith("npz"):
        np.savez(root / name, bold=matrix)
    elif name.endswith("npy"):
        np.save(root / name, matrix)
    elif name.endswith("h5"):
        with h5py.File(root / name, "w") as file:
            file["bold"] = matrix
    else:
        np.savetxt(root / name, matrix, delimiter="\t")


@pytest.mark.parametrize("name", ["one.npz", "one.npy", "one.h5", "one.txt"])
def test_arrays_are_turned_as_at_the_import(series: tuple[Path, VAE, Any], name: str) -> None:
    root, model, matrix = series
    written(root, matrix.T, name)
    np.testing.assert_allclose(scored(root, name)["score"], torch_scores(model, matrix), rtol=1e-4)
    written(root, matrix, f"upright-{name}")
    found = scored(root, f"upright-{name}", "--transposed", "false")["score"]
    np.testing.assert_allclose(found, torch_scores(model, matrix), rtol=1e-4)


def test_that_arrays_are_turned_is_said_and_a_wrong_shape_names_the_option(series: tuple[Path, VAE, Any]) -> None:
    root, _, matrix = series
    np.save(root / "long.npy", np.concatenate([matrix, matrix]))
    done = command_line(root, "score", "bundle", "long.npy", "--output", "long")
    assert done.code == 2 and "say --transposed false if its rows are timepoints" in done.stderr
    np.save(root / "wide.npy", np.concatenate([matrix, matrix]).T)
    done = command_line(root, "score", "bundle", "wide.npy", "--output", "wide", "--batch", "5")
    assert done.code == 0 and "arrays are voxels x timepoints, as at the import" in done.stderr
    assert json.loads((root / "wide/manifest.json").read_text())["counts"]["scored"] == 2 * LENGTH


def test_volumes_alone_are_not_turned(tmp_path: Path) -> None:
    for person in range(3):
        values = np.random.default_rng(person).normal(size=(2, 2, 2, 9)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / f"sub-{person}.nii")
    (tmp_path / "params.yaml").write_text("family: fmri\nfmri: {}\n")
    done = command_line(tmp_path, "import", ".", "--family", "fmri", "--transposed", "true", "--name", "runs")
    assert done.code == 2 and not (tmp_path / "data/fmri/runs").exists()


def test_pages_of_pictures_are_taken_as_at_the_import_and_can_be_said_otherwise(tmp_path: Path) -> None:
    model = untrained("endoscopy")
    known = {
        "orientation": "applied",
        "colour": "RGB",
        "black": 0.0,
        "white": 4095.0,
        "pages": "max",
        "channels": [],
        "crop": "",
        "resize": "",
    }
    bundle = write_bundle(tmp_path / "bundle", "endoscopy", model, pictures=known)
    assert to_json(bundle.contract.pictures)["pages"] == "max"
    dark, light = (Image.fromarray(np.full((48, 48), level, np.uint8)) for level in (40, 200))
    (tmp_path / "in").mkdir()
    dark.save(tmp_path / "in/stack.tif", save_all=True, append_images=[light])
    done = command_line(tmp_path, "score", "bundle", "in", "--output", "max")
    assert (
        done.code == 0 and "pages max, white 4095, as at the import; --pages, --white to say otherwise" in done.stderr
    )
    samples = {level: np.full((1, 3, 32, 32), level, np.uint8) for level in (40, 200)}
    np.testing.assert_allclose(scored(tmp_path, "in")["score"], torch_scores(model, samples[200]), rtol=1e-4)
    done = command_line(tmp_path, "score", "bundle", "in", "--output", "first", "--pages", "first", "--quiet")
    assert done.code == 0 and "as at the import" not in done.stderr
    np.testing.assert_allclose(scores_of(tmp_path / "first")["score"], torch_scores(model, samples[40]), rtol=1e-4)
