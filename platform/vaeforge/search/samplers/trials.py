"""What a sampler knows: trials that run, trials that have ended, trials of other searches, each under one order.

A model is fitted to a window of them, so that the cost of a proposal stays bounded however long a search is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from vaeforge.search.samplers.ended import FinishedTrial
from vaeforge.search.samplers.nondominated import order_of
from vaeforge.search.space.dimensions import Params

WINDOW = 300  # trials a model is fitted to: 0.06 s of a core for TPE to ask with so many, 0.3 s for GP
WINDOW_BEST = 30  # of these, the best of all time; the others are the newest


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


def window(ended: list[FinishedTrial]) -> list[FinishedTrial]:
    """At most `WINDOW` of the trials: the best `WINDOW_BEST` and the newest, in the given order."""
    if len(ended) <= WINDOW:
        return ended
    kept = set(order_of(ended)[:WINDOW_BEST])
    for index in reversed(range(len(ended))):
        if len(kept) == WINDOW:
            break
        kept.add(index)
    return [ended[index] for index in sorted(kept)]
