"""Every family from its sample data to a version in the registry: shortly on one shared Ray, and as users run it."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image

from bundle_checks import GRAPHS, require_shapes_as_run
from project import SampleProject, check_invariants
from stores import new_database
from vaeforge.package.bundle import Bundle
from vaeforge_models.families import families

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
SHORT = (
    "training.steps_per_epoch=6 training.batch_size=16 training.evaluation_samples=1 gates.min_active_units=0 "
    "gates.calibration=1.0 diffusion.steps=10 diffusion.validation_interval=10 diffusion.sampling_steps=5 "
    "diffusion.width=0.125"
)


def every_eighth_digit(path: Path) -> None:
    arrays = dict(np.load(path))
    np.savez(path, **{name: values[::8] if len(values) > 100 else values for name, values in arrays.items()})


def first_frames(path: Path) -> None:
    np.savez(path, **{name: values[:320, ::4] for name, values in np.load(path).items()})


def every_fourth_point(path: Path) -> None:
    pd.read_parquet(path).iloc[::4].to_parquet(path, index=False)


def left_third(path: Path) -> None:
    picture = Image.open(path)
    picture.crop((0, 0, picture.width // 3, picture.height)).save(path)


THINNED: dict[str, tuple[str, Callable[[Path], None]]] = {
    "cilia": ("images.npz", every_eighth_digit),
    "fmri": ("timeseries.npz", first_frames),
    "lipid": ("points.parquet", every_fourth_point),
    "speckle": ("*.png", left_third),
}


def thin(project: SampleProject, family: str) -> None:
    """A part of the sample: steps after a search take time by the sample's size, and find nothing else in the whole."""
    if family in THINNED:
        pattern, change = THINNED[family]
        for path in (project.root / "data" / family).rglob(pattern):
            change(path)


def manifest(project: SampleProject, search: str, step: str) -> Any:
    return json.loads((project.root / f"artifacts/searches/{search}/{step}/manifest.json").read_text())


def check_outcome(project: SampleProject, family: str, search: str, trials: int) -> Any:
    """What every search leaves: ledger, measurements, graphs with parity and a champion; returns the evaluation."""
    check_invariants(project, search, trials)
    evaluation = manifest(project, search, "evaluate")
    assert all(math.isfinite(value) for value in evaluation["metrics"].values())
    assert {"training mean", "untrained VAE", "model"} <= {row["name"] for row in evaluation["comparison"]}
    assert any(name.startswith("figures/") for name in evaluation["files"])
    assert manifest(project, search, "export")["parity"]["passed"]
    bundle = Bundle(project.root / f"artifacts/searches/{search}/export")
    graphs = GRAPHS[family] - {"picture"}  # which is there where samples are whole pictures, not cut from one
    assert set(bundle.contract.graphs) - {"picture"} == graphs
    compared = json.loads((bundle.folder / "parity.json").read_text())["comparisons"]
    assert {one["graph"] for one in compared} == graphs
    require_shapes_as_run(bundle)
    if families()[family].diffusion:
        assert manifest(project, search, "diffuse")["trained"]
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    champion = client.get_model_version_by_alias(f"vaeforge-{family}", "champion")
    assert champion.tags["vaeforge.checkpoint_sha256"] == evaluation["checkpoint"]["sha256"]
    return evaluation


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=pytest.mark.long) for name in sorted(families())],
)
def test_a_short_search(family: str, cluster: dict[str, str], tmp_path: Path) -> None:
    project = SampleProject(tmp_path, family)
    thin(project, family)
    new_database(tmp_path)
    call = ("tune", "--family", family, "--name", "short", "--trials", "2", "--epochs", "2", "--set", SHORT)
    project.run(*call, **cluster)
    check_outcome(project, family, "short", trials=2)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("family", sorted(families()))
def test_a_search_as_users_run_it(family: str, tmp_path: Path) -> None:
    """Eight trials of the shipped space; the winner beats the training mean and the untrained model for certain."""
    project = SampleProject(tmp_path, family)
    project.run("tune", "--family", family, "--name", "whole", "--trials", "8", seconds=1700)
    evaluation = check_outcome(project, family, "whole", trials=8)
    beaten = {row["name"]: row["model_beats"] for row in evaluation["comparison"] if row["metric"] == "MSE"}
    assert beaten["training mean"] and beaten["untrained VAE"]
