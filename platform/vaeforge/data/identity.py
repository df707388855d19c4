"""What data a result was learned from: the hash of a family's files and of how they were prepared."""

import hashlib
from pathlib import Path
from typing import Any

from vaeforge.config import Prepare
from vaeforge.errors import DataError
from vaeforge.paths import hash_of
from vaeforge.yamls import read_yaml


def data_identity(folder: Path, prepare: Prepare) -> str:
    """Hash of the sorted (relative path, MD5) of the files in `folder` and of the prepare settings.

    It stays the same when another family's data change, which DVC's hash of the whole `data/` does not.

    Raises:
        DataError: if the folder holds no files.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise DataError(f"{folder}: holds no files; run `dvc pull`, or put your images there (see docs/data.md)")
    listing = [[path.relative_to(folder).as_posix(), _md5(path)] for path in files]
    return hash_of({"files": listing, "prepare": prepare.model_dump(mode="json")})


def dvc_hash(root: Path) -> str | None:
    """The hash of `data/` as `data.dvc` has it; none where the project's data are not under DVC."""
    pointer = root / "data.dvc"
    if not pointer.is_file():
        return None
    outs: list[dict[str, Any]] = read_yaml(pointer).get("outs", [])
    return str(outs[0]["md5"]) if outs and "md5" in outs[0] else None


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        # DVC's own hash of a file, not a matter of security
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
