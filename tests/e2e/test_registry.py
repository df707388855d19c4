"""From a checkpoint to a champion in a real MLflow database: evaluate, export, register, load back."""

import copy
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from vaeforge.config import Experiment
from vaeforge.data.prepare import write_data_set
from vaeforge.data.source import DataSet
from vaeforge.errors import CheckpointError, DataError, RegistryError
from vaeforge.evaluate.step import evaluate_run
from vaeforge.package.step import export_run
from vaeforge.paths import Project, read_json, sha256_of, write_json
from vaeforge.registry.log import tracking_at
from vaeforge.registry.register import Registration, register_run
from vaeforge.samples import Samples
from vaeforge.track.store import ensure_experiment, open_store
from vaeforge.train.checkpoint import load_model, save
from vaeforge_models.vae import DataSpec, initialise

# MLflow warns while it is imported: of SQLAlchemy, and of its own type hints.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

SHAPE = (3, 32, 32)
MODEL = "vaeforge-endoscopy"
IDENTITY = "d" * 64


def write_prepared(folder: Path) -> None:
    """Prepared arrays as the prepare step leaves them: noise, anomalous samples being brighter."""
    rng = np.random.default_rng(0)
    train, validation, test = (rng.integers(0, 200, (n, *SHAPE), dtype=np.uint8) for n in (24, 12, 20))
    test[10:] += 50
    parts = (Samples.unconditional(part) for part in (train, validation, test))
    labels, groups = np.repeat([0, 1], 10).astype(np.int64), [f"{number:02d}" for number in np.arange(20) // 2]
    arrays = write_data_set(folder, DataSet(*parts, labels, groups))
    manifest = {"step": "prepare", "family": "endoscopy", "data_identity": IDENTITY, "data_hash": "a" * 32 + ".dir"}
    write_json(folder / "manifest.json", {**manifest, "event_shape": list(SHAPE), "arrays": arrays, "counts": {}})


def train_nothing(project: Project) -> dict[str, Any]:
    """The manifest of a training, as `tune` writes it, for an untrained model."""
    settings = {"family": "endoscopy", "model": {"latent_dim": 5, "width": 4}, "training": {"evaluation_samples": 2}}
    experiment = Experiment.model_validate(settings)
    build: Any = experiment.definition.build
    model = initialise(build, experiment.model, DataSpec(SHAPE), seed=0)
    checkpoint = save(project.step("tune") / "best.pt", {"model": model.state_dict()}, epoch=3)
    return {
        "step": "tune",
        "family": "endoscopy",
        "experiment": experiment.model_dump(mode="json"),
        "event_shape": list(SHAPE),
        "condition_dim": 0,
        "checkpoint": {"path": "artifacts/tune/best.pt", "sha256": checkpoint.sha256, "epoch": 3},
        "metrics": {"val/nelbo": -100.25, "val/mse": 0.01, "val/rate": 3.0, "val/active_units": 5.0},
        "data_identity": IDENTITY,
        "data_hash": "a" * 32 + ".dir",
        "git": {"commit": "c" * 40, "dirty": False},
        "configuration_hash": "1" * 64,
        "code_hash": "2" * 64,
        "search": "endoscopy-12345678",
        "trial": 7,
        "space_hash": "3" * 64,
        "command": "vaeforge tune",
        "mlflow": {"run_id": None, "parent_run_id": None, "experiment": MODEL},
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which everything before registration has been done."""
    root = tmp_path_factory.mktemp("finished")
    project = Project(root)
    write_prepared(project.prepared("endoscopy"))
    winner = train_nothing(project)
    write_json(root / "winner.json", winner)
    evaluate_run(project, winner, project.step("evaluate"))
    export_run(project, winner, project.step("export"))
    return root


@dataclass
class Workshop:
    """A copy of the finished project with a database of its own, whose winner has a run there."""

    project: Project
    winner: dict[str, Any]
    uri: str
    client: MlflowClient

    def manifest(self, step: str) -> dict[str, Any]:
        content: dict[str, Any] = read_json(self.project.step(step) / "manifest.json", "")
        return content

    def register(self, winner: dict[str, Any] | None = None) -> Registration:
        winner = winner or self.winner
        manifests = [self.manifest(step) | {"checkpoint": winner["checkpoint"]} for step in ("export", "evaluate")]
        return register_run(self.project, winner, *manifests, self.uri)

    def another(self, **metrics: float) -> dict[str, Any]:
        """The winner of another search, its metrics changed."""
        other = copy.deepcopy(self.winner)
        other["metrics"] |= {key.replace("_", "/", 1): value for key, value in metrics.items()}
        other["checkpoint"]["sha256"] = f"{len(self.versions()):064d}"
        return other

    def versions(self) -> list[Any]:
        return sorted(self.client.search_model_versions(f"name = '{MODEL}'"), key=lambda one: int(one.version))

    def alias(self, alias: str) -> str:
        return str(self.client.get_model_version_by_alias(MODEL, alias).version)


@pytest.fixture
def workshop(finished: Path, tmp_path: Path) -> Workshop:
    shutil.copytree(finished, tmp_path / "project")
    project, uri = Project(tmp_path / "project"), f"sqlite:///{tmp_path}/mlflow.db"
    client = open_store(uri)
    experiment = ensure_experiment(client, MODEL, tmp_path / "mlruns")
    winner = read_json(project.root / "winner.json", "")
    winner["mlflow"]["run_id"] = client.create_run(experiment).info.run_id
    return Workshop(project, winner, uri, client)


def test_evaluation_leaves_numbers_curves_figures_and_a_manifest(finished: Path) -> None:
    folder = finished / "artifacts" / "evaluate"
    manifest = read_json(folder / "manifest.json", "")
    assert read_json(folder / "metrics.json", "") == manifest["metrics"]
    assert all(isinstance(value, float) for value in manifest["metrics"].values())
    figures = {"roc", "pr", "scores", "samples", "reconstructions_normal", "reconstructions_anomalous"}
    expected = {"metrics.json", "comparison.json", "comparison.csv", "curves/roc.csv", "curves/pr.csv"}
    assert set(manifest["files"]) >= expected | {f"figures/{name}.png" for name in figures}
    assert all(sha256_of(folder / name) == digest for name, digest in manifest["files"].items())
    assert (folder / "curves/roc.csv").read_text().splitlines()[:2] == ["x,y", "0,0"]
    assert [row["name"] for row in manifest["comparison"]][-1] == "model"
    assert manifest["checkpoint"] == read_json(finished / "winner.json", "")["checkpoint"]


def test_the_first_version_is_champion_and_tells_where_it_comes_from(workshop: Workshop) -> None:
    done = workshop.register()
    assert (done.model, done.version, done.champion) == (MODEL, "1", True)
    assert workshop.alias("champion") == workshop.alias("challenger") == "1"
    (version,) = workshop.versions()
    assert version.run_id == workshop.winner["mlflow"]["run_id"]
    assert version.tags == {
        "vaeforge.run": workshop.winner["mlflow"]["run_id"],
        "vaeforge.search": "endoscopy-12345678",
        "vaeforge.trial": "7",
        "vaeforge.commit": "c" * 40,
        "vaeforge.dirty": "false",
        "vaeforge.data_hash": "a" * 32 + ".dir",
        "vaeforge.data_identity": IDENTITY,
        "vaeforge.configuration_hash": "1" * 64,
        "vaeforge.code_hash": "2" * 64,
        "vaeforge.val_nelbo": "-100.25",
        "vaeforge.active_units": "5.0",
        "vaeforge.checkpoint_sha256": workshop.winner["checkpoint"]["sha256"],
        "vaeforge.model_sha256": workshop.manifest("export")["files"]["model.onnx"],
        "vaeforge.verdict": "champion: val/nelbo -100.25; there was no champion",
    }
    assert "trial 7 of the search endoscopy-12345678, epoch 3" in version.description
    assert "5 of 5 latent dimensions active" in version.description
    assert "Test set, 95 % intervals: MSE" in version.description and "AUROC" in version.description
    logged = workshop.client.get_run(version.run_id).data.metrics
    assert logged["test/auroc"] == workshop.manifest("evaluate")["metrics"]["test/auroc"]
    assert "val/nelbo" not in logged  # that curve is the training's


def test_the_champion_answers_as_torch_does(workshop: Workshop) -> None:
    import mlflow.pyfunc

    workshop.register()
    with tracking_at(workshop.uri):
        served = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
    raw = np.load(workshop.project.prepared("endoscopy") / "test.npy")
    answer = served.predict({"x": raw.astype(np.float32)})
    experiment, checkpoint = Experiment.model_validate(workshop.winner["experiment"]), workshop.winner["checkpoint"]
    model = load_model(workshop.project.root / checkpoint["path"], checkpoint["sha256"], experiment, DataSpec(SHAPE))
    with torch.no_grad():
        reconstruction, posterior, score = model.reconstruct(torch.from_numpy(raw), torch.zeros(len(raw), 0))
    assert set(answer) == {"reconstruction", "mu", "logvar", "score"}
    np.testing.assert_allclose(answer["reconstruction"] / 255, reconstruction.numpy(), atol=1e-4)
    np.testing.assert_allclose(answer["mu"], posterior.mu.numpy(), atol=1e-4)
    np.testing.assert_allclose(answer["logvar"], posterior.logvar.numpy(), atol=1e-4)
    np.testing.assert_allclose(answer["score"], score.numpy(), rtol=1e-4)


def test_downloading_a_version_brings_everything(workshop: Workshop, tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts

    workshop.register()
    with tracking_at(workshop.uri):
        folder = Path(download_artifacts(f"models:/{MODEL}@champion", dst_path=str(tmp_path / "download")))
    assert sha256_of(folder / "model.onnx") == workshop.versions()[0].tags["vaeforge.model_sha256"]
    brought = {path.name for path in (folder / "extra_files").iterdir()}
    for step in ("export", "evaluate"):
        names = {Path(name).name for name in workshop.manifest(step)["files"]} - {"model.onnx"}
        assert names <= brought
    assert read_json(folder / "extra_files" / "winner.json", "") == workshop.winner


def test_registering_twice_makes_one_version(workshop: Workshop) -> None:
    first, second = workshop.register(), workshop.register()
    assert (first.version, second.version) == ("1", "1")
    assert second.champion
    assert len(workshop.versions()) == 1
    experiment = workshop.client.get_experiment_by_name(MODEL).experiment_id
    assert len(workshop.client.search_logged_models([experiment])) == 1


def test_a_winner_without_a_run_gets_one_and_keeps_it(workshop: Workshop) -> None:
    workshop.winner["mlflow"]["run_id"] = None
    first, second = workshop.register(), workshop.register()
    assert first.version == second.version == "1"
    run = workshop.client.get_run(workshop.versions()[0].run_id)
    assert run.data.metrics["val/nelbo"] == -100.25
    assert run.info.status == "FINISHED"


def test_a_better_version_takes_over_and_a_worse_one_does_not(workshop: Workshop) -> None:
    workshop.register()
    better = workshop.register(workshop.another(val_nelbo=-200.0))
    assert (better.version, better.champion) == ("2", True)
    assert workshop.alias("champion") == "2"
    worse = workshop.register(workshop.another(val_nelbo=-150.0))
    assert (worse.version, worse.champion) == ("3", False)
    assert worse.reasons == ("val/nelbo is -150, must be below the champion's -200",)
    assert (workshop.alias("champion"), workshop.alias("challenger")) == ("2", "3")
    assert workshop.versions()[2].tags["vaeforge.verdict"].startswith("challenger: ")


def test_other_data_and_dead_units_stay_challenger(workshop: Workshop) -> None:
    workshop.register()
    other = workshop.another(val_nelbo=-300.0, val_active_units=1.0) | {"data_identity": "e" * 64}
    done = workshop.register(other)
    assert not done.champion
    assert len(done.reasons) == 2
    assert workshop.alias("champion") == "1"


def test_a_version_that_was_rolled_back_is_not_made_champion_again(workshop: Workshop) -> None:
    workshop.register()
    better = workshop.another(val_nelbo=-200.0)
    workshop.register(better)
    workshop.client.set_registered_model_alias(MODEL, "champion", "1")
    assert not workshop.register(better).champion
    assert workshop.alias("champion") == "1"


def test_a_challenger_is_judged_anew_by_softer_gates(workshop: Workshop) -> None:
    strict = copy.deepcopy(workshop.winner)
    strict["experiment"]["gates"]["min_active_units"] = 6
    assert not workshop.register(strict).champion
    assert workshop.register().champion
    assert len(workshop.versions()) == 1
    assert workshop.versions()[0].tags["vaeforge.verdict"].startswith("champion: ")


def test_a_registration_that_was_cut_off_is_finished(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(MlflowClient, "set_model_version_tag", cut)
        workshop.register()
    assert "vaeforge.verdict" not in workshop.versions()[0].tags
    assert workshop.register().champion
    assert len(workshop.versions()) == 1
    assert workshop.versions()[0].tags["vaeforge.verdict"].startswith("champion: ")


def test_runs_and_stores_chosen_elsewhere_are_left_alone(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = open_store(f"sqlite:///{tmp_path}/elsewhere.db")
    foreign = elsewhere.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/elsewhere.db")
    monkeypatch.setenv("MLFLOW_RUN_ID", foreign)
    monkeypatch.chdir(tmp_path)
    workshop.register()
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/elsewhere.db"
    run = elsewhere.get_run(foreign)
    assert (run.data.tags.get("mlflow.runName"), dict(run.data.metrics)) == (run.info.run_name, {})
    assert not elsewhere.search_registered_models()
    assert not (tmp_path / "mlruns" / "0").exists()


def test_a_run_that_the_store_does_not_have_is_named(workshop: Workshop) -> None:
    workshop.winner["mlflow"]["run_id"] = "0" * 32
    with pytest.raises(RegistryError, match=f"{'0' * 32} not found.*`vaeforge sync` puts it there"):
        workshop.register()
    assert not workshop.client.search_registered_models()


def test_files_of_another_checkpoint_are_refused(workshop: Workshop) -> None:
    other = workshop.another()
    with pytest.raises(RegistryError, match="export manifest: made from checkpoint"):
        register_run(workshop.project, other, workshop.manifest("export"), workshop.manifest("evaluate"), workshop.uri)


def test_files_changed_since_their_manifest_are_refused(workshop: Workshop) -> None:
    path = workshop.project.step("evaluate") / "metrics.json"
    path.write_text(path.read_text().replace("0", "1", 1))
    with pytest.raises(RegistryError, match=r"metrics\.json: SHA-256 is .* run `vaeforge evaluate` again"):
        workshop.register()
    assert not workshop.client.search_registered_models()


def test_data_other_than_the_models_are_refused(workshop: Workshop) -> None:
    workshop.winner["data_identity"] = "f" * 64
    evaluated = workshop.project.step("evaluate")
    with pytest.raises(DataError, match="but the model was trained on ffff"):
        evaluate_run(workshop.project, workshop.winner, evaluated)


def test_a_damaged_checkpoint_is_not_exported(workshop: Workshop) -> None:
    path = workshop.project.root / workshop.winner["checkpoint"]["path"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="altered or cut off"):
        export_run(workshop.project, workshop.winner, workshop.project.step("export"))
