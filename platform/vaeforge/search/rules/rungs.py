"""One question of successive halving: is a value among the best 1/reduction of those recorded at a rung before it?

Values are compared within a key: the schedule group, and the bracket where there are several.
"""

import numpy as np

from vaeforge.search.rules.base import Arrival, Verdict, compared, counted, within

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

    def cutoff(self, key: Key) -> float | None:
        """The largest value that goes on: the percentile 100/reduction of those recorded; none for the first one."""
        values = self.recorded(key)
        return float(np.percentile(values, 100 / self.reduction)) if values else None

    def judge(self, trial: Arrival, key: Key, where: str, value: float) -> Verdict:
        """Whether the trial goes on, compared with those recorded under `key`; `where` names the rung."""
        _, group, epoch = key
        cutoff = self.cutoff(key)
        if cutoff is None:
            why = f"{where}: {value:.6g}, the first trial{within(group)}"
            return Verdict(trial.number, epoch, "go", value, None, why)
        others = counted(len(self._recorded[key]), group)
        part = PARTS.get(self.reduction, f"1/{self.reduction}")
        why = f"{where}: {compared(value, cutoff)} (best {part} of {others})"
        return Verdict(trial.number, epoch, "stop" if value > cutoff else "go", value, cutoff, why)
