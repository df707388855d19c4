"""Manifest of the generate step: what was asked for, and the images that came out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaeforge.generate.request import GenerateRequest
from vaeforge.manifests.files import MANIFEST, Hashes
from vaeforge.manifests.lineage import Lineage
from vaeforge.paths import write_json
from vaeforge.records import SPREAD, read_record, to_json

STEP = "generate"


@dataclass(frozen=True, kw_only=True)
class GenerationManifest:
    """What the generate step wrote.

    Attributes:
        images: how many.
        warnings: why they must be taken for near copies of training images; empty where nothing says so.
        folder: relative to the project's root where it lies inside it.
        files: everything in it but this.
        extra: keys that this version does not know.
    """

    step: str = STEP
    lineage: Lineage = field(metadata=SPREAD)
    asked: GenerateRequest
    images: int
    warnings: tuple[str, ...]
    folder: str
    files: Hashes
    extra: Mapping[str, Any] = field(default_factory=dict)


def read_generation(folder: Path) -> GenerationManifest:
    """The manifest in `folder`.

    Raises:
        DataError: if it is missing, not JSON, or lacks something.
    """
    return read_record(GenerationManifest, folder / MANIFEST, "manifest of a generate step", "choose another folder")


def write_generation(folder: Path, manifest: GenerationManifest) -> None:
    """Write `manifest` into `folder` atomically."""
    write_json(folder / MANIFEST, to_json(manifest))
