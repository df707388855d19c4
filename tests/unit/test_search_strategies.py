"""Strategies by name: what a space may ask for, what is refused, and when each scheduler decides."""

from typing import Any

import pytest

from vaeforge.search.space.fidelity import Fidelity
from vaeforge.search.space.objective import SINGLE, Objective, read_objective
from vaeforge.search.space.strategies import (
    CMAES,
    GP,
    NSGA2,
    PBT,
    QMC,
    SAMPLERS,
    SCHEDULERS,
    TPE,
    Asha,
    Grid,
    Hyperband,
    Median,
    NoScheduler,
    Random,
    mutable,
    read_scheduler,
    read_search,
    refuse_misfit,
)

TWO = read_objective({"metrics": {"val/rate": "min", "val/mse": "min"}}, "s", [])


def search(content: Any, objective: Objective = SINGLE) -> tuple[Any, list[str]]:
    problems: list[str] = []
    return read_search(content, "s: search", objective, problems), problems


def scheduler(content: Any, objective: Objective = SINGLE) -> tuple[Any, list[str]]:
    problems: list[str] = []
    return read_scheduler(content, "s: scheduler", objective, problems), problems


def test_the_names_are_those_of_the_documentation() -> None:
    assert list(SAMPLERS) == ["tpe", "gp", "cmaes", "qmc", "random", "grid", "nsga2"]
    assert list(SCHEDULERS) == ["asha", "hyperband", "median", "pbt", "none"]


def test_the_defaults_follow_the_number_of_goals() -> None:
    assert search(None) == (TPE(), []) and scheduler(None) == (Asha(), [])
    assert search(None, TWO) == (TPE(), []) and scheduler(None, TWO) == (NoScheduler(), [])


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_by_name_or_by_mapping(name: str) -> None:
    assert search(name) == search({"name": name}) == (SAMPLERS[name](), [])


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_by_name_or_by_mapping(name: str) -> None:
    assert scheduler(name) == scheduler({"name": name}) == (SCHEDULERS[name](), [])


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"name": "tpe", "startup": 4}, TPE(startup=4)),
        ({"name": "gp", "startup": 4}, GP(startup=4)),
        ({"name": "cmaes", "startup": 3}, CMAES(startup=3)),
        ({"name": "qmc", "kind": "halton"}, QMC(kind="halton")),
        ({"name": "grid", "points": 5}, Grid(points=5)),
        ({"name": "nsga2", "population": 8}, NSGA2(population=8)),
    ],
)
def test_options_of_samplers(content: dict[str, Any], found: Any) -> None:
    assert search(content) == (found, [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("tpee", "s: search: got 'tpee', must be one of tpe, gp, cmaes, qmc, random, grid, nsga2; did you mean 'tpe'"),
        ({"startup": 3}, "got None, must be one of"),
        (["tpe"], "got ['tpe'], must be one of"),
        (3, "got 3, must be one of"),
        ({"name": "tpe", "start": 3}, "s: search: tpe: unknown key 'start'; did you mean 'startup'"),
        ({"name": "tpe", "startup": 0}, "s: search: tpe: startup: got 0, must be >= 1"),
        ({"name": "qmc", "kind": "sobl"}, "qmc: kind: got 'sobl', must be 'sobol' or 'halton'"),
        ({"name": "grid", "points": "many"}, "grid: points: got 'many'"),
        ({"name": "nsga2", "population": 1}, "population: got 1, must be >= 2"),
    ],
)
def test_bad_samplers_are_refused(content: Any, message: str) -> None:
    found, problems = search(content)
    assert len(problems) == 1 and message in problems[0], problems
    assert found == TPE()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ahsa", "did you mean 'asha'"),
        ({"name": "pbt", "quantile": 0.6}, "s: scheduler: pbt: quantile: got 0.6, must be <= 0.5"),
        ({"name": "pbt", "resample": float("nan")}, "resample: got nan"),
        ({"name": "median", "grace": 0}, "grace: got 0, must be >= 1"),
        ({"name": "hyperband", "brackets": 0}, "brackets: got 0, must be >= 1"),
        ({"name": "asha", "grace": 3}, "unknown key 'grace'"),
    ],
)
def test_bad_schedulers_are_refused(content: Any, message: str) -> None:
    _, problems = scheduler(content)
    assert len(problems) == 1 and message in problems[0], problems


