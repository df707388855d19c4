"""What a rule is told and what it answers: which trials go on after an epoch, which stop, which inherit weights.

A rule is plain bookkeeping: no Ray, no Optuna, no clock, and no random numbers but those under its seed. Values are
costs, smaller is better; a trial's value is what its training reports (`train/early_stopping.py`): its best `val/nelbo`
so far, once its beta has been full, and its newest one before that.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from vaeforge.errors import SearchError
from vaeforge.ledger.history import Decision, History
from vaeforge.search.space.dimensions import Params

Action = Literal["go", "stop", "inherit"]
ACTIONS: dict[str, Action] = {"go": "go", "stop": "stop", "inherit": "inherit"}
EVERYBODY = "all"  # the group of all trials where the space says `rung: global`


@dataclass(frozen=True)
class Arrival:
    """A trial that waits for a verdict: its number, the group that it is compared in, its parameters."""

    number: int
    group: str
    params: Params


@dataclass(frozen=True)
class Verdict:
    """What becomes of a trial after an epoch.

    Attributes:
        value: the trial's value then.
        needed: the largest value with which it would have gone on as it was; none where nothing was compared.
        why: one line for a person.
        donor: `inherit`: the trial whose weights it goes on with.
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


class Rule(ABC):
    """A scheduler's decisions.

    Attributes:
        epochs: after which epochs a trial waits for a verdict; the last epoch of a training is never among them.
        by_newest: values are those of the newest epoch, not the best so far: inherited weights bring the donor's best.
        yields: a trial gives its host back while it waits, because the verdict may need trials that have no host yet.
    """

    epochs: frozenset[int] = frozenset()
    by_newest: bool = False
    yields: bool = False

    @abstractmethod
    def arrive(self, trial: Arrival, epoch: int, value: float) -> list[Verdict]:
        """The verdicts that follow from a trial's value after `epoch`: none yet, its own, or those of several trials.

        Repeating a call changes nothing and gives the same verdicts, or the trial's own one where another trial's
        arrival has settled it meanwhile.

        Raises:
            SearchError: if `value` is not finite; such a training has failed and does not wait.
        """

    @abstractmethod
    def leave(self, number: int) -> list[Verdict]:
        """The verdicts on others that follow from a trial's end, or from its number never being used."""

    @abstractmethod
    def replay(self, history: History) -> None:
        """Take in what earlier sessions decided; trials that wait without a verdict arrive again afterwards."""


class Comparison(Rule):
    """A rule that settles each arrival at once, by what it has recorded of other trials until then."""

    def __init__(self, epochs: Iterable[int]):
        self.epochs = frozenset(epochs)
        self._given: dict[tuple[int, int], Verdict] = {}

    @abstractmethod
    def _judge(self, trial: Arrival, epoch: int, value: float) -> Verdict:
        """The verdict on a trial that is not recorded yet at `epoch`."""

    @abstractmethod
    def _record(self, number: int, group: str, epoch: int, value: float) -> None:
        """Keep a trial's value after `epoch` for the comparisons to come."""

    def arrive(self, trial: Arrival, epoch: int, value: float) -> list[Verdict]:
        if epoch not in self.epochs:
            return []
        if (trial.number, epoch) not in self._given:
            require_finite(trial.number, epoch, value)
            self._given[trial.number, epoch] = self._judge(trial, epoch, value)
            self._record(trial.number, trial.group, epoch, value)
        return [self._given[trial.number, epoch]]

    def leave(self, number: int) -> list[Verdict]:
        return []

    def replay(self, history: History) -> None:
        # what was reported but not decided was not recorded either: it arrives again
        for trial in history.trials.values():
            for epoch, decision in sorted(trial.decisions.items()):
                if epoch in self.epochs:
                    self._record(trial.number, trial.group, epoch, decision.value)
                    self._given[trial.number, epoch] = verdict_of(trial.number, epoch, decision)


def verdict_of(number: int, epoch: int, decision: Decision) -> Verdict:
    """A decision of the ledger as the verdict that it was.

    Raises:
        SearchError: if the ledger holds an action that no rule takes.
    """
    if decision.action not in ACTIONS:
        raise SearchError(
            f"ledger: trial {number}, epoch {epoch}: got action {decision.action!r}, must be one of "
            f"{', '.join(ACTIONS)}; resume with the version that wrote it"
        )
    action = ACTIONS[decision.action]
    return Verdict(
        number, epoch, action, decision.value, decision.needed, decision.why, decision.donor, decision.params
    )


def require_finite(number: int, epoch: int, value: float) -> None:
    """Raise a SearchError unless `value` is finite."""
    if not math.isfinite(value):
        raise SearchError(f"trial {number}, epoch {epoch}: value: got {value}, must be finite; end the trial as failed")


def compared(value: float, needed: float) -> str:
    """`value, needed <= needed` with as many digits as show which is larger, six at least."""
    digits = next((d for d in (6, 9, 12, 17) if value == needed or f"{value:.{d}g}" != f"{needed:.{d}g}"), 17)
    return f"{value:.{digits}g}, needed <= {needed:.{digits}g}"


def within(group: str) -> str:
    """` with schedule cyclical`, or nothing where all trials are one group."""
    return "" if group == EVERYBODY else f" with schedule {group}"


def counted(count: int, group: str, kind: str = "trial") -> str:
    """`7 trials with schedule cyclical`."""
    return f"{count} {kind}{'' if count == 1 else 's'}{within(group)}"
