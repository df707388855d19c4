"""The evaluate step: a winner's manifest in, a folder of numbers, curves, tables and figures out, its manifest last."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vaeforge.evaluate.common_metrics import general_findings
from vaeforge.evaluate.comparison import comparison_csv
from vaeforge.evaluate.drawing import save
from vaeforge.evaluate.results import Findings
from vaeforge.evaluate.tasks import task_named
from vaeforge.evaluate.test_set_usage import record_look
from vaeforge.paths import Project, sha256_of, write_atomically, write_bytes, write_json
from vaeforge.trained import lineage, load_trained_model

MANIFEST = "manifest.json"


def evaluate_run(
    project: Project, winner: Mapping[str, Any], folder: Path, diffused: Path | None = None
) -> dict[str, Any]:
    """Evaluate the model of `winner` into `folder` and return the manifest.

    Writes metrics.json (flat), comparison.json and .csv, curves/*.csv, tables/*.csv, figures/*.png, arrays/*.npz, and
    manifest.json last. `diffused` is the folder of the latent diffusion model that was trained on this winner.

    Raises:
        ConfigError: if the family's task has no evaluation.
        CheckpointError, DataError: see `load_trained_model` and the tasks.
    """
    loaded = load_trained_model(project, winner, diffused)
    task = task_named(loaded.experiment.definition.task)
    (folder / MANIFEST).unlink(missing_ok=True)
    record_look(project, winner)  # before anything is measured: a look that is cut off was a look
    findings = general_findings(loaded).joined(task.evaluate(loaded))
    write_findings(findings, folder)
    rows = [row.plain() for row in findings.rows]
    manifest = {"step": "evaluate", **lineage(winner), "metrics": findings.metrics, "comparison": rows}
    manifest |= {"folder": relative_to(project, folder), "files": hashes_of(folder)}
    write_json(folder / MANIFEST, manifest)
    return manifest


def write_findings(findings: Findings, folder: Path) -> None:
    """Everything found as files below `folder`."""
    write_json(folder / "metrics.json", findings.metrics)
    write_json(folder / "comparison.json", [row.plain() for row in findings.rows])
    write_bytes(folder / "comparison.csv", comparison_csv(findings.rows).encode())
    for name, (x, y) in findings.curves.items():
        lines = [{"x": f"{a:.9g}", "y": f"{b:.9g}"} for a, b in zip(x, y, strict=True)]
        write_bytes(folder / "curves" / f"{name}.csv", _csv(lines).encode())
    for name, table in findings.tables.items():
        write_bytes(folder / "tables" / f"{name}.csv", _csv(table).encode())
    for name, figure in findings.figures.items():
        save(figure, folder / "figures" / f"{name}.png")
    for name, arrays in findings.arrays.items():
        _write_arrays(folder / "arrays" / f"{name}.npz", arrays)


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))


def relative_to(project: Project, folder: Path) -> str:
    """`folder` as manifests name it: relative to the project's root where it lies inside it."""
    absolute = folder.resolve()
    return str(absolute.relative_to(project.root) if absolute.is_relative_to(project.root) else absolute)


def hashes_of(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below `folder` but its manifest, by relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
