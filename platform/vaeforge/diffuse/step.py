"""The diffuse step: a winner's manifest in, a latent diffusion model of its training latents out, its manifest last."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from vaeforge.evaluate.step import MANIFEST, hashes_of, relative_to
from vaeforge.paths import Project, write_bytes, write_json
from vaeforge.samples import Samples
from vaeforge.seeds import derive
from vaeforge.train.batches import centre_crop
from vaeforge.train.diffuse import Latents, fit_diffusion, save_diffusion
from vaeforge.trained import DIFFUSION_FILE, TrainedModel, lineage, load_trained_model, patterns_of


def diffuse_run(project: Project, winner: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Train the diffusion model of `winner` into `folder` and return the manifest.

    Writes diffusion.pt, curve.json and manifest.json last. A family without diffusion gets a manifest that says so.

    Raises:
        ConfigError: if the loss stops being finite.
        CheckpointError, DataError: see `load_trained_model`.
    """
    loaded = load_trained_model(project, winner)
    (folder / MANIFEST).unlink(missing_ok=True)
    manifest = {"step": "diffuse", **lineage(winner), "trained": loaded.experiment.definition.diffusion}
    if manifest["trained"]:
        manifest |= _train(loaded, folder)
    manifest |= {"folder": relative_to(project, folder), "files": hashes_of(folder)}
    write_json(folder / MANIFEST, manifest)
    return manifest


def _train(loaded: TrainedModel, folder: Path) -> dict[str, Any]:
    settings = loaded.experiment.diffusion
    seed = derive(loaded.experiment.training.seed, "diffusion")
    train, validation = (latents_of(loaded, part) for part in (loaded.prepared.train, loaded.prepared.validation))
    fitted = fit_diffusion(train, validation, settings, seed)
    saved = save_diffusion(folder / DIFFUSION_FILE, fitted)
    curve = [asdict(point) for point in fitted.curve]
    write_bytes(folder / "curve.json", json.dumps(curve, indent=1).encode())
    return {"diffusion": {"sha256": saved.sha256, "step": saved.epoch, "val_loss": fitted.best.val_loss}}


@torch.no_grad()
def latents_of(loaded: TrainedModel, samples: Samples) -> Latents:
    """Posterior means of samples, images cropped to their centre, and their pattern images where the model sees one."""
    model, conditional = loaded.model, loaded.experiment.diffusion.conditional
    mu, patterns = [], []
    for raw, condition in samples.batches():
        x = model.normalise(centre_crop(raw, model.event_shape))
        mu.append(model.encode(x, condition).mu)
        if conditional:
            patterns.append(patterns_of(x))
    return Latents(torch.cat(mu), torch.cat(patterns) if conditional else None)
