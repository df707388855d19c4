"""Reading of an MLflow database in an SQLite file by SQL, for the schema that the pinned MLflow writes."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vaeforge.errors import TrackingError
from vaeforge.track.store_reader import StoredModel, StoredPoint, StoredRun, StoredVersion, uses_workspaces

SCHEMA = "dc11669786a5"  # of MLflow 3.17; a database of another one is read by MLflow, which says what to do
_WORKSPACE = "default"  # where everything lies unless workspaces are switched on
_DELETED = "Deleted_Internal"  # the stage of versions that were deleted


class SqliteReader:
    """A database whose schema is `SCHEMA`; see `StoreReader`.

    Args:
        tracking_uri: of the database.
        path: of its file.
    """

    def __init__(self, tracking_uri: str, path: Path):
        self.tracking_uri, self.path = tracking_uri, path

    def model_names(self, prefix: str) -> list[str]:
        """See `StoreReader`."""
        rows = self._rows("SELECT name FROM registered_models WHERE workspace = ?", _WORKSPACE)
        return [name for (name,) in rows if name.startswith(prefix)]

    def stored_model(self, name: str) -> StoredModel | None:
        """See `StoreReader`."""
        rows = self._rows(
            "SELECT alias, version FROM registered_models LEFT JOIN registered_model_aliases USING (workspace, name) "
            "WHERE workspace = ? AND name = ?",
            *(_WORKSPACE, name),
        )
        aliases = {alias: str(version) for alias, version in rows if alias is not None}
        return StoredModel(name, aliases) if rows else None

    def stored_versions(self, model: str) -> list[StoredVersion]:
        """See `StoreReader`."""
        rows = self._rows(
            "SELECT version, creation_time, run_id, description, COALESCE(storage_location, source), key, value "
            "FROM model_versions LEFT JOIN model_version_tags USING (workspace, name, version) "
            "WHERE workspace = ? AND name = ? AND current_stage != ? ORDER BY version",
            *(_WORKSPACE, model, _DELETED),
        )
        tags: dict[int, dict[str, str]] = {}
        for *_, key, value in rows:
            if key is not None:
                tags.setdefault(_[0], {})[key] = value
        versions = {number: (created, run, text, place) for number, created, run, text, place, _, _ in rows}
        return [
            StoredVersion(model, str(number), tags.get(number, {}), created, run or None, text or None, _folder(place))
            for number, (created, run, text, place) in versions.items()
        ]

    def stored_run(self, run_id: str) -> StoredRun | None:
        """See `StoreReader`."""
        rows = self._rows(
            "SELECT lifecycle_stage, key, value, is_nan FROM runs LEFT JOIN latest_metrics USING (run_uuid) "
            "WHERE run_uuid = ?",
            run_id,
        )
        metrics = {key: _number(value, is_nan) for _, key, value, is_nan in rows if key is not None}
        return StoredRun(rows[0][0], metrics) if rows else None

    def metric_points(self, run_id: str, key: str) -> list[StoredPoint]:
        """See `StoreReader`."""
        rows = self._rows(
            "SELECT value, is_nan, timestamp, step FROM metrics WHERE run_uuid = ? AND key = ?", run_id, key
        )
        return [StoredPoint(_number(value, is_nan), timestamp, step) for value, is_nan, timestamp, step in rows]

    def _rows(self, query: str, *values: str) -> list[Any]:
        """The rows of a query; each is answered from one state of the database."""
        try:
            return _query(self.path, query, values)
        except sqlite3.Error as error:
            raise TrackingError(f"tracking database {self.path}: cannot be read ({error})") from error


def is_known(path: Path) -> bool:
    """Whether `SqliteReader` can read the database at `path`: a healthy one of its schema, without workspaces."""
    if uses_workspaces():
        return False
    try:
        return _query(path, "SELECT version_num FROM alembic_version", ()) == [(SCHEMA,)]
    except sqlite3.Error:
        return False


def _query(path: Path, query: str, values: Iterable[str]) -> list[Any]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=20)) as connection:
        return connection.execute(query, tuple(values)).fetchall()


def _number(value: float, is_nan: int) -> float:
    return float("nan") if is_nan else float(value)


def _folder(place: str | None) -> Path | None:
    """The folder of this machine that an artifact's address names."""
    parts = urlsplit(place or "")
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    return Path(parts.path) if parts.scheme == "" and parts.path.startswith("/") else None
