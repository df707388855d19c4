"""One training as a host of a search did it, up to the epoch whose checkpoint was handed on, in this process alone."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vaeforge.config.experiment import Experiment
from vaeforge.data.prepare import ensure_prepared
from vaeforge.data.prepared import load_training
from vaeforge.errors import DataError, RegistryError, ResourceError
from vaeforge.paths import Project
from vaeforge.provenance import machine
from vaeforge.train.loop import EpochReport, TrainingData, fit
from vaeforge.train.process_group import ProcessGroup


@dataclass(frozen=True)
class Conditions:
    """What decides the last bits of a training beside its experiment; as a winner's manifest has it (`training`).

    Attributes:
        workers: ranks.
        threads: of a rank; none where they changed on the way.
        device: cpu or cuda.
        inherited_from: the trial whose weights it went on with; none for a training of its own.
        machine: see `provenance.machine`; none where nobody knows.
    """

    workers: int
    threads: int | None
    device: str
    inherited_from: int | None
    machine: Mapping[str, Any] | None


def conditions_of(winner: Mapping[str, Any]) -> Conditions:
    """How the winner was trained.

    Raises:
        RegistryError: if nobody recorded it, or one training cannot give it.
    """
    recorded = winner.get("training")
    if recorded is None:
        raise RegistryError(
            "model: its manifest does not say on how many threads and on what it was trained; only models of searches "
            "that record this can be reproduced, so train it again"
        )
    found = Conditions(**{name: recorded[name] for name in Conditions.__annotations__})
    if found.inherited_from is not None:
        raise RegistryError(
            f"model: trial {winner['trial']} went on with weights of trial {found.inherited_from} (scheduler pbt), so "
            "that no single training gives it; reproduce a model of a search under another scheduler"
        )
    return found


def retrain(project: Project, winner: Mapping[str, Any], console: Console) -> dict[str, Any]:
    """Prepare the project's data, train the winner's experiment, and return what came of it.

    `epoch`; `metrics` of it; `checkpoint_sha256` after it; `best_epoch` then; `threads`, `device` and `machine`.

    Raises:
        RegistryError: if the model cannot be had by one training.
        DataError: if the project's data are others.
    """
    conditions, experiment = conditions_of(winner), Experiment.model_validate(winner["experiment"])
    prepared = ensure_prepared(project, experiment)
    identity = prepared.manifest["data_identity"]
    if identity != winner["data_identity"]:
        raise DataError(
            f"{project.data(winner['family'])}: data identity is {identity}, must be {winner['data_identity']}"
        )
    device, threads = _device(conditions), min(conditions.threads or 1, os.cpu_count() or 1)
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(prefix="vaeforge-") as folder:
        last = _train(experiment, TrainingData(*load_training(prepared.folder)), device, Path(folder), winner, console)
    return {
        "epoch": last.epoch,
        "metrics": last.metrics,
        "checkpoint_sha256": last.checkpoint.sha256 if last.checkpoint else None,
        "best_epoch": last.best.epoch if last.best else None,
        "threads": threads,
        "device": device.type,
        "machine": machine(),
    }


def _train(
    experiment: Experiment,
    data: TrainingData,
    device: torch.device,
    folder: Path,
    winner: Mapping[str, Any],
    console: Console,
) -> EpochReport:
    """The report of the winner's epoch; of an earlier one where training ended before it."""
    wanted, last = int(winner["checkpoint"]["epoch"]), None
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


def _device(conditions: Conditions) -> torch.device:
    if conditions.device == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ResourceError("model: was trained on a GPU, and there is none here; reproduce it on a machine with one")
    return torch.device("cuda")
