"""Resolution of a model by its name to the manifest of the search that made it: what a trace begins with."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from vaeforge.errors import RegistryError
from vaeforge.manifests.files import MANIFEST
from vaeforge.manifests.trained_model import TrainedModelManifest, read_trained_model
from vaeforge.package.bundle import EXTRA, WINNER
from vaeforge.paths import Project
from vaeforge.provenance import PATCH
from vaeforge.records import read_record
from vaeforge.registry.fetch import bundle_of, full_reference, resolve
from vaeforge.track.open_reader import open_reader
from vaeforge.track.store_reader import StoredVersion
from vaeforge.training.checkpoint_files import CheckpointRef

MADE_BY = ("tune", "train")
NOT_HERE = "the search that made the model is not at hand; name its version instead"


@dataclass(frozen=True)
class TracedModel:
    """A model whose origin is asked for.

    Attributes:
        name: as the user gave it.
        manifest: of the search that made it.
        folder: where that manifest was found.
        version: in the registry; none for a folder or a manifest.
    """

    name: str
    manifest: TrainedModelManifest
    folder: Path
    version: StoredVersion | None = None


@dataclass(frozen=True)
class Patch:
    """What differed from a commit, for `git apply`; whether it is the `own` one of a search of this project."""

    content: bytes
    path: Path
    own: bool


@dataclass(frozen=True)
class _MadeFrom:
    """What the manifest of any step says of where it comes from."""

    step: str | None = None
    search: str | None = None
    checkpoint: CheckpointRef | None = None


def resolve_model(reference: str, project: Project, tracking_uri: str) -> TracedModel:
    """The model that `reference` names: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, a folder, or a manifest's path.

    Raises:
        ConfigError: if it is none of these.
        RegistryError: if there is no such version or it is not usable, or no manifest of its search is at hand.
        DataError: if the manifest is no JSON.
    """
    reference = full_reference(reference, tracking_uri)
    if reference.startswith("models:"):
        reader = open_reader(tracking_uri)
        version = resolve(reader, reference)
        path = bundle_of(reader, version, project).path(WINNER)
        return TracedModel(reference, read_trained_model(path, NOT_HERE, RegistryError), path.parent, version)
    path = _manifest_at(Path(reference))
    made = read_record(_MadeFrom, path, "manifest of a model", "name another model", RegistryError)
    if made.step in MADE_BY:
        manifest = read_trained_model(path, "name another one", RegistryError)
    else:
        path, manifest = _of_later_step(path, made, project)
    return TracedModel(reference, manifest, path.parent)


def patch_of(model: TracedModel, project: Project) -> Patch | None:
    """What differed from the commit when the search began, if it was kept and is what was recorded.

    That beside the search's ledger in this project comes first: whoever runs it wrote it.
    """
    lineage = model.manifest.lineage
    own = [project.search(lineage.search)] if lineage.search else []
    for path in (folder / PATCH for folder in (*own, model.folder, model.folder / EXTRA)):
        if path.is_file() and hashlib.sha256(content := path.read_bytes()).hexdigest() == lineage.git.diff_sha256:
            return Patch(content, path, own=path.parent in own)
    return None


def _manifest_at(path: Path) -> Path:
    """The manifest that a folder holds, that of its search before its own."""
    found = [path, path / WINNER, path / EXTRA / WINNER, path / MANIFEST]
    for candidate in found:
        if candidate.is_file():
            return candidate
    raise RegistryError(
        f"model: got {str(path)!r}, must be models:/NAME@ALIAS, models:/NAME/VERSION, the folder of an export, or the "
        f"path of a manifest that `vaeforge tune` or `vaeforge train` wrote"
    )


def _of_later_step(path: Path, made: _MadeFrom, project: Project) -> tuple[Path, TrainedModelManifest]:
    """The manifest of the model from which a later step, such as export, made what lies at `path`."""
    if made.search is None or made.checkpoint is None:
        raise RegistryError(f"{path}: is no manifest of a model: it names no search; name the search's manifest.json")
    origin = project.search(made.search) / MANIFEST
    manifest = read_trained_model(origin, NOT_HERE, RegistryError)
    if manifest.checkpoint.sha256 != made.checkpoint.sha256:
        raise RegistryError(
            f"{path}: was made from checkpoint {made.checkpoint.sha256}, but {origin} names "
            f"{manifest.checkpoint.sha256}; run the step again for it"
        )
    return origin, manifest
