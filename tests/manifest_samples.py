"""Manifests of made-up models, and manifests out of their JSON."""

from pathlib import Path
from typing import Any

from vaeforge.data.prepared import PreparedManifest
from vaeforge.evaluation.manifest import EvaluationManifest, read_evaluation
from vaeforge.manifests.export import ExportManifest
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import write_json
from vaeforge.records import record_from

IDENTITY = "d" * 64
MODEL: dict[str, Any] = {
    "step": "tune",
    "family": "endoscopy",
    "experiment": {"family": "endoscopy"},
    "event_shape": [3, 32, 32],
    "condition_dim": 0,
    "checkpoint": {"path": "artifacts/tune/best.pt", "sha256": "c" * 64, "epoch": 3},
    "metrics": {"val/nelbo": -100.25, "val/active_units": 5.0},
    "data_identity": IDENTITY,
    "data_hash": None,
    "git": {"commit": None, "dirty": None},
    "code_hash": "2" * 64,
    "search": "endoscopy-12345678",
}


def model_of(content: dict[str, Any]) -> TrainedModelManifest:
    """A trained model's manifest as JSON, read."""
    return record_from(TrainedModelManifest, content, "test", "manifest of a trained model", "")


def model_manifest(**changed: Any) -> TrainedModelManifest:
    """The manifest of a made-up model, by JSON keys."""
    return model_of({**MODEL, **changed})


def export_of(content: dict[str, Any]) -> ExportManifest:
    """An export's manifest as JSON, read."""
    return record_from(ExportManifest, content, "test", "manifest of an export", "")


def evaluation_of(content: dict[str, Any], folder: Path) -> EvaluationManifest:
    """An evaluation's manifest as JSON, read from a file in `folder`."""
    write_json(folder / "evaluation.json", content)
    found = read_evaluation(folder / "evaluation.json")
    (folder / "evaluation.json").unlink()
    return found


def prepared_manifest(**changed: Any) -> PreparedManifest:
    """The manifest of made-up prepared data."""
    return PreparedManifest(**{"family": "endoscopy", "data_identity": IDENTITY, "arrays": {}} | changed)
