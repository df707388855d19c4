"""Schedules at their boundaries, at points worked out by hand, and unchanged by where a training is cut."""

import math

import pytest
from pydantic import TypeAdapter, ValidationError

from vaeforge_models.schedules import SCHEDULES, Constant, Cosine, Cyclical, Linear, Schedule

PARSE = TypeAdapter(Schedule)


@pytest.mark.parametrize(
    ("schedule", "t", "beta"),
    [
        (Constant(value=0.3), 0.0, 0.3),
        (Linear(value=2.0, warmup=0.5), 0.25, 1.0),  # half way up the ramp
        (Linear(value=2.0, warmup=0.5), 0.75, 2.0),
        (Cosine(value=2.0, warmup=0.5), 0.25, 1.0),  # 2 * (1 - cos(pi / 2)) / 2
        (Cosine(value=2.0, warmup=0.4), 0.1, 1 - math.cos(math.pi / 4)),
        (Cyclical(max=1.0, cycles=4, ramp=0.5), 0.0625, 0.5),  # tau = 0.25, half of the ramp
        (Cyclical(max=1.0, cycles=4, ramp=0.5), 0.2, 1.0),  # tau = 0.8
        (Cyclical(max=1.0, cycles=4, ramp=0.5), 0.25, 0.0),  # the second cycle begins
        (Cyclical(max=3.0, min=1.0, cycles=2, ramp=1.0), 0.25, 2.0),
    ],
)
def test_golden_points(schedule: Schedule, t: float, beta: float) -> None:
    assert schedule.beta(t) == pytest.approx(beta, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_ends_full_and_is_full_at_first_full(name: str) -> None:
    schedule = PARSE.validate_python({"schedule": name})
    top = max(schedule.beta(step / 1000) for step in range(1001))
    assert schedule.beta(1.0) == pytest.approx(top)
    assert schedule.beta(min(1.0, schedule.first_full() + 1e-9)) == pytest.approx(top)
    assert 0.0 <= schedule.first_full() <= 1.0


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_a_function_of_progress_alone(name: str) -> None:
    schedule = PARSE.validate_python({"schedule": name})
    fine = [schedule.beta(step / 360) for step in range(1, 361)]
    coarse = [schedule.beta(step / 90) for step in range(1, 91)]
    assert fine[3::4] == pytest.approx(coarse)


@pytest.mark.parametrize(
    "wrong",
    [
        {"schedule": "cyclic"},
        {"schedule": "linear", "warmup": 0.0},
        {"schedule": "cosine", "warmup": 1.5},
        {"schedule": "constant", "value": -1},
        {"schedule": "constant", "value": float("nan")},
        {"schedule": "constant", "warmup": 0.5},
        {"schedule": "cyclical", "cycles": 0},
        {"schedule": "cyclical", "max": 0.1, "min": 0.2},
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PARSE.validate_python(wrong)
