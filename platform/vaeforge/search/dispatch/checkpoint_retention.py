"""Retention of a search's checkpoints, and inheritance from one trial to another. Light: the dispatcher uses it."""

from contextlib import suppress
from dataclasses import dataclass

from vaeforge.errors import CheckpointError
from vaeforge.ledger.checkpoint_places import trial_folder
from vaeforge.ledger.events import InheritedState
from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.search.results.ranking import retained_trials
from vaeforge.search.space.objective import Objective
from vaeforge.training.checkpoint_files import inherit
from vaeforge.training.storage import name_of, open_storage


@dataclass(frozen=True)
class Deletions:
    """What may go: all of some trials' checkpoints, and of others all but one file."""

    trials: tuple[int, ...]
    but: tuple[tuple[int, str], ...]


class CheckpointRetention:
    """Removes the checkpoints of ended trials that are not among the best, as trials end."""

    def __init__(self, history: SearchHistory, objective: Objective, count: int, root: str):
        self._history, self._objective, self._count, self._root = history, objective, count, root
        self._there: set[int] = set()
        self._seen = 0
        self.delete(self.due_deletions())

    def due_deletions(self) -> Deletions:
        """What the trials that have ended since the last call leave behind; quick, touches no file."""
        fresh = self._history.ended_trials[self._seen :]
        self._seen += len(fresh)
        self._there |= {trial.number for trial in fresh}
        there = [self._history.trials[number] for number in self._there]  # what is gone was not among the best before
        names = retained_trials(self._history, self._objective, self._count, there)
        gone = tuple(number for number in self._there if number not in names)
        self._there -= set(gone)
        but = tuple((trial.number, trial.best.file) for trial in fresh if trial.number in names and trial.best)
        return Deletions(gone, but)

    def delete(self, deletions: Deletions) -> None:
        """Remove it; what cannot be removed now is tried again when the next trial has ended."""
        for number in deletions.trials:
            try:
                open_storage(trial_folder(self._root, number)).clear()
            except OSError:
                self._there.add(number)
        for number, file in deletions.but:
            with suppress(OSError):  # a few files too many
                open_storage(trial_folder(self._root, number)).keep_only([file])

    def has_model(self, trial: TrialRecord) -> bool:
        """Whether the trial's best checkpoint is still there: an earlier session may have kept fewer.

        Raises:
            OSError: if the storage does not answer.
        """
        names = open_storage(trial_folder(self._root, trial.number)).names()
        return trial.best is not None and name_of(trial.best.file) in names

    def inherit(self, donor: TrialRecord, number: int, epoch: int) -> InheritedState:
        """Put the state of `donor` after `epoch` where its own tidying does not reach; what the ledger says of it.

        Raises:
            CheckpointError: if it is gone or cannot be copied.
        """
        report = donor.reports[epoch]
        if report.checkpoint is None:
            raise CheckpointError(f"trial {donor.number}, epoch {epoch}: has no checkpoint to continue from")
        taken, taken_best = inherit(report.checkpoint, report.best, trial_folder(self._root, number))
        return InheritedState(taken, taken_best, donor.best_metrics)
