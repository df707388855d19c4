"""Manifests: those of an earlier build read and come out as they were, and damaged ones are named in one sentence.

`tests/manifests/` holds what the steps wrote before manifests were typed records, without paths of a machine.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from manifest_samples import MODEL, model_of
from registered import untrained_model
from vaeforge import pipeline
from vaeforge.config.gates import Gates
from vaeforge.data.prepared import read_prepared_manifest
from vaeforge.errors import DataError, RegistryError
from vaeforge.evaluation import step as evaluate_step
from vaeforge.evaluation.manifest import evaluation_json, read_evaluation
from vaeforge.generate.manifest import read_generation
from vaeforge.manifests.diffusion import read_diffusion
from vaeforge.manifests.export import read_export
from vaeforge.manifests.lineage import checkpoint_of
from vaeforge.manifests.trained_model import manifest_path, read_trained_model
from vaeforge.package import step as export_step
from vaeforge.package.card import ModelCard, VerdictSection, build_card
from vaeforge.package.contract import read_contract
from vaeforge.paths import Project, write_json
from vaeforge.records import read_record, to_json
from vaeforge.registry.lineage import version_tags
from vaeforge.registry.register import RegistrationManifest
from vaeforge.trained import TrainedModel
from vaeforge.training import checkpoint

KEPT = Path(__file__).parents[1] / "manifests"
Reader = Callable[[Path], Any]


def in_folder(read: Reader) -> Reader:
    """A reader of a file out of a reader of the folder that holds it as manifest.json."""

    def read_file(path: Path) -> Any:
        return read(path.parent)

    return read_file


READERS: dict[str, Reader] = {
    "prepare": in_folder(read_prepared_manifest),
    "tune": read_trained_model,
    "evaluate": read_evaluation,
    "export": read_export,
    "export_precisions": read_export,
    "diffuse": in_folder(read_diffusion),
    "diffuse_none": in_folder(read_diffusion),
    "generate": in_folder(read_generation),
    "contract": read_contract,
    "register": lambda path: read_record(RegistrationManifest, path, "manifest of a registration", "register again"),
}
WITH_EXTRA = [name for name in READERS if name not in ("contract", "register")]


def kept(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((KEPT / f"{name}.json").read_text())
    return content


def written(folder: Path, content: Any) -> Path:
    write_json(folder / "manifest.json", content)
    return folder / "manifest.json"


def json_of(record: Any) -> Any:
    plain = evaluation_json(record) if record.__class__.__name__ == "EvaluationManifest" else to_json(record)
    return json.loads(json.dumps(plain))


@pytest.mark.parametrize("name", READERS)
def test_what_the_earlier_build_wrote_comes_out_as_it_was_read(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, kept(name))
    assert json_of(READERS[name](path)) == kept(name)


@pytest.mark.parametrize("name", WITH_EXTRA)
def test_keys_of_a_later_build_are_kept(name: str, tmp_path: Path) -> None:
    content = {**kept(name), "of_a_later_build": {"a": [1, None]}}
    assert json_of(READERS[name](written(tmp_path, content))) == content


@pytest.mark.parametrize("name", READERS)
def test_a_key_that_is_missing_is_named_with_the_file_and_what_to_do(name: str, tmp_path: Path) -> None:
    content = kept(name)
    key = "family" if "family" in content else "checkpoint"
    del content[key]
    path = written(tmp_path, content)
    with pytest.raises(
        (DataError, RegistryError), match=rf"^{path}: is no (manifest|contract) of .*: it lacks {key}; "
    ):
        READERS[name](path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"family": ', "not valid JSON"),
        ("[1, 2]", "is no manifest of a trained model: it holds no JSON object; run `vaeforge tune`"),
        (None, "not found; run `vaeforge tune`"),
    ],
)
def test_a_damaged_manifest_is_one_sentence(text: str | None, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError) as error:
        read_trained_model(path)
    assert str(error.value).startswith(f"{path}: {problem}") and "\n" not in str(error.value)


def test_a_value_of_a_wrong_type_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    content = kept("tune")
    content["checkpoint"]["epoch"], content["experiment"] = "three", 3
    with pytest.raises(
        DataError, match=r"checkpoint\.epoch: input should be a valid integer.*experiment: input should"
    ):
        read_trained_model(written(tmp_path, content))


def test_what_old_builds_did_not_record_is_none() -> None:
    manifest = model_of(MODEL)
    assert (manifest.training, manifest.space, manifest.repeats, manifest.lineage.trial) == (None, None, None, None)
    assert (manifest.lineage.git.diff_sha256, manifest.lineage.mlflow.run_id) == (None, None)


def test_integers_stay_integers_and_numbers_that_are_not_finite_are_told_apart() -> None:
    manifest = model_of({**MODEL, "metrics": {"a": 4, "b": 4.0, "c": None}})
    assert json.dumps(to_json(manifest.metrics)) == '{"a": 4, "b": 4.0, "c": null}'
    assert manifest.finite_metrics == {"a": 4, "b": 4.0}


def test_the_tags_of_a_version_are_those_of_the_earlier_build() -> None:
    tags = kept("tags")
    measured = {f"vaeforge.{name}" for name in ("test_nll", "test_looks", "verdict")}
    assert measured < tags.keys()
    found = version_tags(read_trained_model(KEPT / "tune.json"), tags["vaeforge.run"], tags["vaeforge.model_sha256"])
    assert found == {key: value for key, value in tags.items() if key not in measured}


def test_a_model_card_is_that_of_the_earlier_build_but_for_baselines_that_are_better() -> None:
    steps = read_trained_model(KEPT / "tune.json"), read_evaluation(KEPT / "evaluate.json")
    verdict = VerdictSection(promote=True, reasons=tuple(kept("card")["verdict"]["reasons"]))
    card = build_card(*steps, read_export(KEPT / "export.json"), read_contract(KEPT / "contract.json"), verdict)
    found, expected = json_of(card), kept("card")
    assert found.keys() == expected.keys()
    beaten, before = found.pop("beaten"), expected.pop("beaten")
    assert found == expected
    assert {metric: shown["beaten"] for metric, shown in beaten.items()} == {
        metric: shown["beaten"] for metric, shown in before.items()
    }
    assert all(set(shown["better"]) <= set(before[metric]["not_shown"]) for metric, shown in beaten.items())
    assert isinstance(card, ModelCard)


def test_the_checkpoint_of_any_step_is_read_alone(tmp_path: Path) -> None:
    assert checkpoint_of(KEPT / "generate.json", "").epoch == 1
    with pytest.raises(DataError, match="it lacks checkpoint; run the step again"):
        checkpoint_of(written(tmp_path, {"step": "export"}), "run the step again")


def test_a_run_is_named_by_its_step_its_search_or_a_path(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert manifest_path(project, "train") == tmp_path / "artifacts/train/manifest.json"
    assert manifest_path(project, "skin") == tmp_path / "artifacts/searches/skin/manifest.json"
    assert manifest_path(project, str(KEPT / "tune.json")) == KEPT / "tune.json"


def test_a_checkpoint_is_opened_once_for_all_steps_after_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, manifest = untrained_model("endoscopy", tmp_path)
    opened, given = [], []
    load = checkpoint.load

    def counted(found: checkpoint.Checkpoint, *rest: Any) -> Any:
        opened.append(found.file)
        return load(found, *rest)

    def step(_project: Project, _manifest: Any, trained: TrainedModel, *_: Any) -> Any:
        given.append(trained)
        return replace(read_evaluation(KEPT / "evaluate.json"), comparison=())

    monkeypatch.setattr(checkpoint, "load", counted)
    monkeypatch.setattr(evaluate_step, "evaluate_run", step)
    monkeypatch.setattr(export_step, "export_run", step)
    monkeypatch.setattr(pipeline, "_register", lambda *_: None)
    pipeline._take_through(project, manifest, "never", Console(quiet=True))
    assert opened == [str(manifest.checkpoint.within(project.root).path)]
    assert len(given) == 2 and given[0] is given[1]


def test_settings_of_gates_that_are_gone_do_not_make_a_model_unreadable() -> None:
    gates = {"min_active_units": 2, "margin": 0.01, "draws": 2000}
    model = model_of(MODEL | {"experiment": {"family": "endoscopy", "gates": gates}})
    assert model.experiment.gates == Gates(min_active_units=2)
    assert to_json(model)["experiment"]["gates"] == gates
