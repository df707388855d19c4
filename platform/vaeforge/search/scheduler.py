"""What Ray Tune is given to decide with: ASHA by the rule of `rungs.py`, and the end of the search on request.

Each decision is written through the broker before Tune acts on it. Tune pickles what it is given, to resume from; a
search resumes from its ledger instead, so nothing of these needs to survive a pickle.
"""

from collections.abc import Callable
from threading import Event
from typing import Any, Literal

from ray.tune import Stopper
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from vaeforge.search.rungs import Rungs

Decide = Callable[[int, int, Literal["go", "stop"], float, float | None], None]


class GroupedASHA(FIFOScheduler):
    """Compares trials at rungs on `epoch`, within the group that their configuration names."""

    def __init__(self, rungs: Rungs, decide: Decide):
        super().__init__()
        self._rungs, self._decide = rungs, decide

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if result["epoch"] not in self._rungs.epochs or result["outcome"] != "running":
            return str(TrialScheduler.CONTINUE)
        number, group = trial.config["trial"], trial.config["group"]
        action, cutoff = self._rungs.decide(group, number, result["epoch"], result["value"])
        self._decide(number, result["epoch"], action, result["value"], cutoff)
        return str(TrialScheduler.CONTINUE if action == "go" else TrialScheduler.STOP)

    def __getstate__(self) -> dict[str, Any]:
        return {}


class OnRequest(Stopper):
    """Ends Tune's loop once `requested` is set."""

    def __init__(self, requested: Event):
        self._requested = requested

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._requested.is_set()

    def __getstate__(self) -> dict[str, Any]:
        return {}
