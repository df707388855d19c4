"""What the steps after training start from: the manifest of `tune` or `train`, its model, and the data behind it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaeforge.config import Experiment
from vaeforge.data.contract import Prepared, load_prepared
from vaeforge.errors import DataError
from vaeforge.paths import Project
from vaeforge.train.checkpoint import load_model
from vaeforge_models.vae import VAE

LINEAGE = (
    "family",
    "checkpoint",
    "data_identity",
    "data_hash",
    "git",
    "configuration_hash",
    "code_hash",
    "search",
    "trial",
    "space_hash",
    "mlflow",
)


@dataclass(frozen=True)
class Winner:
    """A trained model in evaluation mode on the CPU, its settings, and the prepared data of the same identity."""

    model: VAE
    prepared: Prepared
    experiment: Experiment


def load_winner(project: Project, winner: Mapping[str, Any]) -> Winner:
    """The model that the manifest `winner` names, with its data.

    Raises:
        CheckpointError: if the checkpoint is missing, damaged or of another model.
        DataError: if the prepared data are missing, damaged, or other than those the model was trained on.
    """
    experiment = Experiment.model_validate(winner["experiment"])
    prepared = load_prepared(project.prepared(winner["family"]))
    found = prepared.manifest["data_identity"]
    if found != winner["data_identity"]:
        raise DataError(
            f"{prepared.folder}: data identity is {found}, but the model was trained on {winner['data_identity']}; "
            f"check that data out and run `vaeforge prepare`, or train on the present data"
        )
    checkpoint, event_shape = winner["checkpoint"], tuple(winner["event_shape"])
    model = load_model(project.root / checkpoint["path"], checkpoint["sha256"], experiment, event_shape)
    return Winner(model, prepared, experiment)


def lineage(winner: Mapping[str, Any]) -> dict[str, Any]:
    """What a later step's manifest repeats of the winner's, so that each manifest leads back by itself."""
    return {key: winner[key] for key in LINEAGE if key in winner}
