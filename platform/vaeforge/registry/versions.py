"""Lookup in the registry: models by name or family, their versions, and what aliases name."""

from collections.abc import Mapping

from vaeforge.errors import RegistryError, nearest
from vaeforge.registry.lock import is_lock
from vaeforge.track.store_reader import StoredModel, StoredVersion, StoreReader

CHAMPION, CHALLENGER = "champion", "challenger"
PREFIX = "vaeforge-"


def models(reader: StoreReader) -> list[str]:
    """The names of all models of ours, sorted."""
    return sorted(name for name in reader.model_names(PREFIX) if not is_lock(name))


def registered_model(reader: StoreReader, name: str) -> StoredModel:
    """The registered model called `name`, of ours or not.

    Raises:
        RegistryError: if there is none, naming ours.
    """
    found = reader.stored_model(name)
    if found is None:
        raise RegistryError(_no_model(name, models(reader)))
    return found


def _no_model(given: str, known: list[str]) -> str:
    listed = ", ".join(known) or "none yet, `vaeforge register` makes one"
    return f"model: got {given!r}, must be one of: {listed}{nearest(given, known)}"


def model_named(reader: StoreReader, given: str) -> str:
    """The registered model that `given` means: its name, what follows `vaeforge-`, or the family or data set alone.

    Raises:
        RegistryError: if there is none, or several could be meant, naming those that there are.
    """
    known = models(reader)
    for name in (given, f"{PREFIX}{given}"):
        if name in known:
            return name
    meant = [name for name in known if name.startswith(f"{PREFIX}{given}-") or name.endswith(f"-{given}")]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise RegistryError(f"model: got {given!r}, which could be {' or '.join(meant)}; name one of them")
    raise RegistryError(_no_model(given, known))


def versions_of(reader: StoreReader, model: str) -> list[StoredVersion]:
    """All versions of a model, by number; none if there is no such model."""
    return sorted(reader.stored_versions(model), key=lambda one: int(one.version))


def version_named(reader: StoreReader, model: str, version: str) -> StoredVersion:
    """One version.

    Raises:
        RegistryError: if it is no number, or there is no such version.
    """
    known = {one.version: one for one in versions_of(reader, model)}
    if version not in known:
        raise RegistryError(f"{model}: got version {version!r}, must be one of {', '.join(known) or 'none yet'}")
    return known[version]


def aliases_of(reader: StoreReader, model: str) -> Mapping[str, str]:
    """Version by alias; empty if there is no such model."""
    found = reader.stored_model(model)
    return {} if found is None else found.aliases


def champion_of(reader: StoreReader, model: str) -> str | None:
    """The version that is champion, if any."""
    return aliases_of(reader, model).get(CHAMPION)
