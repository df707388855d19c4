"""What planes leave of validation samples, on data whose noise is known, and the beta that it matches."""

from typing import Any

import numpy as np
import pytest

from samples import random_arrays
from vaeforge.config.loader import load
from vaeforge.data.held_out_plane import held_out_variances, matched_betas
from vaeforge_models.families import families

NOISE, FACTORS = 0.25, 5


@pytest.fixture(scope="module")
def halves() -> list[Any]:
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(FACTORS, 60)) * 2
    return [rng.normal(size=(n, FACTORS)) @ axes + rng.normal(size=(n, 60)) * NOISE**0.5 for n in (300, 400)]


def test_a_plane_of_all_factors_leaves_the_noise(halves: list[Any]) -> None:
    known, unseen = halves
    left = held_out_variances(known, unseen, [1, FACTORS, 50])
    # noise outside of the plane: 55 of 60 directions, and a little for the plane being estimated
    assert left[FACTORS] == pytest.approx(NOISE * 55 / 60, rel=0.05)
    assert left[1] > 4 * left[FACTORS] and left[50] < left[FACTORS]
    assert held_out_variances(known, unseen, [0, 60, 300]) == {}


def test_samples_that_a_plane_was_not_fitted_on_are_left_more_of(halves: list[Any]) -> None:
    few, unseen = halves[0][:40], halves[1]
    assert held_out_variances(few, unseen, [35])[35] > 3 * held_out_variances(few, few, [35])[35]


@pytest.mark.parametrize(("likelihood", "factor"), [("squared_error", 2.0), ("calibrated", None)])
def test_the_beta_of_a_likelihood_matches(likelihood: str, factor: float | None, tmp_path: Any) -> None:
    experiment = load(tmp_path, "cilia", "sample", {"model.likelihood": likelihood}).experiment
    data = random_arrays(families()["cilia"])
    found = matched_betas(data.train, data.validation, data.spec, experiment, [2, 4])
    assert set(found) == {2, 4}
    if factor is None:
        assert set(found.values()) == {1.0}
    else:
        assert 0 < found[4] <= found[2] < factor  # values lie in [0, 1], so that no variance is above 1
