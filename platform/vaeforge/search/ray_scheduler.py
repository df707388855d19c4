"""What Ray Tune is given to decide with: a rule of `rules/`, and the end of the search on request.

Each decision is written through the broker before Tune acts on it. Tune pickles what it is given, to resume from; a
search resumes from its ledger instead, so nothing of these needs to survive a pickle.
"""

from collections.abc import Callable
from threading import Event
from typing import Any

from ray.tune import Stopper
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from vaeforge.ledger.history import REPEATED
from vaeforge.search.schedulers import Arrival, Rule, Verdict

Decide = Callable[[list[Verdict]], None]


class RuleScheduler(FIFOScheduler):
    """Asks `rule` after the epochs at which it compares trials, and tells it of trials that ended in another way."""

    def __init__(self, rule: Rule, decide: Decide):
        super().__init__()
        self._rule, self._decide = rule, decide

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        config, epoch = trial.config, result["epoch"]
        if epoch not in self._rule.epochs or config["group"] == REPEATED:
            return str(TrialScheduler.CONTINUE)
        arrival = Arrival(config["trial"], config["group"], config["params"])
        value = result["newest"] if self._rule.by_newest else result["value"]
        verdicts = self._rule.arrive(arrival, epoch, value)
        self._decide(verdicts)
        own = {verdict.action for verdict in verdicts if verdict.trial == arrival.number}
        return str(TrialScheduler.STOP if "stop" in own else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        if trial.config["group"] != REPEATED:
            self._decide(self._rule.leave(trial.config["trial"]))

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
