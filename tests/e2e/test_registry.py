"""From a checkpoint to a champion in a real MLflow database: evaluate, export, register, load back."""

import copy
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from later_steps import evaluated, exported
from manifest_samples import evaluation_of, export_of, model_of, prepared_manifest
from project import command_line
from stores import new_database
from vaeforge.config.experiment import Experiment
from vaeforge.data.prepare import write_data_set
from vaeforge.data.prepared import write_prepared_manifest
from vaeforge.errors import CheckpointError, DataError, RegistryError
from vaeforge.paths import Project, read_json, sha256_of, write_json
from vaeforge.records import to_json
from vaeforge.registry.audit import trail
from vaeforge.registry.fetch import fetch
from vaeforge.registry.listing import differences
from vaeforge.registry.mlflow_calls import tracking_at
from vaeforge.registry.promote import ConflictError, rollback
from vaeforge.registry.register import Registration, register_run
from vaeforge.registry.rejudge import promote_judged
from vaeforge.registry.versions import model_named
from vaeforge.samples import DataSet, Samples
from vaeforge.track.store import ensure_experiment, open_store
from vaeforge.training.checkpoint import load_model, save
from vaeforge_models.vae import DataSpec, build_seeded

# MLflow warns while it is imported: of SQLAlchemy, and of its own type hints.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

SHAPE = (3, 32, 32)
MODEL = "vaeforge-endoscopy"
IDENTITY = "d" * 64
LENIENT = {"min_active_units": 0, "min_groups": 5, "calibration": 1.0}  # an untrained model of 20 samples


