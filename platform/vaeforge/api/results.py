"""Results of searches, trainings and evaluations."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

    from vaeforge.api.history import History
    from vaeforge.api.models import Model
    from vaeforge.registry.register import Registration
    from vaeforge.trained import TrainedModel


@dataclass(frozen=True)
class SearchResult:
    """The best model of a search, or the model of a training.

    Attributes:
        project: the project's folder.
        name: of the search.
        folder: of the search: ledger, checkpoints, and what was made of its best model.
        trial: the number of the best trial.
        params: dotted path to value of what was searched.
        metrics: validation metrics of the best epoch.
        registration: the version in the registry; none where nothing was registered.
    """

    project: Path
    name: str
    folder: Path
    trial: int
    params: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    registration: "Registration | None" = None

    def history(self) -> "History":
        """All trials and epochs of the search as tables."""
        from vaeforge.api.history import History

        return History(self.name, self.project)

    def trained(self) -> "TrainedModel":
        """The model in torch, with the prepared data that it learned from; see `load_trained`."""
        from vaeforge.api.models import load_trained

        return load_trained(self.name, self.project)

    def model(self) -> "Model":
        """The exported model, where the search was registered; see `load`."""
        from vaeforge.api.models import load

        return load(self.folder / "export", self.project)


@dataclass(frozen=True)
class Evaluation:
    """Measurements of a model on its test data.

    Attributes:
        folder: tables, curves and figures.
        metrics: by name, `test/…` and `val/…`; none where a number was not finite.
    """

    folder: Path
    metrics: Mapping[str, float | None]

    def comparison(self) -> "DataFrame":
        """The model beside its baselines, with intervals: one row a metric and baseline."""
        import pandas

        return pandas.read_csv(self.folder / "comparison.csv")
