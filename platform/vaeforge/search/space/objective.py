"""Objectives: one metric, or several at once with the rule by which one point of their front is chosen.

The numbers of a trial are the metrics of its selected epoch, whose checkpoint is the one that is kept: each point of a
front is a model that exists. This file is light (no torch, Ray, Optuna or pydantic): the dispatcher uses it,
and gets the objective itself; `objective_form.py` reads one from a file.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from vaeforge.ledger.trial_record import TrialRecord

Mode = Literal["min", "max"]
METRIC = "val/nelbo"
METRICS: Mapping[
    str, Mode
] = {  # of training/validation.py those without beta; goals stand in this order, whatever the file's
    "val/nelbo": "min",
    "val/rate": "min",
    "val/distortion": "min",
    "val/mse": "min",
    "val/active_units": "max",
}
FLOORS = ("val/active_units", "val/rate")
MOST_GOALS = 3


@dataclass(frozen=True)
class Goal:
    """One metric and the direction in which it is better."""

    metric: str
    mode: Mode

    @property
    def sign(self) -> int:
        """+1 for min, -1 for max: `sign * value` is smaller where the trial is better."""
        return 1 if self.mode == "min" else -1

    def cost(self, value: float) -> float:
        """`value` as a cost: smaller is better."""
        return self.sign * value


@dataclass(frozen=True)
class Knee:
    """The point of the front that is farthest from the plane through the front's extremes."""

    def describe(self) -> str:
        return "knee of the front"


@dataclass(frozen=True)
class Constraint:
    """The best `best` among the points of the front that keep every bound.

    Attributes:
        bounds: metric to what it must be at least (a metric to maximise) or at most (one to minimise).
        best: the goal that decides among those that keep them.
    """

    bounds: Mapping[str, float]
    best: str

    def met(self, metrics: Mapping[str, float | None]) -> bool:
        """Whether `metrics` keep every bound; one that is missing or not finite keeps none."""
        return all(_within(metrics.get(name), bound, METRICS[name]) for name, bound in self.bounds.items())

    def describe(self) -> str:
        signs = {"min": "<=", "max": ">="}
        bounds = " and ".join(f"{name} {signs[METRICS[name]]} {bound:g}" for name, bound in self.bounds.items())
        return f"best {self.best} with {bounds}"


@dataclass(frozen=True)
class Weight:
    """The smallest weighted sum of the goals' costs, each scaled to [0, 1] over the front.

    Attributes:
        weights: each goal's metric to its weight, > 0.
    """

    weights: Mapping[str, float]

    def describe(self) -> str:
        return "weights " + ", ".join(f"{name} {weight:g}" for name, weight in self.weights.items())


Choose: TypeAlias = Knee | Constraint | Weight


@dataclass(frozen=True)
class Objective:
    """The goals of a search and what its winner should keep.

    Attributes:
        goals: one, or two or three in the order of `METRICS`.
        floors: metric to what a winner's must at least be (`require`).
        choose: how one point of the front is chosen; of no effect with one goal.
    """

    goals: tuple[Goal, ...]
    floors: Mapping[str, float]
    choose: Choose

    @property
    def single(self) -> bool:
        return len(self.goals) == 1

    def costs(self, metrics: Mapping[str, float | None]) -> tuple[float, ...] | None:
        """One cost a goal, smaller is better; none where a metric is missing or not finite."""
        values = [metrics.get(goal.metric) for goal in self.goals]
        finite = [value for value in values if value is not None and math.isfinite(value)]
        if len(finite) < len(values):
            return None
        return tuple(goal.cost(value) for goal, value in zip(self.goals, finite, strict=True))

    def keeps_floors(self, metrics: Mapping[str, float | None]) -> bool:
        """Whether `metrics` reach every floor; one that is missing or not finite reaches none."""
        return all(_within(metrics.get(name), floor, "max") for name, floor in self.floors.items())


SINGLE = Objective((Goal(METRIC, METRICS[METRIC]),), {}, Knee())


def _within(value: float | None, bound: float, mode: Mode) -> bool:
    """Whether `value` is at least (max) or at most (min) `bound`."""
    if value is None or not math.isfinite(value):
        return False
    return value >= bound if mode == "max" else value <= bound


def objective_values(trial: TrialRecord, goals: Sequence[Goal]) -> list[float | None]:
    """What `trial` reached: on one goal its value, on each of several the metric at its best epoch."""
    if len(goals) == 1:
        return [trial.value]
    metrics = trial.best_metrics
    return [metrics.get(goal.metric) for goal in goals]
