"""Listings of models, versions, one version in detail and two side by side; rows are plain data, as `--json` shows."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vaeforge.records import to_json
from vaeforge.registry.audit import PREFIX, trail_of
from vaeforge.registry.fetch import ARCHIVED
from vaeforge.registry.lineage import ACTIVE_UNITS, DATA_IDENTITY, TEST_LOOKS, TEST_NLL, VAL_NELBO, VERDICT, number_in
from vaeforge.registry.version_files import VersionManifests, version_manifests
from vaeforge.registry.versions import CHALLENGER, CHAMPION, aliases_of, models, version_named, versions_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

Row = dict[str, Any]


def model_rows(client: "MlflowClient") -> list[Row]:
    """All models: name, number of versions, champion, challenger."""
    return [_model_row(client, name) for name in models(client)]


def version_rows(client: "MlflowClient", model: str) -> list[Row]:
    """All versions of a model, the oldest first."""
    aliases = aliases_of(client, model)
    return [_version_row(version, aliases) for version in versions_of(client, model)]


def version_detail(client: "MlflowClient", model: str, version: str) -> Row:
    """A version with its tags, its description, and its lines of the audit trail.

    Raises:
        RegistryError: if there is no such version.
    """
    found = version_named(client, model, version)
    tags = {key: value for key, value in sorted(found.tags.items()) if not key.startswith(PREFIX)}
    trail = [asdict(entry) for entry in trail_of([found])]
    row = _version_row(found, aliases_of(client, model))
    return {**row, "run": found.run_id, "description": found.description, "tags": tags, "audit": trail}


def difference(client: "MlflowClient", model: str, first: str, second: str) -> list[Row]:
    """Where two versions differ: `part` (params, metrics, data, code), `name`, and the value of each.

    Raises:
        RegistryError: if one does not exist, or carries no manifests.
    """
    sides = [_parts(version_manifests(client, version_named(client, model, version))) for version in (first, second)]
    rows = []
    for part in sides[0]:
        one, other = (side[part] for side in sides)
        names = [*one, *(name for name in other if name not in one)]
        rows += [
            _pair(part, name, one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)
        ]
    return rows


def _pair(part: str, name: str, first: Any, second: Any) -> Row:
    return {"part": part, "name": name, "first": first, "second": second}


def _parts(manifests: VersionManifests) -> dict[str, Row]:
    lineage = manifests.model.lineage
    code = {
        "git": to_json(lineage.git),
        "code_hash": lineage.code_hash,
        "configuration_hash": lineage.configuration_hash,
        "space_hash": lineage.space_hash,
    }
    return {
        "params": _flat(manifests.model.settings),
        "metrics": {**manifests.model.metrics, **manifests.evaluation.metrics},
        "data": {"data_identity": lineage.data_identity, "data_hash": lineage.data_hash},
        "code": _flat(code),
    }


def _flat(content: Mapping[str, Any], prefix: str = "") -> Row:
    """Nested mappings by dotted names; lists as JSON."""
    result: Row = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            result |= _flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return result


def _model_row(client: "MlflowClient", name: str) -> Row:
    aliases = aliases_of(client, name)
    count = len(versions_of(client, name))
    return {"model": name, "versions": count, "champion": aliases.get(CHAMPION), "challenger": aliases.get(CHALLENGER)}


def _version_row(version: "ModelVersion", aliases: Mapping[str, str]) -> Row:
    tags, number = version.tags, str(version.version)
    created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    return {
        "model": version.name,
        "version": number,
        "aliases": sorted(alias for alias, named in aliases.items() if named == number),
        "archived": tags.get(ARCHIVED) == "true",
        "created": created.isoformat(timespec="seconds"),
        "val_nelbo": number_in(tags, VAL_NELBO),
        "test_nll": number_in(tags, TEST_NLL),
        "active_units": number_in(tags, ACTIVE_UNITS),
        "test_look": number_in(tags, TEST_LOOKS),
        "data_identity": tags.get(DATA_IDENTITY),
        "verdict": tags.get(VERDICT),
    }
