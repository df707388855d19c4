"""Strategies by name: what a space may ask for, what is refused, and when each scheduler decides."""

from pathlib import Path
from typing import Any

import pytest

from vaeforge.errors import ConfigError
from vaeforge.search.samplers.cmaes import CMAESSettings
from vaeforge.search.samplers.gp import GPSettings
from vaeforge.search.samplers.grid import GridSettings
from vaeforge.search.samplers.nsga2 import NSGA2Settings
from vaeforge.search.samplers.qmc import QMCSettings
from vaeforge.search.samplers.random_sampler import RandomSettings
from vaeforge.search.samplers.tpe import TPESettings
from vaeforge.search.schedulers.asha import ASHASettings
from vaeforge.search.schedulers.hyperband import HyperbandSettings
from vaeforge.search.schedulers.median import MedianSettings
from vaeforge.search.schedulers.mutation import mutable
from vaeforge.search.schedulers.no_scheduler import NoSchedulerSettings
from vaeforge.search.schedulers.pbt import PBTSettings
from vaeforge.search.space.fidelity import Fidelity
from vaeforge.search.space.form import checked
from vaeforge.search.space.objective import SINGLE, Objective
from vaeforge.search.space.objective_form import read_objective
from vaeforge.search.space.space_file import read_sampler, read_scheduler
from vaeforge.search.strategy_registry import samplers, schedulers

TWO = read_objective({"metrics": {"val/rate": "min", "val/mse": "min"}})
SAMPLERS, SCHEDULERS = samplers(), schedulers()
ROOT = Path(__file__).parents[2]


def search(content: Any, objective: Objective = SINGLE) -> tuple[Any, list[str]]:
    """The settings and no problems, or the problems."""
    try:
        return checked(lambda: read_sampler(content, objective), "s: search"), []
    except ConfigError as error:
        return None, error.problems


def scheduler(content: Any, objective: Objective = SINGLE) -> tuple[Any, list[str]]:
    """The settings and no problems, or the problems."""
    try:
        return checked(lambda: read_scheduler(content, objective), "s: scheduler"), []
    except ConfigError as error:
        return None, error.problems


def test_the_names_are_those_of_the_documentation() -> None:
    assert list(SAMPLERS) == ["tpe", "gp", "cmaes", "qmc", "random", "grid", "nsga2", "vae"]
    assert list(SCHEDULERS) == ["asha", "hyperband", "median", "pbt", "none"]


def test_help_and_documentation_name_every_one() -> None:
    """Those of this project: the registry is not asked for the help, which must come quickly."""
    written = (ROOT / "platform/vaeforge/cli/searches.py").read_text(encoding="utf-8")
    table = (ROOT / "tune_spaces/README.md").read_text(encoding="utf-8")
    assert f'"{", ".join(SAMPLERS)}, or any sampler of Optuna\'s as optuna:module.Class"' in written
    assert '"asha, hyperband, median, pbt or none"' in written
    assert all(f"\n| `{name}`" in table for name in (*SAMPLERS, *SCHEDULERS, "optuna:module.Class"))


def test_the_defaults_follow_the_number_of_goals() -> None:
    assert search(None) == (TPESettings(), []) and scheduler(None) == (ASHASettings(), [])
    assert search(None, TWO) == (TPESettings(), []) and scheduler(None, TWO) == (NoSchedulerSettings(), [])


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_by_name_or_by_mapping(name: str) -> None:
    assert search(name) == search({"name": name}) == (SAMPLERS[name](), [])


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_by_name_or_by_mapping(name: str) -> None:
    assert scheduler(name) == scheduler({"name": name}) == (SCHEDULERS[name](), [])


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"name": "tpe", "startup": 4}, TPESettings(startup=4)),
        ({"name": "gp", "startup": 4}, GPSettings(startup=4)),
        ({"name": "cmaes", "startup": 3}, CMAESSettings(startup=3)),
        ({"name": "qmc", "kind": "halton"}, QMCSettings(kind="halton")),
        ({"name": "grid", "points": 5}, GridSettings(points=5)),
        ({"name": "nsga2", "population": 8}, NSGA2Settings(population=8)),
    ],
)
def test_options_of_samplers(content: dict[str, Any], found: Any) -> None:
    assert search(content) == (found, [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "tpee",
            "s: search: got 'tpee', must be one of tpe, gp, cmaes, qmc, random, grid, nsga2, vae; did you mean 'tpe'",
        ),
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
    assert found is None


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
        "cmaes knows one goal, and the objective has 2; take tpe, gp, qmc, random, grid, nsga2, vae"
        in search("cmaes", TWO)[1][0]
    )
    assert "pbt knows one goal" in scheduler("pbt", TWO)[1][0]
    for name in ("asha", "hyperband", "median", "none"):
        assert scheduler(name, TWO)[1] == []
    assert search("nsga2")[1] == []


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        (ASHASettings(), [2, 6]),
        (HyperbandSettings(), [2, 6]),
        (MedianSettings(), list(range(2, 18))),
        (MedianSettings(grace=15), [15, 16, 17]),
        (PBTSettings(), [2, 4, 6, 8, 10, 12, 14, 16]),
        (PBTSettings(interval=7), [7, 14]),
        (NoSchedulerSettings(), []),
    ],
)
def test_when_a_scheduler_decides(settings: Any, epochs: list[int]) -> None:
    assert settings.epochs(Fidelity(max=18, min=2, reduction=3)) == epochs


def test_the_setting_that_moves_the_first_decision() -> None:
    fidelity = Fidelity(18, 2, 3)
    assert (
        ASHASettings().first(fidelity)
        == MedianSettings().first(fidelity)
        == PBTSettings().first(fidelity)
        == ("fidelity.min", 2)
    )
    assert MedianSettings(grace=5).first(fidelity) == ("scheduler.grace", 5)
    assert PBTSettings(interval=6).first(fidelity) == ("scheduler.interval", 6)


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        (MedianSettings(grace=9), "grace"),
        (PBTSettings(interval=10), "interval"),
        (MedianSettings(), None),
        (PBTSettings(), None),
        (ASHASettings(), None),
    ],
)
def test_a_first_decision_at_the_last_epoch_is_refused(settings: Any, setting: str | None) -> None:
    problem = settings.too_late(Fidelity(9, 3, 3))
    assert (problem is not None) is (setting is not None)
    assert problem is None or f"scheduler.{setting} must be < 9" in problem


def test_without_rungs_median_and_pbt_have_nothing_to_do_and_asha_stops_nothing() -> None:
    for settings, refused in (
        (MedianSettings(), True),
        (PBTSettings(), True),
        (ASHASettings(), False),
        (NoSchedulerSettings(), False),
    ):
        assert (settings.too_late(Fidelity(9, 9, 3)) is not None) is refused


@pytest.mark.parametrize(
    ("settings", "content"),
    [
        (ASHASettings(), {"name": "asha"}),
        (MedianSettings(grace=6), {"name": "median", "grace": 2}),
        (PBTSettings(interval=9, quantile=0.5), {"name": "pbt", "interval": 3, "quantile": 0.5}),
        (PBTSettings(), {"name": "pbt"}),
        (MedianSettings(grace=17), {"name": "median", "grace": 5}),  # 17 / 3 rounds to the last epoch
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
    assert RandomSettings().separate == "none"
