"""The front against a search by brute force and Optuna's own sort; the three rules by hand."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vaeforge.ledger.events import from_json
from vaeforge.ledger.history import SearchHistory, fold
from vaeforge.search.results.pareto import FrontPoint, choose, dominates, front, knee_distances, ranks, scale
from vaeforge.search.results.pareto_plot import write_front
from vaeforge.search.space.objective import SINGLE, Objective
from vaeforge.search.space.objective_form import read_objective

TWO = {"metrics": {"val/rate": "min", "val/distortion": "min"}}


def objective(**content: Any) -> Objective:
    return read_objective({**TWO, **content})


def points(rows: Sequence[tuple[float, float]], active: Sequence[float] = ()) -> list[FrontPoint]:
    """Trials 0, 1, … with (rate, distortion)."""
    goals = objective()
    made = []
    for number, (rate, distortion) in enumerate(rows):
        units = active[number] if active else 10.0
        metrics: dict[str, float | None] = {"val/rate": rate, "val/distortion": distortion, "val/active_units": units}
        costs = goals.costs(metrics)
        assert costs is not None
        made.append(FrontPoint(number, metrics, costs))
    return made


def peeled(costs: list[tuple[float, ...]]) -> list[int]:
    """Non-dominated ranks by their definition: take the undominated ones away, again and again."""
    found, left, rank = [-1] * len(costs), set(range(len(costs))), 0
    while left:
        layer = {i for i in left if not any(dominates(costs[j], costs[i]) for j in left)}
        for place in layer:
            found[place] = rank
        left -= layer
        rank += 1
    return found


def test_dominance() -> None:
    assert dominates((1.0, 2.0), (1.0, 3.0))
    assert not dominates((1.0, 2.0), (1.0, 2.0))
    assert not dominates((0.0, 3.0), (1.0, 2.0))
    assert not dominates((1.0, 2.0), (0.0, 3.0))


@pytest.mark.parametrize("goals", [1, 2, 3])
@pytest.mark.parametrize("levels", [4, 1000])
def test_ranks_are_those_of_repeated_peeling_and_of_optuna(goals: int, levels: int) -> None:
    """Few levels make ties and equal points."""
    from optuna.study._multi_objective import _fast_non_domination_rank

    rng = np.random.default_rng(goals * levels)
    for count in (1, 2, 7, 60):
        values = rng.integers(0, levels, (count, goals)).astype(float)
        costs = [tuple(row) for row in values.tolist()]
        assert ranks(costs) == peeled(costs) == _fast_non_domination_rank(values).tolist()
        assert front(costs) == [place for place, rank in enumerate(ranks(costs)) if rank == 0]
    assert ranks([]) == front([]) == []


def test_scaling_of_equal_costs_is_zero() -> None:
    assert scale([(1.0, 5.0), (3.0, 5.0), (2.0, 5.0)]) == [(0.0, 0.0), (1.0, 0.0), (0.5, 0.0)]


def test_the_knee_of_two_goals_by_hand() -> None:
    """Scaled: (0, 1), (0.2, 0.3), (0.6, 0.2), (1, 0); the distance to x + y = 1 is (1 - x - y) / sqrt(2)."""
    front_points = points([(10.0, 200.0), (12.0, 130.0), (16.0, 120.0), (20.0, 100.0)])
    distances = knee_distances(scale([point.costs for point in front_points]))
    assert distances == pytest.approx([0, 0.5 / math.sqrt(2), 0.2 / math.sqrt(2), 0])
    choice = choose(front_points, objective())
    assert choice.order == (1, 2, 0, 3)  # both extremes lie on the line: by number
    assert choice.problem is None and choice.note == ""


def test_the_knee_of_three_goals_by_hand() -> None:
    """The extremes are the unit vectors: the plane is x + y + z = 1, from which 0 is 1 / sqrt(3) away."""
    corners = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    # the best in goal 0 is the one of (0, 1, 0) and (0, 0, 1) that comes first, and so for the others
    inner = (0.2, 0.2, 0.2)
    distances = knee_distances([*corners, inner])
    assert distances[3] == max(distances) == pytest.approx((1 - 0.6) / math.sqrt(3))
    # individual minima (0, .5, 1), (1, 0, .5), (.5, 1, 0): the plane is x + y + z = 1.5
    tilted = [(0.0, 0.5, 1.0), (1.0, 0.0, 0.5), (0.5, 1.0, 0.0), (0.3, 0.3, 0.3)]
    assert knee_distances(tilted) == pytest.approx([0, 0, 0, 0.6 / math.sqrt(3)])


@pytest.mark.parametrize("goals", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_a_tilted_plane_by_hand(goals: tuple[int, ...]) -> None:
    """The normal of the plane is (0.5, 0.75, 1), its offset 1.25; (.4, .4, .4) has 0.9. The order of goals is free."""
    tilted = [(0.0, 1.0, 0.5), (0.5, 0.0, 1.0), (1.0, 1.0, 0.0), (0.4, 0.4, 0.4)]
    turned = [tuple(point[goal] for goal in goals) for point in tilted]
    assert knee_distances(turned) == pytest.approx([0, 0, 0, 0.35 / math.sqrt(0.25 + 0.5625 + 1)])


def test_a_knee_is_the_same_in_other_units() -> None:
    rows = [(1.0, 9.0), (2.0, 4.0), (5.0, 3.0), (9.0, 1.0)]
    one = choose(points(rows), objective()).order
    assert choose(points([(7 + 1000 * rate, -3 + 0.01 * d) for rate, d in rows]), objective()).order == one


def test_fronts_without_extent_are_decided_by_number() -> None:
    assert choose(points([(3.0, 4.0)]), objective()).order == (0,)
    assert choose(points([(3.0, 4.0), (3.0, 4.0)]), objective()).order == (0, 1)
    assert choose([], objective()).problem is not None


def test_weights_count_scaled_costs() -> None:
    """Scaled (0, 1), (0.5, 0.2), (1, 0); weights 1 and 2 give 2, 0.9, 1; weights 3 and 1 give 1, 1.7, 3."""
    rows = [(0.0, 100.0), (5.0, 20.0), (10.0, 0.0)]
    late = objective(choose={"weight": {"val/rate": 1, "val/distortion": 2}})
    early = objective(choose={"weight": {"val/rate": 3, "val/distortion": 1}})
    assert choose(points(rows), late).order == (1, 2, 0)
    assert choose(points(rows), early).order == (0, 1, 2)


def test_the_best_that_keeps_a_constraint() -> None:
    rule = objective(choose={"constraint": {"val/active_units": 8}, "best": "val/distortion"})
    rows = [(1.0, 30.0), (2.0, 20.0), (3.0, 10.0)]
    assert choose(points(rows, [9, 8, 7]), rule).order == (1, 0, 2)
    unmet = choose(points(rows, [2, 5, 3]), rule)
    assert unmet.problem is not None
    assert "val/active_units >= 8" in unmet.problem and "val/active_units 5 in trial 1" in unmet.problem
    upper = objective(choose={"constraint": {"val/rate": 2.5}, "best": "val/distortion"})
    assert choose(points(rows), upper).order[0] == 1


def test_floors_come_before_the_rule_but_are_no_condition() -> None:
    rule = objective(require={"val/active_units": 4})
    rows = [(10.0, 200.0), (12.0, 130.0), (20.0, 100.0)]
    assert choose(points(rows, [5, 1, 4]), rule).order == (0, 2, 1)
    none = choose(points(rows, [1, 1, 1]), rule)
    assert none.order[0] == 1 and none.problem is None
    assert none.note == "no point of the front keeps val/active_units >= 4"


def history_of(rows: Sequence[tuple[float, float, str]], goals: dict[str, Any] = TWO) -> SearchHistory:
    events: list[dict[str, Any]] = [
        {"event": "search", "time": 0.0, "name": "s", "family": "f", "space": {"objective": goals}}
    ]
    for number, (rate, distortion, state) in enumerate(rows):
        metrics = {"val/rate": rate, "val/distortion": distortion, "val/nelbo": rate + distortion, "val/mse": rate}
        best = {"file": "f", "sha256": "0", "epoch": 1}
        report = {"epoch": 1, "attempt": 1, "value": 1.0, "seconds": 1.0, "metrics": metrics, "outcome": "running"}
        one = {"trial": number, "time": 0.0}
        events += [
            {"event": "submitted", **one, "params": {"beta.value": 0.5}, "group": "g"},
            {"event": "reported", **one, **report, "checkpoint": best, "best": best},
            {"event": "finished", **one, "state": state, "cause": None, "value": 1.0, "epoch": 1, "seconds": 1.0},
        ]
    return fold(map(from_json, events))


@pytest.mark.usefixtures("rendered")
def test_the_figure_and_its_table_hold_every_point(tmp_path: Path) -> None:
    rows = [(10.0, 200.0, "completed"), (12.0, 130.0, "completed"), (20.0, 100.0, "early_stopped")]
    history = history_of([*rows, (30.0, 300.0, "completed"), (5.0, 5.0, "stopped"), (1.0, 1.0, "failed")])
    picture, table = write_front(history, objective(), tmp_path)
    with Image.open(picture) as image:
        assert image.format == "PNG" and min(image.size) > 300
    with table.open() as file:
        lines = list(csv.DictReader(file))
    assert [(line["trial"], line["front"], line["chosen"], line["state"]) for line in lines] == [
        ("1", "1", "1", "completed"),
        ("0", "1", "0", "completed"),
        ("2", "1", "0", "early_stopped"),
        ("3", "0", "0", "completed"),
        ("4", "0", "0", "stopped"),
    ]
    assert lines[0]["val/rate"] == "12.0" and lines[0]["beta.value"] == "0.5"
    assert write_front(history, SINGLE, tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("rendered")
def test_three_goals_are_three_panels(tmp_path: Path) -> None:
    goals = {"metrics": {"val/rate": "min", "val/distortion": "min", "val/mse": "min"}}
    history = history_of([(1.0, 2.0, "completed"), (2.0, 1.0, "completed")], goals)
    two = history_of([(1.0, 2.0, "completed"), (2.0, 1.0, "completed")])
    wide = write_front(history, read_objective(goals), tmp_path / "three")[0]
    narrow = write_front(two, objective(), tmp_path / "two")[0]
    with Image.open(wide) as three, Image.open(narrow) as one:
        assert three.width == pytest.approx(3 * one.width, rel=0.01)
