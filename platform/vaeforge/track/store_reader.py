"""Reading side of an MLflow store: what the registry and its runs hold, as records that every kind of store gives.

`StoreClient` asks MLflow itself, whose import takes seconds. `SqliteReader` and `HttpReader` read the same of a
database of a known schema, or of a plain server, without it: commands that only look things up begin at once.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class StoredModel:
    """A registered model, and the version that each alias names."""

    name: str
    aliases: Mapping[str, str]


@dataclass(frozen=True)
class StoredVersion:
    """A version of a registered model.

    Attributes:
        name, version: of the model, and the version's number.
        tags: by key.
        creation_timestamp: milliseconds since 1970.
        run_id: of the run that it came from.
        description: in words.
        folder: where its files lie on this machine; none where only MLflow can bring them.
    """

    name: str
    version: str
    tags: Mapping[str, str]
    creation_timestamp: int
    run_id: str | None = None
    description: str | None = None
    folder: Path | None = None

    @property
    def uri(self) -> str:
        """Its address for MLflow."""
        return f"models:/{self.name}/{self.version}"

    @property
    def folder_here(self) -> Path | None:
        """`folder`, if it is there."""
        return self.folder if self.folder is not None and self.folder.is_dir() else None


@dataclass(frozen=True)
class StoredRun:
    """A run: whether it is `active` or `deleted`, and the newest value of each metric."""

    lifecycle_stage: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class StoredPoint:
    """One value of a metric; `timestamp` in milliseconds since 1970."""

    value: float
    timestamp: int
    step: int


class StoreReader(Protocol):
    """What can be looked up in a store; what is not there is none, and a store that fails raises."""

    @property
    def tracking_uri(self) -> str:
        """The address of the store."""
        ...

    def model_names(self, prefix: str) -> list[str]:
        """The names of registered models that begin with `prefix`."""
        ...

    def stored_model(self, name: str) -> StoredModel | None:
        """The registered model called `name`."""
        ...

    def stored_versions(self, model: str) -> list[StoredVersion]:
        """The versions of a registered model that were not deleted; none if there is no such model."""
        ...

    def stored_run(self, run_id: str) -> StoredRun | None:
        """The run of that id, deleted or not."""
        ...

    def metric_points(self, run_id: str, key: str) -> list[StoredPoint]:
        """All values that a metric of a run has had; empty where there is no such run or metric."""
        ...


def uses_workspaces() -> bool:
    """Whether the environment names MLflow's workspaces, in which only MLflow itself finds its way."""
    return bool(os.environ.get("MLFLOW_ENABLE_WORKSPACES") or os.environ.get("MLFLOW_WORKSPACE"))
