"""What a sampler is told of a trial that has ended."""

import math
from collections.abc import Sequence
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
        state: completed, early_stopped, stopped (by a rule or a person) or failed.
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
