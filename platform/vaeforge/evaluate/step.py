"""The evaluate step: a winner's manifest in, a folder of numbers, curves and figures out, its manifest last."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vaeforge.errors import ConfigError
from vaeforge.evaluate.anomaly import Evaluation, evaluate_model
from vaeforge.evaluate.baselines import baselines_csv, compare_baselines
from vaeforge.evaluate.detection import pr_curve, roc_curve
from vaeforge.evaluate.figures import write_figures
from vaeforge.evaluate.winner import lineage, load_winner
from vaeforge.paths import Project, sha256_of, write_bytes, write_json

MANIFEST = "manifest.json"


def evaluate_run(project: Project, winner: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Evaluate the model of `winner` into `folder` and return the manifest.

    Writes metrics.json (flat), baselines.json and .csv, roc.csv, pr.csv, figures/*.png, and manifest.json last.

    Raises:
        ConfigError: if the family's task has no evaluation.
        CheckpointError, DataError: see `load_winner` and `evaluate_model`.
    """
    loaded = load_winner(project, winner)
    task = loaded.experiment.definition.task
    if task != "anomaly":
        raise ConfigError(f"family {loaded.experiment.family!r}: its task is {task!r}, evaluate knows 'anomaly'")
    (folder / MANIFEST).unlink(missing_ok=True)
    evaluation = evaluate_model(loaded.model, loaded.prepared, loaded.experiment)
    baselines = compare_baselines(evaluation, loaded.prepared, loaded.experiment)
    _write_numbers(evaluation, folder)
    table = [asdict(baseline) for baseline in baselines]
    write_json(folder / "baselines.json", table)
    write_bytes(folder / "baselines.csv", baselines_csv(baselines).encode())
    write_figures(loaded.model, loaded.prepared, evaluation, folder / "figures")
    manifest = {"step": "evaluate", **lineage(winner), "metrics": evaluation.metrics, "baselines": table}
    manifest |= {"folder": relative_to(project, folder), "files": hashes_of(folder)}
    write_json(folder / MANIFEST, manifest)
    return manifest


def relative_to(project: Project, folder: Path) -> str:
    """`folder` as manifests name it: relative to the project's root where it lies inside it."""
    absolute = folder.resolve()
    return str(absolute.relative_to(project.root) if absolute.is_relative_to(project.root) else absolute)


def hashes_of(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below `folder` but its manifest, by relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}


def _write_numbers(evaluation: Evaluation, folder: Path) -> None:
    write_json(folder / "metrics.json", evaluation.metrics)
    labels, scores = evaluation.labels, evaluation.test_scores
    write_bytes(folder / "roc.csv", _csv("fpr,tpr", zip(*roc_curve(labels, scores), strict=True)).encode())
    write_bytes(folder / "pr.csv", _csv("recall,precision", zip(*pr_curve(labels, scores), strict=True)).encode())


def _csv(head: str, rows: Iterable[tuple[Any, ...]]) -> str:
    return "\n".join([head, *(",".join(f"{float(value):.9g}" for value in row) for row in rows)]) + "\n"
