"""The model card: what it gathers, and the page that it becomes."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from manifest_samples import export_of, model_manifest, prepared_manifest
from vaeforge.data.prepared import Prepared
from vaeforge.evaluation.comparison import ComparisonRow
from vaeforge.evaluation.manifest import EvaluationManifest
from vaeforge.package.card import ModelCard, VerdictSection, build_card, data_credits
from vaeforge.package.card_markdown import card_markdown, interval
from vaeforge.package.card_texts import limits_of
from vaeforge.package.contract import Contract, GraphFile
from vaeforge.paths import Project
from vaeforge.records import record_from, to_json

MODEL: dict[str, Any] = {
    "family": "endoscopy",
    "experiment": {"model": {"latent_dim": 8, "width": 4}, "beta": {"schedule": "constant", "value": 0.5}},
    "checkpoint": {"path": "best.pt", "sha256": "c" * 64, "epoch": 7},
    "metrics": {"val/nelbo": -100.25, "val/active_units": 5.0, "train/loss": 3.0},
    "data_identity": "d" * 64,
    "data_hash": "a.dir",
    "search": "skin-1",
    "trial": 4,
    "trials": {"completed": 11, "stopped": 5},
    "params": {"beta.value": 0.5, "model.latent_dim": 8},
    "repeats": {"runs": [4, 16, 17], "value": -99.5, "sd": 0.75},
    "git": {"commit": "e" * 40, "dirty": True},
    "command": "vaeforge tune",
    "code_hash": "1" * 64,
    "configuration_hash": "2" * 64,
    "space_hash": "3" * 64,
    "mlflow": {"run_id": "f" * 32},
}
FIGURES = {"score": 0.1, "mse": 0.2, "nelbo": 3.0}
EXPORT: dict[str, Any] = {
    **{key: MODEL[key] for key in ("family", "checkpoint", "data_identity", "data_hash", "git", "code_hash", "search")},
    **{"event_shape": [3, 32, 32], "condition_dim": 0, "latent_dim": 8, "folder": "export", "files": {}},
    "opset": 20,
    "parity": {"passed": True, "worst": 2e-7, "tolerance": 1e-4},
    "size_bytes": 1_250_000,
    "latency_ms": {"single_p50": 0.5, "single_p95": 0.6, "batch32_p50": 9.0, "batch32_p95": 9.5},
    "precisions": {
        "int8": {
            "passed": True,
            "worst": 0.03,
            "tolerance": 0.2,
            "size_bytes": 400_000,
            "latency_ms": {"single_p50": 0.25, "single_p95": 0.3, "batch32_p50": 4.0, "batch32_p95": 4.5},
            "quality": {"fp32": FIGURES, "this": FIGURES, "change": {"score": 0.01, "mse": -0.002, "nelbo": 1.5}},
        }
    },
    "data": {
        "source": "data/endoscopy",
        "counts": {"train": 24, "validation": 11},
        "licence": "MIT License",
        "attribution": "# Where from\n\nFrom a | shelf.",
        "shipped_sample": True,
    },
}


def row(name: str, value: float, difference: float) -> ComparisonRow:
    ends = (difference - 0.05, difference + 0.05)
    return ComparisonRow("AUROC", "higher", name, value, 0.5, value + 0.1, difference, *ends)


def evaluation(*rows: ComparisonRow) -> EvaluationManifest:
    return EvaluationManifest(
        lineage=model_manifest().lineage, metrics={}, comparison=rows, folder="evaluate", files={}
    )


EVALUATION = evaluation(
    row("PCA 5", 0.6, 0.1), row("PCA 40", 0.9, -0.15), row("untrained VAE", 0.7, 0.01), row("model", 0.75, 0.0)
)


def contract(**changes: Any) -> Contract:
    graph = GraphFile("model.onnx", {"x": (None, 3, 32, 32)}, {"score": (None,)}, "fp32", "0" * 64)
    known: dict[str, Any] = {
        "family": "endoscopy",
        "task": "anomaly",
        "data": "pictures",
        "prepare": {"size": 32, "seed": 0},
        "cut": False,
        "event_shape": (3, 32, 32),
        "condition": (),
        "channels": (),
        "latent_dim": 8,
        "threshold": 0.0125,
        "quantile": 0.95,
        "graphs": {"model": graph, "model_int8": graph},
    }
    return Contract(**(known | changes))


GOLDEN = """\
# vaeforge-endoscopy

