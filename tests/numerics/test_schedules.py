"""Planned schedules at their boundaries, at points worked out by hand, and unchanged by where a training is cut."""

import math
from itertools import pairwise
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from vaeforge_models.objective import BetaSchedule
from vaeforge_models.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Cyclical,
    HalfCosine,
    Linear,
    Progressive,
    Schedule,
    Sigmoid,
    Step,
)

PARSE: TypeAdapter[Any] = TypeAdapter(Schedule)
PLANNED = [name for name in SCHEDULES if name not in ("capacity", "free_bits", "geco", "pi")]
GRID = [step / 1000 for step in range(1001)]
KNOTS = ((0.2, 0.5), (0.4, 2.0), (0.8, 1.0))


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("schedule", "t", "beta"),
    [
        (Constant(value=0.3), 0.0, 0.3),
        (Linear(value=2.0, warmup=0.5), 0.0, 0.0),
        (Linear(value=2.0, warmup=0.5), 0.25, 1.0),  # half way up the ramp
        (Linear(value=2.0, warmup=0.5), 0.5, 2.0),
        (Linear(value=2.0, warmup=0.5), 0.75, 2.0),
        (Linear(value=2.0, warmup=1.0), 1.0, 2.0),
        (Cosine(value=2.0, warmup=0.5), 0.0, 0.0),
        (Cosine(value=2.0, warmup=0.5), 0.25, 1.0),  # 2 * (1 - cos(pi / 2)) / 2
        (Cosine(value=2.0, warmup=0.4), 0.1, 1 - math.cos(math.pi / 4)),
        (Cosine(value=2.0, warmup=0.4), 0.4, 2.0),
        (Sigmoid(value=2.0, warmup=0.5), 0.0, 2 * sigma(-5)),  # (0 - 0.25) / 0.05
        (Sigmoid(value=2.0, warmup=0.5), 0.25, 1.0),  # sigma(0) = 1/2
        (Sigmoid(value=2.0, warmup=0.5), 0.3, 2 * sigma(1)),  # (0.3 - 0.25) / 0.05
        (Sigmoid(value=2.0, warmup=0.5), 0.5, 2 * sigma(5)),
        (Sigmoid(value=2.0, warmup=0.5), 1.0, 2 * sigma(15)),  # (1 - 0.25) / 0.05
        (Cyclical(max=1.0, cycles=4, ramp=0.5), 0.0625, 0.5),  # tau = 0.25, half of the ramp
        (Cyclical(max=1.0, cycles=4, ramp=0.5), 0.125, 1.0),  # tau = 0.5, the end of the ramp
        (Cyclical(max=1.0, cycles=4, ramp=0.5), 0.2, 1.0),  # tau = 0.8
        (Cyclical(max=1.0, cycles=4, ramp=0.5), 0.25, 0.0),  # the second cycle begins
        (Cyclical(max=3.0, min=1.0, cycles=2, ramp=1.0), 0.25, 2.0),
        (Cyclical(max=3.0, min=1.0, cycles=2, ramp=1.0), 1.0, 3.0),
        (
            Cyclical(max=3.0, min=1.0, cycles=2, ramp=1.0, shape="cosine"),
            0.125,
            1 + 2 * (1 - math.cos(math.pi / 4)) / 2,
        ),
        (Cyclical(max=3.0, min=1.0, cycles=2, ramp=0.5, shape="sigmoid"), 0.0, 1.0),
        (Cyclical(max=3.0, min=1.0, cycles=2, ramp=0.5, shape="sigmoid"), 0.125, 2.0),  # half of the ramp
        # tau = 0.3, u = 0.6, sigma(10 * 0.6 - 5) shifted by sigma(-5) and scaled by sigma(5) - sigma(-5)
        (
            Cyclical(max=1.0, cycles=2, ramp=0.5, shape="sigmoid"),
            0.15,
            (sigma(1) - sigma(-5)) / (sigma(5) - sigma(-5)),
        ),
        (Cyclical(max=3.0, min=1.0, cycles=2, ramp=1.0, shape="sigmoid"), 1.0, 3.0),
        (HalfCosine(max=0.5, min=0.1, cycles=2), 0.0, 0.1),
        (HalfCosine(max=0.5, min=0.1, cycles=2), 0.25, 0.3),  # tau = 1/2: 0.1 + 0.4 * (1 + sin 0) / 2
        (HalfCosine(max=0.5, min=0.1, cycles=2), 0.5, 0.1),  # the second cycle begins
        # tau = frac(2 * 0.625) = 1/4
        (HalfCosine(max=0.5, min=0.1, cycles=2), 0.625, 0.1 + 0.4 * (1 + math.sin(-math.pi / 4)) / 2),
        (HalfCosine(max=0.5, min=0.1, cycles=2), 1.0, 0.5),
        (Progressive(value=2.0, warmup=0.5), 0.125, 0.5),
        (Progressive(value=2.0, warmup=0.5), 0.9, 2.0),
        (Step(knots=KNOTS), 0.0, 0.5),  # before the first knot, its beta
        (Step(knots=KNOTS), 0.2, 0.5),
        (Step(knots=KNOTS), 0.39, 0.5),
        (Step(knots=KNOTS), 0.4, 2.0),
        (Step(knots=KNOTS), 0.79, 2.0),
        (Step(knots=KNOTS), 1.0, 1.0),
        (Step(knots=((0.0, 1.0), (1.0, 9.0))), 1.0, 1.0),  # the limit from below
        (Step(knots=((1.0, 3.0),)), 1.0, 3.0),
    ],
)
def test_golden_points(schedule: BetaSchedule, t: float, beta: float) -> None:
    assert schedule.beta(t) == pytest.approx(beta, abs=1e-12)


