"""Changes of the data sets of a family and of which is used, on disk and in data.dvc.

The sample goes by itself when data of one's own arrive. It is known by the hash of its files, so that nothing that
somebody changed is removed.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from vaeforge.data.data_hash import Listing, tracked_files
from vaeforge.data.data_sets import (
    IMPORTED,
    DataSetName,
    data_sets_in,
    forget_refused_import,
    holds_loose_files,
    in_use,
    is_sample_listing,
    named,
    set_in_use,
    used_data,
)
from vaeforge.dvc_command import reason_of, run_dvc
from vaeforge.errors import DataError, VaeforgeError
from vaeforge.importing.dvc_add import track
from vaeforge.paths import Project, read_json

SAMPLE = "sample"  # what `data use` and `data drop` call the sample, whatever its folder is called
BY_HAND = "(by hand)"


@dataclass(frozen=True)
class DataSetRow:
    """A data set of a family, as `vaeforge data list` shows it.

    Attributes:
        name: of its folder; `(by hand)` for files that belong to none.
        kind: sample, own (imported) or by hand.
        source: what was imported; none for what was not.
        files, bytes: how many.
        tracked: whether data.dvc lists it; none where that cannot be told.
        used: whether `prepare` takes it.
    """

    family: str
    name: str
    kind: str
    source: str | None
    files: int
    bytes: int
    tracked: bool | None
    used: bool


def rows(project: Project, family: str) -> list[DataSetRow]:
    """The data sets of a family; none where it has no data."""
    folder = project.data(family)
    if not folder.is_dir():
        return []
    listed = tracked_files(project.root, family)
    found = [_row(folder, one, listed, _uses(project, family, one)) for one in data_sets_in(folder)]
    if holds_loose_files(folder):
        names = {one.name for one in data_sets_in(folder)}
        own = [path for path in _files(folder) if path.relative_to(folder).parts[0] not in names]
        tracked = None if listed is None else all(path.relative_to(folder).as_posix() in listed for path in own)
        row = (len(own), sum(path.stat().st_size for path in own), tracked, not names)
        found.append(DataSetRow(family, BY_HAND, "by hand", None, *row))
    return found


def arrived(project: Project, family: str, folder: Path, tracks: bool) -> tuple[bool, str, list[str]]:
    """A data set of one's own has been written to `folder`: the sample goes, DVC is told, the new one is used.

    Returns:
        Whether DVC has the data, what it did, and what a person should know.
    """
    gone = [path for path in _samples_on_disk(folder.parent) if path != folder]
    for path in gone:
        _remove(path)
    tracked, told = track(project.root, folder) if tracks else (False, "left untracked, as was asked")
    listed = [path for path in _listed_samples(project, family) if path != folder] if tracked else []
    struck = listed if listed and track(project.root, *listed)[0] else []
    notes = [_farewell(path, path in struck) for path in dict.fromkeys([*gone, *struck])]
    others = [one.name for one in data_sets_in(folder.parent) if one.name != folder.name]
    if others:
        set_in_use(project, family, folder.name)
        notes.append(
            f"{folder.parent} also holds {', '.join(others)}; one data set is used at a time, from now on "
            f"{folder.name}: `vaeforge data use {others[0]} --family {family}` goes back"
        )
    else:
        set_in_use(project, family, None)
    forget_refused_import(project, family)
    return tracked, told, notes


def use(project: Project, family: str, name: str) -> str:
    """Let `prepare` and searches take the data set `name`, brought from DVC where it is not here; says what was done.

    Raises:
        DataError: if there is no such data set.
    """
    folder = project.data(family)
    known = data_sets_in(folder) if folder.is_dir() else []
    wanted = next((one.name for one in known if one.sample), name) if name == SAMPLE else name
    brought = ""
    if wanted not in [one.name for one in known]:
        wanted, brought = _bring(project, family, wanted)
        known = data_sets_in(folder)
    named(known, wanted, folder)
    set_in_use(project, family, wanted if len(known) > 1 or holds_loose_files(folder) else None)
    forget_refused_import(project, family)
    return f"{brought}{family} uses {wanted}; next: vaeforge prepare --family {family}"


def drop(project: Project, family: str, name: str) -> str:
    """Remove the data set `name` from disk and from data.dvc; says what was done.

    Raises:
        DataError: if there is no such data set, neither here nor in data.dvc.
    """
    folder = project.data(family)
    known = data_sets_in(folder) if folder.is_dir() else []
    listed = _listed_samples(project, family)
    samples = [*(one.name for one in known if one.sample), *(path.name for path in listed)]
    wanted = samples[0] if name == SAMPLE and samples else name
    if (folder / wanted) not in listed:
        named(known, wanted, folder)
    was_tracked = any(path.startswith(f"{wanted}/") for path in tracked_files(project.root, family) or {})
    if (folder / wanted).exists():
        _remove(folder / wanted)
    if in_use(project, family) == wanted:
        set_in_use(project, family, None)
    removed = f"removed {folder / wanted}"
    if not was_tracked:
        return f"{removed}; data.dvc does not list it"
    tracked, told = track(project.root, folder / wanted)
    kept = "struck from data.dvc, whose earlier versions still bring it back (`git checkout … data.dvc`, `dvc pull`)"
    return f"{removed}; {kept}; then `git add data.dvc` and commit" if tracked else f"{removed}; {told}"


def _farewell(path: Path, struck: bool) -> str:
    place = " and from data.dvc, whose earlier versions still bring it back" if struck else ""
    return f"the sample {path.name} was removed from {path.parent}{place}: data sets are not mixed"


def _row(folder: Path, one: DataSetName, listed: dict[str, str] | None, used: bool) -> DataSetRow:
    files = _files(folder / one.name)
    record = folder / one.name / IMPORTED
    source = read_json(record, "import it again").get("source") if record.is_file() else None
    tracked = None if listed is None else all(path.relative_to(folder).as_posix() in listed for path in files)
    kind = "sample" if one.sample else "own" if source is not None else "by hand"
    return DataSetRow(
        folder.name, one.name, kind, source, len(files), sum(path.stat().st_size for path in files), tracked, used
    )


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _uses(project: Project, family: str, one: DataSetName) -> bool:
    try:
        return used_data(project, family).name == one
    except VaeforgeError:  # none can be chosen yet
        return False


def _samples_on_disk(folder: Path) -> list[Path]:
    return [folder / one.name for one in data_sets_in(folder) if one.sample]


def _listed_samples(project: Project, family: str) -> list[Path]:
    """Where samples of the family would lie that data.dvc lists."""
    by_folder: dict[str, Listing] = {}
    for path, md5 in (tracked_files(project.root, family) or {}).items():
        name, _, inner = path.partition("/")
        by_folder.setdefault(name, []).append([inner, md5])
    return [project.data(family) / name for name, listing in by_folder.items() if is_sample_listing(listing)]


def _bring(project: Project, family: str, name: str) -> tuple[str, str]:
    """Have DVC bring a data set that data.dvc lists: its name, and what was done."""
    folder = project.data(family)
    before = {one.name for one in data_sets_in(folder)} if folder.is_dir() else set()
    place = f"data/{family}" if name == SAMPLE else f"data/{family}/{name}"
    done = run_dvc(project.root, "pull", place)
    now = data_sets_in(folder) if folder.is_dir() else []
    fitting = [one.name for one in now if (one.sample if name == SAMPLE else one.name == name)]
    if not fitting:
        reason = reason_of(done, 300) or "data.dvc does not list it"
        known = ", ".join(sorted(before)) or "none"
        raise DataError(
            f"{folder}: has no data set {name!r} (there: {known}), and DVC did not bring it ({reason}); a version of "
            "data.dvc that lists it does: `git checkout COMMIT data.dvc`"
        )
    return fitting[0], f"brought {fitting[0]} from DVC; "


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)
