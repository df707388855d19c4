"""A space that collapses every model is warned of before anything is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manifest_samples import prepared_manifest
from vaeforge.config.experiment import Experiment
from vaeforge.data.prepared import PcaSpectrum, Prepared
from vaeforge.samples import Samples
from vaeforge.search.space.checks import collapse_warnings, too_few_for_schedules
from vaeforge.search.space.space import Space, parse_space


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Data whose largest eigenvalue is 5: a cross-entropy keeps nothing from beta = 5 on."""
    spectrum = PcaSpectrum(dimensions=3072, total=9.0, squared_error=(4.0, 1.0), bernoulli=(5.0, 1.0))
    images = Samples.unconditional(np.zeros((4, 3, 32, 32), np.uint8))
    zeros = np.zeros(4, np.int64)
    return Prepared(tmp_path, prepared_manifest(spectrum=spectrum), images, images, images, zeros, zeros, {})


def space(**dimensions: Any) -> Space:
    return parse_space(
        {"family": "endoscopy", "fidelity": {"max": 9, "min": 3, "reduction": 3}, "space": dimensions}, "s"
    )


@pytest.mark.parametrize(("low", "high", "warned"), [(6.0, 60.0, True), (4.0, 60.0, False), (0.1, 1.0, False)])
def test_a_range_of_beta_that_lies_above_the_predicted_collapse(
    prepared: Prepared, make_experiment: Callable[..., Experiment], low: float, high: float, warned: bool
) -> None:
    searched = space(**{"beta.value": {"float": [low, high], "log": True}})
    found = collapse_warnings(searched, make_experiment(), prepared)
    assert len(found) == warned
    assert all("the smallest beta, 6, is above 5" in text and "lower the range" in text for text in found)


def test_a_start_point_above_the_predicted_collapse(
    prepared: Prepared, make_experiment: Callable[..., Experiment]
) -> None:
    content = {
        "family": "endoscopy",
        "fidelity": {"max": 9, "min": 3, "reduction": 3},
        "space": {"beta.value": {"float": [1, 60]}},
        "start": [{"beta.value": 2.0}, {"beta.value": 12.0}],
    }
    (found,) = collapse_warnings(parse_space(content, "s"), make_experiment(), prepared)
    assert found.startswith("s: start: point 2: its beta, 12, is above 5,") and "this trial may collapse" in found


def test_one_schedule_that_keeps_something_is_enough(
    prepared: Prepared, make_experiment: Callable[..., Experiment]
) -> None:
    choice = {"constant": {"beta.value": {"float": [50, 60]}}, "linear": {"beta.value": {"float": [1, 60]}}}
    searched = space(**{"beta.schedule": {"choice": choice}})
    assert collapse_warnings(searched, make_experiment(), prepared) == []


def test_controllers_find_their_own_weight(prepared: Prepared, make_experiment: Callable[..., Experiment]) -> None:
    choice = {"capacity": {"beta.c_max": {"float": [5, 50]}}, "geco": {"beta.tolerance": {"float": [5, 50]}}}
    searched = space(**{"beta.schedule": {"choice": choice}})
    assert collapse_warnings(searched, make_experiment(), prepared) == []


def test_the_likelihood_decides_what_beta_means(prepared: Prepared, make_experiment: Callable[..., Experiment]) -> None:
    searched = space(**{"beta.value": {"float": [6, 60]}})
    squared = make_experiment(model={"likelihood": "squared_error"})  # 2 x 4 = 8
    assert collapse_warnings(searched, squared, prepared) == []


@pytest.mark.parametrize(("schedules", "trials", "told"), [(3, 8, True), (3, 9, False), (1, 1, False)])
def test_too_few_trials_to_compare_schedules_are_told(schedules: int, trials: int, told: bool) -> None:
    names = ("constant", "linear", "sigmoid")[:schedules]
    searched = space(**{"beta.schedule": {"choice": list(names)}, "model.latent_dim": {"int": [2, 8]}})
    text = too_few_for_schedules(searched, trials)
    assert bool(text) == told
    assert not told or text.startswith("8 trials are too few to compare the 3 schedules of s, which takes at least 9")


def test_without_a_choice_of_schedules_no_number_of_trials_is_too_few() -> None:
    assert too_few_for_schedules(space(**{"model.latent_dim": {"int": [2, 8]}}), 1) == ""
