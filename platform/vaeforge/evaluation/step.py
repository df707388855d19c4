"""The evaluate step: a trained model in, a folder of numbers, curves, tables and figures out, its manifest last."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vaeforge.csv_cells import csv_text
from vaeforge.evaluation.common_metrics import ALL, COMMON, common_result
from vaeforge.evaluation.comparison import comparison_csv
from vaeforge.evaluation.drawing import save
from vaeforge.evaluation.manifest import EvaluationManifest, write_evaluation
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.tasks import task_named
from vaeforge.evaluation.test_set_usage import record_look
from vaeforge.manifests.files import MANIFEST, hashes_of, relative_to
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project, write_atomically, write_bytes, write_json
from vaeforge.progress import part
from vaeforge.trained import TrainedModel

TASK = 5  # units of an evaluation's progress, of ALL


def evaluate_run(
    project: Project, manifest: TrainedModelManifest, trained: TrainedModel, folder: Path
) -> EvaluationManifest:
    """Evaluate a trained model into `folder`.

    Writes metrics.json (flat), comparison.json and .csv, curves/*.csv, tables/*.csv, figures/*.png, arrays/*.npz, and
    manifest.json last.

    Args:
        project: where the model's files are.
        manifest: of the model.
        trained: the model, with its latent diffusion model if it has one.
        folder: where the results go.

    Raises:
        ConfigError: if the family's task has no evaluation.
        DataError: see the tasks.
    """
    task = task_named(trained.experiment.definition.task)
    (folder / MANIFEST).unlink(missing_ok=True)
    record_look(project, manifest.lineage)  # before anything is measured: a look that is cut off was a look
    with part("evaluating", ALL) as under_way:
        common = common_result(trained)
        under_way.reach(COMMON)
        with part("what the task asks for", span=TASK):
            result = common.joined(task.evaluate(trained))
        with part("figures and tables", span=ALL - COMMON - TASK):
            write_result(result, folder)
    written = EvaluationManifest(
        lineage=manifest.lineage,
        metrics=result.metrics,
        comparison=tuple(result.rows),
        folder=relative_to(project, folder),
        files=hashes_of(folder),
    )
    write_evaluation(folder, written)
    return written


def write_result(result: EvaluationResult, folder: Path) -> None:
    """Everything found as files below `folder`."""
    write_json(folder / "metrics.json", result.metrics)
    write_json(folder / "comparison.json", [row.plain() for row in result.rows])
    write_bytes(folder / "comparison.csv", comparison_csv(result.rows).encode())
    for name, (x, y) in result.curves.items():
        lines = [{"x": f"{a:.9g}", "y": f"{b:.9g}"} for a, b in zip(x, y, strict=True)]
        write_bytes(folder / "curves" / f"{name}.csv", _csv(lines).encode())
    for name, table in result.tables.items():
        write_bytes(folder / "tables" / f"{name}.csv", _csv(table).encode())
    for name, figure in result.figures.items():
        save(figure, folder / "figures" / f"{name}.png")
    for name, arrays in result.arrays.items():
        _write_arrays(folder / "arrays" / f"{name}.npz", arrays)


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    head = list(rows[0]) if rows else []
    assert all(row.keys() <= set(head) for row in rows)
    return csv_text(head, ([row.get(name, "") for name in head] for row in rows))
