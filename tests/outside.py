"""Packages from outside, as pip would install them, and an environment in which they are found."""

import os
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
