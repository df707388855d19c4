"""History of a search as pandas tables: one row a trial, one row an epoch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaeforge.ledger.history import read_history
from vaeforge.paths import Project
from vaeforge.search.requests import folder_of
from vaeforge.search.results import reports
from vaeforge.search.results.ranking import ranked
from vaeforge.search.space.objective_form import objective_of

if TYPE_CHECKING:
    from pandas import DataFrame

FACTS = (
    *("state", "why", "value", "epoch", "seconds", "core_seconds", "gpu_seconds", "lanes"),
    *("attempts", "group", "repeat_of"),
)


class History:
    """What the ledger of a search says, as it is when this is made; a search that runs can be read, too.

    Args:
        name: of the search.
        project: the project's folder.

    Raises:
        SearchError: if there is no such search.
    """

    def __init__(self, name: str, project: str | Path = "."):
        self.name = name
        self._history = read_history(folder_of(Project(project), name) / "ledger.jsonl")

    @property
    def best_trial(self) -> int | None:
        """The number of the trial whose model is handed on; none while no trial can be ranked."""
        standings = ranked(self._history, objective_of(self._history)).standings
        return next((standing.trial.number for standing in standings if standing.chosen), None)

    def trials(self) -> "DataFrame":
        """One row a trial, indexed by its number.

        Columns: `state`, `why` it ended, `value` (the metric that is searched for, at the best epoch), `epoch` (the
        last one), `seconds` in training and what they cost (`core_seconds`, `gpu_seconds`; of an epoch of several
        lanes the trial's share), `lanes` (most trials that were trained as one model with it, itself counted),
        `attempts`, `group`, `repeat_of`; then the metrics of the best epoch
        (`val/…`), and the parameters by their path (`model.latent_dim`), not given where a trial has no such one.
        """
        import pandas

        rows = [
            {
                "trial": row.trial,
                **{name: getattr(row, name) for name in FACTS},
                **self._history.trials[row.trial].best_metrics,
                **row.params,
            }
            for row in reports.trials(self._history)
        ]
        return pandas.DataFrame(rows, columns=_columns(rows, ("trial", *FACTS))).set_index("trial")

    def epochs(self) -> "DataFrame":
        """One row an epoch of a trial, indexed by `trial` and `epoch`.

        Columns: `value`, `seconds`, `lanes` (trials that were trained as one model, this one counted), the scheduler's
        `decision` after the epoch (`go`, `stop`, `inherit`; none where it did not compare), and all metrics (`train/…`,
        `val/…`).
        """
        import pandas

        rows: list[dict[str, Any]] = []
        for number in sorted(self._history.trials):
            detail = reports.trial(self._history, number)
            decided = {one.epoch: one.action for one in detail.decisions}
            rows += [
                {
                    "trial": number,
                    "epoch": one.epoch,
                    "value": one.value,
                    "seconds": one.seconds,
                    "lanes": 1 + len(one.beside),
                    "decision": decided.get(one.epoch),
                    **one.metrics,
                }
                for one in detail.epochs
            ]
        facts = ("trial", "epoch", "value", "seconds", "lanes", "decision")
        return pandas.DataFrame(rows, columns=_columns(rows, facts)).set_index(["trial", "epoch"])


def _columns(rows: list[dict[str, Any]], first: tuple[str, ...]) -> list[str]:
    """The columns of `rows`, those of `first` there even if no row is."""
    return list(dict.fromkeys([*first, *(name for row in rows for name in row)]))
