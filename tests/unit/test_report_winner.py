"""Figures about the winner: its evaluation beside simpler methods, its latents, and the collapse that was predicted."""

import pytest
from test_report_figures import figure

from manifest_samples import IDENTITY, model_manifest, prepared_manifest
from reported import header, made_trial, registered_groups, written_search
from vaeforge.data.prepared import PcaSpectrum, write_prepared_manifest
from vaeforge.evaluation.comparison import ComparisonRow
from vaeforge.evaluation.drawing import one_axes
from vaeforge.evaluation.manifest import EvaluationManifest, write_evaluation
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.step import write_result
from vaeforge.manifests.trained_model import write_trained_model
from vaeforge.paths import Project
from vaeforge.report.figure import Absent
from vaeforge.report.figures import figures_of
from vaeforge.report.findings import findings
from vaeforge.report.pictures import pictures
from vaeforge.report.record import SearchRecord, read_search

NAME = "evaluated"
SCORES = [
    {"score": "mse", "chosen": "yes", "auroc": 0.75, "auroc_low": 0.6, "auroc_high": 0.9},
    {"score": "nelbo", "chosen": "no", "auroc": 0.9, "auroc_low": None, "auroc_high": None},
]


def row(name: str, value: float, difference: float, low: float, high: float) -> ComparisonRow:
    return ComparisonRow("MSE", "lower", name, value, value - 0.01, value + 0.01, difference, low, high)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A search of four trials, the second of them collapsed, with an evaluated winner and its prepared data."""
    weights, units = (0.01, 100.0, 0.1, 1.0), (4.0, 0.0, 3.0, 2.0)
    lines = [header(NAME, data_identity=IDENTITY), *registered_groups()]
    for number, (weight, active) in enumerate(zip(weights, units, strict=True)):
        params = {"beta.schedule": "constant", "beta.value": weight, "model.latent_dim": 4}
        lines += made_trial(number, params, -50.0 - number, active_units=active)
    project = written_search(tmp_path_factory.mktemp("winner"), NAME, lines)
    folder = project.search(NAME)
    model = model_manifest(search=NAME, trial=3)
    write_trained_model(folder / "manifest.json", model)
    rows = [
        row("PCA 4", 0.1, 0.05, 0.02, 0.08),
        row("training mean", 0.3, -0.15, -0.2, -0.1),
        row("model", 0.15, 0.0, 0.0, 0.0),
    ]
    result = EvaluationResult(
        metrics={"test/mse": 0.15, "test/auroc": 0.75, "test/auroc_low": 0.6, "test/auroc_high": 0.9},
        rows=rows,
        tables={"scores": SCORES},
        figures={"reconstructions": one_axes("x", "y")[0], "roc": one_axes("x", "y")[0]},
    )
    write_result(result, folder / "evaluate")
    (folder / "evaluate" / "curves").mkdir()
    (folder / "evaluate" / "curves" / "kl_per_dimension.csv").write_text("x,y\n1,2.5\n2,0.5\n3,0\n4,0\n")
    manifest = EvaluationManifest(
        lineage=model.lineage, metrics=result.metrics, comparison=tuple(rows), folder="evaluate", files={}
    )
    write_evaluation(folder / "evaluate", manifest)
    spectrum = PcaSpectrum(16, 8.0, (4.0, 2.0, 1.0, 0.6, 0.2, 0.1))
    write_prepared_manifest(project.prepared("endoscopy"), prepared_manifest(spectrum=spectrum))
    return project


@pytest.fixture(scope="module")
def record(project: Project) -> SearchRecord:
    return read_search(project, NAME)


def test_kl_per_dimension_is_that_of_the_evaluation(record: SearchRecord) -> None:
    found = figure(record, "kl-per-dimension")
    assert found.table.column("kl_nats") == [2.5, 0.5, 0.0, 0.0]
    assert found.remarks == ("All together 3.00 nats per sample, which is the rate.",)


def test_predicted_collapse_stands_beside_what_happened(record: SearchRecord) -> None:
    rows = {row["trial"]: row for row in figure(record, "collapse").table.records()}
    # a linear VAE keeps the eigenvalues above sigma^2 = beta / 2, at most as many as it has dimensions: 4
    assert [rows[number]["predicted"] for number in range(4)] == [4, 0, 4, 4]
    assert [rows[number]["active_units"] for number in range(4)] == [4.0, 0.0, 3.0, 2.0]
    assert [rows[number]["collapsed"] for number in range(4)] == [False, True, False, False]
    assert "1 of 4 trials collapsed (β from 100 on)" in figure(record, "collapse").remarks[0]
    assert "1 of 4 trials ended in posterior collapse: 1." in findings(record)


def test_other_data_predict_no_collapse(project: Project, record: SearchRecord) -> None:
    write_prepared_manifest(project.prepared("endoscopy"), prepared_manifest(data_identity="e" * 64))
    found = next(one for one in figures_of(read_search(project, NAME)) if one.name == "collapse")
    assert isinstance(found, Absent) and "gone or other ones now" in found.why


def test_a_simpler_method_that_is_better_is_said_to_be(record: SearchRecord) -> None:
    sentence = "On these data simpler methods are better than the model: MSE: PCA 4."
    found = figure(record, "baselines")
    assert sentence in found.remarks and sentence in findings(record)
    assert found.table.column("verdict") == ["baseline is better", "model is better", ""]
    own = next(layer for layer in found.panels[0].layers if layer.colour == 1)
    assert own.x == (0.15,) and own.ends[0] == pytest.approx((0.14, 0.16))


def test_all_scores_stand_beside_each_other_and_none_is_recommended(record: SearchRecord) -> None:
    found = figure(record, "anomaly-scores")
    assert found.table.column("auroc") == [0.75, 0.9] and found.table.column("auroc_low") == [0.6, None]
    assert found.table.column("used") == [True, False]
    assert "Choosing it now would be choosing by the test set" in found.remarks[0]


def test_pictures_that_the_report_draws_itself_are_left_out(record: SearchRecord) -> None:
    found = pictures(record.evaluated)
    assert [picture.name for picture in found] == ["reconstructions"]
    assert found[0].source.startswith("data:image/png;base64,")


def test_the_evaluation_of_another_model_is_not_shown(project: Project, record: SearchRecord) -> None:
    assert record.evaluated is not None
    other = model_manifest(search=NAME, trial=3, checkpoint={"path": "p", "sha256": "f" * 64, "epoch": 3})
    write_trained_model(project.search(NAME) / "manifest.json", other)
    assert read_search(project, NAME).evaluated is None
