"""Origin of a family's data as told by the data themselves, in a form that outlives the files: for manifests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vaeforge.config.strict_yaml import read_yaml
from vaeforge.data.data_sets import IMPORTED, DataSetName, folder_of
from vaeforge.errors import VaeforgeError
from vaeforge.paths import Project

TEXTS = ("ATTRIBUTION.md", "LICENSE")
CHARACTERS = 4000  # of a text; licences are named by their beginning


@dataclass(frozen=True)
class ImportedFrom:
    """What `vaeforge import` was given and with which libraries it read it; options are those of its kind of source."""

    source: str | None
    kind: str | None
    options: Mapping[str, Any] | None
    versions: Mapping[str, str] | None


@dataclass(frozen=True)
class DataSource:
    """Where a family's data lay and what was written beside them.

    Attributes:
        folder: relative to the project's root.
        files: how many were in it.
        bytes: of all of them.
        dvc: the entry of data.dvc, as DVC wrote it; none where the data are not under DVC.
        texts: the beginning of each attribution and licence, by its path in the folder.
        imports: what was imported, by data set; none where its record cannot be read.
    """

    folder: str
    files: int
    bytes: int
    dvc: Mapping[str, Any] | None
    texts: Mapping[str, str]
    imports: Mapping[str, ImportedFrom | None]


def describe_source(project: Project, family: str, data_set: DataSetName | None = None) -> DataSource:
    """Where the data of `family` lie now and what is written beside them; of one data set where one is given."""
    folder = project.data(family)
    place = folder / folder_of(data_set)
    files = [path for path in place.rglob("*") if path.is_file()]
    texts = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace")[:CHARACTERS]
        for path in sorted(files)
        if path.name in TEXTS
    }
    return DataSource(
        folder=folder.relative_to(project.root).as_posix(),
        files=len(files),
        bytes=sum(path.stat().st_size for path in files),
        dvc=dvc_entry(project.root),
        texts=texts,
        imports={
            path.parents[1].name: _import(path)
            for path in sorted(folder.glob(f"{folder_of(data_set) or '*'}/{IMPORTED}"))
        },
    )


def dvc_entry(root: Path) -> dict[str, Any] | None:
    """The first entry of data.dvc: `md5`, `size`, `nfiles`, `path`; none where the data are not under DVC."""
    path = root / "data.dvc"
    if not path.is_file():
        return None
    try:
        outs = read_yaml(path).get("outs") or []
    except VaeforgeError:  # the step that needs it says what is wrong; a record must not stop a search
        return None
    return dict(outs[0]) if outs and isinstance(outs[0], dict) else None


def _import(path: Path) -> ImportedFrom | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return ImportedFrom(*(content.get(one.name) for one in fields(ImportedFrom)))
    except (OSError, ValueError, AttributeError):
        return None
