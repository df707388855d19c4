"""Order of trials: Pareto ranks, crowding, and one order over every way in which a trial can end.

Costs: one for each goal, smaller is better. Crowding: Deb, Pratap, Agarwal & Meyarivan 2002, "A fast and elitist
multiobjective genetic algorithm: NSGA-II", section III-B.
"""

import math
from collections.abc import Sequence
from typing import Any

from vaeforge.search.results.pareto import Costs, ranks
from vaeforge.search.samplers.trials import FinishedTrial


def cost_ranks(costs: Sequence[Costs]) -> list[int]:
    """The non-dominated rank of each point; with one goal, its place among the distinct costs."""
    if costs and len(costs[0]) == 1:
        place = {cost: rank for rank, cost in enumerate(sorted(set(costs)))}
        return [place[cost] for cost in costs]
    return ranks(costs)


def crowding(costs: Sequence[Costs]) -> list[float]:
    """The crowding distance of each point of one front: infinite at its ends, smaller among close neighbours."""
    distance = [0.0] * len(costs)
    for goal in range(len(costs[0])):
        order = sorted(range(len(costs)), key=lambda i: costs[i][goal])
        spread = costs[order[-1]][goal] - costs[order[0]][goal]
        distance[order[0]] = distance[order[-1]] = math.inf
        for before, i, after in zip(order, order[1:], order[2:], strict=False):
            distance[i] += (costs[after][goal] - costs[before][goal]) / spread if spread > 0 else 0.0
    return distance


def order_of(trials: Sequence[FinishedTrial]) -> list[int]:
    """Indices of `trials`, best first.

    Complete ones by non-dominated rank, within a rank the less crowded first; after them the stopped ones, those that
    came further first and at equal epochs the smaller cost; then those without a cost. Ties keep the given order.
    """
    places = _places(trials)
    return sorted(range(len(trials)), key=lambda i: places[i])


def _places(trials: Sequence[FinishedTrial]) -> list[tuple[Any, ...]]:
    complete = [i for i, trial in enumerate(trials) if trial.complete]
    rank = dict(zip(complete, cost_ranks([trials[i].finite for i in complete]), strict=True))
    spread = dict.fromkeys(complete, 0.0)
    several = bool(complete) and len(trials[complete[0]].finite) > 1
    for level in set(rank.values()) if several else ():
        front = [i for i in complete if rank[i] == level]
        spread |= dict(zip(front, crowding([trials[i].finite for i in front]), strict=True))
    return [(0, rank[i], -spread[i]) if i in rank else _unfinished(trial) for i, trial in enumerate(trials)]


def _unfinished(trial: FinishedTrial) -> tuple[Any, ...]:
    """The place of a trial that was not trained to its end; the goals of several are not those of one training."""
    if trial.state == "stopped" and trial.finite:
        return (1, -trial.epoch, trial.finite[0] if len(trial.finite) == 1 else 0.0)
    return (2, 0, 0.0)


def best_quarter(trials: Sequence[FinishedTrial]) -> set[int]:
    """Indices of the best quarter of `trials`, rounded up, and of those that tie with its last.

    With several goals whole ranks: those that hold the first quarter. Stopped trials are in it only where fewer than a
    quarter were trained to their end, trials without a cost never.
    """
    places = _places(trials)
    last = places[order_of(trials)[-(-len(trials) // 4) - 1]][:2] if trials else ()
    return {i for i, place in enumerate(places) if place[0] < 2 and _within(place, last)}


def _within(place: tuple[Any, ...], last: tuple[Any, ...]) -> bool:
    """Whether a place is no later than `last`: complete ones by rank, stopped ones by epoch."""
    return place[:2] <= last
