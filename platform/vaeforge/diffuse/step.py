"""The diffuse step: a trained model in, a latent diffusion model of its training latents out, its manifest last."""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from vaeforge.manifests.diffusion import DIFFUSION_FILE, DiffusionManifest, DiffusionWeights, write_diffusion
from vaeforge.manifests.files import MANIFEST, hashes_of, relative_to
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project, write_bytes
from vaeforge.progress import part
from vaeforge.samples import Samples
from vaeforge.seeds import derive
from vaeforge.trained import TrainedModel, patterns_of
from vaeforge.training.batches import centre_crop
from vaeforge.training.diffuse import Latents, fit_diffusion, save_diffusion


def diffuse_run(
    project: Project, manifest: TrainedModelManifest, trained: TrainedModel, folder: Path
) -> DiffusionManifest:
    """Train the diffusion model of `trained` into `folder`.

    Writes diffusion.pt, curve.json and manifest.json last. A family without diffusion gets a manifest that says so.

    Args:
        project: where the model's files are.
        manifest: of the model.
        trained: the model.
        folder: where the diffusion model goes.

    Raises:
        ConfigError: if the loss stops being finite.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    diffuses = trained.experiment.definition.diffusion
    written = DiffusionManifest(
        lineage=manifest.lineage,
        trained=diffuses,
        diffusion=_train(trained, folder) if diffuses else None,
        folder=relative_to(project, folder),
        files=hashes_of(folder),
    )
    write_diffusion(folder, written)
    return written


def _train(trained: TrainedModel, folder: Path) -> DiffusionWeights:
    settings = trained.experiment.diffusion
    seed = derive(trained.experiment.training.seed, "diffusion")
    train, validation = (latents_of(trained, part) for part in (trained.prepared.train, trained.prepared.validation))
    with part("training the latent diffusion model", settings.steps) as under_way:
        fitted = fit_diffusion(train, validation, settings, seed, under_way.advance)
    saved = save_diffusion(folder / DIFFUSION_FILE, fitted)
    curve = [asdict(point) for point in fitted.curve]
    write_bytes(folder / "curve.json", json.dumps(curve, indent=1).encode())
    return DiffusionWeights(saved.sha256, saved.epoch, fitted.best.val_loss)


@torch.no_grad()
def latents_of(trained: TrainedModel, samples: Samples) -> Latents:
    """Posterior means of samples, images cropped to their centre, and their pattern images where the model sees one."""
    model, conditional = trained.model, trained.experiment.diffusion.conditional
    mu, patterns = [], []
    for raw, condition in samples.batches():
        x = model.normalise(centre_crop(raw, model.event_shape))
        mu.append(model.encode(x, condition).mu)
        if conditional:
            patterns.append(patterns_of(x))
    return Latents(torch.cat(mu), torch.cat(patterns) if conditional else None)