@pytest.mark.parametrize("name", PLANNED)
def test_every_schedule_ends_full_and_is_first_full_at_full_beta_at(name: str) -> None:
    schedule = PARSE.validate_python({"schedule": name})
    tolerance = 0.0068 if name == "sigmoid" else 1e-6  # sigma(-5) = 0.0067 are missing at the end of its warm-up
    top = max(schedule.beta(t) for t in GRID)
    full = schedule.full_beta_at()
    assert schedule.beta(1.0) == pytest.approx(top)
    assert 0.0 <= full <= 1.0
    # a cycle that rises to its end is full in the limit from below
    assert max(schedule.beta(full), schedule.beta(max(0.0, full - 1e-9))) == pytest.approx(top, rel=tolerance)
    assert all(schedule.beta(t) < top * (1 - 1e-9) for t in GRID if t < full - 1e-6)


@pytest.mark.parametrize(
    ("knots", "full"),
    [
        (KNOTS, 0.4),
        (((0.3, 2.0), (0.6, 1.0)), 0.0),  # the first knot holds before it
        (((0.0, 1.0), (0.5, 2.0), (0.7, 1.0), (0.8, 2.0)), 0.5),  # the earlier of equals
        (((0.0, 1.0), (1.0, 9.0)), 0.0),  # never in force
    ],
)
def test_full_beta_at_of_a_step_schedule(knots: tuple[tuple[float, float], ...], full: float) -> None:
    assert Step(knots=knots).full_beta_at() == full


@pytest.mark.parametrize("name", PLANNED)
def test_a_schedule_is_a_function_of_progress_alone(name: str) -> None:
    schedule = PARSE.validate_python({"schedule": name})
    fine = [schedule.beta(step / 360) for step in range(1, 361)]
    coarse = [schedule.beta(step / 90) for step in range(1, 91)]
    assert fine[3::4] == pytest.approx(coarse)


@pytest.mark.parametrize("name", ["linear", "cosine", "sigmoid", "progressive"])
def test_warm_ups_never_fall(name: str) -> None:
    betas = [PARSE.validate_python({"schedule": name, "warmup": 0.7}).beta(t) for t in GRID]
    assert all(earlier <= later for earlier, later in pairwise(betas))


