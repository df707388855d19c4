"""Location of a version of the data in DVC: the project's cache, and its default remote."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kept:
    """The place that holds every file of a version, `cache` or `remote`; where none does, `problem` says why."""

    place: str | None
    problem: str = ""


def where_kept(root: Path, md5: str, family: str) -> Kept:
    """Where DVC has all files of `family` in the version of `data/` that data.dvc calls `md5`.

    The remote is asked where the cache has not all of them.
    """
    if not (root / ".dvc").is_dir():
        return Kept(None, f"{root} is no DVC repository")
    from dvc.repo import Repo  # a second of imports

    try:
        with Repo(str(root)) as repo:
            if _holds(repo.cache.local, md5, family):
                return Kept("cache")
            if _holds(repo.cloud.get_remote_odb(), md5, family):
                return Kept("remote")
    except Exception as error:  # remotes' clients raise classes of their own, which only they import
        return Kept(None, f"not in DVC's cache, and its remote cannot be asked ({error})")
    return Kept(None, "neither in DVC's cache nor in its remote")


def _holds(store: Any, md5: str, family: str) -> bool:
    """Whether a store of DVC has the listing `md5` and every file of the family that it lists."""
    if not store.exists(md5):
        return False
    with store.fs.open(store.oid_to_path(md5), "rb") as file:
        entries = json.loads(file.read())
    wanted = [entry["md5"] for entry in entries if entry["relpath"].startswith(f"{family}/")]
    return bool(wanted) and len(set(store.oids_exist(wanted))) == len(set(wanted))
