"""Journal of a search for optuna-dashboard, a copy: `optuna-dashboard FOLDER/optuna.journal` shows it.

The journal is a view of the ledger: it is made anew when a search is resumed, and nothing reads it back. It is
written by a thread of its own, because its disk may be slow; whatever goes wrong there is said once and never reaches
the search. A trial has its own number in it, its values as measured and its cause as user attribute. Times are those
of writing.
"""

import math
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState

from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.search.samplers.optuna_bridge.study import (
    distribution_of,
    named,
    running_to_frozen_trial,
    silence_optuna,
    to_frozen_trial,
)
from vaeforge.search.samplers.trials import FinishedTrial
from vaeforge.search.space.dimensions import Params
from vaeforge.search.space.objective import objective_values
from vaeforge.search.space.space import Space

Attributes = Mapping[str, Any]


def say(message: str) -> None:
    """One line for a person."""
    print(f"warning: {message}", file=sys.stderr)


class Dashboard:
    """Takes what happens to trials and returns at once.

    Args:
        path: the journal; one that exists is replaced.
        name: the study's.
        earlier: what earlier sessions of the search did.
        warn: told once where the journal cannot be written.
    """

    def __init__(self, path: Path, name: str, space: Space, earlier: SearchHistory, warn: Callable[[str], None] = say):
        self._path, self._warn = path, warn
        self._queue: SimpleQueue[Callable[[Journal], None] | None] = SimpleQueue()
        records = [record for _, record in sorted(earlier.trials.items())]
        self._thread = threading.Thread(target=self._run, args=(name, space, records), name="dashboard", daemon=True)
        self._thread.start()

    def submitted(self, number: int, params: Params) -> None:
        """Trial `number` runs."""
        self._queue.put(lambda journal: journal.begin(number, params))

    def ended(
        self,
        trial: FinishedTrial,
        intermediate: Mapping[int, float] | None = None,
        attributes: Attributes | None = None,
    ) -> None:
        """`trial` has ended; its value by epoch, and what else is to be seen of it."""
        self._queue.put(lambda journal: journal.end(trial, intermediate or {}, attributes or {}))

    def leave_out_others(self, known: SearchHistory) -> None:
        """The search has ended: trials that were proposed, and had not begun, are in no ledger and are not shown."""
        records = [record for _, record in sorted(known.trials.items())]
        self._queue.put(lambda journal: journal.keep(records))

    def close(self, seconds: float = 30.0) -> bool:
        """Wait until everything has been written; whether it has."""
        self._queue.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self, name: str, space: Space, records: list[TrialRecord]) -> None:
        try:
            journal = Journal(self._path, name, space)
            journal.fill(records)
            while (action := self._queue.get()) is not None:
                action(journal)
        except Exception as error:  # whatever it is, a view must not end the search
            self._warn(f"{self._path}: {error}; the search continues, but optuna-dashboard no longer follows it")


class Journal:
    """The study in the file. Trial numbers are places in it, so that a number that is missing gets a waiting trial."""

    def __init__(self, path: Path, name: str, space: Space):
        silence_optuna()
        self._path, self._name = path, name
        self._space, self._goals = space, space.objective.goals
        self._create()

    def _create(self) -> None:
        path, name = self._path, self._name
        path.unlink(missing_ok=True)
        self._storage = JournalStorage(JournalFileBackend(str(path)))
        ways = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
        self._study = self._storage.create_new_study([ways[goal.mode] for goal in self._goals], name)
        self._name_metrics(name)
        self._ids: list[int] = []
        self._begun: set[int] = set()
        self._done: set[int] = set()

    def _name_metrics(self, name: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.load_study(study_name=name, storage=self._storage)
            study.set_metric_names([goal.metric for goal in self._goals])

    def fill(self, records: Iterable[TrialRecord]) -> None:
        """Trials of earlier sessions, by number."""
        for record in records:
            self.add(record)

    def keep(self, records: Sequence[TrialRecord]) -> None:
        """See `Dashboard.leave_out_others`; a study cannot lose a trial, so it is made anew where it has others."""
        if self._begun <= {record.number for record in records}:
            return
        self._create()
        self.fill(records)

    def add(self, record: TrialRecord) -> None:
        """A trial of an earlier session."""
        by_epoch = {} if len(self._goals) > 1 else {epoch: report.value for epoch, report in record.reports.items()}
        attributes = {"cause": record.cause, "repeat_of": record.repeat_of, "group": record.group}
        if record.state is None:
            self.begin(record.number, record.params)
            return
        measured = objective_values(record, self._goals)
        values = tuple(value for value in measured if value is not None)
        whole = values if len(values) == len(measured) else None
        ended = FinishedTrial(record.number, record.params, record.state, whole, record.epoch)
        self._reserve(record.number)
        trial = to_frozen_trial(ended, self._space.dimensions, _finite(by_epoch), _known(attributes))
        self._ids.append(self._storage.create_new_trial(self._study, trial))
        self._begun.add(record.number)
        self._done.add(record.number)

    def begin(self, number: int, params: Params) -> None:
        """See `Dashboard.submitted`."""
        if number in self._begun:
            return
        self._reserve(number)
        self._begun.add(number)
        if number == len(self._ids):
            trial = running_to_frozen_trial(params, self._space.dimensions)
            self._ids.append(self._storage.create_new_trial(self._study, trial))
            return
        for name, (dimension, value) in named(self._space.dimensions, params).items():
            distribution = distribution_of(dimension)
            inner = distribution.to_internal_repr(value)
            self._storage.set_trial_param(self._ids[number], name, inner, distribution)
        self._storage.set_trial_state_values(self._ids[number], TrialState.RUNNING)

    def end(self, trial: FinishedTrial, intermediate: Mapping[int, float], attributes: Attributes) -> None:
        """See `Dashboard.ended`."""
        if trial.number is None or trial.number in self._done:
            return
        self.begin(trial.number, trial.params)
        place, shown = self._ids[trial.number], to_frozen_trial(trial, self._space.dimensions, _finite(intermediate))
        for epoch, value in sorted(shown.intermediate_values.items()) if len(self._goals) == 1 else ():
            self._storage.set_trial_intermediate_value(place, epoch, value)
        for key, value in _known(attributes).items():
            self._storage.set_trial_user_attr(place, key, value)
        self._storage.set_trial_state_values(place, shown.state, shown.values)
        self._done.add(trial.number)

    def _reserve(self, number: int) -> None:
        """Waiting trials for the numbers before `number` that nothing is known of."""
        while len(self._ids) < number:
            waiting = optuna.trial.create_trial(state=TrialState.WAITING)
            self._ids.append(self._storage.create_new_trial(self._study, waiting))


def _finite(values: Mapping[int, float | None]) -> dict[int, float]:
    return {epoch: value for epoch, value in values.items() if value is not None and math.isfinite(value)}


def _known(attributes: Attributes) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if value is not None}
