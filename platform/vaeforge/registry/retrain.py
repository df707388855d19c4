"""Retraining of a model as a worker of its search did it, to the epoch of its checkpoint, in this process alone."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from vaeforge.config.experiment import Experiment
from vaeforge.data.data_sets import folder_of
from vaeforge.data.prepare import ensure_prepared
from vaeforge.data.prepared import load_training
from vaeforge.errors import DataError, RegistryError, ResourceError
from vaeforge.job_limits import job_cores
from vaeforge.manifests.trained_model import TrainedModelManifest, TrainingConditions
from vaeforge.paths import Project
from vaeforge.provenance import Machine, machine
from vaeforge.records import Number
from vaeforge.training.loop import EpochReport, TrainingData, fit
from vaeforge.training.process_group import ProcessGroup


@dataclass(frozen=True)
class RetrainedModel:
    """What came of training a model again.

    Attributes:
        epoch: of the checkpoint that was handed on, or the last one before it where training ended earlier.
        metrics: of that epoch.
        checkpoint_sha256: after it.
        best_epoch: then.
        threads: that it was trained on.
        device: cpu or cuda.
        machine: that it was trained on.
    """

    epoch: int
    metrics: Mapping[str, Number | None]
    checkpoint_sha256: str | None
    best_epoch: int | None
    threads: int
    device: str
    machine: Machine


def conditions_of(manifest: TrainedModelManifest) -> TrainingConditions:
    """How a model was trained.

    Raises:
        RegistryError: if it was not recorded, or one training cannot give it.
    """
    found = manifest.training
    if found is None:
        raise RegistryError(
            "model: its manifest does not say on how many threads and on what it was trained; only models of searches "
            "that record this can be reproduced, so train it again"
        )
    if found.inherited_from is not None:
        raise RegistryError(
            f"model: trial {manifest.lineage.trial} went on with weights of trial {found.inherited_from} (scheduler "
            "pbt), so that no single training gives it; reproduce a model of a search under another scheduler"
        )
    return found


def retrain(project: Project, manifest: TrainedModelManifest, console: Console) -> RetrainedModel:
    """Prepare the project's data and train a model's experiment up to the epoch of its checkpoint.

    Raises:
        RegistryError: if the model cannot be had by one training.
        DataError: if the project's data are others.
    """
    conditions, experiment = conditions_of(manifest), manifest.experiment
    prepared = ensure_prepared(project, experiment, folder_of(manifest.lineage.data_set) or None)
    identity, expected = prepared.manifest.data_identity, manifest.lineage.data_identity
    if identity != expected:
        raise DataError(f"{project.data(manifest.family)}: data identity is {identity}, must be {expected}")
    device, threads = _device(conditions), min(conditions.threads or 1, job_cores())
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(prefix="vaeforge-") as folder:
        data, wanted = TrainingData(*load_training(prepared.folder)), manifest.checkpoint.epoch
        last = _train(experiment, data, device, Path(folder), wanted, console)
    return RetrainedModel(
        epoch=last.epoch,
        metrics=last.metrics,
        checkpoint_sha256=last.checkpoint.sha256 if last.checkpoint else None,
        best_epoch=last.best.epoch if last.best else None,
        threads=threads,
        device=device.type,
        machine=machine(),
    )


def _train(
    experiment: Experiment,
    data: TrainingData,
    device: torch.device,
    folder: Path,
    wanted: int,
    console: Console,
) -> EpochReport:
    """The report of the epoch `wanted`; of an earlier one where training ended before it."""
    last = None
    for report in fit(experiment, data, ProcessGroup(device=device), folder):
        last = report
        nelbo = report.metrics["val/nelbo"]
        console.print(
            f"epoch {report.epoch} of {wanted}: val/nelbo {nelbo:.6g}, {report.seconds:.1f} s", highlight=False
        )
        if report.epoch >= wanted:
            break
    if last is None:
        raise RegistryError(f"model: its checkpoint is of epoch {wanted}, must be >= 1 to be trained again")
    return last


def _device(conditions: TrainingConditions) -> torch.device:
    if conditions.device == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ResourceError("model: was trained on a GPU, and there is none here; reproduce it on a machine with one")
    return torch.device("cuda")
