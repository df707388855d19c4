"""Places of prepared data: a folder for each identity, and links in the family's own to those that were asked for last.

    artifacts/prepared/<family>/identities/<16 digits>/   arrays, statistics, manifest: what steps and searches read
    artifacts/prepared/<family>/                          links to the files of the last one, for DVC and for people

Preparing data of another identity touches no file of this one. An identity's folder is put there as a whole, by one
rename, so that whoever reads an earlier one of the same identity keeps it. Earlier builds had their files in the
family's folder alone; these are linked into a place of their own as soon as data of the family are asked for.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from vaeforge.data.prepared import MANIFEST, read_prepared_manifest
from vaeforge.errors import DataError
from vaeforge.paths import IDENTITIES, Project, link_or_copy

HELD = 8  # identities of a family; beyond these the ones that were asked for least recently are removed


def find_prepared(project: Project, family: str, identity: str) -> Path | None:
    """The folder with the prepared data of an identity; none where there are none."""
    place, shown = project.prepared_identity(family, identity), project.prepared(family)
    if (place / MANIFEST).is_file():
        return place
    with suppress(DataError):
        if read_prepared_manifest(shown).data_identity == identity:
            return shown
    return None


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """One process at a time fills `place`."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_name(f".{place.name}.lock")):
        yield


@contextmanager
def filled(place: Path) -> Iterator[Path]:
    """A folder to be filled, which takes the place of what is there once the block has ended; call it when `locked`."""
    for left in place.parent.glob(f".{place.name}.*.tmp"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    filling, old = (place.with_name(f".{place.name}.{kind}.tmp") for kind in ("new", "old"))
    try:
        filling.mkdir()
        yield filling
        if place.exists():
            place.rename(old)
        filling.rename(place)
    finally:
        for folder in (filling, old):
            shutil.rmtree(folder, ignore_errors=True)


def adopt_earlier(project: Project, family: str) -> None:
    """Link what an earlier build prepared into a place of its own.

    Raises:
        DataError: if its manifest is damaged.
    """
    shown = project.prepared(family)
    if not _is_earlier(shown):
        return
    with locked(shown):
        if not _is_earlier(shown):  # another process has done it
            return
        place = project.prepared_identity(family, read_prepared_manifest(shown).data_identity)
        with locked(place), filled(place) as folder:
            for path in _files(shown):
                link_or_copy(path, folder / path.name)


def _is_earlier(shown: Path) -> bool:
    """Whether the family's folder holds data, and no identities."""
    return (shown / MANIFEST).is_file() and not (shown / IDENTITIES).exists()


def show(project: Project, family: str, place: Path) -> None:
    """Have the family's folder hold the files of `place`, the manifest last; and remove identities beyond `HELD`."""
    with suppress(OSError):  # of a project that is only read
        os.utime(place)
    shown = project.prepared(family)
    wanted = {path.name: path for path in _files(place)}
    if all(_same(path, shown / name) for name, path in wanted.items()):
        return
    with locked(shown):
        (shown / MANIFEST).unlink(missing_ok=True)
        for path in _files(shown):
            if path.name not in wanted and path.suffix in (".npy", ".npz", ".csv"):
                path.unlink()
        for name in sorted(wanted, key=lambda name: (name == MANIFEST, name)):
            if not _same(wanted[name], shown / name):
                _replace(shown / name, wanted[name])
    _forget(place)


def _forget(latest: Path) -> None:
    """Remove the identities beyond `HELD` that were asked for least recently; memory maps of their files stay whole."""
    places = [path for path in latest.parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for path in sorted(places, key=lambda path: path.stat().st_mtime)[:-HELD]:
        with locked(path):
            shutil.rmtree(path, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _same(source: Path, target: Path) -> bool:
    """Whether `target` is `source`, or its copy where there are no links."""
    if not target.is_file():
        return False
    there, here = source.stat(), target.stat()
    return os.path.samestat(there, here) or (there.st_size, there.st_mtime_ns) == (here.st_size, here.st_mtime_ns)


def _replace(target: Path, source: Path) -> None:
    """Replace `target` by a link to `source`, or its copy, atomically."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        link_or_copy(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
