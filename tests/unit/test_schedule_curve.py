"""Schedules by their curve: means are the formulas', amplitudes lead to the mean asked for, controllers have none."""

from typing import Any

import pytest

from vaeforge.search.space.schedule_curve import amplitude_for, amplitude_path, mean_beta, schedule_curve

PLANNED: list[tuple[dict[str, Any], float]] = [
    ({"beta.schedule": "constant", "beta.value": 0.3}, 0.3),
    ({"beta.schedule": "linear", "beta.value": 2.0, "beta.warmup": 0.5}, 1.5),  # half of it at 1 on average, half at 2
    ({"beta.schedule": "cosine", "beta.value": 2.0, "beta.warmup": 0.5}, 1.5),
    ({"beta.schedule": "half_cosine", "beta.max": 4.0, "beta.cycles": 3}, 2.0),
    ({"beta.schedule": "cyclical", "beta.max": 4.0, "beta.cycles": 4, "beta.ramp": 0.5}, 3.0),  # 1 - ramp / 2
    ({"beta.schedule": "cyclical", "beta.max": 4.0, "beta.min": 2.0, "beta.ramp": 1.0}, 3.0),
    ({"beta.schedule": "free_bits", "beta.value": 0.5, "beta.floor": 0.1}, 0.5),
]


@pytest.mark.parametrize(("params", "mean"), PLANNED)
def test_the_mean_is_that_of_the_formula(params: dict[str, Any], mean: float) -> None:
    assert mean_beta(params) == pytest.approx(mean, rel=1e-3)


@pytest.mark.parametrize("params", [params for params, _ in PLANNED])
def test_an_amplitude_has_the_mean_that_it_is_asked_for(params: dict[str, Any]) -> None:
    path = amplitude_path(params["beta.schedule"])
    assert path is not None
    amplitude = amplitude_for(params, 2.5)
    assert mean_beta({**params, path: amplitude}) == pytest.approx(2.5)


@pytest.mark.parametrize("schedule", ["capacity", "geco", "pi", "step", "somebody_elses"])
def test_a_weight_that_is_not_planned_by_an_amplitude_has_no_curve(schedule: str) -> None:
    assert amplitude_path(schedule) is None
    assert mean_beta({"beta.schedule": schedule}) is None
    assert amplitude_for({"beta.schedule": schedule}, 1.0) is None


def test_a_cyclical_curve_in_full() -> None:
    curve = schedule_curve({"beta.schedule": "cyclical", "beta.max": 4.0, "beta.cycles": 4, "beta.ramp": 0.5})
    assert curve is not None
    assert (curve.final, curve.largest, curve.rises) == (4.0, 4.0, 4)
    assert curve.full == pytest.approx(0.5, abs=0.02)  # half of each cycle
    warm = schedule_curve({"beta.schedule": "linear", "beta.value": 1.0, "beta.warmup": 0.25})
    assert warm is not None and warm.rises == 1 and warm.full == pytest.approx(0.75, abs=0.01)
