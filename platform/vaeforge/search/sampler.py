"""Optuna behind Ray Tune, told the truth.

Ray's own OptunaSearch tells Optuna that a trial stopped at a rung is COMPLETE with its under-trained value, and leaves
trials that end in NaN RUNNING for ever. Here a stopped trial is PRUNED with its value at its epoch, a failed one FAIL,
and only a trial that was trained to its end is COMPLETE. The study is a view of the ledger: a resumed search rebuilds
it, so its journal can be thrown away without loss.
"""

import time
import warnings
from collections import deque
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from vaeforge.config import Experiment
from vaeforge.search.dimensions import Dimension, Params, Range
from vaeforge.search.history import FINAL_OUTCOMES, History, TrialRecord
from vaeforge.search.space import Space
from vaeforge.seeds import derive


class TruthfulSearch(OptunaSearch):
    """Proposes the trials of one search: unfinished ones first, then the space's start points, then TPE's.

    Attributes:
        ask_seconds: time spent in Optuna for proposals.
    """

    def __init__(self, space: Space, base: Experiment, history: History, seed: int, trials: int, journal: Path):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        journal.unlink(missing_ok=True)  # a view of the ledger, rebuilt below
        backend = optuna.storages.journal.JournalFileBackend(str(journal))
        super().__init__(
            space=space.suggest,
            metric="value",
            mode="min",
            seed=seed,
            study_name=journal.parent.name,
            storage=optuna.storages.JournalStorage(backend),
        )
        self._vae_space, self._base, self._search_seed, self._limit = space, base, seed, trials
        self._adopted: deque[TrialRecord] = deque()
        self._next = max(history.trials, default=-1) + 1
        self.ask_seconds = 0.0
        self.interrupted = False
        self._rebuild(history)

    @property
    def remaining(self) -> int:
        """Trials that Tune still has to start."""
        return len(self._adopted) + max(0, self._limit - self._next)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A configuration for Tune: the trial's number, its flat parameters and its group."""
        started = time.monotonic()
        try:
            if self._adopted:
                return self._adopt(trial_id, self._adopted.popleft())
            if self._next >= self._limit:
                return str(Searcher.FINISHED)
            number, self._next = self._next, self._next + 1
            return self._config(number, self._ask(trial_id, number))
        finally:
            self.ask_seconds += time.monotonic() - started

    def _ask(self, trial_id: str, number: int) -> Params:
        """What trial `number` is: a start point, or TPE's proposal under a seed of its own."""
        if number < len(self._vae_space.start):
            names = self._vae_space.optuna_names(self._vae_space.start[number])
            self._ot_study.enqueue_trial({name: value for name, (_, value) in names.items()})
        self._ot_study.sampler = _tpe(derive(self._search_seed, "ask", number))
        self._ot_trials[trial_id] = self._ot_study.ask()
        return self._vae_space.suggest(self._ot_trials[trial_id])

    def _adopt(self, trial_id: str, record: TrialRecord) -> dict[str, Any]:
        """An unfinished trial of an earlier session, with the number and parameters that it had."""
        names = self._vae_space.optuna_names(record.params)
        self._ot_study.enqueue_trial({name: value for name, (_, value) in names.items()})
        self._ot_trials[trial_id] = self._ot_study.ask()
        self._vae_space.suggest(self._ot_trials[trial_id])
        return self._config(record.number, record.params)

    def _config(self, number: int, params: Params) -> dict[str, Any]:
        return {"trial": number, "params": params, "group": self._vae_space.group(params, self._base)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the one number that Optuna needs from the way is told when the trial ends."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if trial_id in self._completed_trials or self.interrupted:
            return
        self._completed_trials.add(trial_id)
        trial = self._ot_trials.pop(trial_id)
        outcome = "crash" if error or not result else result.get("outcome", "crash")
        if outcome in FINAL_OUTCOMES:
            assert result is not None
            self._ot_study.tell(trial, result["value"])
        elif outcome in ("running", "stopped"):
            assert result is not None
            trial.report(result["value"], result["epoch"])
            self._ot_study.tell(trial, state=TrialState.PRUNED)
        else:
            self._ot_study.tell(trial, state=TrialState.FAIL)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: Tune's copy of the sampler is not what a search resumes from."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _rebuild(self, history: History) -> None:
        """Fill the study with the ended trials of earlier sessions and queue those that have not ended."""
        for _, record in sorted(history.trials.items()):
            if record.state is None:
                self._adopted.append(record)
            else:
                self._ot_study.add_trial(frozen(self._vae_space, record))


def _tpe(seed: int) -> optuna.samplers.TPESampler:
    """TPE over conditional spaces: one joint model for each group of parameters that occur together."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # `group` is one still
        return optuna.samplers.TPESampler(multivariate=True, group=True, seed=seed)


def frozen(space: Space, record: TrialRecord) -> optuna.trial.FrozenTrial:
    """An ended trial as Optuna keeps it."""
    names = space.optuna_names(record.params)
    state = {"stopped": TrialState.PRUNED, "failed": TrialState.FAIL}.get(record.state or "", TrialState.COMPLETE)
    pruned_at = {record.epoch: record.value} if state == TrialState.PRUNED and record.value is not None else {}
    return optuna.trial.create_trial(
        state=state,
        value=None if state == TrialState.FAIL else record.value,
        params={name: value for name, (_, value) in names.items()},
        distributions={name: distribution_of(dimension) for name, (dimension, _) in names.items()},
        intermediate_values=pruned_at,
    )


def distribution_of(dimension: Dimension) -> BaseDistribution:
    """The Optuna distribution that `dimension.suggest` draws from."""
    if not isinstance(dimension, Range):
        return CategoricalDistribution(list(dimension.options))
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
