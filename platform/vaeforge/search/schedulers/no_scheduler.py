"""No rule: every trial trains to its end."""

from vaeforge.ledger.history import History
from vaeforge.search.schedulers.base import RungReport, Scheduler, TrialDecision


class NoScheduler(Scheduler):
    """There is no epoch after which a trial waits."""

    def on_report(self, trial: RungReport, epoch: int, value: float) -> list[TrialDecision]:
        return []

    def on_trial_end(self, number: int) -> list[TrialDecision]:
        return []

    def replay(self, history: History) -> None:
        """Nothing was decided."""
