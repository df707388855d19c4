"""Median stopping: Golovin et al. 2017, "Google Vizier: A Service for Black-Box Optimization", section 3.2.2.

A trial stops after an epoch if its best value so far is strictly worse than the median of the other trials' running
averages, each over that trial's values up to the same epoch. Here:
- the first epoch that counts, for averages too, is `grace`: earlier ones mostly say how far a schedule has come;
- the others are those of the group that have a value at this epoch, ended or not; the paper takes completed ones, of
  which there are none while a search's first trials run. Fewer than three are no median worth stopping for;
- a value is the best so far already, once its beta has been full (`training/early_stopping.py`), so a running average
  lies below the one of the raw values that the paper takes, and the rule is a little stricter.
It decides after every epoch, as the paper does. A decision is one message and one line of the ledger; deciding less
often would spare those and train what is to be stopped for longer.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from vaeforge.search.schedulers.base import ImmediateScheduler, RungReport, Scheduler, TrialDecision, compared, counted
from vaeforge.search.schedulers.settings import SchedulerContext, SchedulerSettings
from vaeforge.search.space.fidelity import Fidelity

FEWEST = 3  # others, as in Ray Tune and Optuna's tutorials


@dataclass
class RunningAverage:
    """A trial's values from `grace` on, as far as the rule needs them."""

    best: float = math.inf
    total: float = 0.0
    count: int = 0


class MedianStopping(ImmediateScheduler):
    """Compares within the schedule group after every one of `epochs`."""

    def __init__(self, epochs: Iterable[int]):
        super().__init__(epochs)
        self._running_averages: dict[int, RunningAverage] = {}
        self._averages: dict[tuple[str, int], dict[int, float]] = {}

    def _judge(self, trial: RungReport, epoch: int, value: float) -> TrialDecision:
        others = list(self._averages.get((trial.group, epoch), {}).values())
        best = min(value, self._running_averages.get(trial.number, RunningAverage()).best)
        if len(others) < FEWEST:
            found = counted(len(others), trial.group, "other trial")
            why = f"epoch {epoch}: {value:.6g}, {found}, must be {FEWEST} to compare with"
            return TrialDecision(trial.number, epoch, "go", value, None, why)
        median = float(np.median(others))
        averages = counted(len(others), trial.group, "other trial")
        why = f"epoch {epoch}: best {compared(best, median)} (median of the running averages of {averages})"
        return TrialDecision(trial.number, epoch, "stop" if best > median else "go", value, median, why)

    def _record(self, number: int, group: str, epoch: int, value: float) -> None:
        course = self._running_averages.setdefault(number, RunningAverage())
        course.best, course.total, course.count = min(course.best, value), course.total + value, course.count + 1
        self._averages.setdefault((group, epoch), {})[number] = course.total / course.count


class MedianSettings(SchedulerSettings):
    """The median stopping rule (Golovin et al. 2017), at each epoch from `grace` on."""

    place: ClassVar[int] = 2
    begins: ClassVar[str | None] = "grace"
    must_decide: ClassVar[bool] = True
    name: Literal["median"] = "median"
    grace: Annotated[int | None, Field(ge=1, description="first epoch that is judged; none: fidelity.min")] = None

    def epochs(self, fidelity: Fidelity) -> list[int]:
        return list(range(self.first(fidelity)[1], fidelity.max))

    def build(self, context: SchedulerContext) -> Scheduler:
        return MedianStopping(self.epochs(context.fidelity))


SCHEDULER = MedianSettings
