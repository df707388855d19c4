"""Staging of a data set: filled under a hidden name beside its place and then renamed, so that it appears whole.

A kill at any moment leaves the old data set or the new one. What a killed import left under hidden names is tidied up
by the next one, which a lock keeps from taking a running import's for a dead one's.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import lock_descriptor

from vaeforge.errors import DataError
from vaeforge.paths import fsync_folder

FILLING, UNPACKED, REPLACED = ".importing", ".unpacked", ".replaced"


@contextlib.contextmanager
def only_import(lock: Path) -> Iterator[None]:
    """Be the only import of the project while this lasts.

    Raises:
        DataError: if another one runs.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        if not lock_descriptor(file.fileno(), blocking=False):
            raise DataError(f"{lock}: another import runs in this project; wait until it has ended")
        yield


def hidden(destination: Path, suffix: str) -> Path:
    """A hidden place beside `destination`."""
    return destination.with_name(f".{destination.name}{suffix}")


def tidy(family: Path) -> None:
    """Remove what killed imports left in the folder `family`; a data set that one had moved away goes back."""
    for path in family.glob(".*"):
        if path.suffix == REPLACED and path.is_dir():
            destination = path.with_name(path.name[1:].removesuffix(REPLACED))
            if not destination.exists():
                path.rename(destination)
                continue
        if path.suffix in (FILLING, UNPACKED, REPLACED) and path.is_dir():
            shutil.rmtree(path)


@contextlib.contextmanager
def staged(destination: Path) -> Iterator[Path]:
    """An empty folder that becomes `destination` at the end, unless something is raised; what was there is replaced."""
    folder = hidden(destination, FILLING)
    folder.mkdir(parents=True)
    try:
        yield folder
        os.sync()
        _replace(folder, destination)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace(folder: Path, destination: Path) -> None:
    """Rename `folder` to `destination`; if that fails, what was there stays."""
    old = hidden(destination, REPLACED)
    if destination.exists():
        destination.rename(old)
    try:
        folder.rename(destination)
    except BaseException:
        if old.exists():
            old.rename(destination)
        raise
    fsync_folder(destination.parent)
    shutil.rmtree(old, ignore_errors=True)
