"""Packages from outside, as pip would install them, and an environment in which they are found."""

import os
import tomllib
from pathlib import Path

from project import CODE_PATH


def install_metadata(folder: Path, name: str, entry_points: str) -> None:
    """Write the metadata of a package `name`, with its entry points, beside its modules in `folder`."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


def environment_with(*folders: Path) -> dict[str, str]:
    """This environment, in which Python imports what lies in `folders`, and this code."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, folders), CODE_PATH])}


def installed(folder: Path) -> Path:
    """As pip would install the package in `folder`: its module with the metadata that its pyproject.toml gives."""
    points = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    sections = [
        [f"[{group}]", *(f"{key} = {place}" for key, place in found.items())] for group, found in points.items()
    ]
    text = "\n".join(line for section in sections for line in section)
    install_metadata(folder, folder.name.replace("-", "_"), f"{text}\n")
    return folder
