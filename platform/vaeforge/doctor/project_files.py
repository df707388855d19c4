"""Checks of a project's files: who may write them, locks, the data and its hash."""

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from vaeforge.config.strict_yaml import read_yaml
from vaeforge.data.data_hash import dvc_hash, tracked_files
from vaeforge.data.data_sets import UsedData, used_data
from vaeforge.doctor.finding import Finding
from vaeforge.errors import ResourceError, VaeforgeError
from vaeforge.paths import Project, is_anothers, probe_writable

MOST_HASHED = 10**9  # bytes that are hashed in a few seconds


def permissions(project: Project) -> Finding:
    """The project can be written by this user, and by nobody else."""
    place = project.artifacts if project.artifacts.is_dir() else project.root
    try:
        probe_writable(place)
    except ResourceError as error:
        return Finding("permissions", "fail", str(place), str(error))
    strange = [path for path in (project.root, project.artifacts, *_searches(project)) if is_anothers(path)]
    if strange:
        return Finding(
            "permissions", "warn", f"{strange[0]} belongs to another user", "search in a project of your own"
        )
    if project.root.stat().st_mode & stat.S_IWOTH:
        advice = f"`chmod o-w {project.root}`: whoever can write models and data can change them"
        return Finding("permissions", "warn", "everybody may write the project's folder", advice)
    return Finding("permissions", "ok", f"{place} can be written")


def locks(project: Project) -> Finding:
    """The file system has locks, without which two processes could write one ledger."""
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".doctor-", dir=project.root) as folder,
            FileLock(Path(folder) / "lock", timeout=5, fallback_to_soft=False),
        ):
            pass
    except (OSError, NotImplementedError) as error:
        advice = "put the project on a file system that has file locks; network ones may need a mount option"
        return Finding("file locks", "fail", f"{project.root}: {error}", advice)
    return Finding("file locks", "ok", "work on the project's file system")


def data(project: Project) -> Finding:
    """The data of the project's family are there, and what DVC has of them."""
    params = project.root / "params.yaml"
    try:
        family = str(read_yaml(params).get("family", "endoscopy")) if params.is_file() else "endoscopy"
        if not project.data(family).is_dir():
            return _absent(project, family)
        used = used_data(project, family)
        return _compared(project, family, used)
    except VaeforgeError as error:
        return Finding("data", "fail", str(error), "see docs/data.md")


def _absent(project: Project, family: str) -> Finding:
    if (project.root / "data.dvc").is_file():
        return Finding("data", "ok", f"data/{family} is not there yet; the first step pulls it")
    return Finding("data", "fail", f"data/{family} is not there", "bring yours with `vaeforge import`")


def _compared(project: Project, family: str, used: UsedData) -> Finding:
    size = sum(path.stat().st_size for path in used.folder.rglob("*") if path.is_file())
    named = f"{family}: {used.folder.relative_to(project.root)}, {size / 1e6:.0f} MB"
    if tracked_files(project.root, family) is None:
        return Finding("data", "ok", f"{named}; DVC's cache has no listing to compare with")
    if size > MOST_HASHED:
        return Finding("data", "ok", f"{named}; not hashed here, `dvc status` does")
    if dvc_hash(project.root, family, used.listing(), used.within) is None:
        advice = "`dvc add data` where that is meant, `dvc checkout` where it is not"
        return Finding("data", "warn", f"{named}; others than DVC has", advice)
    return Finding("data", "ok", f"{named}; as DVC has them")


def _searches(project: Project) -> Iterator[Path]:
    folder = project.artifacts / "searches"
    return folder.iterdir() if folder.is_dir() else iter(())
