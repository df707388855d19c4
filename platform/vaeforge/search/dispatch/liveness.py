"""Liveness of worker groups: when each was last heard of and last got on, and how long it may go without either.

A rank that is silent was stopped, or its node is frozen; one that is heard of and makes no steps hangs. How long steps
take depends on model, data and storage, so that the limit follows what the attempt itself has shown. Until it has shown
a whole epoch, validation and checkpoint included, it has more time; and so has a trial that was ended for this before,
as the limit may have been at fault. Pure bookkeeping like `dispatcher.py`, which owns one of these for each group.
"""

from dataclasses import dataclass, field

FIRST_EPOCH = 10  # times the limit that an attempt has for each step until it has reported an epoch
PAUSES = 5  # times the longest pause between two steps so far


@dataclass(frozen=True)
class Pulse:
    """What a rank says of its training: the steps made under this lease, and the longest pause between two, seconds."""

    steps: int
    longest: float


@dataclass
class Liveness:
    """What one worker group has shown of late, by times of one monotonic clock.

    Attributes:
        asked: when the group last asked the dispatcher something.
        got_on: when one of its ranks was last seen to have made a step.
        heard: when each rank of the lease that is trained was last heard of.
        steps: that each of them has made.
        longest: seconds between two steps, at most.
    """

    asked: float
    got_on: float
    heard: dict[int, float] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)
    longest: float = 0.0

    @classmethod
    def since(cls, now: float) -> "Liveness":
        return cls(now, now)

    def ask(self, now: float) -> None:
        """The group asked something, for instance what to do after an epoch that it reports."""
        self.asked = self.got_on = now

    def begin(self, now: float) -> None:
        """The group takes up another lease, whose steps are counted anew."""
        self.asked = self.got_on = now
        self.heard, self.steps, self.longest = {}, {}, 0.0

    def beat(self, rank: int, pulse: Pulse, now: float) -> None:
        """Note a heartbeat; ranks wait for each other, so that a step of any is one of the group."""
        if pulse.steps > self.steps.get(rank, -1):
            self.got_on = now
        self.heard[rank], self.steps[rank] = now, pulse.steps
        self.longest = max(self.longest, pulse.longest)

    def problem(self, now: float, limit: float, reported: bool, hangs: int) -> str | None:
        """Why a group that trains is given up, in words; none while it is not.

        Args:
            now: of the same clock.
            limit: `search.hang_seconds`.
            reported: whether the present attempt has reported an epoch.
            hangs: how often the trial was ended for this, in a row: each doubles the limit.
        """
        limit *= 2**hangs
        silent = max((now - max(time, self.asked) for time in self.heard.values()), default=now - self.asked)
        if silent > limit:
            return f"one of its processes was silent for {silent:.0f} s, of at most {limit:.0f}"
        patience = max(limit, PAUSES * self.longest) if reported else max(limit * FIRST_EPOCH, PAUSES * self.longest)
        still = now - self.got_on
        if still > patience:
            return f"it made no step for {still:.0f} s, of at most {patience:.0f}"
        return None
