"""Rungs of successive halving: is a value among the best 1/reduction of those recorded there before it?

Values are compared within a key: the schedule group, and the bracket where there are several. A group with fewer than
`reduction` values at a rung has no best part yet: until then a trial is compared with all groups of its bracket. On the
table of `benchmarks/search_quality.py` a search that waits for each group to fill needs a quarter more for the same.
"""

import numpy as np

from vaeforge.search.schedulers.base import GLOBAL_GROUP, RungReport, TrialDecision, compared, counted

Key = tuple[int, str, int]  # bracket, group, epoch
PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth"}


class Rungs:
    """What has been recorded at each rung; smaller values are better."""

    def __init__(self, reduction: int):
        self.reduction = reduction
        self._recorded: dict[Key, dict[int, float]] = {}

    def record(self, key: Key, number: int, value: float) -> None:
        """Keep the value of trial `number` for the comparisons to come."""
        self._recorded.setdefault(key, {})[number] = value

    def recorded(self, key: Key) -> list[float]:
        """The values at a rung, in the order of their arrival."""
        return list(self._recorded.get(key, {}).values())

    def compared_with(self, key: Key) -> tuple[list[float], str]:
        """The values that a trial of `key` is compared with, and whose they are."""
        bracket, group, epoch = key
        own = self.recorded(key)
        if len(own) >= self.reduction:
            return own, counted(len(own), group)
        rungs = [known for (b, _, e), known in self._recorded.items() if (b, e) == (bracket, epoch)]
        values = [value for known in rungs for value in known.values()]
        return values, counted(len(values), GLOBAL_GROUP if len(values) > len(own) else group)

    def judge(self, trial: RungReport, key: Key, where: str, value: float) -> TrialDecision:
        """Whether the trial continues, compared with those recorded under `key`; `where` names the rung."""
        _, _, epoch = key
        values, others = self.compared_with(key)
        if not values:
            return TrialDecision(trial.number, epoch, "go", value, None, f"{where}: {value:.6g}, the first trial")
        cutoff = float(np.percentile(values, 100 / self.reduction))
        part = PARTS.get(self.reduction, f"1/{self.reduction}")
        why = f"{where}: {compared(value, cutoff)} (best {part} of {others})"
        return TrialDecision(trial.number, epoch, "stop" if value > cutoff else "go", value, cutoff, why)
