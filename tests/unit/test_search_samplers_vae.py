"""The sampler `vae`: schedules share an axis, densities are densities, and what is expected leans and never limits."""

import math
from typing import Any

import numpy as np
import pytest

from vaeforge.errors import ConfigError
from vaeforge.search.samplers.expected import Expected, ExpectedDensity
from vaeforge.search.samplers.parzen import Parzen, even
from vaeforge.search.samplers.shared_axes import MEAN, SharedAxes
from vaeforge.search.samplers.trials import FinishedTrial
from vaeforge.search.samplers.vae import VAESampler, VAESettings
from vaeforge.search.space.schedule_curve import mean_beta
from vaeforge.search.space.space import Space, parse_space

BETA = {"float": [0.01, 10], "log": True}
CONTENT: dict[str, Any] = {
    "family": "fmri",
    "fidelity": {"max": 9, "min": 3, "reduction": 3},
    "space": {
        "model.latent_dim": {"int": [2, 128], "log": True},
        "beta.schedule": {
            "choice": {
                "constant": {"beta.value": BETA},
                "cyclical": {"beta.max": BETA, "beta.ramp": {"float": [0.25, 1.0]}, "beta.cycles": {"int": [2, 6]}},
                "geco": {},
            }
        },
    },
}


def space_with(**search: Any) -> Space:
    return parse_space({**CONTENT, "search": {"name": "vae", **search}}, "space.yaml")


def test_schedules_of_the_same_mean_lie_at_the_same_place() -> None:
    axes = SharedAxes(space_with())
    assert "beta.value" not in axes.names and "beta.max" not in axes.names
    place = axes.place(MEAN)
    constant = axes.vector({"model.latent_dim": 8, "beta.schedule": "constant", "beta.value": 0.6})
    ramped = {"model.latent_dim": 8, "beta.schedule": "cyclical", "beta.max": 0.8, "beta.ramp": 0.5, "beta.cycles": 4}
    assert axes.vector(ramped)[place] == pytest.approx(constant[place], abs=1e-4)  # 0.8 * (1 - 0.5 / 2) = 0.6
    assert math.isnan(axes.vector({"model.latent_dim": 8, "beta.schedule": "geco"})[place])


def test_a_point_of_the_axes_is_a_point_of_the_space_with_that_mean() -> None:
    space = space_with()
    axes = SharedAxes(space)
    where = {"beta.schedule": 1.0, MEAN: 0.5, "beta.ramp": 0.0, "beta.cycles": 0.5, "model.latent_dim": 0.5}
    point = axes.point(lambda axis: where[axes.names[axis]])
    assert space.violations(point) == [] and point["beta.schedule"] == "cyclical"
    found = mean_beta(point)
    assert found is not None and axes.unit_of_mean(found) == pytest.approx(0.5)
    highest = axes.point(lambda axis: {**where, MEAN: 1.0, "beta.ramp": 1.0}[axes.names[axis]])
    assert highest["beta.max"] == 10  # a mean of 10 would take 20 under a ramp over whole cycles: the range ends first


def test_a_frozen_schedule_has_its_mean_too() -> None:
    space = space_with().with_changes(freeze={"beta.schedule": "cyclical", "beta.ramp": 0.5})
    axes = SharedAxes(space)
    assert set(axes.names) == {"model.latent_dim", "beta.cycles", MEAN}
    point = axes.point(lambda axis: 0.5)
    assert space.violations(point) == [] and axes.vector(point)[axes.place(MEAN)] == pytest.approx(0.5)


def test_a_parzen_density_integrates_to_one() -> None:
    options = (0, 3)
    density = Parzen(np.array([[0.1, 1.0], [0.9, 2.0], [math.nan, 0.0]]), options, even(options))
    grid = (np.arange(4000) + 0.5) / 4000
    total = sum(np.exp(density.log(np.column_stack([grid, np.full(4000, float(k))]))).mean() for k in range(3))
    assert total == pytest.approx(1.0, abs=1e-4)


def expected_density(betas: dict[int, float] | None) -> tuple[SharedAxes, ExpectedDensity]:
    space = space_with()
    axes = SharedAxes(space)
    return axes, ExpectedDensity(axes, Expected(betas) if betas else None)


def test_what_is_expected_is_a_density_that_leans_and_reaches_everywhere() -> None:
    axes, density = expected_density({2: 0.1, 128: 0.1})
    means = (np.arange(4000) + 0.5) / 4000
    vectors = np.full((4000, len(axes.names)), 0.5)
    vectors[:, axes.place(MEAN)] = means
    options = math.prod(many for many in axes.options if many)
    height = np.exp(density.log(vectors)) * options
    assert height.mean() == pytest.approx(1.0, abs=1e-3)
    assert height.min() >= 0.5  # half of it is even
    assert means[height.argmax()] == pytest.approx(axes.unit_of_mean(0.1), abs=1e-3)


def test_the_first_proposals_lean_towards_what_is_expected() -> None:
    def share(**search: Any) -> float:
        sampler = space_with(startup=1000, **search).build_sampler(0)
        means = [mean_beta(sampler.ask(number) or {}) for number in range(300)]
        known = [mean for mean in means if mean is not None]
        return sum(0.1 / 4 < mean < 0.1 * 4 for mean in known) / len(known)

    assert share(expect=False) < 0.5 < share(betas={8: 0.1})


def test_trials_under_one_schedule_inform_the_others() -> None:
    """All trials are constant ones, and the best have a mean of about 0.3: cyclical proposals go there, too."""
    sampler = VAESettings(expect=False).build(space_with(), 0)
    assert isinstance(sampler, VAESampler)
    rng = np.random.default_rng(0)
    for number in range(60):
        beta = float(np.exp(rng.uniform(np.log(0.01), np.log(10))))
        params = {"model.latent_dim": 8, "beta.schedule": "constant", "beta.value": beta}
        cost = abs(math.log(beta / 0.3))
        sampler.tell(FinishedTrial(number, params, "completed", (cost,), 9))
    asked = [sampler.propose(number) for number in range(60, 160)]  # none of which runs, or they would avoid each other
    means = [mean_beta(params) for params in asked if params["beta.schedule"] == "cyclical"]
    near = [0.3 / 4 < mean < 0.3 * 4 for mean in means if mean is not None]
    assert len(near) >= 3 and sum(near) / len(near) > 0.7  # an even draw has 0.4


@pytest.mark.parametrize(
    ("betas", "problem"),
    [
        ({}, "search: vae: betas: got {}"),
        ({0: 1.0}, "got 0, must be >= 1"),
        ({8: -1.0}, "search: vae: betas: 8: got -1.0, must be > 0"),
        ({8: math.inf}, "search: vae: betas: 8: got inf"),
    ],
)
def test_expectations_that_are_none_are_refused(betas: dict[int, float], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        space_with(betas=betas)
    assert problem in str(refused.value)


def test_a_ledger_gives_back_what_was_expected() -> None:
    settings = VAESettings.model_validate({"name": "vae", "betas": {"8": 0.5}})  # keys of JSON are texts
    assert settings.betas == {8: 0.5}


def test_expectations_are_interpolated_in_the_logarithms() -> None:
    expected = Expected({4: 1.0, 16: 0.01})
    assert expected.beta(8) == pytest.approx(0.1)
    assert expected.beta(1) == pytest.approx(1.0) and expected.beta(100) == pytest.approx(0.01)
