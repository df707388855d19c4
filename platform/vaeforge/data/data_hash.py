"""Hash of a family's files and of how they were prepared: what data a result was learned from."""

import hashlib
from pathlib import Path
from typing import Any

from vaeforge.config.prepare import Prepare
from vaeforge.config.strict_yaml import read_yaml
from vaeforge.errors import DataError
from vaeforge.paths import hash_of, read_json

RULES = 2  # raise it when the same files and settings come to give other arrays: what was prepared before is then stale

Listing = list[list[str]]


def list_files(folder: Path) -> Listing:
    """The sorted [relative path, MD5] of the files in `folder`.

    Raises:
        DataError: if the folder holds no files.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    if not files:
        raise DataError(f"{folder}: holds no files; run `dvc pull`, or put yours there (see docs/data.md)")
    return sorted([path.relative_to(folder).as_posix(), _md5(path)] for path in files)


def data_identity(listing: Listing, prepare: Prepare) -> str:
    """Hash of a family's files, of the prepare settings and of the rules by which files become arrays.

    It stays the same when another family's data change, which DVC's hash of the whole `data/` does not.
    """
    return hash_of({"files": listing, "prepare": prepare.model_dump(mode="json"), "rules": RULES})


def dvc_hash(root: Path, family: str, listing: Listing) -> str | None:
    """The hash of `data/` in `data.dvc`, if that is what these files of the family are.

    None where the data are not under DVC, and where DVC's cache shows that they were changed since `dvc add`. Without
    its listing in the cache `data.dvc` is believed.
    """
    pointer = root / "data.dvc"
    if not pointer.is_file():
        return None
    outs: list[dict[str, Any]] = read_yaml(pointer).get("outs", [])
    if not outs or "md5" not in outs[0]:
        return None
    known, prefix = str(outs[0]["md5"]), f"{family}/"
    cached = root / ".dvc/cache/files/md5" / known[:2] / known[2:]
    if cached.is_file():
        added = {entry["relpath"]: entry["md5"] for entry in read_json(cached, "remove it and run `dvc pull`")}
        if {path.removeprefix(prefix): md5 for path, md5 in added.items() if path.startswith(prefix)} != dict(listing):
            return None
    return known


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        # DVC's own hash of a file, not a matter of security
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
