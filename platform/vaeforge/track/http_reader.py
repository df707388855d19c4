"""Reading of an MLflow server by its REST interface, for servers that ask for nothing but a name and password or token.

https://mlflow.org/docs/latest/rest-api.html
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from vaeforge.errors import TrackingError
from vaeforge.track.store import ANSWER_SECONDS, no_answer, redact
from vaeforge.track.store_reader import StoredModel, StoredPoint, StoredRun, StoredVersion, uses_workspaces

_SECONDS = (ANSWER_SECONDS, 120)  # to connect, and to answer
_TRIES = Retry(total=5, backoff_factor=0.5, status_forcelist=(408, 429, 500, 502, 503, 504), raise_on_status=False)
_PAGE = 200
_SIMPLE = {"MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"}


class HttpReader:
    """A server that `is_simple`; see `StoreReader`.

    Args:
        tracking_uri: of the server.

    Raises:
        TrackingError: if it does not answer within 10 s.
    """

    def __init__(self, tracking_uri: str):
        self.tracking_uri, self._session = tracking_uri, requests.Session()
        self._session.headers.update(_authorization())
        self._answer("/health", {}, ANSWER_SECONDS)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=_TRIES))

    def model_names(self, prefix: str) -> list[str]:
        """See `StoreReader`."""
        asked = {"filter": f"name LIKE '{prefix}%'", "max_results": _PAGE}
        return [str(one["name"]) for one in self._pages("registered-models/search", "registered_models", asked)]

    def stored_model(self, name: str) -> StoredModel | None:
        """See `StoreReader`."""
        found = self._get("registered-models/get", {"name": name})
        if found is None:
            return None
        aliases = found["registered_model"].get("aliases", [])
        return StoredModel(name, {one["alias"]: str(one["version"]) for one in aliases})

    def stored_versions(self, model: str) -> list[StoredVersion]:
        """See `StoreReader`."""
        asked = {"filter": f"name = '{model}'", "max_results": _PAGE}
        return [_version(one) for one in self._pages("model-versions/search", "model_versions", asked)]

    def stored_run(self, run_id: str) -> StoredRun | None:
        """See `StoreReader`."""
        found = self._get("runs/get", {"run_id": run_id})
        if found is None:
            return None
        metrics = found["run"]["data"].get("metrics", [])
        stage = found["run"]["info"]["lifecycle_stage"]
        return StoredRun(stage, {one["key"]: float(one["value"]) for one in metrics})

    def metric_points(self, run_id: str, key: str) -> list[StoredPoint]:
        """See `StoreReader`."""
        asked = {"run_id": run_id, "metric_key": key}
        found = self._pages("metrics/get-history", "metrics", asked)
        return [StoredPoint(float(one["value"]), int(one["timestamp"]), int(one.get("step", 0))) for one in found]

    def _pages(self, path: str, field: str, asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """What all pages of an answer list under `field`."""
        token = ""
        while True:
            page = self._get(path, {**asked, **({"page_token": token} if token else {})}) or {}
            yield from page.get(field, [])
            token = page.get("next_page_token", "")
            if not token:
                return

    def _get(self, path: str, asked: Mapping[str, Any]) -> Any:
        """The answer to a request; none where there is nothing of that name.

        Raises:
            TrackingError: if the server does not answer, or refuses.
        """
        answer = self._answer(f"/api/2.0/mlflow/{path}", asked, _SECONDS)
        try:
            content = answer.json()
        except requests.exceptions.JSONDecodeError:
            content = {"message": f"{answer.status_code} {answer.reason}, and no JSON"}
        if answer.ok and "message" not in content:
            return content
        if content.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise TrackingError(f"{redact(self.tracking_uri)}: cannot be read ({redact(str(content.get('message')))})")

    def _answer(self, path: str, asked: Mapping[str, Any], seconds: float | tuple[float, float]) -> requests.Response:
        try:
            answer = self._session.get(f"{self.tracking_uri.rstrip('/')}{path}", params=asked, timeout=seconds)
        except (requests.RequestException, OSError) as error:
            raise no_answer(self.tracking_uri, str(error)) from error
        if answer.status_code >= 500:
            raise no_answer(self.tracking_uri, str(answer.status_code))
        return answer


def is_simple() -> bool:
    """Whether nothing in the environment says that requests to a server need more than `HttpReader` sends."""
    wanted = {name for name, value in os.environ.items() if name.startswith("MLFLOW_TRACKING_") and value}
    return wanted <= _SIMPLE and not uses_workspaces() and not Path("~/.mlflow/credentials").expanduser().exists()


def _authorization() -> dict[str, str]:
    """The header that names the user, as MLflow sends it."""
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
    if user and password:
        return {"Authorization": requests.auth._basic_auth_str(user, password)}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _version(content: Mapping[str, Any]) -> StoredVersion:
    return StoredVersion(
        name=content["name"],
        version=str(content["version"]),
        tags={one["key"]: one.get("value", "") for one in content.get("tags", [])},
        creation_timestamp=int(content["creation_timestamp"]),
        run_id=content.get("run_id") or None,
        description=content.get("description") or None,
    )
