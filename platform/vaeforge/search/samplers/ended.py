"""What a sampler is told of a trial that has ended."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vaeforge.ledger.history import FINAL_OUTCOMES
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


def read_finished_trial(content: Mapping[str, Any]) -> FinishedTrial:
    """The trial that `dataclasses.asdict` wrote and JSON brought back, with lists for tuples."""
    values = content["values"]
    return FinishedTrial(
        content["number"],
        dict(content["params"]),
        content["state"],
        None if values is None else tuple(float(value) for value in values),
        content["epoch"],
    )
