"""Record of a search, read once: what every figure is made from.

Nothing here is computed anew: the ledger, the manifests of the winner and of its evaluation, and the prepared data's
spectrum where the data are still the same.
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaeforge.errors import SearchError, VaeforgeError
from vaeforge.evaluation.manifest import EvaluationManifest, read_evaluation
from vaeforge.ledger.file import LedgerReader
from vaeforge.ledger.history import SearchHistory, fold
from vaeforge.manifests.files import MANIFEST
from vaeforge.manifests.trained_model import RepeatedRuns, TrainedModelManifest, read_trained_model
from vaeforge.paths import Project
from vaeforge.report.spans import TimeSpent, time_spent
from vaeforge.report.trial_points import TrialPoint, trial_points
from vaeforge.search.requests import folder_of
from vaeforge.search.results.ranking import Ranking, ranked
from vaeforge.search.results.winner_value import winner_value
from vaeforge.search.space.objective import Objective
from vaeforge.search.space.objective_form import objective_of

if TYPE_CHECKING:
    from vaeforge.data.prepared import PcaSpectrum


@dataclass(frozen=True)
class Evaluated:
    """What the evaluation of the winner left in its folder."""

    folder: Path
    manifest: EvaluationManifest

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of `tables/NAME.csv`; none where it is not there."""
        return _rows(self.folder / "tables" / f"{name}.csv")

    def curve(self, name: str) -> list[tuple[float, float]]:
        """The points of `curves/NAME.csv`; none where it is not there."""
        return [(float(row["x"]), float(row["y"])) for row in _rows(self.folder / "curves" / f"{name}.csv")]

    def pictures(self) -> dict[str, Path]:
        """The figures that the evaluation drew, by name."""
        return {path.stem: path for path in sorted((self.folder / "figures").glob("*.png"))}


@dataclass(frozen=True)
class SearchRecord:
    """A search.

    Attributes:
        name: of the search; `folder` is its.
        trials: by number, repeats among them.
        ranking: the trials that can win, best first.
        value: what is told of the winner, see `winner_value.py`; none where nothing won.
        time: where it went.
        timings: seconds of the newest session's parts, by name; empty in old searches.
        model: the winner's manifest; `evaluated` its evaluation; none where there is none of this very model.
        spectrum: of the training data; none where other data lie there now.
        damaged: lines of the ledger that could not be read.
    """

    name: str
    folder: Path
    history: SearchHistory
    objective: Objective
    trials: tuple[TrialPoint, ...]
    ranking: Ranking
    value: RepeatedRuns | None
    time: TimeSpent
    timings: Mapping[str, float]
    model: TrainedModelManifest | None
    evaluated: Evaluated | None
    spectrum: "PcaSpectrum | None"
    damaged: int

    @property
    def settings(self) -> Mapping[str, Any]:
        """The configuration that trials vary; empty in a ledger without."""
        header = self.history.header
        found: Mapping[str, Any] = header.settings.get("experiment", {}) if header else {}
        return found

    @property
    def space(self) -> Mapping[str, Any]:
        """What was searched, as it was written."""
        return self.history.header.space if self.history.header else {}

    @property
    def best(self) -> TrialPoint | None:
        """The winner."""
        return next((trial for trial in self.trials if trial.chosen), None)

    def placed(self) -> list[TrialPoint]:
        """The trials that can win, best first."""
        return sorted((trial for trial in self.trials if trial.rank is not None), key=lambda trial: trial.rank or 0)


def read_search(project: Project, name: str) -> SearchRecord:
    """The search of this name, as it stands now; one that runs can be read, too.

    Raises:
        SearchError: if there is none, or its ledger names no search.
        OSError: if its ledger cannot be read.
    """
    folder = folder_of(project, name)
    path = folder / "ledger.jsonl"
    reader = LedgerReader(path)
    events = list(reader.read()) if path.exists() else []
    history = fold(events, folder=folder)
    if history.header is None:
        raise SearchError(f"{path}: names no search; nothing was started, and there is nothing to report")
    objective = objective_of(history)
    ranking, model = ranked(history, objective), _model(folder)
    return SearchRecord(
        name=name,
        folder=folder,
        history=history,
        objective=objective,
        trials=trial_points(history, ranking),
        ranking=ranking,
        value=winner_value(history, objective),
        time=time_spent(events),
        timings=_timings(folder / "timings.json"),
        model=model,
        evaluated=_evaluated(folder / "evaluate", model),
        spectrum=_spectrum(project, history),
        damaged=reader.damaged,
    )


def _model(folder: Path) -> TrainedModelManifest | None:
    path = folder / MANIFEST
    return read_trained_model(path) if path.exists() else None


def _evaluated(folder: Path, model: TrainedModelManifest | None) -> Evaluated | None:
    """The evaluation in `folder`, if it is of this model's checkpoint."""
    path = folder / MANIFEST
    if model is None or not path.exists():
        return None
    manifest = read_evaluation(path)
    return Evaluated(folder, manifest) if manifest.lineage.checkpoint.sha256 == model.checkpoint.sha256 else None


def _spectrum(project: Project, history: SearchHistory) -> "PcaSpectrum | None":
    header = history.header
    if header is None or not project.prepared(header.family).is_dir():
        return None
    from vaeforge.data.prepared import read_prepared_manifest  # brings torch
    from vaeforge.data.prepared_places import find_prepared

    try:
        place = find_prepared(project, header.family, header.data_identity)
        return None if place is None else read_prepared_manifest(place).spectrum
    except (VaeforgeError, OSError):  # of another version: the figure says that it lacks them
        return None


def _timings(path: Path) -> Mapping[str, float]:
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {str(name): float(value) for name, value in found.items()}


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
