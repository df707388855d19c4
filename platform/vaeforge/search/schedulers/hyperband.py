"""Asynchronous Hyperband: several brackets of successive halving that differ in how long a trial is left alone.

Brackets as in Hyperband (Li et al. 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization"),
each run asynchronously (Li et al. 2020, section 3). Bracket s = 0 .. n-1 has its first rung at min*reduction^s, so
bracket 0 is ASHA, and the last possible one trains every trial to its end: a schedule that is bad early and good late
is judged late by some of its trials. With m rungs in all, bracket s has h = m - s halvings and gets
    n_s = ceil((m + 1) / (h + 1) * reduction^h)
of every sum(n_s) trials (Algorithm 1 of the paper, its s being our h), which gives all brackets about the same budget.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vaeforge.search.schedulers.base import ImmediateScheduler, RungReport, Scheduler, TrialDecision
from vaeforge.search.schedulers.halving import Rungs
from vaeforge.search.schedulers.settings import SchedulerContext, SchedulerSettings
from vaeforge.search.space.fidelity import Fidelity

GOLDEN = (math.sqrt(5) - 1) / 2


class Hyperband(ImmediateScheduler):
    """Rungs within a bracket and a schedule group; at a rung before its bracket's first one a trial continues.

    There are at most as many brackets as rungs, and one without any.
    """

    def __init__(self, rungs: Sequence[int], reduction: int, brackets: int):
        super().__init__(rungs)
        self._rungs = Rungs(reduction)
        self.brackets = [tuple(rungs[s:]) for s in range(min(brackets, len(rungs) + 1))]
        self._bounds = list(accumulate(bracket_sizes(len(rungs), reduction, len(self.brackets))))

    def bracket(self, number: int) -> int:
        """The bracket of trial `number`, by the number alone, so that a resumed search finds it again.

        The fractional parts of number * golden ratio are spread evenly over [0, 1) however many trials there are, so
        each bracket has close to its share of any run of trials.
        """
        return bisect_right(self._bounds[:-1], number * GOLDEN % 1 * self._bounds[-1])

    def _judge(self, trial: RungReport, epoch: int, value: float) -> TrialDecision:
        bracket = self.bracket(trial.number)
        rungs = self.brackets[bracket]
        if epoch not in rungs:
            first = f"compares from epoch {rungs[0]} on" if rungs else "compares nowhere"
            why = f"rung {epoch}: {value:.6g}, bracket {bracket} {first}"
            return TrialDecision(trial.number, epoch, "go", value, None, why)
        where = f"rung {epoch} of bracket {bracket}"
        return self._rungs.judge(trial, (bracket, trial.group, epoch), where, value)

    def _record(self, number: int, group: str, epoch: int, value: float) -> None:
        bracket = self.bracket(number)
        if epoch in self.brackets[bracket]:
            self._rungs.record((bracket, group, epoch), number, value)


def bracket_sizes(rungs: int, reduction: int, brackets: int) -> list[int]:
    """Trials of each bracket in one round of Hyperband; see the module's formula."""
    halvings = [rungs - s for s in range(brackets)]
    return [-(-(rungs + 1) * reduction**h // (h + 1)) for h in halvings]


class HyperbandSettings(SchedulerSettings):
    """Asynchronous Hyperband (Li et al. 2018): ASHA in brackets, of which s starts at min * reduction^s."""

    place: ClassVar[int] = 1
    name: Literal["hyperband"] = "hyperband"
    brackets: Annotated[int, Field(ge=1)] = 3

    def epochs(self, fidelity: Fidelity) -> list[int]:
        return fidelity.rungs()

    def build(self, context: SchedulerContext) -> Scheduler:
        return Hyperband(self.epochs(context.fidelity), context.fidelity.reduction, self.brackets)

    def warnings(self, fidelity: Fidelity) -> list[str]:
        """Where the rungs leave room for fewer brackets than were asked for."""
        rungs = fidelity.rungs()
        if self.brackets <= len(rungs) + 1:
            return []
        left = f"{len(rungs) + 1} of the {self.brackets} brackets" if rungs else "one bracket, which stops no trial"
        return [
            f"hyperband: there is room for {left}: rungs at {', '.join(map(str, rungs)) or 'no epoch'} below "
            f"fidelity.max = {fidelity.max}; lower fidelity.min or fidelity.reduction for more, or brackets"
        ]


SCHEDULER = HyperbandSettings
