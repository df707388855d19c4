"""Manifest of a scoring: which model scored which input, how many items, and how fast; its presence means complete."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaeforge.errors import DataError
from vaeforge.manifests.files import MANIFEST
from vaeforge.package.input_check import InputTally
from vaeforge.paths import write_json
from vaeforge.records import OPTIONAL, Number, read_record, renamed, to_json


@dataclass(frozen=True)
class ScoringModel:
    """The model: what people call it; its name and version in the registry, none for a folder; and what the data set is
    called that it learned from, none where it has no name.
    """

    name: str
    registered: str | None
    version: str | None
    data_set: str | None = field(default=None, metadata=OPTIONAL)


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
        checked: whether the model has statistics of its training data, with which inputs are compared.
        warning: that the inputs do not look like the training data; empty where they do, or nothing was compared.
        seen: what the comparison found.
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
    checked: bool = False
    warning: str = ""
    seen: InputTally | None = field(default=None, metadata=OPTIONAL)


def read_score_manifest(folder: Path) -> ScoreManifest:
    """The manifest in `folder`.

    Raises:
        DataError: if it is missing, not JSON, or lacks something.
    """
    remedy = "remove this folder and score again"
    return read_record(ScoreManifest, folder / MANIFEST, "manifest of a scoring", remedy)


def require_scored_with(scores: Path, model: str, graphs: frozenset[str]) -> str:
    """Refuse scores of another model than the one that they are compared with, by the manifest beside them.

    Args:
        scores: the table that `vaeforge score` wrote.
        model: what people call the model that they are compared with.
        graphs: SHA-256 of each graph of that model.

    Returns:
        What is to be said of the scores: that their inputs do not look like the training data; empty for nothing.

    Raises:
        DataError: naming the model that the scores are of, or if nothing says of which they are.
    """
    if not (scores.parent / MANIFEST).is_file():
        raise DataError(
            f"{scores}: no {MANIFEST} beside it says which model scored, so that it may be another than {model}; keep "
            "the table in the folder that `vaeforge score` wrote, or score the items again"
        )
    found = read_score_manifest(scores.parent)
    if found.scores != scores.name:
        raise DataError(f"{scores}: the {MANIFEST} beside it is of {found.scores}, and nothing says which model scored")
    if found.graph.sha256 not in graphs:
        raise DataError(
            f"{scores}: was scored with {found.model.name}, but is to be compared with {model}; scores of different "
            "models cannot be compared: score the items with this one, or name the one that scored them"
        )
    return found.warning


def write_score_manifest(folder: Path, manifest: ScoreManifest) -> None:
    """Write `manifest` into `folder` atomically."""
    write_json(folder / MANIFEST, to_json(manifest))
