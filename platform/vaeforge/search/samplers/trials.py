"""Trials as a sampler knows them: those that run, those that have ended, those of other searches."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vaeforge.ledger.events import FINAL_OUTCOMES, TransferredTrial
from vaeforge.search.space.dimensions import Params
from vaeforge.search.space.objective import Goal


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that has ended.

    Attributes:
        number: its number in this search; none for a trial of another search, whose numbers mean nothing here.
        params: its flat parameters; with inherited ones, those that it had last.
        state: completed, early_stopped, stopped (by a scheduler, a person or the budget) or failed.
        values: each goal's metric as measured; none where one is missing or not finite.
        epoch: the epochs that it was trained for.
    """

    number: int | None
    params: Params
    state: str
    values: tuple[float, ...] | None
    epoch: int

    @property
    def finite(self) -> tuple[float, ...]:
        """The values, empty unless all are finite."""
        sound = self.values is not None and all(map(math.isfinite, self.values))
        return self.values if sound and self.values is not None else ()

    @property
    def complete(self) -> bool:
        """Whether it was trained to its end and has values."""
        return self.state in FINAL_OUTCOMES and bool(self.finite)


def as_costs(trial: FinishedTrial, goals: Sequence[Goal]) -> FinishedTrial:
    """`trial` with a cost for each value: smaller is better whatever the goal."""
    costs = tuple(goal.cost(value) for goal, value in zip(goals, trial.finite, strict=True)) if trial.finite else None
    return replace(trial, values=costs)


def transferred(trial: TransferredTrial) -> FinishedTrial:
    """A trial of another search, which the ledger holds, as a sampler is told."""
    return FinishedTrial(None, dict(trial.params), trial.state or "failed", trial.values, trial.epoch)


@dataclass(frozen=True)
class RunningTrial:
    """A trial that has not ended."""

    number: int
    params: Params


class TrialMemory:
    """The trials of a search by number, and those of other searches in the order in which they were told."""

    def __init__(self) -> None:
        self._running: dict[int, Params] = {}
        self._ended: dict[int, FinishedTrial] = {}
        self._transferred: list[FinishedTrial] = []

    def begin(self, number: int, params: Params) -> None:
        """Trial `number` runs with `params`."""
        self._running[number] = params

    def end(self, trial: FinishedTrial) -> None:
        """`trial` has ended."""
        if trial.number is not None:
            self._running.pop(trial.number, None)
            self._ended[trial.number] = trial
        elif trial not in self._transferred:
            self._transferred.append(trial)

    def running(self) -> list[RunningTrial]:
        """The trials that have not ended, by number."""
        return [RunningTrial(number, params) for number, params in sorted(self._running.items())]

    def ended(self) -> list[FinishedTrial]:
        """The trials that have ended: those of other searches, then this one's by number."""
        return [*self._transferred, *self.ended_here()]

    def ended_here(self) -> list[FinishedTrial]:
        """The trials of this search that have ended, by number."""
        return [self._ended[number] for number in sorted(self._ended)]

    def own(self) -> Iterator[Params]:
        """The parameters of every trial of this search."""
        yield from self._running.values()
        yield from (trial.params for trial in self._ended.values())
