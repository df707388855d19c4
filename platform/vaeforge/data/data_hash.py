"""Hash of a family's files and of how they were prepared: what data a result was learned from."""

import hashlib
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from vaeforge.config.prepare import Prepare
from vaeforge.config.strict_yaml import read_yaml
from vaeforge.errors import DataError
from vaeforge.paths import hash_of, read_json

RULES = 4  # raise it when the same files and settings come to give other arrays: what was prepared before is then stale

SETTLED = 2_000_000_000  # ns after which times of change tell one content of a file from the next
Listing = list[list[str]]


def list_files(folder: Path, within: str = "") -> Listing:
    """The sorted [path relative to `folder`, MD5] of the files in it, or in its folder `within` alone.

    Raises:
        DataError: if the folder holds no files.
    """
    place = folder / within
    files = [path for path in place.rglob("*") if path.is_file()]
    if not files:
        raise DataError(f"{place}: holds no files; run `dvc pull`, or put yours there (see docs/data.md)")
    return sorted([path.relative_to(folder).as_posix(), _md5(path)] for path in files)


def data_identity(listing: Listing, prepare: Prepare | Mapping[str, Any]) -> str:
    """Hash of a family's files, of the prepare settings, typed or as written, and of the rules by which files become
    arrays.

    It stays the same when another family's data change, which DVC's hash of the whole `data/` does not.
    """
    settings = prepare.model_dump(mode="json") if isinstance(prepare, Prepare) else dict(prepare)
    return hash_of({"files": listing, "prepare": settings, "rules": RULES})


def dvc_hash(root: Path, family: str, listing: Listing, within: str = "") -> str | None:
    """The hash of `data/` in `data.dvc`, if that is what these files of the family, or of its folder `within`, are.

    None where the data are not under DVC, and where DVC's cache shows that they were changed since `dvc add`. Without
    its listing in the cache `data.dvc` is believed.
    """
    pointer = root / "data.dvc"
    if not pointer.is_file():
        return None
    outs: list[dict[str, Any]] = read_yaml(pointer).get("outs", [])
    if not outs or "md5" not in outs[0]:
        return None
    known = str(outs[0]["md5"])
    added = tracked_files(root, family)
    if added is not None:
        inner = f"{within}/" if within else ""
        if {path: md5 for path, md5 in added.items() if path.startswith(inner)} != dict(listing):
            return None
    return known


def tracked_files(root: Path, family: str) -> dict[str, str] | None:
    """MD5 by path in `data/<family>` of the files that `data.dvc` lists; none where its listing is not in the cache."""
    pointer, prefix = root / "data.dvc", f"{family}/"
    outs: list[dict[str, Any]] = (read_yaml(pointer).get("outs") or []) if pointer.is_file() else []
    known = str(outs[0].get("md5", "")) if outs else ""
    cached = root / ".dvc/cache/files/md5" / known[:2] / known[2:]
    if not known or not cached.is_file():
        return None
    entries = read_json(cached, "remove it and run `dvc pull`")
    return {
        entry["relpath"].removeprefix(prefix): entry["md5"] for entry in entries if entry["relpath"].startswith(prefix)
    }


def _md5(path: Path) -> str:
    """A file's MD5; read once in a process as long as nobody writes it, since a command asks for it several times."""
    found = path.stat()
    state = (str(path.absolute()), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    # what was changed just now could be changed again within the resolution of these times
    settled = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > SETTLED
    return _read_once(*state) if settled else _read(path)


@lru_cache(maxsize=100_000)
def _read_once(path: str, *state: int) -> str:
    return _read(Path(path))


def _read(path: Path) -> str:
    with path.open("rb") as file:
        # DVC's own hash of a file, not a matter of security
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
