"""No rule: every trial trains to its end."""

from vaeforge.ledger.history import History
from vaeforge.search.schedulers.base import Arrival, Rule, Verdict


class Free(Rule):
    """There is no epoch after which a trial waits."""

    def arrive(self, trial: Arrival, epoch: int, value: float) -> list[Verdict]:
        return []

    def leave(self, number: int) -> list[Verdict]:
        return []

    def replay(self, history: History) -> None:
        """Nothing was decided."""
