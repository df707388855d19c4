"""Company of trials: which ones a worker group may train at once, as lanes of one stack."""

import math
from collections.abc import Sequence

from vaeforge.ledger.history import TrialRecord
from vaeforge.training.lanes.stack_key import stack_key


class LaneCompany:
    """What groups may train together; of a group whose memory ran out fewer than before.

    Attributes:
        most: trials at once, by the number of such a group.
    """

    def __init__(self) -> None:
        self.most: dict[int, int] = {}

    def has_room(self, host: int, held: int) -> bool:
        """Whether a group that trains `held` trials may take one more."""
        return held < self.most.get(host, math.inf)

    def fits(self, trial: TrialRecord, beside: Sequence[TrialRecord]) -> bool:
        """Whether a trial can be trained by a group that trains those `beside` it.

        Of those whose last attempts failed a stack holds one at most: who ends a process over and over is found out
        before any other one has used up its attempts.
        """
        if not beside:
            return True
        failed = sum(one.setbacks > 0 for one in (trial, *beside))
        return failed <= 1 and stack_key(trial.params) == stack_key(beside[0].params)

    def blamed(self, host: int, held: int, cause: str, why: str) -> tuple[str, str]:
        """The cause that is held against each of `held` trials whose group was lost, and why in words.

        Where memory ran out under several, fewer may fit, so that none of them is at fault.
        """
        if cause != "oom" or held < 2:
            return cause, why
        self.most[host] = held // 2
        return "lost", f"{why}; trained with {held} lanes, at most {self.most[host]} from now on"
