"""A folder of one's own of each family: import, search, champion, score, drift report, served answer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from fastapi.testclient import TestClient
from mlflow import MlflowClient
from PIL import Image

from project import EmptyProject, command_line
from stores import new_database
from vaeforge.package.bundle import Bundle
from vaeforge.paths import Project
from vaeforge.registry.fetch import Fetched, fetch
from vaeforge.serve.app import AppState, build_app
from vaeforge.serve.model import load
from vaeforge.serve.reload import ActiveModel
from vaeforge.serve.settings import RequestLimits

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
SHORT = (
    "training.steps_per_epoch=6 training.batch_size=16 training.evaluation_samples=1 gates.min_active_units=0 "
    "gates.calibration=1.0 diffusion.steps=10 diffusion.validation_interval=10 diffusion.sampling_steps=5 "
    "diffusion.width=0.125"
)
SPACES = Path(__file__).parents[2] / "tune_spaces"


def blocks(rng: Any, height: int, width: int, side: int, channels: int = 1) -> Any:
    """A smooth random picture [H, W] or [H, W, 3], whose grains have `side` pixels."""
    shape = (height // side, width // side, *([channels] if channels > 1 else []))
    coarse = rng.integers(40, 216, shape).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def classes(folder: Path, count: int, seed: int) -> None:
    """Grey pictures in three classes of other grains."""
    rng = np.random.default_rng(seed)
    for name, side in (("fine", 4), ("middle", 8), ("coarse", 16)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            blocks(rng, 32, 32, side).save(folder / name / f"{number:03d}.png")


def frames(folder: Path, count: int, seed: int) -> None:
    """Grey pictures of one texture."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        blocks(rng, 320, 640, 4).save(folder / f"{number}.png")


def series(folder: Path, count: int, seed: int) -> None:
    """Twelve voxels of people, slow in time, a file each."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        steps = rng.normal(size=(80, 2)) @ rng.normal(size=(2, 12))
        slow = np.array([steps[max(0, time - 5) : time + 1].mean(axis=0) for time in range(len(steps))])
        np.savez(
            folder / f"sub-{seed}{number:02d}.npz", bold=(slow + 0.1 * rng.normal(size=slow.shape)).astype(np.float32)
        )


def points(folder: Path, count: int, seed: int) -> None:
    """Lipids at places of donors."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    place = rng.uniform(0, 10, (count * 100, 3))
    values = np.sin(place @ rng.normal(size=(3, 5))) + 0.1 * rng.normal(size=(len(place), 5))
    frame = pandas.DataFrame(np.hstack([place, values]), columns=[*"xyz", *(f"PC {n}:1" for n in range(34, 39))])
    frame.assign(donor=np.repeat([f"d{number}" for number in range(count)], 100)).to_csv(
        folder / "maps.csv", index=False
    )


def gut(folder: Path, count: int, seed: int) -> None:
    """Normal and anomalous colour pictures."""
    rng = np.random.default_rng(seed)
    for name, side, share in (("normal", 16, 1.0), ("polyps", 4, 0.2)):
        (folder / name).mkdir(parents=True)
        for number in range(int(count * share)):
            blocks(rng, 64, 64, side, 3).save(folder / name / f"{number:03d}.png")


OWN: dict[str, tuple[Callable[[Path, int, int], None], int, int, tuple[str, ...]]] = {
    "endoscopy": (gut, 300, 60, ("--size", "auto")),
    "cilia": (classes, 120, 30, ("--size", "auto")),
    "speckle": (frames, 3, 1, ()),
    "fmri": (series, 8, 2, ()),
    "lipid": (points, 8, 2, ()),
}


def served(project: Project, reference: str, uri: str) -> Any:
    """What the server answers to held-out samples that are sent as numbers."""
    found = fetch(reference, project, uri)
    model = load(Fetched(Bundle(found.bundle.folder), found.model, found.version), threads=1)
    folder = project.prepared(model.contract.family)
    x, condition = (np.load(folder / f"validation{kind}.npy")[:2] for kind in ("", "_condition"))
    body: dict[str, Any] = {"inputs": {"x": x.tolist()}}
    if model.contract.condition:
        body["condition"] = condition.tolist()
    with TestClient(build_app(AppState(ActiveModel(model), RequestLimits()))) as client:
        return client.post("/predict", json=body).json()


@pytest.mark.parametrize("family", sorted(OWN))
def test_from_a_folder_to_a_served_answer(family: str, cluster: dict[str, str], tmp_path: Path) -> None:
    make, count, more, options = OWN[family]
    make(tmp_path / "ours", count, 0)
    make(tmp_path / "new", more, 1)
    root = tmp_path / "project"
    root.mkdir()
    (root / "tune_spaces").symlink_to(SPACES)
    project, uri = EmptyProject(root), new_database(root)
    imported = command_line(root, "import", str(tmp_path / "ours"), "--family", family, *options)
    assert imported.code == 0, imported.stderr
    call = ("tune", "--family", family, "--name", "short", "--trials", "2", "--epochs", "2", "--set", SHORT)
    project.run(*call, **cluster)
    name = f"vaeforge-{family}-ours"
    assert int(MlflowClient(uri).get_model_version_by_alias(name, "champion").version) == 1
    reference = f"models:/{name}@champion"
    told = command_line(root, "score", reference, str(tmp_path / "new"), "--latents", "--json")
    assert told.code == 0, told.stderr
    manifest = json.loads(told.stdout.splitlines()[-1])
    assert manifest["counts"]["quarantined"] == 0 and manifest["counts"]["scored"] >= 50
    assert manifest["checked"] and not manifest.get("warning"), told.stderr
    judged = command_line(root, "drift", reference, f"{manifest['folder']}/scores.parquet", "--json")
    # patches of a single frame are one sample of new data
    allowed = ("unknown",) if family == "speckle" else ("stable", "moderate", "drifted")
    assert json.loads(judged.stdout.splitlines()[-1])["verdict"] in allowed, judged.stderr
    answer = served(Project(root), reference, uri)
    assert answer["version"] == "1" and len(answer["score"]) == 2 and "warnings" not in answer
