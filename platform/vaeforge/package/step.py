"""The export step: a winner's manifest in, ONNX graphs with proven parity out, its manifest last."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaeforge.evaluate.step import MANIFEST, hashes_of, relative_to
from vaeforge.evaluate.winner import lineage, load_winner
from vaeforge.package.export import OPSET, export
from vaeforge.package.parity import measure_parity, require_parity
from vaeforge.paths import Project, write_json


def export_run(project: Project, winner: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Export the model of `winner` into `folder`, compare it with torch, and return the manifest.

    Writes the four graphs, parity.json (also when parity fails), and manifest.json last.

    Raises:
        RegistryError: if a graph is not valid or does not compute what torch computes.
        CheckpointError, DataError: see `load_winner`.
    """
    loaded = load_winner(project, winner)
    (folder / MANIFEST).unlink(missing_ok=True)
    described = {"family": winner["family"], "checkpoint": winner["checkpoint"]["sha256"]}
    metadata = described | {"data_identity": winner["data_identity"]}
    condition_dim = loaded.prepared.spec.condition_dim
    files = export(loaded.model, folder, metadata, condition_dim)
    report = measure_parity(loaded.model, files, loaded.prepared)
    write_json(folder / "parity.json", report.as_dict())
    require_parity(report, files)
    manifest = {
        "step": "export",
        **lineage(winner),
        "folder": relative_to(project, folder),
        "files": hashes_of(folder),
        "event_shape": list(loaded.model.event_shape),
        "condition_dim": condition_dim,
        "latent_dim": loaded.model.latent_dim,
        "opset": OPSET,
        "parity": {"passed": report.passed, "worst": report.worst.worst, "tolerance": report.tolerance},
    }
    write_json(folder / MANIFEST, manifest)
    return manifest
