"""Manifest of the diffuse step: the latent diffusion model that was trained on top of a trained model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaeforge.manifests.files import MANIFEST, Hashes
from vaeforge.manifests.lineage import Lineage
from vaeforge.paths import write_json
from vaeforge.records import OPTIONAL, SPREAD, Number, read_record, to_json
from vaeforge.training.checkpoint_files import Checkpoint

DIFFUSION_FILE = "diffusion.pt"


@dataclass(frozen=True)
class DiffusionWeights:
    """The file `diffusion.pt`: its SHA-256, and the optimiser step with the lowest validation loss, `val_loss`."""

    sha256: str
    step: int
    val_loss: Number

    def within(self, folder: Path) -> Checkpoint:
        """The weights in `folder`."""
        return Checkpoint(str(folder / DIFFUSION_FILE), self.sha256, self.step)


@dataclass(frozen=True, kw_only=True)
class DiffusionManifest:
    """What the diffuse step made of a model.

    Attributes:
        trained: false for a family without a latent diffusion model, for which nothing is written but this.
        diffusion: the model's weights; none where nothing was trained.
        folder: relative to the project's root where it lies inside it.
        files: everything else in it.
        extra: keys that this version does not know.
    """

    step: str = "diffuse"
    lineage: Lineage = field(metadata=SPREAD)
    trained: bool
    diffusion: DiffusionWeights | None = field(default=None, metadata=OPTIONAL)
    folder: str
    files: Hashes
    extra: Mapping[str, Any] = field(default_factory=dict)


def read_diffusion(folder: Path) -> DiffusionManifest:
    """The manifest in `folder`.

    Raises:
        DataError: if it is missing, not JSON, or lacks something.
    """
    return read_record(DiffusionManifest, folder / MANIFEST, "manifest of a diffuse step", "run `vaeforge diffuse`")


def write_diffusion(folder: Path, manifest: DiffusionManifest) -> None:
    """Write `manifest` into `folder` atomically."""
    write_json(folder / MANIFEST, to_json(manifest))
