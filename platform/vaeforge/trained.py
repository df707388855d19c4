"""What the steps after training start from: the manifest of `tune` or `train`, its model, and the data behind it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional

from vaeforge.config.experiment import Experiment
from vaeforge.data.prepared import Prepared, load_prepared
from vaeforge.errors import DataError
from vaeforge.paths import Project, read_json
from vaeforge.train.checkpoint import Checkpoint, load_model
from vaeforge.train.diffuse import load_diffusion
from vaeforge_models.diffusion import LatentDiffusion
from vaeforge_models.vae import VAE

DIFFUSION_FILE = "diffusion.pt"
PATTERN_SCALE = 4
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
class TrainedModel:
    """A trained model in evaluation mode on the CPU, its settings, and the prepared data of the same identity.

    `diffusion` is the latent diffusion model that was trained on top of it, if there is one.
    """

    model: VAE
    prepared: Prepared
    experiment: Experiment
    diffusion: LatentDiffusion | None = None


def load_trained_model(project: Project, winner: Mapping[str, Any], diffused: Path | None = None) -> TrainedModel:
    """The model that the manifest `winner` names, with its data, and with the diffusion model in `diffused`.

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
    checkpoint = winner["checkpoint"]
    model = load_model(project.root / checkpoint["path"], checkpoint["sha256"], experiment, prepared.spec)
    diffusion = None if diffused is None else _diffusion_in(diffused, checkpoint["sha256"])
    return TrainedModel(model, prepared, experiment, diffusion)


def _diffusion_in(folder: Path, checkpoint: str) -> LatentDiffusion | None:
    manifest = read_json(folder / "manifest.json", "run `vaeforge diffuse`")
    if manifest["checkpoint"]["sha256"] != checkpoint:
        raise DataError(f"{folder}: is of another model (checkpoint); run `vaeforge diffuse` again")
    if not manifest["trained"]:
        return None
    found = Checkpoint(str(folder / DIFFUSION_FILE), manifest["diffusion"]["sha256"], manifest["diffusion"]["step"])
    return load_diffusion(found).model


def patterns_of(x: Tensor) -> Tensor:
    """The pattern image that a conditional diffusion model sees: images [B, C, H, W] in model units, grey, a quarter
    of the size: [B, 1, H/4, W/4].
    """
    return functional.avg_pool2d(x.mean(1, keepdim=True), PATTERN_SCALE)


def lineage(winner: Mapping[str, Any]) -> dict[str, Any]:
    """What a later step's manifest repeats of the winner's, so that each manifest leads back by itself."""
    return {key: winner[key] for key in LINEAGE if key in winner}
