"""From `data/<family>` to arrays: pull what is missing, cut, split, write, the manifest last."""

import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vaeforge.config import Experiment, Prepare
from vaeforge.data.annotated import read_annotated
from vaeforge.data.contract import Prepared, load_prepared, read_manifest
from vaeforge.data.folders import read_folders
from vaeforge.data.identity import data_identity, dvc_hash, list_files
from vaeforge.data.source import Split
from vaeforge.errors import ConfigError, DataError
from vaeforge.paths import Project, hash_of, write_atomically, write_json
from vaeforge.provenance import git_state


def ensure_prepared(project: Project, experiment: Experiment) -> Prepared:
    """The prepared data of an experiment, pulled and prepared first where they are absent or stale.

    Raises:
        DataError: if the data cannot be pulled, or a prepared file of these very data was altered.
    """
    pull(project, experiment.family)
    folder = project.prepared(experiment.family)
    if not (folder / "manifest.json").exists():
        return prepare(project, experiment)
    identity = data_identity(list_files(project.data(experiment.family)), experiment.prepare)
    if read_manifest(folder).get("data_identity") != identity:
        return prepare(project, experiment)
    return load_prepared(folder)


def pull(project: Project, family: str) -> None:
    """Bring `data/<family>` from the DVC remote where it is absent.

    Raises:
        DataError: if it cannot be had.
    """
    folder = project.data(family)
    if folder.is_dir() and any(folder.iterdir()):
        return
    missing = f"{folder}: not there"
    if not (project.root / "data.dvc").is_file():
        raise DataError(f"{missing}, and {project.root} has no data.dvc; put your images there (see docs/data.md)")
    if not (project.root / ".dvc").is_dir():
        raise DataError(
            f"{missing}; data.dvc lists it, but {project.root} is no DVC repository (it has no .dvc), perhaps an "
            "exported copy; clone the repository and run `dvc pull`, or copy the folder data from where it is"
        )
    command = [sys.executable, "-m", "dvc", "pull", str(folder.relative_to(project.root))]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    if done.returncode or not folder.is_dir():
        reason = " ".join((done.stderr or done.stdout).split())[-500:] or "dvc left nothing there"
        raise DataError(f"{missing} and could not be pulled ({reason}); run `dvc pull`")


def prepare(project: Project, experiment: Experiment) -> Prepared:
    """Cut and split the family's data and write the arrays.

    Raises:
        DataError: naming the split or class that is empty, or the pictures that are there twice.
    """
    source, folder = project.data(experiment.family), project.prepared(experiment.family)
    listing = list_files(source)
    split = read_source(source, experiment.prepare)
    (folder / "manifest.json").unlink(missing_ok=True)
    arrays = {name: _write(folder / name, array) for name, array in _arrays(split).items()}
    configuration = experiment.prepare.model_dump(mode="json")
    manifest: dict[str, Any] = {
        "step": "prepare",
        "family": experiment.family,
        "data_identity": data_identity(listing, experiment.prepare),
        "data_hash": dvc_hash(project.root, experiment.family, listing),
        "data_source": str(source.relative_to(project.root)),
        "git": git_state(project.root),
        "configuration": configuration,
        "configuration_hash": hash_of(configuration),
        "event_shape": list(split.validation[0].shape),
        "arrays": arrays,
        "counts": split.counts(),
        "quarantined": split.quarantined,
    }
    write_json(folder / "manifest.json", manifest)
    return load_prepared(folder)


def read_source(folder: Path, settings: Prepare) -> Split:
    """All items below `folder`, from annotated images and from class folders."""
    if settings.validation + settings.test >= 1:
        raise ConfigError(
            f"prepare: validation {settings.validation} and test {settings.test} leave nothing to train on; "
            "their sum must be < 1"
        )
    annotated = sorted(path.parent for path in folder.rglob("labels.png") if (path.parent / "image.png").is_file())
    split = Split()
    for image in annotated:
        split.extend(read_annotated(image, settings))
    pictures = read_folders(folder, settings, skip=set(annotated))
    if annotated and pictures.train:
        named = ", ".join(str(path.relative_to(folder)) for path in annotated)
        raise DataError(
            f"{folder}: holds annotated images ({named}) beside class folders; they would be mixed into one data set: "
            "remove the one that you do not mean (the sample is in `skin`)"
        )
    split.extend(pictures)
    _require_all(folder, split)
    return split


def _require_all(folder: Path, split: Split) -> None:
    counts = split.counts()
    empty = [name for name in ("train", "validation", "test_normal", "test_anomalous") if not counts[name]]
    if empty:
        listed = "; ".join(f"{name}: {reason}" for name, reason in list(split.quarantined.items())[:5])
        raise DataError(
            f"{folder}: nothing for {', '.join(empty)} (counts {counts}{'; left out: ' + listed if listed else ''}); "
            "add images, or change the shares and sizes of the section `prepare`"
        )


def _arrays(split: Split) -> dict[str, NDArray[Any]]:
    groups = {name: number for number, name in enumerate(sorted(set(split.groups)))}
    return {
        "train.npy": np.stack(split.train),
        "validation.npy": np.stack(split.validation),
        "test.npy": np.stack(split.test),
        "test_labels.npy": np.array(split.labels, dtype=np.int64),
        "test_groups.npy": np.array([groups[name] for name in split.groups], dtype=np.int64),
    }


def _write(path: Path, array: NDArray[Any]) -> dict[str, Any]:
    def write(file: BinaryIO) -> None:
        np.save(file, array, allow_pickle=False)

    return {"sha256": write_atomically(path, write), "shape": list(array.shape)}