def write_prepared(folder: Path) -> None:
    """Prepared arrays as the prepare step leaves them: noise, anomalous samples being brighter."""
    rng = np.random.default_rng(0)
    train, validation, test = (rng.integers(0, 200, (n, *SHAPE), dtype=np.uint8) for n in (24, 12, 20))
    test[10:] += 50
    parts = (Samples.unconditional(part) for part in (train, validation, test))
    labels, groups = np.repeat([0, 1], 10).astype(np.int64), [f"{number:02d}" for number in np.arange(20) // 2]
    arrays = write_data_set(folder, DataSet(*parts, labels, groups))
    manifest = prepared_manifest(data_hash="a" * 32 + ".dir", event_shape=SHAPE, arrays=arrays)
    write_prepared_manifest(folder, manifest)


def train_nothing(project: Project) -> dict[str, Any]:
    """The manifest of a training, as `tune` writes it, for an untrained model."""
    settings: dict[str, Any] = {
        "family": "endoscopy",
        "model": {"latent_dim": 5, "width": 4},
        "training": {"evaluation_samples": 2},
    }
    settings |= {"gates": LENIENT}
    experiment = Experiment.model_validate(settings)
    build: Any = experiment.definition.build
    model = build_seeded(build, experiment.model, DataSpec(SHAPE), seed=0)
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
    model = train_nothing(project)
    write_json(root / "model.json", model)
    (root / "params.yaml").write_text("endoscopy:\n  gates: {min_active_units: 0, min_groups: 5, calibration: 1.0}\n")
    evaluated(project, model_of(model))
    exported(project, model_of(model))
    return root


@dataclass
class Workshop:
    """A copy of the finished project with a database of its own, whose model has a run there; manifests as JSON."""

    project: Project
    model: dict[str, Any]
    uri: str
    client: MlflowClient

    def manifest(self, step: str) -> dict[str, Any]:
        content: dict[str, Any] = read_json(self.project.step(step) / "manifest.json", "")
        return content

    def register(self, model: dict[str, Any] | None = None, worse: float = 0.0) -> Registration:
        """Register the model, or another one that is `worse` by so many nats per value on every sample, test and
        validation.
        """
        model = copy.deepcopy(model or self.model)
        model["metrics"]["val/nelbo"] += worse * 3 * 32 * 32
        export, evaluation = self.manifest("export"), self.manifest("evaluate")
        if worse:
            evaluation = self._worse(evaluation, worse * 3 * 32 * 32)
        identity = {"checkpoint": model["checkpoint"], "data_identity": model["data_identity"]}
        done = self.register_json(model, export | identity, evaluation | identity)
        shutil.rmtree(self.project.step("evaluate"))
        shutil.copytree(self.project.root / "evaluated", self.project.step("evaluate"))
        return done

    def register_json(self, model: dict[str, Any], export: dict[str, Any], evaluation: dict[str, Any]) -> Registration:
        read = evaluation_of(evaluation, self.project.root)
        return register_run(self.project, model_of(model), export_of(export), read, self.uri)

    def _worse(self, evaluation: dict[str, Any], nats: float) -> dict[str, Any]:
        path = self.project.step("evaluate") / "arrays/evidence.npz"
        with np.load(path) as archive:
            arrays = dict(archive)
        np.savez_compressed(path, **(arrays | {"nll": arrays["nll"] + nats}))
        metrics = evaluation["metrics"] | {"test/nelbo": evaluation["metrics"]["test/nelbo"] + nats}
        files = evaluation["files"] | {"arrays/evidence.npz": sha256_of(path)}
        return evaluation | {"metrics": metrics, "files": files}

    def another(self) -> dict[str, Any]:
        """The model of another search."""
        other = copy.deepcopy(self.model)
        other["checkpoint"]["sha256"] = f"{len(self.versions()):064d}"
        return other

    def versions(self) -> list[Any]:
        return sorted(self.client.search_model_versions(f"name = '{MODEL}'"), key=lambda one: int(one.version))

    def alias(self, alias: str) -> str:
        return str(self.client.get_model_version_by_alias(MODEL, alias).version)


@pytest.fixture
def workshop(finished: Path, tmp_path: Path) -> Workshop:
    shutil.copytree(finished, tmp_path / "project")
    shutil.copytree(finished / "artifacts/evaluate", tmp_path / "project/evaluated")
    project, uri = Project(tmp_path / "project"), new_database(tmp_path)
    client = open_store(uri)
    experiment = ensure_experiment(client, MODEL, tmp_path / "mlruns")
    model = read_json(project.root / "model.json", "")
    model["mlflow"]["run_id"] = client.create_run(experiment).info.run_id
    return Workshop(project, model, uri, client)


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
    assert manifest["checkpoint"] == read_json(finished / "model.json", "")["checkpoint"]


def test_the_first_version_is_champion_and_tells_where_it_comes_from(workshop: Workshop) -> None:
    done = workshop.register()
    assert (done.model, done.version, done.champion) == (MODEL, "1", True)
    assert workshop.alias("champion") == workshop.alias("challenger") == "1"
    (version,) = workshop.versions()
    assert version.run_id == workshop.model["mlflow"]["run_id"]
    with np.load(workshop.project.step("evaluate") / "arrays/evidence.npz") as archive:
        evidence = dict(archive)
    own = {key: value for key, value in version.tags.items() if not key.startswith("vaeforge.audit.")}
    fetched = fetch(f"models:/{MODEL}@champion", workshop.project, workshop.uri)
    assert own.pop("vaeforge.verdict").startswith("champion: parity: ")
    assert own == {
        "vaeforge.run": workshop.model["mlflow"]["run_id"],
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
        "vaeforge.checkpoint_sha256": workshop.model["checkpoint"]["sha256"],
        "vaeforge.model_sha256": workshop.manifest("export")["files"]["model.onnx"],
        "vaeforge.files_sha256": sha256_of(fetched.bundle.path("files.json")),
        "vaeforge.test_looks": "1",
        "vaeforge.test_comparison": "no rival",
        "vaeforge.test_nll": repr(float(evidence["nll"][evidence["labels"] == 0].mean())),
        "vaeforge.sample_shape": "3x32x32",
        "vaeforge.test_auroc": f"{workshop.manifest('evaluate')['metrics']['test/auroc']:.6g}",
    }
    assert "trial 7 of the search endoscopy-12345678, epoch 3" in version.description
    assert "5 of 5 latent dimensions active" in version.description
    assert "Test set, 95 % intervals: MSE" in version.description and "AUROC" in version.description
    logged = workshop.client.get_run(version.run_id).data.metrics
    assert logged["test/auroc"] == workshop.manifest("evaluate")["metrics"]["test/auroc"]
    assert "val/nelbo" not in logged  # that curve is the training's
    assert "Model number 1 measured on this test set." in version.description
    run = workshop.client.get_run(version.run_id)
    assert [one.dataset.digest for one in run.inputs.dataset_inputs] == ["a" * 32 + ".dir"]
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["data/endoscopy"]
    figures = {Path(one.path).name for one in workshop.client.list_artifacts(version.run_id, "figures")}
    assert {"roc.png", "latents.png"} <= figures


def test_the_champion_answers_as_torch_does(workshop: Workshop) -> None:
    import mlflow.pyfunc

    workshop.register()
    with tracking_at(workshop.uri):
        served = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
    raw = np.load(workshop.project.prepared("endoscopy") / "test.npy")
    answer = served.predict({"x": raw.astype(np.float32)})
    manifest = model_of(workshop.model)
    model = load_model(manifest.checkpoint.within(workshop.project.root), manifest.experiment, DataSpec(SHAPE))
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
    assert read_json(folder / "extra_files" / "winner.json", "") == to_json(model_of(workshop.model))
    card = read_json(folder / "extra_files" / "card.json", "")
    assert card["verdict"]["promote"] is True
    assert (folder / "extra_files" / "MODEL_CARD.md").read_text().startswith("#")


@pytest.mark.parametrize(("line", "uploaded"), [("width: 8", True), ("password: " + "correct-horse-battery", False)])
def test_what_differed_from_the_commit_is_uploaded_unless_it_may_hold_secrets(
    workshop: Workshop, line: str, uploaded: bool
) -> None:
    folder = workshop.project.search(workshop.model["search"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "code.patch").write_text(
        f"diff --git a/params.yaml b/params.yaml\n--- a/params.yaml\n+++ b/params.yaml\n@@ -1 +1 @@\n-a\n+{line}\n"
    )
    workshop.register({**workshop.model, "git": {**workshop.model["git"], "patch": "code.patch"}})
    fetched = fetch(f"models:/{MODEL}@champion", workshop.project, workshop.uri)
    assert bool(list(fetched.bundle.folder.rglob("code.patch"))) == uploaded


def test_registering_twice_makes_one_version(workshop: Workshop) -> None:
    first, second = workshop.register(), workshop.register()
    assert (first.version, second.version) == ("1", "1")
    assert second.champion
    assert len(workshop.versions()) == 1
    experiment = workshop.client.get_experiment_by_name(MODEL).experiment_id
    assert len(workshop.client.search_logged_models([experiment])) == 1


def test_a_model_without_a_run_gets_one_and_keeps_it(workshop: Workshop) -> None:
    workshop.model["mlflow"]["run_id"] = None
    first, second = workshop.register(), workshop.register()
    assert first.version == second.version == "1"
    run = workshop.client.get_run(workshop.versions()[0].run_id)
    assert run.data.metrics["val/nelbo"] == -100.25
    assert run.info.status == "FINISHED"


def test_a_version_within_the_margin_takes_over_and_a_worse_one_does_not(workshop: Workshop) -> None:
    workshop.register()
    better = workshop.register(workshop.another(), worse=-0.4)  # a gain of 0.28 over the training mean, margin 0.014
    assert (better.version, better.champion) == ("2", True)
    assert workshop.alias("champion") == "2"
    worse = workshop.register(workshop.another(), worse=-0.38)
    assert (worse.version, worse.champion) == ("3", False)
    (reason,) = worse.reasons
    assert reason.startswith(
        "likelihood: a loss of 61.44 nats per sample (0.02 per value) against version 2, whose gain"
    )
    assert "0 refused on this test set before: a version worse by the margin passes with 1.25 %" in reason
    assert (workshop.alias("champion"), workshop.alias("challenger")) == ("2", "3")
    assert workshop.versions()[2].tags["vaeforge.verdict"].startswith("challenger: ")
    assert [one.tags["vaeforge.test_looks"] for one in workshop.versions()] == ["1", "2", "3"]
    within = workshop.register(workshop.another(), worse=-0.39)
    assert (within.version, within.champion) == ("4", True)
    told = [(one.tags.get("vaeforge.test_power"), one.tags["vaeforge.test_comparison"]) for one in workshop.versions()]
    assert told == [(None, "no rival"), ("1", "passed"), ("1", "refused"), ("1", "passed")]


def test_the_best_version_ever_counts_and_not_the_champion(workshop: Workshop) -> None:
    workshop.register(worse=-0.4)
    assert workshop.register(workshop.another(), worse=-0.39).champion
    assert not workshop.register(workshop.another(), worse=-0.38).champion  # within the margin of the champion only


def test_other_data_and_dead_units_stay_challenger(workshop: Workshop) -> None:
    workshop.register()
    other = workshop.another() | {"data_identity": "e" * 64}
    other["experiment"]["gates"]["min_active_units"] = 1000
    done = workshop.register(other)
    assert not done.champion
    assert [reason.partition(":")[0] for reason in done.reasons] == ["val/active_units", "data"]
    assert workshop.alias("champion") == "1"


def test_failed_parity_is_not_registered(workshop: Workshop) -> None:
    export = workshop.manifest("export")
    export["parity"]["passed"] = False
    with pytest.raises(RegistryError, match="parity was not shown"):
        workshop.register_json(workshop.model, export, workshop.manifest("evaluate"))
    assert not workshop.client.search_registered_models()


def test_a_version_without_evidence_stays_challenger(workshop: Workshop) -> None:
    evaluation = workshop.manifest("evaluate")
    del evaluation["files"]["arrays/evidence.npz"]
    done = workshop.register_json(workshop.model, workshop.manifest("export"), evaluation)
    assert not done.champion
    assert done.reasons[0].startswith("test/nelbo: cannot be evaluated: manifest: lists no evidence.npz")
    after = workshop.register(workshop.another())
    assert not after.champion
    assert "version 1: was evaluated without evidence" in after.reasons[0]


def test_a_version_that_was_rolled_back_is_not_made_champion_again(workshop: Workshop) -> None:
    workshop.register()
    better = workshop.another()
    workshop.register(better, worse=-0.1)
    assert rollback(workshop.client, MODEL, "anna@lab", "too slow") == "1"
    assert not workshop.register(better, worse=-0.1).champion
    assert workshop.alias("champion") == "1"


def test_a_file_beside_the_graph_that_was_altered_is_refused_by_name(workshop: Workshop, tmp_path: Path) -> None:
    alterations: dict[str, Callable[[Path], object]] = {
        "contract.json": lambda path: path.write_text(path.read_text().replace('"threshold": ', '"threshold": 9')),
        "reference.npz": lambda path: path.write_bytes(path.read_bytes() + b"x"),
        "winner.json": lambda path: path.write_text(path.read_text().replace("-100.25", "-900.25")),
        "files.json": lambda path: path.write_text(path.read_text().replace("a", "b")),
        "evaluate_manifest.json": lambda path: path.unlink(),
        "more.json": lambda path: path.write_text("{}"),
    }
    workshop.register()
    reference = f"models:/{MODEL}@champion"
    folder = fetch(reference, workshop.project, workshop.uri).bundle.folder
    shutil.copytree(folder, tmp_path / "sound")
    for name, alter in alterations.items():
        alter(folder / "extra_files" / name)
        with pytest.raises(RegistryError, match=rf"SHA-256 of {name} is .* remove the folder to download it again"):
            fetch(reference, workshop.project, workshop.uri)
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "sound", folder)
    assert fetch(reference, workshop.project, workshop.uri).bundle.folder == folder


def test_a_challenger_is_judged_anew_by_softer_gates(workshop: Workshop) -> None:
    strict = copy.deepcopy(workshop.model)
    strict["experiment"]["gates"]["min_active_units"] = 1000
    assert not workshop.register(strict).champion
    assert workshop.register().champion
    assert len(workshop.versions()) == 1
    assert workshop.versions()[0].tags["vaeforge.verdict"].startswith("champion: ")


def test_a_registered_version_is_judged_by_the_projects_present_gates(workshop: Workshop) -> None:
    strict = copy.deepcopy(workshop.model)
    strict["experiment"]["gates"]["min_active_units"] = 1000
    assert not workshop.register(strict).champion
    client, project = workshop.client, workshop.project
    with pytest.raises(ConflictError, match="champion is no version, but this was decided against version 7"):
        promote_judged(client, project, MODEL, "1", "gates were softened", "7")
    assert promote_judged(client, project, MODEL, "1", "gates were softened", None).promote
    assert workshop.alias("champion") == "1"
    assert fetch(f"models:/{MODEL}@champion", project, workshop.uri).bundle.contract.family == "endoscopy"
    with pytest.raises(RegistryError, match="is champion already"):
        promote_judged(client, project, MODEL, "1", "again", None)


def test_a_worse_version_is_refused_with_all_reasons(workshop: Workshop) -> None:
    workshop.register()
    other = workshop.another() | {"data_identity": "e" * 64}
    workshop.register(other)
    workshop.register(workshop.another(), worse=0.1)
    refused = {}
    for version in ("2", "3"):
        with pytest.raises(RegistryError, match="refused by the gates") as error:
            promote_judged(workshop.client, workshop.project, MODEL, version, "please", None)
        refused[version] = [line.partition(":")[0].strip() for line in str(error.value).splitlines() if line[0] == " "]
    assert refused == {"2": ["data"], "3": ["likelihood"]}
    assert workshop.alias("champion") == "1"
    differing = {(row.part, row.name) for row in differences(workshop.client, MODEL, "1", "3")}
    assert differing == {("metrics", "test/nelbo")}
    assert ("data", "data_identity") in {(row.part, row.name) for row in differences(workshop.client, MODEL, "1", "2")}


def test_a_changed_prepare_setting_is_no_circle(workshop: Workshop) -> None:
    workshop.register()
    workshop.register(workshop.another() | {"data_identity": "e" * 64})

    def models(*arguments: str) -> Any:
        return command_line(workshop.project.root, "models", *arguments, MLFLOW_TRACKING_URI=workshop.uri)

    refused = models("promote", "endoscopy", "2")
    assert refused.code == 2 and f"vaeforge models promote {MODEL} 2 --new-data" in " ".join(refused.stderr.split())
    assert models("archive", "endoscopy", "1").code == 2  # is champion: promote another first, which now can be done
    done = models("promote", "endoscopy", "2", "--new-data", "--why", "larger pictures")
    assert done.code == 0, done.stderr
    assert workshop.alias("champion") == "2"
    entry = trail(workshop.client, MODEL)[-1]
    assert entry.why == "larger pictures (with --new-data: other data than those of version 1)"
    assert models("archive", "endoscopy", "1").code == 0


def test_each_data_set_has_a_model_and_a_champion_of_its_own(workshop: Workshop) -> None:
    sample = workshop.register({**workshop.model, "data_set": {"name": "skin", "sample": True}})
    own = {"data_identity": "e" * 64, "data_set": {"name": "Kvasir v2", "sample": False}}
    done = workshop.register(workshop.another() | own)
    assert (sample.model, sample.champion) == (MODEL, True)
    assert done.champion and done.version == "1"
    assert done.model.startswith(f"{MODEL}-Kvasir-v2-") and len(done.model) == len(f"{MODEL}-Kvasir-v2-") + 6
    told = workshop.client.get_registered_model(done.model)
    assert told.tags["vaeforge.data_set"] == "Kvasir v2" and "the data set Kvasir v2" in told.description
    assert "data set Kvasir v2" in workshop.client.get_model_version(done.model, "1").description
    listed = command_line(workshop.project.root, "models", "list", "--json", MLFLOW_TRACKING_URI=workshop.uri)
    rows = {row["model"]: row for row in map(json.loads, listed.stdout.splitlines())}
    assert {name: (row["data_set"], row["champion"]) for name, row in rows.items()} == {
        MODEL: ("skin (the sample)", "1"),
        done.model: ("Kvasir v2", "1"),
    }
    assert model_named(workshop.client, done.model.removeprefix(f"{MODEL}-")) == done.model
    assert model_named(workshop.client, "endoscopy") == MODEL


def test_who_loses_the_race_stays_challenger(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop.register()
    monkeypatch.setattr("vaeforge.registry.register.champion_of", lambda *_: None)  # as it was before the other came
    done = workshop.register(workshop.another(), worse=-0.1)
    assert not done.champion
    assert "champion is version 1, but this was decided against no version" in done.reasons[0]
    assert workshop.alias("champion") == "1"


def test_a_registration_that_was_cut_off_is_finished(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    write = MlflowClient.set_model_version_tag

    def cut(client: MlflowClient, name: str, version: str, key: str, value: str) -> None:
        if key == "vaeforge.verdict":
            raise KeyboardInterrupt
        write(client, name, version, key, value)

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
    elsewhere = open_store(new_database(tmp_path, "elsewhere.db"))
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
    workshop.model["mlflow"]["run_id"] = "0" * 32
    with pytest.raises(
        RegistryError, match=f"{'0' * 32} not found.*`vaeforge sync` and `vaeforge register` put it there"
    ):
        workshop.register()
    assert not workshop.client.search_registered_models()


def test_files_of_another_checkpoint_are_refused(workshop: Workshop) -> None:
    other = workshop.another()
    with pytest.raises(RegistryError, match="export manifest: made from checkpoint"):
        workshop.register_json(other, workshop.manifest("export"), workshop.manifest("evaluate"))


def test_files_changed_since_their_manifest_are_refused(workshop: Workshop) -> None:
    path = workshop.project.step("evaluate") / "metrics.json"
    path.write_text(path.read_text().replace("0", "1", 1))
    with pytest.raises(RegistryError, match=r"metrics\.json: SHA-256 is .* run `vaeforge evaluate` again"):
        workshop.register()
    assert not workshop.client.search_registered_models()


def test_data_other_than_the_models_are_refused(workshop: Workshop) -> None:
    workshop.model["data_identity"] = "f" * 64
    with pytest.raises(DataError, match="but the model was trained on ffff"):
        evaluated(workshop.project, model_of(workshop.model))


def test_a_damaged_checkpoint_is_not_exported(workshop: Workshop) -> None:
    path = workshop.project.root / workshop.model["checkpoint"]["path"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="altered or cut off"):
        exported(workshop.project, model_of(workshop.model))
