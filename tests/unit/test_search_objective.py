"""Objectives: what is read, what is refused, and what a trial's metrics are worth under one."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vaeforge.errors import ConfigError
from vaeforge.search.space.form import checked
from vaeforge.search.space.objective import METRICS, SINGLE, Constraint, Goal, Knee, Objective, Weight
from vaeforge.search.space.objective_form import read_objective

TWO = {"val/distortion": "min", "val/rate": "min"}
ROOT = Path(__file__).parents[2]


def read(content: Any) -> Objective:
    return checked(lambda: read_objective(content), "space.yaml: objective")


def problems_of(content: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(content)
    return caught.value.problems


def test_nothing_said_is_the_beta_free_number() -> None:
    assert read({}) == read({"metric": "val/nelbo", "mode": "min"}) == SINGLE
    assert SINGLE.single and SINGLE.goals == (Goal("val/nelbo", "min"),)


def test_several_goals_have_one_order_whatever_the_file_says() -> None:
    found = read({"metrics": TWO})
    assert [goal.metric for goal in found.goals] == ["val/rate", "val/distortion"]
    assert found == read({"metrics": dict(reversed(TWO.items()))})
    assert not found.single and found.choose == Knee()


def test_costs_are_smaller_where_a_trial_is_better() -> None:
    found = read({"metrics": {"val/active_units": "max", "val/mse": "min"}})
    assert found.costs({"val/mse": 0.5, "val/active_units": 7.0, "val/rate": 3.0}) == (0.5, -7.0)
    assert [goal.sign for goal in found.goals] == [1, -1]


@pytest.mark.parametrize("missing", [{}, {"val/mse": None}, {"val/mse": math.nan}, {"val/mse": -math.inf}])
def test_a_goal_that_is_not_finite_leaves_a_trial_without_costs(missing: dict[str, Any]) -> None:
    found = read({"metrics": {"val/active_units": "max", "val/mse": "min"}})
    assert found.costs({"val/active_units": 7.0, **missing}) is None


def test_floors_hold_at_their_value_and_need_one() -> None:
    found = read({"require": {"val/active_units": 4, "val/rate": 1.5}})
    assert found.keeps_floors({"val/active_units": 4.0, "val/rate": 1.5})
    assert not found.keeps_floors({"val/active_units": 3.0, "val/rate": 9.0})
    assert not found.keeps_floors({"val/active_units": 9.0})
    assert not found.keeps_floors({"val/active_units": 9.0, "val/rate": math.nan})
    assert SINGLE.keeps_floors({})


def test_a_bound_is_what_a_metric_must_be_in_its_good_direction() -> None:
    choose = {"constraint": {"val/active_units": 8, "val/rate": 20.0}, "best": "val/distortion"}
    rule = read({"metrics": TWO, "choose": choose}).choose
    assert isinstance(rule, Constraint)
    assert rule.met({"val/active_units": 8.0, "val/rate": 20.0})
    assert not rule.met({"val/active_units": 7.0, "val/rate": 20.0})
    assert not rule.met({"val/active_units": 8.0, "val/rate": 20.5})
    assert rule.describe() == "best val/distortion with val/active_units >= 8 and val/rate <= 20"


def test_weights_name_every_goal() -> None:
    rule = read({"metrics": TWO, "choose": {"weight": {"val/rate": 1, "val/distortion": 2}}}).choose
    assert rule == Weight({"val/rate": 1.0, "val/distortion": 2.0})
    assert rule.describe() == "weights val/rate 1, val/distortion 2"


def test_three_goals_are_the_most() -> None:
    assert len(read({"metrics": {name: METRICS[name] for name in list(METRICS)[:3]}}).goals) == 3
    assert "got 4, must be 2 or 3" in problems_of({"metrics": {name: METRICS[name] for name in list(METRICS)[:4]}})[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("val/nelbo", "objective: got 'val/nelbo', must be a mapping"),
        ({"metric": "val/mse"}, "metric: got 'val/mse', must be 'val/nelbo'"),
        ({"choose": "knee"}, "choose goes with several goals"),
        ({"metrics": TWO, "mode": "min"}, "mode goes with one goal"),
        ({"metrics": ["val/rate"]}, "metrics: got ['val/rate'], must be a mapping"),
        ({"metrics": {"val/nelbo": "min"}}, "got 1, must be 2 or 3; for one goal take metric: val/nelbo"),
        ({"metrics": {**TWO, "val/active_unit": "max"}}, "did you mean 'val/active_units'"),
        ({"metrics": {**TWO, "val/active_units": "min"}}, "val/active_units: got 'min', must be 'max'"),
        ({"metrics": {"val/mse": [1], "val/rate": "min"}}, "val/mse: got [1], must be 'min'"),
        ({"metrics": TWO, "choose": "elbow"}, "choose: got 'elbow', must be knee"),
        ({"metrics": TWO, "choose": {"weight": {}, "constraint": {}}}, "must be knee, {constraint"),
        ({"metrics": TWO, "choose": {"constraint": {"val/mse": 1}}}, "best: got None, must be one of the goals"),
        (
            {"metrics": TWO, "choose": {"constraint": {"val/mse": 1}, "best": "val/ratte"}},
            "best: got 'val/ratte', must be one of the goals val/rate, val/distortion; did you mean 'val/rate'",
        ),
        ({"metrics": TWO, "choose": {"constraint": {}, "best": "val/rate"}}, "constraint: is empty"),
        ({"metrics": TWO, "choose": {"constraint": {"val/mse": "x"}, "best": "val/rate"}}, "got 'x', must be a number"),
        ({"metrics": TWO, "choose": {"constraint": 3, "best": "val/rate"}}, "constraint: got 3, must be a mapping"),
        (
            {"metrics": TWO, "choose": {"weight": {"val/rate": 1}}},
            "weight: got {'val/rate': 1.0}, must be a number > 0",
        ),
        ({"metrics": TWO, "choose": {"weight": {"val/rate": 1, "val/distortion": 0}}}, "must be a number > 0 for each"),
        ({"metrics": TWO, "choose": {"weight": dict.fromkeys(TWO, 1), "best": "x"}}, "unknown key 'best'"),
        ({"metrics": TWO, "require": {"val/active_units": True}}, "must be a number for val/active_units"),
    ],
)
def test_bad_objectives_are_refused(content: Any, message: str) -> None:
    found = problems_of(content)
    assert any(message in problem for problem in found), found
    assert all(problem.startswith("space.yaml: objective") for problem in found)


def test_all_problems_are_told_at_once() -> None:
    content = {"metrics": {"val/rate": "max", "val/nelb": "min"}, "chose": "knee", "require": 3}
    assert len(problems_of(content)) == 4


def test_the_dispatcher_imports_nothing_heavy() -> None:
    """The dispatcher is given an objective; an import of torch costs it seconds and memory."""
    code = (
        "import sys; import vaeforge.search.space.objective, vaeforge.search.dispatch.dispatcher_actor; "
        "heavy = ('torch', 'ray', 'optuna', 'scipy', 'vaeforge.config.experiment', 'vaeforge.search.space.space'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    environment = {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
