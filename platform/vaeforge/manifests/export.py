"""Manifest of the export step: graphs, parity, size and latency, and where the data come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaeforge.errors import DataError, VaeforgeError
from vaeforge.manifests.files import MANIFEST, Hashes
from vaeforge.manifests.lineage import Lineage
from vaeforge.paths import write_json
from vaeforge.records import SPREAD, Number, read_record, to_json

WHAT = "manifest of an export"


@dataclass(frozen=True)
class ParityOutcome:
    """Whether graphs compute what torch computes.

    Attributes:
        passed: no output differs by more than the tolerance.
        worst: the largest difference, relative to its output's range.
        tolerance: what is allowed.
    """

    passed: bool
    worst: Number
    tolerance: Number


@dataclass(frozen=True)
class Latency:
    """Median and 95th percentile of one sample and of a batch of 32, in milliseconds, one CPU thread."""

    single_p50: Number
    single_p95: Number
    batch32_p50: Number
    batch32_p95: Number


@dataclass(frozen=True)
class QualityFigures:
    """Means over validation samples at z = mu.

    Attributes:
        score: the anomaly score.
        mse: mean squared error per value, model units.
        nelbo: nats per sample.
    """

    score: Number
    mse: Number
    nelbo: Number


@dataclass(frozen=True)
class QualityLoss:
    """What a precision costs: the figures of fp32, its own, and the change, relative for score and MSE."""

    fp32: QualityFigures
    this: QualityFigures
    change: QualityFigures


@dataclass(frozen=True, kw_only=True)
class PrecisionOutcome(ParityOutcome):
    """The main graph in a smaller precision: its parity and, beside fp32, its quality, size in bytes and latency."""

    quality: QualityLoss
    size_bytes: int
    latency_ms: Latency


@dataclass(frozen=True)
class DataCredits:
    """What a model card says of the data; fields that were not recorded are none.

    Attributes:
        source: their folder, relative to the project's root.
        counts: how many there are of what.
        licence: the first line of each licence.
        attribution: the texts beside the data.
        shipped_sample: whether they are a sample that the project carries.
    """

    source: str | None = None
    counts: Mapping[str, int] | None = None
    licence: str | None = None
    attribution: str | None = None
    shipped_sample: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ExportManifest:
    """A model's graphs; what exports of old versions did not record is none or empty.

    Attributes:
        event_shape: of one sample, raw units.
        condition_dim: 0 for models without a condition.
        latent_dim: of mu and logvar.
        opset: of the ONNX graphs.
        graphs: their names.
        size_bytes: of the main graph, with weights that lie apart.
        latency_ms: of the main graph.
        precisions: the main graph in smaller precisions, by name.
        parity: of the fp32 graphs.
        data: what the model learned from.
        folder: relative to the project's root where it lies inside it.
        files: everything in it but this.
        extra: keys that this version does not know.
    """

    step: str = "export"
    lineage: Lineage = field(metadata=SPREAD)
    event_shape: tuple[int, ...]
    condition_dim: int
    latent_dim: int
    opset: int | None = None
    graphs: tuple[str, ...] = ()
    size_bytes: int | None = None
    latency_ms: Latency | None = None
    precisions: Mapping[str, PrecisionOutcome] = field(default_factory=dict)
    parity: ParityOutcome | None = None
    data: DataCredits = DataCredits()
    folder: str
    files: Hashes
    extra: Mapping[str, Any] = field(default_factory=dict)


def read_export(
    path: Path, remedy: str = "run `vaeforge export`", error: type[VaeforgeError] = DataError
) -> ExportManifest:
    """The manifest at `path`.

    Raises:
        DataError: if it is missing or not JSON.
        VaeforgeError: `error`, if it lacks something.
    """
    return read_record(ExportManifest, path, WHAT, remedy, error)


def write_export(folder: Path, manifest: ExportManifest) -> None:
    """Write `manifest` into `folder` atomically."""
    write_json(folder / MANIFEST, to_json(manifest))
