"""Pareto front: the trials that no other one dominates, and the choice of one among them.

A point is a tuple of costs, one a goal, smaller is better. `a` dominates `b` where it is nowhere worse and somewhere
better; equal points do not dominate each other. The front is the points that nothing dominates, rank 0; rank 1 is
those that only rank 0 dominates, and so on. This file is light: the dispatcher imports it, too.

Scaling: over the front, cost c of goal i becomes (c - min_i) / (max_i - min_i), 0 where all are equal. Knee: the point
with the largest distance to the line (two goals) or plane (three) through the front's extremes, the best point of each
goal, on the side of the ideal point (Das 1999, "On characterizing the 'knee' of the Pareto curve based on
normal-boundary intersection", Structural Optimization 18; Branke et al. 2004, "Finding knees in multi-objective
optimization", PPSN VIII).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaeforge.search.space.objective import METRICS, Constraint, Goal, Knee, Mode, Objective, Weight

Costs = tuple[float, ...]
FLAT = 1e-9


@dataclass(frozen=True)
class FrontPoint:
    """A trial as the choice sees it: the metrics of its selected epoch, its costs, one a goal."""

    number: int
    metrics: Mapping[str, float | None]
    costs: Costs


@dataclass(frozen=True)
class FrontChoice:
    """The points of a front, best first by the rule.

    Attributes:
        order: positions of the points that were given.
        problem: why none of them is chosen; none where the first is.
        note: what to know about the choice, say that no point keeps the floors; empty where there is nothing.
    """

    order: tuple[int, ...]
    problem: str | None = None
    note: str = ""


def dominates(a: Costs, b: Costs) -> bool:
    """Whether `a` is nowhere worse than `b` and somewhere better."""
    return a != b and all(mine <= other for mine, other in zip(a, b, strict=True))


def ranks(points: Sequence[Costs]) -> list[int]:
    """The non-dominated rank of each point (ENS-SS; Zhang et al. 2015, IEEE Trans. Evol. Comput. 19(2)).

    In lexicographic order no point dominates an earlier one, so that each point joins the first front of which no
    member dominates it. Costs must be finite.
    """
    found = [0] * len(points)
    fronts: list[list[Costs]] = []
    for place in sorted(range(len(points)), key=lambda place: points[place]):
        found[place] = next(
            (rank for rank, front in enumerate(fronts) if not _dominated(points[place], front)), len(fronts)
        )
        if found[place] == len(fronts):
            fronts.append([])
        fronts[found[place]].append(points[place])
    return found


def front(points: Sequence[Costs]) -> list[int]:
    """The places of the points of rank 0, in ascending order; cheaper than all ranks."""
    members: list[int] = []
    costs: list[Costs] = []
    for place in sorted(range(len(points)), key=lambda place: points[place]):
        if not _dominated(points[place], costs):
            members.append(place)
            costs.append(points[place])
    return sorted(members)


def _dominated(point: Costs, front: list[Costs]) -> bool:
    # from the back: lexicographic neighbours are the likeliest to dominate
    return any(dominates(member, point) for member in reversed(front))


def choose(points: Sequence[FrontPoint], objective: Objective) -> FrontChoice:
    """Order the points of one front by the objective's rule; those that keep the floors come first, ties by number.

    Nothing is chosen, and `problem` says why, where no point keeps the rule's constraint. Where no point keeps the
    floors, the rule decides among all and `note` says so: a floor is a wish, a constraint a condition.
    """
    if not points:
        return FrontChoice((), "no trial that was trained fully has every goal's metric as a finite number")
    rule, scores = objective.choose, _scores(points, objective)
    meets = [not isinstance(rule, Constraint) or rule.met(point.metrics) for point in points]
    kept = [objective.keeps_floors(point.metrics) for point in points]
    order = sorted(range(len(points)), key=lambda i: (not meets[i], not kept[i], scores[i], points[i].number))
    problem = _unmet(points, rule) if isinstance(rule, Constraint) and not any(meets) else None
    note = "" if any(kept) else f"no point of the front keeps {bounds(objective.floors, 'max')}"
    return FrontChoice(tuple(order), problem, note)


def _scores(points: Sequence[FrontPoint], objective: Objective) -> list[float]:
    """What the rule minimises."""
    rule = objective.choose
    if isinstance(rule, Constraint):
        place = [goal.metric for goal in objective.goals].index(rule.best)
        return [point.costs[place] for point in points]
    scaled = scale([point.costs for point in points])
    if isinstance(rule, Knee):
        return [-distance for distance in knee_distances(scaled)]
    assert isinstance(rule, Weight)
    weights = [rule.weights[goal.metric] for goal in objective.goals]
    return [sum(weight * cost for weight, cost in zip(weights, point, strict=True)) for point in scaled]


def scale(points: Sequence[Costs]) -> list[Costs]:
    """Each goal to [0, 1] over the points; 0 where all of them are equal."""
    spans = [(min(column), max(column)) for column in zip(*points, strict=True)]
    return [tuple(_part(cost, low, high) for cost, (low, high) in zip(point, spans, strict=True)) for point in points]


def _part(cost: float, low: float, high: float) -> float:
    return (cost - low) / (high - low) if high > low else 0.0


def knee_distances(scaled: Sequence[Costs]) -> list[float]:
    """How far each scaled point lies from the line or plane through the extremes, towards the ideal point 0."""
    extremes = [_extreme(scaled, goal) for goal in range(len(scaled[0]))]
    normal = _normal(extremes)
    offset, length = _dot(normal, extremes[0]), math.hypot(*normal)
    return [(offset - _dot(normal, point)) / length for point in scaled]


def _extreme(scaled: Sequence[Costs], goal: int) -> Costs:
    """The best point in one goal; of several, the one that is best in the others together."""
    return min(scaled, key=lambda point: (point[goal], sum(point)))


def _normal(extremes: Sequence[Costs]) -> Costs:
    """What is perpendicular to the line or plane through the extremes.

    Where they span none, or one that faces away from the ideal point in some goal, so that a dominated point could lie
    farther from it than the one that dominates it, all goals count alike.
    """
    first, *others = extremes
    edges = [tuple(b - a for a, b in zip(first, other, strict=True)) for other in others]
    if len(edges) == 1:
        normal: Costs = (-edges[0][1], edges[0][0])
    elif len(edges) == 2:
        normal = _cross(edges[0], edges[1])
    else:
        return tuple(1.0 for _ in extremes)
    facing = normal if sum(normal) > 0 else tuple(-part for part in normal)
    return facing if min(facing) > FLAT else tuple(1.0 for _ in extremes)


def _cross(a: Costs, b: Costs) -> Costs:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _dot(a: Costs, b: Costs) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _unmet(points: Sequence[FrontPoint], rule: Constraint) -> str:
    """Which bounds no point keeps, with what comes nearest."""
    nearest = ", ".join(_nearest(points, name) for name in rule.bounds)
    return (
        f"choose: no point of the front keeps {bounds(rule.bounds)} (nearest: {nearest}); loosen the bound in a new "
        "search, or continue with a trial of this one: `vaeforge train --from NAME#TRIAL`"
    )


def _nearest(points: Sequence[FrontPoint], name: str) -> str:
    sign = Goal(name, METRICS[name]).sign
    known = [(sign * value, point.number) for point in points if (value := point.metrics.get(name)) is not None]
    if not known:
        return f"{name} in no trial"
    cost, number = min(known)
    return f"{name} {sign * cost:g} in trial {number}"


def bounds(limits: Mapping[str, float], mode: Mode | None = None) -> str:
    """`val/active_units >= 8 and val/rate <= 20`; with a mode, all of them are bounds of that kind."""
    signs = {"min": "<=", "max": ">="}
    return " and ".join(f"{name} {signs[mode or METRICS[name]]} {limit:g}" for name, limit in limits.items())