def test_two_wrong_options_are_two_problems() -> None:
    assert len(scheduler({"name": "pbt", "quantile": 0, "resample": 2, "intervall": 3})[1]) == 3


def test_what_knows_one_goal_is_refused_with_several() -> None:
    assert (
        "cmaes knows one goal, and the objective has 2; take tpe, gp, qmc, random, grid, nsga2"
        in search("cmaes", TWO)[1][0]
    )
    assert "pbt knows one goal" in scheduler("pbt", TWO)[1][0]
    for name in ("asha", "hyperband", "median", "none"):
        assert scheduler(name, TWO)[1] == []
    assert search("nsga2")[1] == []


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        (Asha(), [2, 6]),
        (Hyperband(), [2, 6]),
        (Median(), list(range(2, 18))),
        (Median(grace=15), [15, 16, 17]),
        (PBT(), [2, 4, 6, 8, 10, 12, 14, 16]),
        (PBT(interval=7), [7, 14]),
        (NoScheduler(), []),
    ],
)
def test_when_a_scheduler_decides(settings: Any, epochs: list[int]) -> None:
    assert settings.epochs(Fidelity(max=18, min=2, reduction=3)) == epochs


def test_the_setting_that_moves_the_first_decision() -> None:
    fidelity = Fidelity(18, 2, 3)
    assert Asha().first(fidelity) == Median().first(fidelity) == PBT().first(fidelity) == ("fidelity.min", 2)
    assert Median(grace=5).first(fidelity) == ("scheduler.grace", 5)
    assert PBT(interval=6).first(fidelity) == ("scheduler.interval", 6)


@pytest.mark.parametrize(
    ("settings", "setting"),
    [(Median(grace=9), "grace"), (PBT(interval=10), "interval"), (Median(), None), (PBT(), None), (Asha(), None)],
)
def test_a_first_decision_at_the_last_epoch_is_refused(settings: Any, setting: str | None) -> None:
    problems: list[str] = []
    refuse_misfit(settings, Fidelity(9, 3, 3), "s: scheduler", problems)
    assert bool(problems) is (setting is not None)
    assert all(f"scheduler.{setting} must be < 9" in problem for problem in problems)


def test_without_rungs_median_and_pbt_have_nothing_to_do_and_asha_stops_nothing() -> None:
    for settings, refused in ((Median(), True), (PBT(), True), (Asha(), False), (NoScheduler(), False)):
        problems: list[str] = []
        refuse_misfit(settings, Fidelity(9, 9, 3), "s", problems)
        assert bool(problems) is refused


@pytest.mark.parametrize(
    ("settings", "content"),
    [
        (Asha(), {"name": "asha"}),
        (Median(grace=6), {"name": "median", "grace": 2}),
        (PBT(interval=9, quantile=0.5), {"name": "pbt", "interval": 3, "quantile": 0.5}),
        (PBT(), {"name": "pbt"}),
        (Median(grace=17), {"name": "median", "grace": 5}),  # 17 / 3 rounds to the last epoch
    ],
)
def test_a_shorter_training_moves_what_is_counted_in_epochs(settings: Any, content: dict[str, Any]) -> None:
    assert settings.shortened(now=6, before=18) == content


def test_what_population_based_training_may_change() -> None:
    assert all(map(mutable, ("beta.value", "beta.schedule", "optimizer.lr", "optimizer.weight_decay")))
    assert not any(map(mutable, ("model.latent_dim", "optimizer.name", "training.batch_size", "betaish.value")))


def test_which_choices_give_their_options_models_of_their_own() -> None:
    apart = {name: kind.separate for name, kind in SAMPLERS.items() if kind.separate != "none"}
    assert apart == {"gp": "opening", "cmaes": "every", "qmc": "opening"}
    assert Random().separate == "none"