## What it is

A variational autoencoder of the family endoscopy with 8 latent dimensions.

|  |  |
| --- | --- |
| one sample | 3 x 32 x 32 |
| condition | none |
| channels | not named |
| settings | latent_dim 8, width 4 |
| anomalous above | 0.0125 |
| planned share of normal samples below that | 0.95 |
| share of normal samples expected above it, at most | unknown |

## Intended use
"""
QUALITY = """\
## Quality on the test set

| metric | value | 95 % interval | better |
| --- | --- | --- | --- |
| AUROC | 0.75 | [0.5, 0.85] | higher |

| metric | model is better than | baseline is better | no clear difference |
| --- | --- | --- | --- |
| AUROC | PCA 5 | PCA 40 | untrained VAE |

On the validation set, by which it was chosen:

| metric | value |
| --- | --- |
| val/active_units | 5 |
| val/nelbo | -100.25 |

## Data

|  |  |
| --- | --- |
| source | data/endoscopy |
| data set | unknown |
| shipped sample | yes |
| layout | pictures |
| samples | train 24, validation 11 |
| licence | MIT License |
"""
SEARCH = """\
| search | skin-1 |
| trial | 4 |
| trials | completed 11, stopped 5 |
| chosen parameters | beta.value 0.5, model.latent_dim 8 |
| beta | schedule constant, value 0.5 |
| epoch of the checkpoint | 7 |
| expected val/nelbo | -99.5 nats per sample (mean of 3 runs, among them that which chose it), standard deviation 0.75 |
"""
SECTIONS = [
    "What it is",
    "Intended use",
    "Limits",
    "Quality on the test set",
    "Data",
    "Search",
    "Exported graphs",
    "Gates",
    "Lineage",
]


def titles(page: str) -> list[str]:
    return [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]


def test_the_page_says_all_that_is_known() -> None:
    verdict = VerdictSection(promote=False, reasons=("too few active units",))
    card = build_card(model_manifest(**MODEL), EVALUATION, export_of(EXPORT), contract(), verdict)
    assert record_from(ModelCard, json.loads(json.dumps(to_json(card))), "", "", "") == card
    page = card_markdown(card)
    assert page.startswith(GOLDEN)
    assert QUALITY in page and SEARCH in page
    assert titles(page) == SECTIONS
    chosen = {"repeats": {"runs": [4], "value": -99.5, "sd": None, "optimistic": True}}
    card = build_card(model_manifest(**(MODEL | chosen)), EVALUATION, export_of(EXPORT), contract(), verdict)
    assert "-99.5 nats per sample (of the run that chose it, optimistic; `--repeats 3`" in card_markdown(card)
    assert "| fp32 | 2e-07 (allowed 0.0001) | 1.25 MB | 0.5 ms, 9 ms | none |" in page
    assert "| int8 | 0.03 (allowed 0.2) | 0.40 MB | 0.25 ms, 4 ms | +1 %, -0.2 % |" in page
    assert "Not promoted:\n\n- too few active units" in page
    assert f"| code | {'e' * 40} with uncommitted changes |" in page
    assert "> # Where from\n>\n> From a | shelf." in page  # quoted, so that its headings are none of the page's


def test_a_card_warns_of_what_the_model_is_not_for() -> None:
    sample = build_card(model_manifest(**MODEL), EVALUATION, export_of(EXPORT), contract()).limits
    assert sample[0].startswith("It was trained on a small sample")
    assert sample[1].startswith("It is not a medical device")
    assert sample[-1].startswith("The int8 graph is for inputs within")
    own = copy.deepcopy(EXPORT)
    own["data"]["shipped_sample"] = False
    graphs = {"model": contract().graphs["model"]}
    other = build_card(model_manifest(**MODEL), EVALUATION, export_of(own), contract(graphs=graphs)).limits
    assert other[0].startswith("It is not a medical device")
    assert not any("int8" in line or "small sample" in line for line in other)


@pytest.mark.parametrize("task", ["anomaly", "texture", "classes", "series", "maps", "a task of somebody's own"])
def test_every_task_has_a_use_and_limits(task: str) -> None:
    card = build_card(model_manifest(**MODEL), EVALUATION, export_of(EXPORT), contract(task=task))
    assert card.intended_use
    assert any("not a medical device" in line for line in card.limits)


def test_what_is_unknown_is_said_to_be_unknown() -> None:
    unknown = {key: EXPORT[key] for key in EXPORT if key not in ("opset", "parity", "latency_ms", "precisions", "data")}
    page = card_markdown(build_card(model_manifest(metrics={}), evaluation(), export_of(unknown), contract()))
    assert titles(page) == SECTIONS
    assert page.count("Unknown: nothing was recorded.") == 3  # metrics, what was beaten, validation
    assert "| licence | unknown |" in page and "| MLflow run | unknown |" in page
    assert "Not judged yet." in page
    assert "None" not in page and "\n\n\n" not in page
    parts = page.split("\n## ")[1:]
    assert all(part.partition("\n")[2].strip() for part in parts)


def test_an_interval_that_is_not_known_says_why() -> None:
    assert interval(None, None) == "none: too few groups, or all alike"
    assert interval(0.25, 0.5) == "[0.25, 0.5]"


def test_sources_are_read_off_the_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "endoscopy" / "skin"
    folder.mkdir(parents=True)
    manifest = prepared_manifest(data_source="data/endoscopy", counts={"train": 3})
    empty: Any = None
    prepared = Prepared(tmp_path, manifest, empty, empty, empty, empty, empty, {})
    found = data_credits(Project(tmp_path), prepared, "endoscopy")
    assert (found.licence, found.attribution, found.shipped_sample) == (None, None, False)
    (folder / "LICENSE").write_text("\n  MIT License\n\nCopyright somebody\n")
    (folder / "ATTRIBUTION.md").write_text("Made by `python -m vaeforge.data.samples.skin`.")
    found = data_credits(Project(tmp_path), prepared, "endoscopy")
    assert (found.licence, found.shipped_sample, found.counts) == ("MIT License", True, {"train": 3})


def test_that_anomalies_were_not_tested_is_the_first_limit_of_ones_own_data() -> None:
    """2 of 18 normal ones, 11.1 %, above the threshold."""
    metrics = {"test/count_anomalous": 0.0, "test/count_normal": 18.0, "test/false_positive_rate": 2 / 18}
    first = limits_of(contract(), shipped_sample=False, metrics=metrics)[0]
    assert first.startswith(
        "Whether it finds anomalies was not tested: without anomalous samples in the test there is no"
    )
    assert "of 18 normal ones 11.1 % lie above the threshold" in first
    tested = limits_of(contract(), shipped_sample=False, metrics=metrics | {"test/count_anomalous": 3.0})
    assert not any("not tested" in limit for limit in tested)


@pytest.mark.parametrize(("rate", "told"), [(1 / 12, True), (1 / 21, False), (None, False)])
def test_a_threshold_from_too_few_normals_is_a_limit(rate: float | None, told: bool) -> None:
    limits = limits_of(contract(threshold_rate=rate), shipped_sample=False, metrics={})
    assert any("needs 19 validation normals and has 11" in limit for limit in limits) is told
