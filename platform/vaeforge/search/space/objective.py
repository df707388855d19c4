"""What a search optimises: one metric, or several at once with the rule by which one point of their front is chosen.

The numbers of a trial are the metrics of its selected epoch, whose checkpoint is the one that is kept: each point of a
front is a model that exists. This file is light (no torch, Ray, Optuna or typed configuration): brokers read it too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from vaeforge.errors import nearest
from vaeforge.ledger.history import TrialRecord
from vaeforge.search.space.parse_helpers import is_mapping, is_number, refuse_unknown

Mode = Literal["min", "max"]
METRIC = "val/nelbo"
METRICS: Mapping[
    str, Mode
] = {  # of train/validation.py those without beta; goals stand in this order, whatever the file's
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


def read_objective(content: Any, source: str, problems: list[str]) -> Objective:
    """The objective that the `objective:` mapping of a space describes; what is wrong is added to `problems`."""
    where = f"{source}: objective"
    if not is_mapping(content, where, f"{{metric: {METRIC}, mode: min}}", problems):
        return SINGLE
    several = "metrics" in content
    allowed = ("metrics", "choose", "require") if several else ("metric", "mode", "require")
    _refuse_mixture(content, allowed, where, problems)
    goals = _several(content["metrics"], where, problems) if several else _single(content, where, problems)
    floors = _floors(content.get("require", {}), where, problems)
    choose = _choose(content["choose"], goals, where, problems) if several and "choose" in content else Knee()
    return Objective(goals, floors, choose)


def _refuse_mixture(content: Mapping[Any, Any], allowed: tuple[str, ...], where: str, problems: list[str]) -> None:
    """Unknown keys, and those of one goal beside those of several."""
    other = "one goal" if "metrics" in allowed else "several goals, given as metrics: {METRIC: min or max, …}"
    for key in content:
        if key not in allowed and key in ("metric", "mode", "choose"):
            problems.append(f"{where}: {key} goes with {other}; leave it out")
    refuse_unknown(
        {k: v for k, v in content.items() if k not in ("metric", "mode", "choose")}, allowed, where, problems
    )


def _single(content: Mapping[Any, Any], where: str, problems: list[str]) -> tuple[Goal, ...]:
    """The one number that trials are compared by on the way is the one that a single goal may be."""
    for key, fixed in (("metric", METRIC), ("mode", METRICS[METRIC])):
        if content.get(key, fixed) != fixed:
            problems.append(f"{where}: {key}: got {content[key]!r}, must be {fixed!r}")
    return SINGLE.goals


def _several(metrics: Any, where: str, problems: list[str]) -> tuple[Goal, ...]:
    """Two or three goals, in the order of `METRICS`."""
    if not is_mapping(metrics, f"{where}: metrics", "{val/rate: min, val/distortion: min}", problems):
        return SINGLE.goals
    known = {name: mode for name, mode in metrics.items() if _is_metric(name, f"{where}: metrics", problems)}
    for name, mode in known.items():
        if mode != METRICS[name]:
            problems.append(f"{where}: metrics: {name}: got {mode!r}, must be {METRICS[name]!r}")
    if not 2 <= len(metrics) <= MOST_GOALS:
        problems.append(
            f"{where}: metrics: got {len(metrics)}, must be 2 or {MOST_GOALS}; for one goal take metric: {METRIC}"
        )
    return tuple(Goal(name, mode) for name, mode in METRICS.items() if name in known) or SINGLE.goals


def _floors(content: Any, where: str, problems: list[str]) -> dict[str, float]:
    """`require`: what a winner's metrics must at least be."""
    floors = {}
    for name, floor in content.items() if isinstance(content, Mapping) else [("require", content)]:
        if name in FLOORS and is_number(floor):
            floors[name] = float(floor)
            continue
        problems.append(f"{where}: require: got {name}: {floor!r}, must be a number for {', '.join(FLOORS)}")
    return floors


def _choose(content: Any, goals: tuple[Goal, ...], where: str, problems: list[str]) -> Choose:
    """The rule of `choose:`; the knee where what is said is wrong, which is then among the problems."""
    where = f"{where}: choose"
    if content == "knee":
        return Knee()
    kinds = [kind for kind in ("constraint", "weight") if isinstance(content, Mapping) and kind in content]
    if len(kinds) != 1:
        problems.append(f"{where}: got {content!r}, must be knee, {{constraint: …, best: METRIC}} or {{weight: …}}")
        return Knee()
    refuse_unknown(content, ("constraint", "best") if kinds[0] == "constraint" else ("weight",), where, problems)
    numbers = _numbers(content[kinds[0]], f"{where}: {kinds[0]}", problems)
    names = tuple(goal.metric for goal in goals)
    if kinds[0] == "constraint":
        return Constraint(numbers, _best(content.get("best"), names, where, problems))
    return _weight(numbers, names, where, problems)


def _best(name: Any, goals: tuple[str, ...], where: str, problems: list[str]) -> str:
    if name not in goals:
        problems.append(
            f"{where}: best: got {name!r}, must be one of the goals {', '.join(goals)}{nearest(name, goals)}"
        )
        return goals[0]
    return str(name)


def _weight(weights: dict[str, float], goals: tuple[str, ...], where: str, problems: list[str]) -> Weight:
    if set(weights) != set(goals) or any(weight <= 0 for weight in weights.values()):
        problems.append(f"{where}: weight: got {weights}, must be a number > 0 for each of {', '.join(goals)}")
    return Weight({name: weights.get(name, 1.0) for name in goals})


def _numbers(content: Any, where: str, problems: list[str]) -> dict[str, float]:
    """Metric to number, at least one."""
    if not is_mapping(content, where, "{val/active_units: 8}", problems):
        return {}
    if not content:
        problems.append(f"{where}: is empty, must name at least one metric such as {{val/active_units: 8}}")
    found = {}
    for name, number in content.items():
        if not is_number(number):
            problems.append(f"{where}: {name}: got {number!r}, must be a number")
        elif _is_metric(name, where, problems):
            found[name] = float(number)
    return found


def _is_metric(name: Any, where: str, problems: list[str]) -> bool:
    if name not in METRICS:
        problems.append(f"{where}: got {name!r}, must be one of {', '.join(METRICS)}{nearest(name, METRICS)}")
    return name in METRICS


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
