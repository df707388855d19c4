"""Frozen parameters, and what the command line changes in a space."""

import json
from collections.abc import Callable
from typing import Any

import optuna
import pytest

from vaeforge.config.experiment import Experiment
from vaeforge.errors import ConfigError
from vaeforge.search.samplers.gp import GPSettings
from vaeforge.search.samplers.tpe import TPESettings
from vaeforge.search.schedulers.median import MedianSettings
from vaeforge.search.space.checks import check
from vaeforge.search.space.fidelity import Fidelity
from vaeforge.search.space.space import Space, parse_space
from vaeforge.search.space.trial_experiment import experiment_for

RANGE = {"model.latent_dim": {"int": [2, 8], "log": True}}


def content(**changes: Any) -> dict[str, Any]:
    return {"family": "endoscopy", "fidelity": {"max": 9, "min": 3, "reduction": 3}, "space": RANGE} | changes


@pytest.fixture
def base(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment()


BRANCHED: dict[str, Any] = RANGE | {
    "beta.schedule": {
        "choice": {
            "constant": {"beta.value": {"float": [0.1, 1]}},
            "linear": {"beta.value": {"float": [0.1, 2]}, "beta.warmup": {"float": [0.1, 0.3]}},
        }
    }
}


def frozen(**freeze: Any) -> Space:
    return parse_space(content(space=BRANCHED, freeze={path.replace("__", "."): v for path, v in freeze.items()}), "s")


def test_a_frozen_range_leaves_the_space() -> None:
    space = frozen(model__latent_dim=4)
    assert [dimension.path for dimension in space.dimensions] == ["beta.schedule"]
    params = space.suggest(optuna.create_study().ask())
    assert params["model.latent_dim"] == 4 and next(iter(params)) == "model.latent_dim"


def test_a_frozen_choice_opens_what_its_option_opens(base: Experiment) -> None:
    space = frozen(beta__schedule="linear")
    assert [dimension.path for dimension in space.dimensions] == ["model.latent_dim", "beta.value", "beta.warmup"]
    assert [dimension.name for dimension in space.dimensions][1] == "beta.value"  # no other subspace is left
    params = {"model.latent_dim": 2, "beta.value": 2.0, "beta.warmup": 0.2}
    assert space.group(params, base) == "linear"
    assert experiment_for(space, base, params, 0).beta.model_dump() == {
        "schedule": "linear",
        "value": 2.0,
        "warmup": 0.2,
    }


def test_what_only_some_options_open_is_frozen_under_them_alone() -> None:
    space = frozen(beta__warmup=0.2)
    assert space.with_fixed_params({"beta.schedule": "linear"}) == {"beta.schedule": "linear", "beta.warmup": 0.2}
    assert space.with_fixed_params({"beta.schedule": "constant"}) == {"beta.schedule": "constant"}
    inherited = {"beta.schedule": "constant", "beta.warmup": 0.2, "beta.value": 0.5}  # by another schedule's trial
    assert space.with_fixed_params(inherited) == {"beta.schedule": "constant", "beta.value": 0.5}


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        ({"beta__value": 1.5}, r"freeze: beta\.value: got 1\.5, must be a number in 0\.1 \.\. 1$"),
        ({"beta__schedule": "linera"}, "must be one of constant, linear; did you mean 'linear'"),
        ({"beta__schedule": ["linear"]}, "must be one of constant, linear"),
        ({"beta__schedule": "constant", "beta__warmup": 0.2}, "no trial has it under the other frozen values"),
        ({"model__latent_dim": True}, "got True, must be an integer"),
        ({"model__latent_dim": 4.5}, "got 4.5, must be an integer"),
    ],
)
def test_values_that_cannot_be_frozen_are_refused(freeze: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        frozen(**freeze)
    assert len(caught.value.problems) == 1
    assert frozen(beta__schedule="linear", beta__value=1.5).dimensions[-1].path == "beta.warmup"


def test_a_start_point_takes_the_frozen_values_and_may_leave_others_out(base: Experiment) -> None:
    start = [{"beta.schedule": "linear"}, {"beta.schedule": "constant", "beta.warmup": 0.2}]
    space = parse_space(content(space=BRANCHED, freeze={"beta.warmup": 0.2}, start=start), "s")
    assert space.start == ({"beta.schedule": "linear", "beta.warmup": 0.2}, {"beta.schedule": "constant"})
    assert check(space, base) == []


def test_examples_hold_what_is_frozen() -> None:
    found = frozen(beta__schedule="linear", model__latent_dim=4).corner_points()
    assert {"model.latent_dim": 4} in found and {} in found
    schedules = [example for example in found if "beta.schedule" in example]
    assert {example["beta.schedule"] for example in schedules} == {"linear"}
    assert {example["beta.value"] for example in schedules} == {0.1, 2}


def test_everything_frozen_is_one_configuration(base: Experiment) -> None:
    space = frozen(model__latent_dim=4, beta__schedule="constant", beta__value=0.5)
    assert space.dimensions == ()
    assert space.suggest(None) == {"model.latent_dim": 4, "beta.schedule": "constant", "beta.value": 0.5}
    assert check(space, base) == []


def test_what_fits_a_space() -> None:
    space = frozen(model__latent_dim=4)
    whole = {"model.latent_dim": 4, "beta.schedule": "constant", "beta.value": 0.5}
    assert space.fits(whole)
    assert not space.fits({**whole, "model.latent_dim": 5})
    assert not space.fits({**whole, "beta.warmup": 0.2})
    assert not space.fits({**whole, "beta.value": 1.5})
    assert space.violations({"model.latent_dim": 4, "beta.schedule": "constant"}) == [
        "beta.value: is missing, must be a number in 0.1 .. 1"
    ]
    assert not space.fits({"beta.schedule": "constant", "beta.value": 0.5})


def test_the_command_line_holds_over_the_file() -> None:
    written = content(space=BRANCHED, search={"name": "tpe", "startup": 4}, freeze={"model.latent_dim": 4})
    space = parse_space(written, "s")
    changed = space.with_changes(search="gp", scheduler={"name": "median", "grace": 5}, freeze={"beta.warmup": 0.2})
    assert (changed.search, changed.scheduler) == (GPSettings(), MedianSettings(grace=5))
    assert changed.fixed == {"model.latent_dim": 4, "beta.warmup": 0.2}
    assert space.with_changes(freeze={"model.latent_dim": 5}).fixed == {"model.latent_dim": 5}
    assert space.with_changes(search="tpe").search == TPESettings(startup=4)
    assert space.content == written


def test_what_changes_nothing_leaves_the_content_that_a_resumed_search_compares() -> None:
    space = parse_space(content(space=BRANCHED), "s")
    assert space.with_changes() is space.with_changes(search="tpe", scheduler="asha", freeze={}) is space
    assert space.with_changes(search={"name": "tpe"}) is space
    twice = [space.with_changes(search="gp", freeze={"model.latent_dim": 4}) for _ in range(2)]
    assert twice[0].content == twice[1].content == json.loads(json.dumps(twice[0].content))
    assert parse_space(twice[0].content, "s") == twice[0]


def test_problems_of_the_command_line_are_called_so_and_told_at_once() -> None:
    two = {"metrics": {"val/rate": "min", "val/mse": "min"}}
    space = parse_space(content(space=BRANCHED, objective=two), "s")
    with pytest.raises(ConfigError) as caught:
        space.with_changes(search="cmaes", scheduler={"name": "median", "grace": 9}, freeze={"beta.warmp": 0.2})
    wheres = [problem.split(":")[0] for problem in caught.value.problems]
    assert wheres == ["--search", "--scheduler", "--freeze"]
    assert "did you mean 'beta.warmup'" in caught.value.problems[2]


def test_fewer_epochs_move_the_schedulers_epochs_along() -> None:
    space = parse_space(content(fidelity={"max": 18, "min": 6}, scheduler={"name": "median", "grace": 9}), "s")
    shorter = space.with_epochs(6)
    assert (shorter.fidelity, shorter.scheduler) == (Fidelity(6, 2, 3), MedianSettings(grace=3))
    assert "scheduler" not in parse_space(content(), "s").with_epochs(3).content


def test_a_frozen_schedule_does_not_hide_a_collapse(base: Experiment) -> None:
    """The warning looks at the examples: each that names beta must have the range's ends and no default."""
    for example in frozen(beta__schedule="linear").corner_points():
        about_beta = [path for path in example if path.startswith("beta.")]
        assert about_beta == [] or "beta.value" in about_beta
