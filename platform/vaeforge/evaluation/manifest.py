"""Manifest of the evaluate step: test metrics, and the model compared with simpler means."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vaeforge.errors import DataError, VaeforgeError
from vaeforge.evaluation.comparison import ComparisonRow
from vaeforge.manifests.files import MANIFEST, Hashes
from vaeforge.manifests.lineage import Lineage
from vaeforge.paths import read_json, write_json
from vaeforge.records import SPREAD, Metrics, record_from, to_json

WHAT = "manifest of an evaluation"


@dataclass(frozen=True, kw_only=True)
class EvaluationManifest:
    """What a model showed on its test data.

    Attributes:
        metrics: flat `val/...` and `test/...` numbers.
        comparison: the model beside simpler means.
        folder: relative to the project's root where it lies inside it.
        files: everything in it but this.
        extra: keys that this version does not know.
    """

    step: str = "evaluate"
    lineage: Lineage = field(metadata=SPREAD)
    metrics: Metrics
    comparison: tuple[ComparisonRow, ...]
    folder: str
    files: Hashes
    extra: Mapping[str, Any] = field(default_factory=dict)


def read_evaluation(
    path: Path, remedy: str = "run `vaeforge evaluate`", error: type[VaeforgeError] = DataError
) -> EvaluationManifest:
    """The manifest at `path`.

    Raises:
        DataError: if it is missing or not JSON.
        VaeforgeError: `error`, if it lacks something.
    """
    return record_from(EvaluationManifest, read_json(path, remedy), str(path), WHAT, remedy, error)


def evaluation_json(manifest: EvaluationManifest) -> dict[str, Any]:
    """As JSON holds it: ends of intervals that are not known are null."""
    return {**to_json(replace(manifest, comparison=())), "comparison": [row.plain() for row in manifest.comparison]}


def write_evaluation(folder: Path, manifest: EvaluationManifest) -> None:
    """Write `manifest` into `folder` atomically."""
    write_json(folder / MANIFEST, evaluation_json(manifest))
