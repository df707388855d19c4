"""No scheduler: every trial trains to its end."""

from typing import ClassVar, Literal

from vaeforge.ledger.history import SearchHistory
from vaeforge.search.schedulers.base import RungReport, Scheduler, TrialDecision
from vaeforge.search.schedulers.settings import SchedulerContext, SchedulerSettings
from vaeforge.search.space.fidelity import Fidelity


class NoScheduler(Scheduler):
    """There is no epoch after which a trial waits."""

    def on_report(self, trial: RungReport, epoch: int, value: float) -> list[TrialDecision]:
        return []

    def on_trial_end(self, number: int) -> list[TrialDecision]:
        return []

    def replay(self, history: SearchHistory) -> None:
        """Nothing was decided."""


class NoSchedulerSettings(SchedulerSettings):
    """Every trial trains to its end."""

    place: ClassVar[int] = 4
    name: Literal["none"] = "none"

    def epochs(self, fidelity: Fidelity) -> list[int]:
        return []

    def build(self, context: SchedulerContext) -> Scheduler:
        return NoScheduler()


SCHEDULER = NoSchedulerSettings
