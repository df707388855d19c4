"""Model card: what a model is, what it was made of, how good it is, what it is for, and where it comes from.

`build_card` gathers it, `card_markdown` writes it for people. What was not recorded is none in the one and said to be
unknown in the other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaeforge.data.data_sets import folder_of
from vaeforge.data.prepared import Prepared
from vaeforge.evaluation.comparison import MODEL, ComparisonRow, Significance
from vaeforge.evaluation.manifest import EvaluationManifest
from vaeforge.manifests.export import DataCredits, ExportManifest, Latency, ParityOutcome, PrecisionOutcome
from vaeforge.manifests.lineage import MlflowRuns
from vaeforge.manifests.trained_model import RepeatedRuns, TrainedModelManifest
from vaeforge.package.card_texts import intended_use, limits_of
from vaeforge.package.contract import Contract
from vaeforge.paths import Project
from vaeforge.provenance import PatchedGitState
from vaeforge.records import OPTIONAL, Number
from vaeforge.training.checkpoint_files import CheckpointRef

SAMPLES = "vaeforge.data.samples"  # what made the data sets that the project carries; each one's attribution names it
LICENCE, ATTRIBUTION = "LICENSE", "ATTRIBUTION.md"


@dataclass(frozen=True)
class ModelSection:
    """What the model is; `settings` are those of its family."""

    name: str
    family: str
    task: str
    event_shape: tuple[int, ...]
    condition: tuple[str, ...]
    channels: tuple[str, ...]
    latent_dim: int
    settings: Mapping[str, Any] | None
    threshold: float
    quantile: float
    threshold_rate: float | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class DataSection:
    """What it learned from; `identity` and `hash` as in its manifest, `prepare` the settings of its layout."""

    layout: str
    identity: str
    hash: str | None
    prepare: Mapping[str, Any]
    source: str | None
    counts: Mapping[str, int] | None
    licence: str | None
    attribution: str | None
    shipped_sample: bool | None
    data_set: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class MetricLine:
    """A metric of the model on its test set; the ends of its 95 % interval are none where it has none."""

    metric: str
    better: str
    value: Number
    low: Number | None
    high: Number | None


@dataclass(frozen=True)
class Baselines:
    """By a metric: the baselines that the model is shown to beat, those that beat it, and those not shown to differ."""

    beaten: tuple[str, ...]
    better: tuple[str, ...]
    not_shown: tuple[str, ...]


@dataclass(frozen=True)
class SearchSection:
    """How it was found."""

    search: str | None
    trial: int | None
    trials: Mapping[str, int] | None
    params: Mapping[str, Any]
    repeats: RepeatedRuns | None
    beta: Mapping[str, Any] | None
    epoch: int


@dataclass(frozen=True)
class ExportSection:
    """Its graphs."""

    parity: ParityOutcome | None
    size_bytes: int | None
    latency_ms: Latency | None
    opset: int | None
    precisions: Mapping[str, PrecisionOutcome]
    graphs: tuple[str, ...]


@dataclass(frozen=True)
class VerdictSection:
    """What the gates said."""

    promote: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class LineageSection:
    """Where it comes from."""

    command: str | None
    git: PatchedGitState
    code_hash: str
    configuration_hash: str | None
    space_hash: str | None
    checkpoint: CheckpointRef
    mlflow: MlflowRuns


@dataclass(frozen=True)
class ModelCard:
    """The card of a model.

    Attributes:
        metrics: of the model on the test set.
        beaten: by metric.
        validation: `val/...` of its checkpoint.
        intended_use, limits: in sentences, the weightiest limit first.
        verdict: none where none was given yet.
    """

    model: ModelSection
    data: DataSection
    metrics: tuple[MetricLine, ...]
    beaten: Mapping[str, Baselines]
    validation: Mapping[str, Number | None]
    search: SearchSection
    intended_use: str
    limits: tuple[str, ...]
    export: ExportSection
    verdict: VerdictSection | None
    lineage: LineageSection


def build_card(
    manifest: TrainedModelManifest,
    evaluation: EvaluationManifest,
    export: ExportManifest,
    contract: Contract,
    verdict: VerdictSection | None = None,
) -> ModelCard:
    """The card of a model.

    Args:
        manifest: of `tune` or `train`.
        evaluation: the manifest of `evaluate`.
        export: the manifest of `export`.
        contract: as exported.
        verdict: of the gates; none where none was given yet.
    """
    return ModelCard(
        model=_model(manifest, contract),
        data=_data(manifest, contract, export.data),
        metrics=tuple(_metric(row) for row in evaluation.comparison if row.name == MODEL),
        beaten=_beaten(evaluation.comparison),
        validation={name: value for name, value in manifest.metrics.items() if name.startswith("val/")},
        search=_search(manifest),
        intended_use=intended_use(contract.task),
        limits=tuple(limits_of(contract, bool(export.data.shipped_sample), evaluation.metrics)),
        export=_export(export, contract),
        verdict=verdict,
        lineage=_lineage(manifest),
    )


def _model(manifest: TrainedModelManifest, contract: Contract) -> ModelSection:
    return ModelSection(
        name=manifest.lineage.registered_model,
        family=contract.family,
        task=contract.task,
        event_shape=contract.event_shape,
        condition=contract.condition,
        channels=contract.channels,
        latent_dim=contract.latent_dim,
        settings=manifest.settings.get("model"),
        threshold=contract.threshold,
        quantile=contract.quantile,
        threshold_rate=contract.threshold_rate,
    )


def _data(manifest: TrainedModelManifest, contract: Contract, credits: DataCredits) -> DataSection:
    return DataSection(
        layout=contract.data,
        identity=manifest.lineage.data_identity,
        hash=manifest.lineage.data_hash,
        prepare=contract.prepare,
        source=credits.source,
        counts=credits.counts,
        licence=credits.licence,
        attribution=credits.attribution,
        shipped_sample=credits.shipped_sample,
        data_set=None if manifest.lineage.data_set is None else str(manifest.lineage.data_set),
    )


def _metric(row: ComparisonRow) -> MetricLine:
    return MetricLine(row.metric, row.better, row.value, row.low, row.high)


def _beaten(rows: Iterable[ComparisonRow]) -> dict[str, Baselines]:
    others = [row for row in rows if row.name != MODEL]

    def shown(metric: str, side: Significance) -> tuple[str, ...]:
        return tuple(row.name for row in others if row.metric == metric and row.significant == side)

    return {
        metric: Baselines(
            beaten=shown(metric, "model is better"),
            better=shown(metric, "baseline is better"),
            not_shown=shown(metric, "no clear difference") + shown(metric, "no interval"),
        )
        for metric in dict.fromkeys(row.metric for row in others)
    }


def _search(manifest: TrainedModelManifest) -> SearchSection:
    return SearchSection(
        search=manifest.lineage.search,
        trial=manifest.lineage.trial,
        trials=manifest.trials,
        params=manifest.params,
        repeats=manifest.repeats,
        beta=manifest.settings.get("beta"),
        epoch=manifest.checkpoint.epoch,
    )


def _export(export: ExportManifest, contract: Contract) -> ExportSection:
    return ExportSection(
        parity=export.parity,
        size_bytes=export.size_bytes,
        latency_ms=export.latency_ms,
        opset=export.opset,
        precisions=export.precisions,
        graphs=tuple(sorted(contract.graphs)),
    )


def _lineage(manifest: TrainedModelManifest) -> LineageSection:
    lineage = manifest.lineage
    return LineageSection(
        command=manifest.command,
        git=lineage.git,
        code_hash=lineage.code_hash,
        configuration_hash=lineage.configuration_hash,
        space_hash=lineage.space_hash,
        checkpoint=lineage.checkpoint,
        mlflow=lineage.mlflow,
    )


def data_credits(project: Project, prepared: Prepared, family: str) -> DataCredits:
    """What is written beside the data of `family`, and how many there are."""
    folder = project.data(family) / folder_of(prepared.manifest.data_set)
    texts = [_text(path) for path in sorted(folder.rglob(ATTRIBUTION))]
    licences = [_title(_text(path)) for path in sorted(folder.rglob(LICENCE))]
    manifest = prepared.manifest
    return DataCredits(
        source=manifest.data_source,
        counts=manifest.counts or {part: len(getattr(prepared, part)) for part in ("train", "validation", "test")},
        licence="; ".join(dict.fromkeys(licences)) or None,
        attribution="\n\n".join(texts).strip() or None,
        shipped_sample=bool(texts) and all(SAMPLES in text for text in texts),
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _title(licence: str) -> str:
    """The first line that is not empty."""
    return next((line.strip() for line in licence.splitlines() if line.strip()), "an empty file")
