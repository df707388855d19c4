"""Resume state of a scoring: whether a folder of results can be continued by this model, input and options.

`state.json` says it, `.inputs.parquet` lists the input's files with size and time of change. Both are written before
the first part, and compared when a later session comes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from filelock import lock_descriptor

from vaeforge.errors import DataError
from vaeforge.paths import is_anothers, read_json, sha256_of, write_atomically, write_json
from vaeforge.score.files import InputFiles
from vaeforge.score.plain_tables import read_parquet, table_of

STATE = "state.json"
INPUTS = ".inputs.parquet"
LISTED = 5
REMEDY = "give another --output, or remove this folder"


@contextmanager
def locked_output(folder: Path) -> Iterator[None]:
    """The folder for this process alone; made if it is not there.

    Raises:
        DataError: if it holds what no scoring left there, is another user's, another process scores into it, or it is a
            file.
    """
    if is_anothers(folder):
        raise DataError(f"--output: {folder} belongs to another user; results are continued by their owner; {REMEDY}")
    if folder.is_dir() and _held(folder) and not (folder / STATE).is_file():
        raise DataError(f"--output: {folder} holds other files ({', '.join(_held(folder)[:LISTED])}); {REMEDY}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DataError(f"--output: {folder} is a file, must be a folder; {REMEDY}") from None
    with (folder / ".lock").open("w") as lock:
        if not lock_descriptor(lock.fileno(), blocking=False):
            raise DataError(f"--output: another process is scoring into {folder}; wait for it, or {REMEDY}")
        yield


def check_resumable(folder: Path, source: InputFiles, model: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Note what is scored in an empty `folder`, or see that it is what was being scored there.

    Raises:
        DataError: if the model, the input or an option is another one now; the message says what.
    """
    listing = list_of(source)
    wanted = {"input": str(source.root.resolve()), "model": dict(model), "options": dict(options)}
    if not _held(folder):
        write_atomically(folder / INPUTS, lambda file: pyarrow.parquet.write_table(listing, file))
        write_json(folder / STATE, wanted | {"inputs_sha256": sha256_of(folder / INPUTS)})
        return
    found = read_json(folder / STATE, REMEDY)
    changes = [*_changes("", {key: found.get(key) for key in wanted}, wanted), *_changed_files(folder, listing)]
    if changes:
        raise DataError(f"--output: {folder} was begun with something else: {'; '.join(changes)}; {REMEDY}")


def _held(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def list_of(source: InputFiles) -> Any:
    """Name, size in bytes and time of change (ns) of each file of an input."""
    stats = [path.stat() for path in source.paths]
    return table_of(
        {
            "name": [path.relative_to(source.folder).as_posix() for path in source.paths],
            "bytes": np.array([stat.st_size for stat in stats], dtype=np.int64),
            "changed": np.array([stat.st_mtime_ns for stat in stats], dtype=np.int64),
        }
    )


def _changes(where: str, found: Any, wanted: Any) -> list[str]:
    """What differs, as `model.sha256 was X, is Y`."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = sorted(found.keys() | wanted.keys())
        return [line for key in keys for line in _changes(f"{where}.{key}", found.get(key), wanted.get(key))]
    return [] if found == wanted else [f"{where[1:]} was {found}, is {wanted}"]


def _changed_files(folder: Path, listing: Any) -> list[str]:
    try:
        before = read_parquet(folder / INPUTS)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{folder / INPUTS}: cannot be read ({error}); {REMEDY}") from None
    if before.equals(listing):
        return []
    old, new = (dict(zip(table["name"].to_pylist(), _facts(table), strict=True)) for table in (before, listing))
    kinds = {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(name for name in old.keys() & new.keys() if old[name] != new[name]),
    }
    return [
        f"{len(names)} file(s) of the input {what} ({', '.join(names[:LISTED])}{', …' if len(names) > LISTED else ''})"
        for what, names in kinds.items()
        if names
    ]


def _facts(table: Any) -> list[tuple[int, int]]:
    return list(zip(table["bytes"].to_pylist(), table["changed"].to_pylist(), strict=True))
