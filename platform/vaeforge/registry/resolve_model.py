"""From what a user calls a model to the manifest of the search that made it: what a trace begins with."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaeforge.errors import RegistryError
from vaeforge.package.bundle import EXTRA, WINNER
from vaeforge.paths import Project, read_json
from vaeforge.provenance import PATCH
from vaeforge.registry.fetch import bundle_of, resolve
from vaeforge.track.store import open_store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

MANIFEST = "manifest.json"
MADE_BY = ("tune", "train")
NEEDED = ("family", "experiment", "checkpoint", "metrics", "git", "data_identity", "data_hash", "code_hash", "search")


@dataclass(frozen=True)
class Subject:
    """A model whose origin is asked for.

    Attributes:
        name: as the user gave it.
        winner: the manifest of the search that made it.
        folder: where that manifest was found.
        version: in the registry; none for a folder or a manifest.
    """

    name: str
    winner: Mapping[str, Any]
    folder: Path
    version: "ModelVersion | None" = None


def find_subject(reference: str, project: Project, tracking_uri: str) -> Subject:
    """The model that `reference` names: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, a folder, or a manifest's path.

    Raises:
        ConfigError: if it is none of these.
        RegistryError: if there is no such version or it is not usable, or no manifest of its search is at hand.
        DataError: if the manifest is no JSON.
    """
    if reference.startswith("models:"):
        client = open_store(tracking_uri)
        version = resolve(client, reference)
        path = bundle_of(client, version, project).path(WINNER)
        return Subject(reference, _winner_in(path), path.parent, version)
    path = _manifest_at(Path(reference))
    content = read_json(path, "name another model")
    if not isinstance(content, dict) or content.get("step") not in MADE_BY:
        path, content = _of_later_step(path, content, project)
    return Subject(reference, _complete(content, path), path.parent)


def patch_of(subject: Subject, project: Project) -> bytes | None:
    """What differed from the commit when the search began, if it was kept and is what was recorded."""
    expected = subject.winner["git"].get("diff_sha256")
    search = subject.winner["search"]
    folders = [subject.folder, subject.folder / EXTRA, *([project.search(search)] if search else [])]
    for path in (folder / PATCH for folder in folders):
        if path.is_file() and hashlib.sha256(content := path.read_bytes()).hexdigest() == expected:
            return content
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


def _of_later_step(path: Path, content: Any, project: Project) -> tuple[Path, dict[str, Any]]:
    """The winner's manifest from which a later step, such as export, made what lies at `path`."""
    search = content.get("search") if isinstance(content, dict) else None
    if search is None:
        raise RegistryError(f"{path}: is no manifest of a model: it names no search; name the search's manifest.json")
    origin = project.search(str(search)) / MANIFEST
    winner = _winner_in(origin)
    if winner["checkpoint"]["sha256"] != content["checkpoint"]["sha256"]:
        raise RegistryError(
            f"{path}: was made from checkpoint {content['checkpoint']['sha256']}, but {origin} names "
            f"{winner['checkpoint']['sha256']}; run the step again for it"
        )
    return origin, winner


def _winner_in(path: Path) -> dict[str, Any]:
    return _complete(read_json(path, "the search that made the model is not at hand; name its version instead"), path)


def _complete(content: Any, path: Path) -> dict[str, Any]:
    missing = [key for key in NEEDED if not isinstance(content, dict) or key not in content]
    if missing:
        raise RegistryError(f"{path}: is no manifest of a model: it lacks {', '.join(missing)}; name another one")
    winner: dict[str, Any] = content
    return winner
