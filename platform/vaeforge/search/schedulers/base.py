"""Scheduler interface: what one is told of trials, and its decisions: continue, stop, or inherit weights.

A scheduler is plain bookkeeping: no Ray, no Optuna, no clock, and no random numbers but those under its seed. Values
are costs, smaller is better; a trial's value is what its training reports (`training/early_stopping.py`): its best
`val/nelbo` so far, once its beta has been full, and its newest one before that.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from vaeforge.errors import SearchError
from vaeforge.ledger.events import TrialDecided
from vaeforge.ledger.history import SearchHistory
from vaeforge.search.space.dimensions import Params

Action = Literal["go", "stop", "inherit"]
ACTIONS: dict[str, Action] = {"go": "go", "stop": "stop", "inherit": "inherit"}
GLOBAL_GROUP = "all"  # the group of all trials where the space says `rung: global`


@dataclass(frozen=True)
class RungReport:
    """A trial that waits for a decision: its number, the group that it is compared in, its parameters."""

    number: int
    group: str
    params: Params


@dataclass(frozen=True)
class TrialDecision:
    """What becomes of a trial after an epoch.

    Attributes:
        value: the trial's value then.
        needed: the largest value with which it would have gone on as it was; none where nothing was compared.
        why: one line for a person.
        donor: `inherit`: the trial whose weights it continues with.
        params: `inherit`: its flat parameters from then on.
    """

    trial: int
    epoch: int
    action: Action
    value: float
    needed: float | None = None
    why: str = ""
    donor: int | None = None
    params: Params | None = None


class Scheduler(ABC):
    """A scheduler's decisions.

    Attributes:
        epochs: after which epochs a trial waits for a decision; the last epoch of a training is never among them.
        uses_latest_value: values are those of the newest epoch, not the best so far, because inherited weights bring
            the donor's best.
        releases_worker: a trial gives its worker group back while it waits, because the decision may need trials that
            have none yet.
    """

    epochs: frozenset[int] = frozenset()
    uses_latest_value: bool = False
    releases_worker: bool = False

    @abstractmethod
    def on_report(self, trial: RungReport, epoch: int, value: float) -> list[TrialDecision]:
        """The decisions that follow from a trial's value after `epoch`: none yet, its own, or those of several trials.

        Repeating a call changes nothing and gives the same decisions, or the trial's own one where another trial's
        arrival has settled it meanwhile.

        Raises:
            SearchError: if `value` is not finite; such a training has failed and does not wait.
        """

    @abstractmethod
    def on_trial_end(self, number: int) -> list[TrialDecision]:
        """The decisions on others that follow from a trial's end, or from its number never being used."""

    @abstractmethod
    def replay(self, history: SearchHistory) -> None:
        """Take in what earlier sessions decided; trials that wait without a decision arrive again afterwards."""


class ImmediateScheduler(Scheduler):
    """A scheduler that settles each arrival at once, by what it has recorded of other trials until then."""

    def __init__(self, epochs: Iterable[int]):
        self.epochs = frozenset(epochs)
        self._given: dict[tuple[int, int], TrialDecision] = {}

    @abstractmethod
    def _judge(self, trial: RungReport, epoch: int, value: float) -> TrialDecision:
        """The decision on a trial that is not recorded yet at `epoch`."""

    @abstractmethod
    def _record(self, number: int, group: str, epoch: int, value: float) -> None:
        """Keep a trial's value after `epoch` for the comparisons to come."""

    def on_report(self, trial: RungReport, epoch: int, value: float) -> list[TrialDecision]:
        if epoch not in self.epochs:
            return []
        if (trial.number, epoch) not in self._given:
            require_finite(trial.number, epoch, value)
            self._given[trial.number, epoch] = self._judge(trial, epoch, value)
            self._record(trial.number, trial.group, epoch, value)
        return [self._given[trial.number, epoch]]

    def on_trial_end(self, number: int) -> list[TrialDecision]:
        return []

    def replay(self, history: SearchHistory) -> None:
        # what was reported but not decided was not recorded either: it arrives again
        for trial in history.trials.values():
            for epoch, decision in sorted(trial.decisions.items()):
                if epoch in self.epochs:
                    self._record(trial.number, trial.group, epoch, decision.value)
                    self._given[trial.number, epoch] = decision_of(decision)


def decision_of(decision: TrialDecided) -> TrialDecision:
    """A decision of the ledger as the scheduler gave it.

    Raises:
        SearchError: if the ledger holds an action that no scheduler takes.
    """
    if decision.action not in ACTIONS:
        raise SearchError(
            f"ledger: trial {decision.trial}, epoch {decision.epoch}: got action {decision.action!r}, must be one of "
            f"{', '.join(ACTIONS)}; resume with the version that wrote it"
        )
    action = ACTIONS[decision.action]
    return TrialDecision(
        decision.trial,
        decision.epoch,
        action,
        decision.value,
        decision.needed,
        decision.why,
        decision.donor,
        decision.params,
    )


def require_finite(number: int, epoch: int, value: float) -> None:
    """Raise a SearchError unless `value` is finite."""
    if not math.isfinite(value):
        raise SearchError(f"trial {number}, epoch {epoch}: value: got {value}, must be finite; end the trial as failed")


def compared(value: float, needed: float) -> str:
    """`value, cut-off needed` with as many digits as show which is larger, six at least."""
    digits = next((d for d in (6, 9, 12, 17) if value == needed or f"{value:.{d}g}" != f"{needed:.{d}g}"), 17)
    return f"{value:.{digits}g}, cut-off {needed:.{digits}g}"


def within(group: str) -> str:
    """` with schedule cyclical`, or nothing where all trials are one group."""
    return "" if group == GLOBAL_GROUP else f" with schedule {group}"


def counted(count: int, group: str, kind: str = "trial") -> str:
    """`7 trials with schedule cyclical`."""
    return f"{count} {kind}{'' if count == 1 else 's'}{within(group)}"
