"""Budget of a search: time, cores, GPUs, a value to be reached. Light: the dispatcher imports it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaeforge.ledger.events import FINAL_OUTCOMES
from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord

HOUR = 3600.0


@dataclass(frozen=True)
class BudgetSpent:
    """Seconds: on the clock over all sessions, and in training times the cores and GPUs that it held."""

    wall: float = 0.0
    core: float = 0.0
    gpu: float = 0.0


@dataclass(frozen=True)
class BudgetLimits:
    """What may be spent, in seconds, and the value (smaller is better) that ends the search; none is no limit."""

    wall: float | None = None
    core: float | None = None
    gpu: float | None = None
    target: float | None = None

    @classmethod
    def of(cls, budget: Mapping[str, Any]) -> "BudgetLimits":
        """The limits in the settings `search.budget`."""
        hours = {kind: budget.get(f"{kind}_hours") for kind in ("wall", "core", "gpu")}
        return cls(**{kind: h and h * HOUR for kind, h in hours.items()}, target=budget.get("target"))

    def exhausted(self, spent: BudgetSpent) -> str | None:
        """The first limit that `spent` has reached, in words; none while there is something left."""
        for kind, name in (("wall", "wall-clock time"), ("core", "core-hours"), ("gpu", "GPU-hours")):
            limit, used = getattr(self, kind), getattr(spent, kind)
            if limit is not None and used >= limit:
                return f"{name}: {used / HOUR:.4g} h of {limit / HOUR:.4g} h"
        return None

    def hit(self, value: float | None) -> str | None:
        """In words, that `value` is the target or better."""
        if self.target is None or value is None or value > self.target:
            return None
        return f"target: {value:.6g} <= {self.target:.6g}"

    def reached(self, trial: TrialRecord, floors: Mapping[str, float]) -> str | None:
        """In words, that `trial` has reached the target and keeps the floors; none otherwise, and for a repeat."""
        kept = all((trial.best_metrics.get(name) or 0.0) >= floor for name, floor in floors.items())
        return self.hit(trial.value) if kept and trial.repeat_of is None else None

    def over(self, history: SearchHistory, floors: Mapping[str, float], wall: float) -> str | None:
        """Why the search of `history` is over after `wall` seconds, in words; none while it may go on.

        A target counts that was reached since the search last ended by itself: after that, more trials were asked for.
        """
        fresh = [trial for trial in history.ended_trials[history.settled :] if trial.state in FINAL_OUTCOMES]
        found = (self.reached(trial, floors) for trial in fresh)
        spent = BudgetSpent(wall, history.core_seconds, history.gpu_seconds)
        return self.exhausted(spent) or next(filter(None, found), None)

    def describe(self, spent: BudgetSpent) -> str | None:
        """How much of each limit is used; none without limits."""
        parts = [
            f"{getattr(spent, kind) / limit:.0%} of {limit / HOUR:.4g} {name}"
            for kind, name in (("wall", "h"), ("core", "core-h"), ("gpu", "GPU-h"))
            if (limit := getattr(self, kind)) is not None
        ]
        return ", ".join(parts) or None
