"""Relocation of a project's MLflow database, which holds absolute addresses of artifacts, after a move or a copy.

Where the project was is read off MLflow's default experiment, whose artifacts lie beside the database that it was made
with. Until the addresses are changed, a moved project finds none of its artifacts, and a copy uses the original's.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from vaeforge.errors import TrackingError

_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_DEFAULT = ("mlruns", "0")  # the end of the address of the default experiment, whose number is 0


class _Cell(NamedTuple):
    """A cell of the database."""

    table: str
    column: str
    row: int
    text: str


@dataclass(frozen=True)
class Relocation:
    """What was changed.

    Attributes:
        old: the folder where the project was.
        addresses: how many now lead to where it is.
        missing: those of them of runs and models at which there is nothing here.
    """

    old: Path
    addresses: int
    missing: tuple[Path, ...]


def moved_from(database: Path, root: Path) -> Path | None:
    """The folder of the project that the database was made for, where it names artifacts there; none if it is `root`.

    A database outside of `root` is shared by projects and was not moved with this one.
    """
    if not database.is_file() or not database.is_relative_to(root):
        return None
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            old = _old_root(connection, database, root)
            if old is None or _same(old, root):
                return None
            named = any(path.is_relative_to(old) for _, path in _addresses(connection) if path.parts[-2:] != _DEFAULT)
    except sqlite3.Error:  # whoever opens it says what is wrong with it
        return None
    return old if named else None


def relocate(database: Path, root: Path, old: Path) -> Relocation:
    """Let every address of an artifact below the folder `old` lead to the same place below `root`, or none of them.

    Raises:
        TrackingError: if the database is not there, or cannot be read and written.
    """
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=20)) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            changes = list(_moved(connection, old, root))
            for (table, column, row, text), _, path in changes:
                address = path.as_uri() if text.startswith("file:") else str(path)
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (address, row))
    except sqlite3.Error as error:
        raise TrackingError(
            f"tracking database {database}: cannot be changed ({error}); it must be there and be writable"
        ) from error
    lacking = {path for _, was, path in changes if was.exists() and not path.exists()}
    return Relocation(old, len(changes), tuple(sorted(lacking)))


def _moved(connection: sqlite3.Connection, old: Path, root: Path) -> Iterator[tuple[_Cell, Path, Path]]:
    """The cells that name something below `old`, what they name, and the same below `root`."""
    for cell, path in _addresses(connection):
        if path.is_relative_to(old):
            yield cell, path, root / path.relative_to(old)


def _old_root(connection: sqlite3.Connection, database: Path, root: Path) -> Path | None:
    """The project's folder when the database was made; none if its default experiment does not say."""
    found = connection.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 0").fetchone()
    place = _path(found[0]) if found else None
    if place is None or place.parts[-2:] != _DEFAULT:
        return None
    home, below = place.parents[1], database.parent.relative_to(root).parts
    return home.parents[len(below) - 1] if below and home.parts[-len(below) :] == below else home


def _addresses(connection: sqlite3.Connection) -> Iterator[tuple[_Cell, Path]]:
    """Each address in a folder of this machine, and the cell that it stands in."""
    for table, column in _ADDRESSES:
        if column in {found[1] for found in connection.execute(f"PRAGMA table_info({table})")}:
            for row, text in connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
                if (path := _path(text)) is not None:
                    yield _Cell(table, column, row, text), path


def _path(address: str | None) -> Path | None:
    """The local path that an address names."""
    if address is None or address.startswith("/"):
        return Path(address) if address else None
    return Path(unquote(urlsplit(address).path)) if address.startswith("file:") else None


def _same(one: Path, other: Path) -> bool:
    """Whether both are one folder, by whatever names."""
    return one == other or (one.exists() and one.samefile(other))