@pytest.mark.parametrize("shape", ["linear", "cosine", "sigmoid"])
def test_a_cycle_rises_from_min_to_max_without_a_jump_and_repeats(shape: Any) -> None:
    schedule = Cyclical(min=0.5, max=2.0, cycles=2, ramp=0.6, shape=shape)
    cycle = [schedule.beta(step / 2000) for step in range(1000)]  # tau = step / 1000
    assert cycle[0] == 0.5
    assert cycle[600:] == pytest.approx([2.0] * 400)
    rises = [later - earlier for earlier, later in pairwise(cycle)]
    assert min(rises) >= 0.0 and max(rises) < 0.01  # the steepest: 1.5 * (10 / 4) / 0.6 / 1000 = 0.00625
    assert [schedule.beta(0.5 + step / 2000) for step in range(1000)] == pytest.approx(cycle, abs=1e-9)


def test_half_cosine_is_the_cyclical_schedule_whose_cosine_ramp_fills_the_cycle() -> None:
    twin = Cyclical(min=0.1, max=0.5, cycles=3, ramp=1.0, shape="cosine")
    half = HalfCosine(min=0.1, max=0.5, cycles=3)
    assert [half.beta(t) for t in GRID] == pytest.approx([twin.beta(t) for t in GRID])


def test_progressive_is_linear_because_no_objective_clamps_the_kl() -> None:
    linear, progressive = Linear(value=0.7, warmup=0.3), Progressive(value=0.7, warmup=0.3)
    assert [progressive.beta(t) for t in GRID] == [linear.beta(t) for t in GRID]


@pytest.mark.parametrize("warmup", [5e-324, 1e-300, 1.0])
def test_a_sigmoid_of_any_warm_up_is_finite(warmup: float) -> None:
    assert all(0.0 <= Sigmoid(warmup=warmup).beta(t) <= 1.0 for t in GRID)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"schedule": "cyclic"}, "cyclic"),
        ({"schedule": "linear", "warmup": 0.0}, "greater than 0"),
        ({"schedule": "cosine", "warmup": 1.5}, "less than or equal to 1"),
        ({"schedule": "sigmoid", "warmup": 0.0}, "greater than 0"),
        ({"schedule": "progressive", "warmup": 1.1}, "less than or equal to 1"),
        ({"schedule": "constant", "value": -1}, "greater than or equal to 0"),
        ({"schedule": "constant", "value": float("nan")}, "finite"),
        ({"schedule": "constant", "warmup": 0.5}, "not permitted"),
        ({"schedule": "cyclical", "cycles": 0}, "greater than or equal to 1"),
        ({"schedule": "cyclical", "shape": "cubic"}, "'linear', 'cosine' or 'sigmoid'"),
        ({"schedule": "cyclical", "max": 0.1, "min": 0.2}, r"beta.min is 0.2, must be <= beta.max, which is 0.1"),
        ({"schedule": "half_cosine", "max": 0.1, "min": 0.2}, r"beta.min is 0.2, must be <= beta.max, which is 0.1"),
        ({"schedule": "step", "knots": []}, "got no knots, must be a list of at least one"),
        ({"schedule": "step", "knots": [[0.5, 1], [0.2, 2]]}, "t = 0.2 after one at t = 0.5, t must increase strictly"),
        ({"schedule": "step", "knots": [[0.5, 1], [0.5, 2]]}, "t = 0.5 after one at t = 0.5, t must increase strictly"),
        ({"schedule": "step", "knots": [[1.5, 1]]}, r"got the knot \[1.5, 1.0\], must be .* 0 <= t <= 1"),
        ({"schedule": "step", "knots": [[0.5, -1]]}, r"got the knot \[0.5, -1.0\], must be .* beta >= 0"),
        ({"schedule": "step", "knots": [[0.5]]}, "Field required"),
        ({"schedule": "step", "knots": [[0.5, float("inf")]]}, "finite"),
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PARSE.validate_python(wrong)
