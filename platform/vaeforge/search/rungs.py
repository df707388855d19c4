"""Asynchronous successive halving (Li et al. 2020) within groups, as a pure rule that a ledger can replay.

At each rung a trial goes on if its value is within the best 1/reduction of those that its group has recorded there
before it. A rung's first trial has nothing to be compared with and goes on.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from vaeforge.search.history import History
from vaeforge.search.space import Fidelity


class Rungs:
    """What each group has recorded at each rung; smaller values are better."""

    def __init__(self, fidelity: Fidelity):
        self.epochs = frozenset(fidelity.rungs())
        self.percentile = 100 / fidelity.reduction
        self._recorded: dict[tuple[str, int], dict[int, float]] = {}
        self._decided: dict[tuple[int, int], Literal["go", "stop"]] = {}

    def decide(self, group: str, number: int, epoch: int, value: float) -> tuple[Literal["go", "stop"], float | None]:
        """Whether trial `number` goes on after `epoch`, and the value it needed; asking again gives the same answer."""
        recorded = self._recorded.setdefault((group, epoch), {})
        others = [other for trial, other in recorded.items() if trial != number]
        cutoff = float(np.percentile(others, self.percentile)) if others else None
        if (number, epoch) not in self._decided:
            recorded[number] = value
            self._decided[number, epoch] = "stop" if cutoff is not None and value > cutoff else "go"
        return self._decided[number, epoch], cutoff

    def replay(self, history: History) -> None:
        """Record what an earlier session recorded, in its order, with the decisions that it made."""
        for report in history.order:
            trial = history.trials[report["trial"]]
            if report["epoch"] in self.epochs and report["value"] is not None:
                self._recorded.setdefault((trial.group, report["epoch"]), {})[trial.number] = report["value"]
        for trial in history.trials.values():
            for epoch, action in trial.decisions.items():
                self._decided[trial.number, epoch] = "go" if action == "go" else "stop"

    def recorded(self, group: str, epoch: int) -> Iterable[float]:
        """The values that a group has recorded at a rung."""
        return self._recorded.get((group, epoch), {}).values()
