"""Listings of models, versions, one version in detail and two side by side; as tables and `--json` show them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vaeforge.records import SPREAD, to_json
from vaeforge.registry.audit import PREFIX, Entry, trail_of
from vaeforge.registry.champion_history import moved_by_hand
from vaeforge.registry.fetch import ARCHIVED
from vaeforge.registry.tags import (
    ACTIVE_UNITS,
    DATA_IDENTITY,
    DATA_SET,
    SAMPLE_SHAPE,
    TEST_AUROC,
    TEST_LOOKS,
    TEST_NLL,
    TEST_POWER,
    VAL_NELBO,
    VERDICT,
    number_in,
)
from vaeforge.registry.versions import CHALLENGER, CHAMPION, aliases_of, models, version_named, versions_of
from vaeforge.track.store_reader import StoredVersion, StoreReader

if TYPE_CHECKING:
    from vaeforge.registry.version_files import VersionManifests


@dataclass(frozen=True)
class ModelSummary:
    """A registered model: how many versions it has, which are champion and challenger, and the data set of its line.

    `remark` says where the champion was moved past the audit trail.
    """

    model: str
    versions: int
    champion: str | None
    challenger: str | None
    data_set: str | None = None
    remark: str | None = None


@dataclass(frozen=True)
class VersionSummary:
    """A version of a model; numbers that its tags do not have are none.

    Attributes:
        created: UTC.
        val_nelbo: nats per sample.
        test_nll: mean nats per compared test sample.
        test_look: the ordinal of the model among those measured on this test set.
        test_power: the probability that an equally good version passes its comparison with the best one.
        verdict: of the gates, in words.
        data_set: what the data are called that it learned from; none for files without a name, and older versions.
        sample: the shape of a sample, `3x96x96`; likelihoods of other shapes or other data are not comparable.
        test_auroc: of models that detect anomalies.
    """

    model: str
    version: str
    aliases: tuple[str, ...]
    archived: bool
    created: str
    val_nelbo: float | None
    test_nll: float | None
    active_units: float | None
    test_look: float | None
    test_power: float | None
    data_identity: str | None
    verdict: str | None
    data_set: str | None = None
    sample: str | None = None
    test_auroc: float | None = None


@dataclass(frozen=True)
class VersionDetail:
    """A version with its MLflow run, its description, its tags, and its lines of the audit trail."""

    summary: VersionSummary = field(metadata=SPREAD)
    run: str | None
    description: str | None
    tags: Mapping[str, str]
    audit: tuple[Entry, ...]


@dataclass(frozen=True)
class VersionDifference:
    """Where two versions differ: `part` (params, metrics, data, code), `name`, and the value of each."""

    part: str
    name: str
    first: Any
    second: Any


def model_summaries(reader: StoreReader) -> list[ModelSummary]:
    """All models."""
    return [_model_summary(reader, name) for name in models(reader)]


def version_summaries(reader: StoreReader, model: str) -> list[VersionSummary]:
    """All versions of a model, the oldest first."""
    aliases = aliases_of(reader, model)
    return [_version_summary(version, aliases) for version in versions_of(reader, model)]


def version_detail(reader: StoreReader, model: str, version: str) -> VersionDetail:
    """Everything about one version.

    Raises:
        RegistryError: if there is no such version.
    """
    found = version_named(reader, model, version)
    return VersionDetail(
        summary=_version_summary(found, aliases_of(reader, model)),
        run=found.run_id,
        description=found.description,
        tags={key: value for key, value in sorted(found.tags.items()) if not key.startswith(PREFIX)},
        audit=tuple(trail_of([found])),
    )


def differences(reader: StoreReader, model: str, first: str, second: str) -> list[VersionDifference]:
    """Where two versions differ.

    Raises:
        RegistryError: if one does not exist, or carries no manifests.
    """
    from vaeforge.registry.version_files import version_manifests  # half a second, which lists do without

    sides = [_parts(version_manifests(reader, version_named(reader, model, version))) for version in (first, second)]
    rows = []
    for part in sides[0]:
        one, other = (side[part] for side in sides)
        names = [*one, *(name for name in other if name not in one)]
        rows += [
            VersionDifference(part, name, one.get(name), other.get(name))
            for name in names
            if one.get(name) != other.get(name)
        ]
    return rows


def _parts(manifests: "VersionManifests") -> dict[str, dict[str, Any]]:
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
        "data": {
            "data_set": lineage.data_set and str(lineage.data_set),
            "data_identity": lineage.data_identity,
            "data_hash": lineage.data_hash,
        },
        "code": _flat(code),
    }


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings by dotted names; lists as JSON."""
    result: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            result |= _flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return result


def _model_summary(reader: StoreReader, name: str) -> ModelSummary:
    aliases, versions = aliases_of(reader, name), versions_of(reader, name)
    named = list(dict.fromkeys(one.tags[DATA_SET] for one in versions if DATA_SET in one.tags))
    roles = aliases.get(CHAMPION), aliases.get(CHALLENGER)
    remark = moved_by_hand(trail_of(versions), roles[0])
    return ModelSummary(name, len(versions), *roles, ", ".join(named) or None, remark)


def _version_summary(version: StoredVersion, aliases: Mapping[str, str]) -> VersionSummary:
    tags, number = version.tags, version.version
    created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    return VersionSummary(
        model=version.name,
        version=number,
        aliases=tuple(sorted(alias for alias, named in aliases.items() if named == number)),
        archived=tags.get(ARCHIVED) == "true",
        created=created.isoformat(timespec="seconds"),
        val_nelbo=number_in(tags, VAL_NELBO),
        test_nll=number_in(tags, TEST_NLL),
        active_units=number_in(tags, ACTIVE_UNITS),
        test_look=number_in(tags, TEST_LOOKS),
        test_power=number_in(tags, TEST_POWER),
        data_identity=tags.get(DATA_IDENTITY),
        verdict=tags.get(VERDICT),
        data_set=tags.get(DATA_SET),
        sample=tags.get(SAMPLE_SHAPE),
        test_auroc=number_in(tags, TEST_AUROC),
    )
