"""What a family's data say of where they come from, in a form that outlives the files: for manifests of searches."""

import json
from pathlib import Path
from typing import Any

from vaeforge.config.strict_yaml import read_yaml
from vaeforge.errors import VaeforgeError
from vaeforge.paths import Project

TEXTS = ("ATTRIBUTION.md", "LICENSE")
IMPORTED = ".import/import.json"
CHARACTERS = 4000  # of a text; licences are named by their beginning


def describe_source(project: Project, family: str) -> dict[str, Any]:
    """Where the data of `family` lie and what is written beside them.

    `folder`; `files` and `bytes` in it; `dvc`, the entry of data.dvc; `texts`, the beginning of each attribution and
    licence by its path in the folder; `imports`, by data set, what `vaeforge import` was given. Null or empty where
    nobody wrote it down.
    """
    folder = project.data(family)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "folder": folder.relative_to(project.root).as_posix(),
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "dvc": dvc_entry(project.root),
        "texts": {
            path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace")[:CHARACTERS]
            for path in sorted(files)
            if path.name in TEXTS
        },
        "imports": {path.parents[1].name: _import(path) for path in sorted(folder.glob(f"*/{IMPORTED}"))},
    }


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


def _import(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: content.get(name) for name in ("source", "kind", "options", "versions")}
    except (OSError, ValueError, AttributeError):
        return None
