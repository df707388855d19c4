"""Normal pictures alone, from a folder to two champions in a row, scores, drift and a served answer; no search."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from bundle_checks import export_only
from later_steps import evaluated, exported
from manifest_samples import model_of
from project import PARAMS, command_line, write_images
from stores import new_database
from vaeforge.config.loader import load
from vaeforge.data.prepared import load_prepared, load_training
from vaeforge.evaluation.tasks.anomaly import evaluation
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.package.bundle import MAIN, Bundle
from vaeforge.paths import Project
from vaeforge.registry.fetch import Fetched, fetch
from vaeforge.registry.register import Registration, register_run
from vaeforge.serve.app import AppState, build_app
from vaeforge.serve.model import load as load_served
from vaeforge.serve.reload import ActiveModel
from vaeforge.serve.settings import RequestLimits
from vaeforge.training.loop import TrainingData, fit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
CHAMPION = "models:/vaeforge-endoscopy-ours@champion"


def called(root: Path, *arguments: str) -> str:
    found = command_line(root, *arguments)
    assert found.code == 0, found.stdout + found.stderr
    return found.stdout


def trained(root: Path, epochs: int) -> TrainedModelManifest:
    """What `tune` would write of one configuration that trains for so many epochs."""
    experiment = load(root, "endoscopy", None, {"training.epochs": epochs, "beta.value": 0.1}).experiment
    folder = Project(root).prepared("endoscopy")
    prepared = load_prepared(folder)
    last = list(fit(experiment, TrainingData(*load_training(folder)), folder=root / f"artifacts/training-{epochs}"))[-1]
    assert last.checkpoint is not None and prepared.manifest.data_set is not None
    where = Path(last.checkpoint.file).relative_to(root).as_posix()
    return model_of(
        {
            "step": "tune",
            "family": "endoscopy",
            "experiment": experiment.model_dump(mode="json"),
            "event_shape": list(prepared.event_shape),
            "condition_dim": 0,
            "checkpoint": {"path": where, "sha256": last.checkpoint.sha256, "epoch": epochs},
            "metrics": {name: value for name, value in last.metrics.items() if name.startswith("val/")},
            "data_identity": prepared.manifest.data_identity,
            "data_hash": None,
            "data_set": {"name": "ours", "sample": False},
            "git": {"commit": None, "dirty": None},
            "code_hash": "2" * 64,
            "search": f"endoscopy-{epochs}",
            "mlflow": {"run_id": None, "parent_run_id": None, "experiment": "vaeforge-endoscopy"},
        }
    )


def registered(root: Path, epochs: int, uri: str) -> Registration:
    project, model = Project(root), trained(root, epochs)
    evaluation, export = evaluated(project, model), exported(project, model)
    return register_run(project, model, export, evaluation, uri)


def served(root: Path, uri: str) -> Any:
    """What the server answers to two held-out pictures that are sent as numbers."""
    found = fetch(CHAMPION, Project(root), uri)
    model = load_served(Fetched(Bundle(found.bundle.folder), found.model, found.version), threads=1)
    x = np.load(Project(root).prepared("endoscopy") / "validation.npy")[:2]
    with TestClient(build_app(AppState(ActiveModel(model), RequestLimits()))) as client:
        return client.post("/predict", json={"inputs": {"x": x.tolist()}}).json()


@pytest.mark.long
def test_from_normal_pictures_alone_to_a_second_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second version trains longer and replaces the first by its likelihood, no AUROC being there to compare."""
    monkeypatch.setattr(evaluation, "GENERATED", 20)
    export_only(monkeypatch, MAIN, "error_map")
    root = tmp_path / "project"
    root.mkdir()
    write_images(tmp_path / "ours", 260, 0, 160)  # 52 validate, which a drift report needs
    write_images(tmp_path / "new", 60, 2, 160)
    (root / "params.yaml").write_text(PARAMS)
    uri = new_database(root)
    called(root, "import", str(tmp_path / "ours"), "--normal", "all")
    called(root, "prepare")
    first = registered(root, 1, uri)
    assert first.champion and first.model == "vaeforge-endoscopy-ours"
    second = registered(root, 6, uri)
    assert second.champion, second.reasons
    cards = [path.read_text() for path in root.rglob("MODEL_CARD.md")]
    assert len(cards) == 2
    card = next(text for text in cards if "likelihood: " in text)  # compared with the first
    assert "Whether it finds anomalies was not tested: without anomalous samples in the test there is no AUROC" in card
    assert card.count("AUROC") == 2  # in this sentence alone, as AUROC and as pixel AUROC
    told = called(root, "score", CHAMPION, str(tmp_path / "new"), "--latents", "--json")
    manifest = json.loads(told.splitlines()[-1])
    assert manifest["counts"]["scored"] == 60 and manifest["checked"] and not manifest.get("warning")
    contract = json.loads((root / "artifacts/export/contract.json").read_text())
    assert manifest["threshold"] == pytest.approx(contract["threshold"])
    judged = called(root, "drift", CHAMPION, f"{manifest['folder']}/scores.parquet", "--json")
    assert json.loads(judged.splitlines()[-1])["verdict"] in ("stable", "moderate", "drifted")
    answer = served(root, uri)
    assert answer["version"] == "2" and len(answer["score"]) == 2 and "warnings" not in answer
