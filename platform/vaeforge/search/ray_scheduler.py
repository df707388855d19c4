"""Scheduler and stopper that Ray Tune is given: a scheduler of `schedulers/`, and the end of the search on request.

Each decision is written through the dispatcher before Tune acts on it. Tune pickles what it is given, to resume from; a
search resumes from its ledger instead, so nothing of these needs to survive a pickle.
"""

from collections.abc import Callable
from threading import Event
from typing import Any

from ray.tune import Stopper
from ray.tune.schedulers import FIFOScheduler

from vaeforge.ledger.history import REPEATED
from vaeforge.search.schedulers.base import RungReport, Scheduler, TrialDecision

Decide = Callable[[list[TrialDecision]], None]


class LedgerScheduler(FIFOScheduler):
    """Asks `scheduler` after the epochs at which it compares trials, and tells it of trials that ended otherwise."""

    def __init__(self, scheduler: Scheduler, decide: Decide):
        super().__init__()
        self._scheduler, self._decide = scheduler, decide

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        config, epoch = trial.config, result["epoch"]
        if epoch not in self._scheduler.epochs or config["group"] == REPEATED:
            return str(FIFOScheduler.CONTINUE)
        report = RungReport(config["trial"], config["group"], config["params"])
        value = result["newest"] if self._scheduler.uses_latest_value else result["value"]
        decisions = self._scheduler.on_report(report, epoch, value)
        self._decide(decisions)
        own = {decision.action for decision in decisions if decision.trial == report.number}
        return str(FIFOScheduler.STOP if "stop" in own else FIFOScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        if trial.config["group"] != REPEATED:
            self._decide(self._scheduler.on_trial_end(trial.config["trial"]))

    def __getstate__(self) -> dict[str, Any]:
        return {}


class OnRequest(Stopper):
    """Ends Tune's loop once one of the events is set."""

    def __init__(self, *requested: Event):
        self._requested = requested

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return any(event.is_set() for event in self._requested)

    def __getstate__(self) -> dict[str, Any]:
        return {}
