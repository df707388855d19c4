"""Files of a step's folder as its manifest lists them: by path and SHA-256, the manifest itself last."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from vaeforge.paths import Project, sha256_of
from vaeforge.records import read_record

MANIFEST = "manifest.json"
Hashes: TypeAlias = Mapping[str, str]  # SHA-256 by a path relative to the folder


@dataclass(frozen=True)
class StepFiles:
    """What the manifest of any step says of its files."""

    step: str | None = None
    files: Hashes = field(default_factory=dict)


def relative_to(project: Project, folder: Path) -> str:
    """`folder` as manifests name it: relative to the project's root where it lies inside it."""
    absolute = folder.resolve()
    return str(absolute.relative_to(project.root) if absolute.is_relative_to(project.root) else absolute)


def hashes_of(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below `folder` but its manifest, by relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}


def listed_files(folder: Path, step: str) -> Hashes:
    """The files that the manifest in `folder` lists if it is one of `step`; none if it is another step's.

    Raises:
        DataError: if the manifest is missing or not JSON.
    """
    found = read_record(StepFiles, folder / MANIFEST, "manifest of a step", "choose another folder")
    return found.files if found.step == step else {}
