"""Company of trials: which ones a worker group may train at once, as lanes of one stack."""

import math
from collections.abc import Mapping, Sequence

from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.training.lanes.stack_key import stack_key


class LaneCompany:
    """What groups may train together; of a group whose memory ran out fewer than before.

    Args:
        most: trials at once, by the number of such a group.
        attempts: starts of a trial, without a new epoch in between, before it counts as failed.
    """

    def __init__(self, most: Mapping[int, int], attempts: int):
        self._most, self._attempts = most, attempts

    def most(self, host: int) -> int | None:
        """Trials that a group may train at once; none where nothing has shown a limit."""
        return self._most.get(host)

    def has_room(self, host: int, held: int) -> bool:
        """Whether a group that trains `held` trials may take one more."""
        return held < self._most.get(host, math.inf)

    def fits(self, trial: TrialRecord, beside: Sequence[TrialRecord]) -> bool:
        """Whether a trial can be trained by a group that trains those `beside` it.

        Of those whose last attempts failed a stack holds one at most, and beside one that has a single attempt left
        only trials that have come further since they last failed: who ends a process over and over is found out before
        any other one has used up its attempts.
        """
        if not beside:
            return True
        together = (trial, *beside)
        failed = sum(one.setbacks > 0 for one in together)
        last = failed and max(one.setbacks for one in together) >= self._attempts - 1
        if failed > 1 or (last and any(one.setbacks == one.furthest == 0 for one in together)):
            return False
        return stack_key(trial.params) == stack_key(beside[0].params)


def blamed(held: int, cause: str, why: str) -> tuple[str, str, int | None]:
    """What is held against each of `held` trials whose stack or group was lost: the cause, and why in words.

    Where memory ran out under several, fewer may fit, so that none of them is at fault; how many from then on is the
    last answer, else none.
    """
    if cause != "oom" or held < 2:
        return cause, why, None
    most = held // 2
    return "lost", f"{why}\nmemory ran out under {held} lanes; at most {most} from now on", most
