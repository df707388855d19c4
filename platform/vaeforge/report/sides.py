"""Sides of a comparison: searches of this project, and versions of the registry, by what both have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaeforge.errors import ConfigError
from vaeforge.evaluation.manifest import EvaluationManifest
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project
from vaeforge.records import Metrics
from vaeforge.report.record import SearchRecord, read_search

VERSION = "models:/"


@dataclass(frozen=True)
class Side:
    """One search, or one registered version.

    Attributes:
        name: as it was asked for, a version's with its number in place of an alias.
        record: of the search; none for a version.
        model: the winner's manifest, or the version's; none for a search that has none.
        evaluation: of that model; none where there is none.
    """

    name: str
    record: SearchRecord | None
    model: TrainedModelManifest | None
    evaluation: EvaluationManifest | None

    @property
    def metrics(self) -> Metrics:
        """Test metrics; empty where nothing was measured."""
        return self.evaluation.metrics if self.evaluation else {}

    @property
    def data_identity(self) -> str:
        """Of the data that it learned from."""
        if self.record is not None and self.record.history.header is not None:
            return self.record.history.header.data_identity
        return self.model.lineage.data_identity if self.model else ""


def is_version(name: str) -> bool:
    """Whether `name` is a model of the registry."""
    return name.startswith(VERSION)


def read_sides(project: Project, names: Sequence[str]) -> list[Side]:
    """What `names` name, in this order; the store is opened once, and only where a version is among them.

    Raises:
        ConfigError: if two of them are the same version.
        VaeforgeError: if one is not there, or what it left cannot be read.
    """
    versions = {name: None for name in names if is_version(name)}
    found = _versions(project, list(versions)) if versions else {}
    sides = [found[name] if name in found else _search(project, name) for name in names]
    if len({side.name for side in sides}) < len(sides):
        raise ConfigError(f"report: got {', '.join(names)}, of which two are the same version; name different ones")
    return sides


def _search(project: Project, name: str) -> Side:
    record = read_search(project, name)
    return Side(name, record, record.model, record.evaluated.manifest if record.evaluated else None)


def _versions(project: Project, names: Sequence[str]) -> dict[str, Side]:
    from vaeforge.registry.fetch import resolve
    from vaeforge.registry.version_files import version_manifests
    from vaeforge.track.open_reader import open_reader
    from vaeforge.track.store import default_uri

    reader, found = open_reader(default_uri(project.root)), {}
    for name in names:
        version = resolve(reader, name)
        manifests = version_manifests(reader, version)
        called = f"{version.name} {version.version}"
        found[name] = Side(called, None, manifests.model, manifests.evaluation)
    return found


def beta_of(settings: Mapping[str, Any]) -> tuple[str, float | None]:
    """Schedule and full β of an experiment as it was written; none where training finds it."""
    beta = settings.get("beta", {})
    schedule = str(beta.get("schedule", "constant"))
    weight = beta.get("value", beta.get("max"))
    if "knots" in beta:
        weight = max((float(knot) for _, knot in beta["knots"]), default=None)
    return schedule, float(weight) if isinstance(weight, int | float) else None
