"""Comparison of registered versions with each other and with a search, by the manifests that versions carry."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from manifest_samples import IDENTITY, model_manifest
from reported import header, made_trial, registered_groups, written_search
from vaeforge.errors import ConfigError
from vaeforge.evaluation.manifest import EvaluationManifest
from vaeforge.paths import Project
from vaeforge.report.sides import beta_of, read_sides
from vaeforge.report.step import make_report

NAMES = ["models:/vaeforge-endoscopy/1", "models:/vaeforge-endoscopy@champion"]
MEASURED = {"1": {"test/mse": 0.25, "test/auroc": 0.7}, "2": {"test/mse": 0.125, "test/auroc": 0.75}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a search, and a store with two versions of one model, of which the second is champion."""

    def resolve(reader: object, reference: str) -> SimpleNamespace:
        number = "2" if reference.endswith("@champion") else reference.rpartition("/")[2]
        return SimpleNamespace(name="vaeforge-endoscopy", version=number)

    def manifests(reader: object, version: SimpleNamespace) -> SimpleNamespace:
        model = replace(model_manifest(), repeats=None)
        evaluation = EvaluationManifest(
            lineage=model.lineage, metrics=MEASURED[version.version], comparison=(), folder="evaluate", files={}
        )
        return SimpleNamespace(model=model, evaluation=evaluation)

    monkeypatch.setattr("vaeforge.track.open_reader.open_reader", lambda uri: uri)
    monkeypatch.setattr("vaeforge.registry.fetch.resolve", resolve)
    monkeypatch.setattr("vaeforge.registry.version_files.version_manifests", manifests)
    lines = [header("mine", data_identity=IDENTITY), *registered_groups()]
    lines += made_trial(0, {"beta.schedule": "constant", "beta.value": 0.1, "model.latent_dim": 4}, -50.0)
    return written_search(tmp_path, "mine", lines)


def test_versions_stand_beside_each_other(project: Project) -> None:
    done = make_report(project, NAMES, project.root / "print")
    assert done.page.name == "vaeforge-endoscopy-1-and-vaeforge-endoscopy-2.html"
    text = done.page.read_text(encoding="utf-8")
    assert "All of these models were of the same data" in text and "Lineage of vaeforge-endoscopy 2" in text
    table = (project.root / "print" / "test-metrics.csv").read_text(encoding="utf-8").splitlines()
    assert table[0] == "metric,vaeforge-endoscopy 1,vaeforge-endoscopy 2"
    assert sorted(table[1:]) == ["test/auroc,0.7,0.75", "test/mse,0.25,0.125"]


def test_a_version_stands_beside_a_search(project: Project) -> None:
    text = make_report(project, ["mine", NAMES[0]]).page.read_text(encoding="utf-8")
    assert "The best so far" in text and "no evaluated model of mine" in text
    assert [side.name for side in read_sides(project, [NAMES[0], "mine"])] == ["vaeforge-endoscopy 1", "mine"]


def test_what_cannot_be_compared_is_refused(project: Project) -> None:
    with pytest.raises(ConfigError, match="must be compared with another version or a search"):
        make_report(project, NAMES[:1])
    with pytest.raises(ConfigError, match="two are the same version"):
        make_report(project, ["models:/vaeforge-endoscopy/2", NAMES[1]])


def test_full_beta_of_a_version_is_the_given_weight() -> None:
    assert beta_of({"beta": {"schedule": "cyclical", "max": 2}}) == ("cyclical", 2.0)
    assert beta_of({"beta": {"schedule": "step", "knots": [[0, 0.1], [0.5, 3.0]]}}) == ("step", 3.0)
    assert beta_of({"beta": {"schedule": "capacity", "gamma": 5.0}}) == ("capacity", None)
