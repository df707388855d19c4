"""Lookup in the registry: models by name or family, their versions, and what aliases name."""

from typing import TYPE_CHECKING, Any

from vaeforge.errors import RegistryError, nearest
from vaeforge.registry.lock import is_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

CHAMPION, CHALLENGER = "champion", "challenger"
PREFIX = "vaeforge-"
PAGE = 200


def models(client: "MlflowClient") -> list[str]:
    """The names of all models of ours, sorted."""
    found: list[str] = []
    token = None
    while True:
        page = client.search_registered_models(f"name LIKE '{PREFIX}%'", max_results=PAGE, page_token=token)
        found += [str(one.name) for one in page if not is_lock(one.name)]
        token = page.token
        if not token:
            return sorted(found)


def registered_model(client: "MlflowClient", name: str) -> "RegisteredModel":
    """The registered model called `name`, of ours or not.

    Raises:
        RegistryError: if there is none, naming ours.
    """
    from mlflow import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    raise RegistryError(_no_model(name, models(client)))


def _no_model(given: str, known: list[str]) -> str:
    listed = ", ".join(known) or "none yet, `vaeforge register` makes one"
    return f"model: got {given!r}, must be one of: {listed}{nearest(given, known)}"


def model_named(client: "MlflowClient", given: str) -> str:
    """The registered model that `given` means: its name, what follows `vaeforge-`, or the family or data set alone.

    Raises:
        RegistryError: if there is none, or several could be meant, naming those that there are.
    """
    known = models(client)
    for name in (given, f"{PREFIX}{given}"):
        if name in known:
            return name
    meant = [name for name in known if name.startswith(f"{PREFIX}{given}-") or name.endswith(f"-{given}")]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise RegistryError(f"model: got {given!r}, which could be {' or '.join(meant)}; name one of them")
    raise RegistryError(_no_model(given, known))


def versions_of(client: "MlflowClient", model: str) -> list["ModelVersion"]:
    """All versions of a model, by number; none if there is no such model."""
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{model}'", max_results=PAGE, page_token=token)
        found += list(page)
        token = page.token
        if not token:
            return sorted(found, key=lambda one: int(one.version))


def version_named(client: "MlflowClient", model: str, version: str) -> "ModelVersion":
    """One version.

    Raises:
        RegistryError: if it is no number, or there is no such version.
    """
    known = {str(one.version): one for one in versions_of(client, model)}
    if version not in known:
        raise RegistryError(f"{model}: got version {version!r}, must be one of {', '.join(known) or 'none yet'}")
    return known[version]


def aliases_of(client: "MlflowClient", model: str) -> dict[str, str]:
    """Version by alias; empty if there is no such model."""
    from mlflow import MlflowException

    try:
        aliases: dict[str, Any] = client.get_registered_model(model).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    return {alias: str(version) for alias, version in aliases.items()}


def champion_of(client: "MlflowClient", model: str) -> str | None:
    """The version that is champion, if any."""
    return aliases_of(client, model).get(CHAMPION)
