"""Trained model, loaded from its manifest with its settings and the data behind it: what later steps start from."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor
from torch.nn import functional

from vaeforge.config.experiment import Experiment
from vaeforge.data.prepared import Prepared, load_prepared
from vaeforge.data.prepared_places import find_prepared
from vaeforge.errors import DataError
from vaeforge.manifests.diffusion import read_diffusion
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project
from vaeforge.training.checkpoint import load_model
from vaeforge.training.diffuse import load_diffusion
from vaeforge_models.diffusion import LatentDiffusion
from vaeforge_models.vae import VAE

PATTERN_SCALE = 4


@dataclass(frozen=True)
class TrainedModel:
    """A trained model in evaluation mode on the CPU, its settings, and the prepared data of the same identity.

    `diffusion` is the latent diffusion model that was trained on top of it, if there is one.
    """

    model: VAE
    prepared: Prepared
    experiment: Experiment
    diffusion: LatentDiffusion | None = None


def load_trained_model(project: Project, manifest: TrainedModelManifest) -> TrainedModel:
    """The model that `manifest` names, with its data; its checkpoint is read and hashed once.

    Raises:
        CheckpointError: if the checkpoint is missing, damaged or of another model.
        DataError: if the prepared data are missing, damaged, or other than those the model was trained on.
    """
    expected = manifest.lineage.data_identity
    place = find_prepared(project, manifest.family, expected)
    prepared = load_prepared(place or project.prepared(manifest.family))
    found = prepared.manifest.data_identity
    if found != expected:
        raise DataError(
            f"{prepared.folder}: data identity is {found}, but the model was trained on {expected}; "
            f"check that data out and run `vaeforge prepare`, or train on the present data"
        )
    model = load_model(manifest.checkpoint.within(project.root), manifest.experiment, prepared.spec)
    return TrainedModel(model, prepared, manifest.experiment)


def with_diffusion(trained: TrainedModel, manifest: TrainedModelManifest, folder: Path) -> TrainedModel:
    """`trained` with the latent diffusion model in `folder`; as it is if its family has none.

    Args:
        trained: a model without one.
        manifest: of this model.
        folder: of a diffuse step.

    Raises:
        DataError: if the step's manifest is missing, or of another model.
        CheckpointError: if the diffusion model's file is missing or damaged.
    """
    diffused = read_diffusion(folder)
    if diffused.lineage.checkpoint.sha256 != manifest.checkpoint.sha256:
        raise DataError(f"{folder}: is of another model (checkpoint); run `vaeforge diffuse` again")
    if diffused.diffusion is None:
        return trained
    return replace(trained, diffusion=load_diffusion(diffused.diffusion.within(folder)).model)


def patterns_of(x: Tensor) -> Tensor:
    """The pattern image that a conditional diffusion model sees: images [B, C, H, W] in model units, grey, a quarter
    of the size: [B, 1, H/4, W/4].
    """
    return functional.avg_pool2d(x.mean(1, keepdim=True), PATTERN_SCALE)
