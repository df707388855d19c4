"""MLflow's own client, which also reads as `StoreReader` says; importing this file imports MLflow."""

from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient, MlflowException
from mlflow.entities.model_registry import ModelVersion

from vaeforge.track.store_reader import StoredModel, StoredPoint, StoredRun, StoredVersion

_PAGE = 200
_NOT_THERE = "RESOURCE_DOES_NOT_EXIST"


class StoreClient(MlflowClient):
    """A client of any store that MLflow knows; whatever a store refuses raises an `MlflowException`."""

    def model_names(self, prefix: str) -> list[str]:
        """See `StoreReader`."""
        asked = f"name LIKE '{prefix}%'"
        pages = _all_pages(lambda token: self.search_registered_models(asked, max_results=_PAGE, page_token=token))
        return [str(one.name) for one in pages]

    def stored_model(self, name: str) -> StoredModel | None:
        """See `StoreReader`."""
        found = _if_there(lambda: self.get_registered_model(name))
        if found is None:
            return None
        return StoredModel(str(found.name), {alias: str(version) for alias, version in found.aliases.items()})

    def stored_versions(self, model: str) -> list[StoredVersion]:
        """See `StoreReader`."""
        asked = f"name = '{model}'"
        pages = _all_pages(lambda token: self.search_model_versions(asked, max_results=_PAGE, page_token=token))
        return [stored_version(one) for one in pages]

    def stored_run(self, run_id: str) -> StoredRun | None:
        """See `StoreReader`."""
        found = _if_there(lambda: self.get_run(run_id))
        return None if found is None else StoredRun(found.info.lifecycle_stage, dict(found.data.metrics))

    def metric_points(self, run_id: str, key: str) -> list[StoredPoint]:
        """See `StoreReader`."""
        found = self.get_metric_history(run_id, key)
        return [StoredPoint(point.value, point.timestamp, point.step) for point in found]


def stored_version(version: ModelVersion) -> StoredVersion:
    """A version of MLflow's as a record."""
    return StoredVersion(
        name=str(version.name),
        version=str(version.version),
        tags=dict(version.tags),
        creation_timestamp=int(version.creation_timestamp),
        run_id=version.run_id or None,
        description=version.description or None,
    )


def _all_pages(page_at: Callable[[str | None], Any]) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = page_at(token)
        found += list(page)
        token = page.token
        if not token:
            return found


def _if_there(look: Callable[[], Any]) -> Any:
    """What a look-up finds; none where there is nothing of that name."""
    try:
        return look()
    except MlflowException as error:
        if error.error_code != _NOT_THERE:
            raise
    return None
