"""Asynchronous successive halving (ASHA): Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning".

After the epochs min, min*reduction, min*reduction^2, ... < max (the rungs), a trial continues if its value is at most
the percentile 100/reduction of what its group has recorded at that rung before it, or of what all groups have while its
own has fewer than `reduction` values (`halving.py`). Nothing waits for a rung to fill; a rung's first trial continues.
This is the stopping variant of the paper's rule, the one of Ray Tune's `AsyncHyperBandScheduler`: a trial is never
paused to be promoted later.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from vaeforge.search.schedulers.base import ImmediateScheduler, RungReport, Scheduler, TrialDecision
from vaeforge.search.schedulers.halving import Rungs
from vaeforge.search.schedulers.settings import SchedulerContext, SchedulerSettings
from vaeforge.search.space.fidelity import Fidelity


class ASHA(ImmediateScheduler):
    """One bracket: every trial meets every rung."""

    def __init__(self, rungs: Sequence[int], reduction: int):
        super().__init__(rungs)
        self._rungs = Rungs(reduction)

    def _judge(self, trial: RungReport, epoch: int, value: float) -> TrialDecision:
        return self._rungs.judge(trial, (0, trial.group, epoch), f"rung {epoch}", value)

    def _record(self, number: int, group: str, epoch: int, value: float) -> None:
        self._rungs.record((0, group, epoch), number, value)


class ASHASettings(SchedulerSettings):
    """Asynchronous successive halving (Li et al. 2020); its rungs are those of `fidelity`."""

    place: ClassVar[int] = 0
    name: Literal["asha"] = "asha"

    def epochs(self, fidelity: Fidelity) -> list[int]:
        return fidelity.rungs()

    def build(self, context: SchedulerContext) -> Scheduler:
        return ASHA(self.epochs(context.fidelity), context.fidelity.reduction)


SCHEDULER = ASHASettings
