"""Manifest of a scoring: which model scored which input, how many items, and how fast; its presence means complete."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaeforge.manifests.files import MANIFEST
from vaeforge.paths import write_json
from vaeforge.records import OPTIONAL, Number, read_record, renamed, to_json


@dataclass(frozen=True)
class ScoringModel:
    """The model: what people call it; its name and version in the registry, none for a folder."""

    name: str
    registered: str | None
    version: str | None


@dataclass(frozen=True)
class ScoringGraph:
    """Which graph of the model scored."""

    name: str
    sha256: str
    precision: str


@dataclass(frozen=True)
class ScoredInput:
    """What was scored: a file or folder, of pictures, arrays or tables, and how many files there were."""

    path: str
    kind: str
    files: int


@dataclass(frozen=True)
class ScoreCounts:
    """How many.

    Attributes:
        inputs: pictures or rows.
        scored: usable items.
        anomalous: of them, with a score above the threshold; called `strange` in the file.
        quarantined: items that could not be used.
        left_out_files: files beside the input's that are of no kind that is read.
    """

    inputs: int
    scored: int
    anomalous: int = field(metadata=renamed("strange"))
    quarantined: int
    left_out_files: int


@dataclass(frozen=True)
class ErrorMapFiles:
    """Error maps: their folder, what a grey level stands for, and how many pixels were above the scale's end."""

    folder: str
    unit: str
    clipped_pixels: int


@dataclass(frozen=True, kw_only=True)
class ScoreManifest:
    """What came of a scoring.

    Attributes:
        threshold: score above which an item is anomalous: chosen for a share `quantile` of normal samples.
        options: see `ScoreOptions.resume_key`.
        scores: the name of the table.
        seconds: spent on it, over all sessions.
        error_maps: none where none were asked for.
    """

    step: str = "score"
    model: ScoringModel
    family: str
    graph: ScoringGraph
    threshold: Number
    quantile: Number
    input: ScoredInput
    options: Mapping[str, Any]
    scores: str
    counts: ScoreCounts
    seconds: Number
    items_per_second: Number
    error_maps: ErrorMapFiles | None = field(default=None, metadata=OPTIONAL)


def read_score_manifest(folder: Path) -> ScoreManifest:
    """The manifest in `folder`.

    Raises:
        DataError: if it is missing, not JSON, or lacks something.
    """
    remedy = "remove this folder and score again"
    return read_record(ScoreManifest, folder / MANIFEST, "manifest of a scoring", remedy)


def write_score_manifest(folder: Path, manifest: ScoreManifest) -> None:
    """Write `manifest` into `folder` atomically."""
    write_json(folder / MANIFEST, to_json(manifest))
