"""The way through on a small project with real parts: Ray, MLflow, ONNX; each step reads what the last one left."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from project import SmallProject, check_invariants, end
from vaeforge.manifests.trained_model import TrainedModelManifest, read_trained_model
from vaeforge.training.checkpoint import load_model
from vaeforge_models.vae import DataSpec

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """A project in which one search of two-rank trials has run and registered its best model."""
    project = SmallProject(tmp_path_factory.mktemp("project with spaces ü"))
    project.run("tune", "--name", "first", "--workers", "2")
    return project


@pytest.fixture(scope="module")
def client(project: SmallProject) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")


def best_model(project: SmallProject) -> TrainedModelManifest:
    return read_trained_model(project.root / "artifacts/tune/manifest.json")


def torch_reconstruction(project: SmallProject, images: Any) -> Any:
    import torch

    manifest = best_model(project)
    checkpoint, spec = manifest.checkpoint.within(project.root), DataSpec(manifest.event_shape)
    model = load_model(checkpoint, manifest.experiment, spec)
    with torch.no_grad():
        return model.denormalise(model.reconstruct(torch.from_numpy(images), torch.zeros(len(images), 0))[0]).numpy()


def test_a_search_on_two_ranks_keeps_the_invariants(project: SmallProject) -> None:
    check_invariants(project, "first", trials=6)
    registered = project.events("first", "registered")
    assert [len(event["processes"]) for event in registered] == [2]
    groups = {event["group"] for event in project.events("first", "submitted")}
    assert groups == {"constant", "cyclical"}


def test_only_the_best_checkpoints_stay(project: SmallProject) -> None:
    folders = [path for path in (project.root / "artifacts/searches/first/trials").iterdir() if any(path.iterdir())]
    assert len(folders) <= 3
    assert all(len(list(folder.iterdir())) == 1 for folder in folders)


def test_mlflow_and_the_ledger_agree(project: SmallProject, client: MlflowClient) -> None:
    experiment = client.get_experiment_by_name("vaeforge-endoscopy")
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    children = {r.data.tags["vaeforge.trial"]: r for r in runs if "mlflow.parentRunId" in r.data.tags}
    assert set(children) == {f"first/{number}" for number in range(6)}
    assert len({r.data.tags["mlflow.parentRunId"] for r in children.values()}) == 1
    for ended in project.events("first", "finished"):
        run = children[f"first/{ended['trial']}"]
        assert run.info.status == "FINISHED"
        assert run.data.tags["vaeforge.state"] == ended["state"]
        history = client.get_metric_history(run.info.run_id, "val/nelbo")
        reports = [e for e in project.events("first", "reported") if e["trial"] == ended["trial"]]
        assert [(m.step, m.value) for m in history] == [(e["epoch"], e["metrics"]["val/nelbo"]) for e in reports]


def test_the_best_model_is_registered_with_its_lineage(project: SmallProject, client: MlflowClient) -> None:
    version = client.get_model_version_by_alias("vaeforge-endoscopy", "champion")
    assert client.get_model_version_by_alias("vaeforge-endoscopy", "challenger").version == version.version
    manifest = best_model(project)
    assert version.tags["vaeforge.search"] == "first"
    assert version.tags["vaeforge.trial"] == str(manifest.lineage.trial)
    assert version.tags["vaeforge.run"] == manifest.lineage.mlflow.run_id
    assert version.tags["vaeforge.data_identity"] == manifest.lineage.data_identity
    metrics = json.loads((project.root / "artifacts/searches/first/evaluate/metrics.json").read_text())
    assert 0 <= metrics["test/auroc_low"] <= metrics["test/auroc"] <= metrics["test/auroc_high"] <= 1


def test_the_same_call_again_does_nothing_twice(project: SmallProject, client: MlflowClient) -> None:
    before = len(project.events("first"))
    output = project.call("tune", "--name", "first", "--workers", "2", "--resume", "true")
    assert "already complete" in output
    assert len(project.events("first")) == before
    assert len(client.search_model_versions("name='vaeforge-endoscopy'")) == 1


@pytest.mark.long
def test_train_and_the_steps_after_it(project: SmallProject, client: MlflowClient, cluster: dict[str, str]) -> None:
    project.run("train", "--epochs", "2", "--name", "plain", "--set", "beta.value=0.01", **cluster)
    check_invariants(project, "plain", trials=1)
    for step in ("evaluate", "export", "register"):
        project.call(step, "--run", "train")
        assert json.loads((project.root / f"artifacts/{step}/manifest.json").read_text())["search"] == "plain"
    latest = client.get_model_version_by_alias("vaeforge-endoscopy", "challenger")
    assert latest.tags["vaeforge.search"] == "plain"
    champion = client.get_model_version_by_alias("vaeforge-endoscopy", "champion")
    assert champion.tags["vaeforge.verdict"].startswith("champion: ")
    promoted = champion.version == latest.version
    assert latest.tags["vaeforge.verdict"].startswith("champion: " if promoted else "challenger: ")


@pytest.mark.long
def test_an_untracked_search_is_told_later(
    project: SmallProject, client: MlflowClient, cluster: dict[str, str]
) -> None:
    project.run("train", "--epochs", "1", "--name", "later", "--offline", "true", **cluster)
    experiment = client.get_experiment_by_name("vaeforge-endoscopy").experiment_id
    found = "tags.`vaeforge.trial` = 'later/0'"
    assert client.search_runs([experiment], found) == []
    for _ in range(2):
        project.call("sync", "--name", "later")
        assert len(client.search_runs([experiment], found)) == 1


def test_mlflow_serves_what_torch_computes(project: SmallProject) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{project.root / 'mlflow.db'}"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/vaeforge-endoscopy@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    log = (project.root / "serve.log").open("w")
    server = subprocess.Popen(command, cwd=project.root, env=environment, stdout=log, stderr=log, text=True)
    try:
        images = np.load(project.root / "artifacts/prepared/endoscopy/test.npy")[:3].astype(np.float32)
        answer = ask(port, {"inputs": {"x": images.tolist()}}, server)
        found = np.array(answer["predictions"]["reconstruction"], dtype=np.float32)
        np.testing.assert_allclose(found, torch_reconstruction(project, images), atol=0.02, rtol=1e-4)
        assert {"mu", "logvar", "score"} <= set(answer["predictions"])
    finally:
        server.terminate()
        end(server)
        log.close()


def ask(port: int, body: dict[str, Any], server: "subprocess.Popen[str]") -> Any:
    """POST to a server that may still be starting."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except (ConnectionError, urllib.error.URLError):
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(0.5)
