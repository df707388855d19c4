"""Controllers: losses and updates worked out by hand, limits, and the same course after an interruption."""

import json
import math
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from vaeforge_models.controllers import Capacity, FreeBits, Geco, PiControl
from vaeforge_models.objective import BetaSchedule, State
from vaeforge_models.schedules import Schedule

KL = torch.tensor([0.5, 2.0, 3.5])  # rate 6
DISTORTION = torch.tensor(100.0)
CONTROLLERS = [
    Capacity(gamma=10.0, c_max=20.0, warmup=0.5),
    FreeBits(floor=0.7),
    Geco(tolerance=90.0, ema=0.9),
    PiControl(target=5.0),
]


def loss(schedule: BetaSchedule, t: float = 0.0, **state: float) -> float:
    return schedule.loss(DISTORTION, KL, t, state).item() if state else schedule.loss(DISTORTION, KL, t).item()


def run(schedule: BetaSchedule, state: State, terms: list[tuple[float, float]]) -> list[State]:
    states = []
    for distortion, rate in terms:
        state = schedule.update(state, distortion, rate, 0.5)
        states.append(state)
    return states


def a_course(length: int) -> list[tuple[float, float]]:
    return [(100.0 + 30.0 * math.sin(step), 5.0 + 8.0 * math.cos(0.7 * step)) for step in range(length)]


@pytest.mark.parametrize(
    ("schedule", "t", "expected"),
    [
        (Capacity(gamma=10.0, c_max=20.0, warmup=0.5), 0.0, 100 + 10 * 6),  # C = 0
        (Capacity(gamma=10.0, c_max=20.0, warmup=0.5), 0.1, 100 + 10 * (6 - 4)),  # C = 20 * 0.1 / 0.5 = 4
        (Capacity(gamma=10.0, c_max=20.0, warmup=0.5), 0.25, 100 + 10 * (10 - 6)),  # C = 10, the rate is below
        (Capacity(gamma=10.0, c_max=20.0, warmup=0.5), 0.5, 100 + 10 * (20 - 6)),
        (Capacity(gamma=10.0, c_max=20.0, warmup=0.5), 1.0, 100 + 10 * (20 - 6)),
        (Capacity(gamma=10.0, c_max=20.0), 0.5, 100 + 10 * (10 - 6)),  # by default over the whole training
        (FreeBits(floor=0.0), 0.0, 100 + 6),
        (FreeBits(floor=0.7), 0.0, 100 + 0.7 + 2.0 + 3.5),
        (FreeBits(floor=3.0, value=2.0), 0.0, 100 + 2 * (3.0 + 3.0 + 3.5)),
        (Geco(tolerance=90.0), 0.0, 6 + 1 * (100 - 90)),  # lambda = 1 at first
        (PiControl(min=0.25), 0.0, 100 + 0.25 * 6),
    ],
)
def test_losses_worked_out_by_hand(schedule: BetaSchedule, t: float, expected: float) -> None:
    assert loss(schedule, t) == pytest.approx(expected)


def test_capacity_pushes_the_rate_from_both_sides() -> None:
    schedule = Capacity(gamma=10.0, c_max=20.0, warmup=0.5)
    for t, slope in ((0.1, 10.0), (0.25, -10.0)):  # C = 4 below and C = 10 above the rate of 6
        kl = KL.clone().requires_grad_()
        torch.autograd.backward([schedule.loss(DISTORTION, kl, t)])
        assert kl.grad is not None and kl.grad.tolist() == [slope] * 3


def test_dimensions_below_the_floor_have_no_gradient() -> None:
    kl = KL.clone().requires_grad_()
    FreeBits(floor=2.5, value=0.5).loss(DISTORTION, kl, 0.0).backward()
    assert kl.grad is not None and kl.grad.tolist() == [0.0, 0.0, 0.5]


def test_reported_beta() -> None:
    assert Capacity(gamma=30.0).beta(0.3) == 30.0
    assert FreeBits(value=0.4).beta(0.3) == 0.4
    assert Geco().beta(0.3) == 1.0
    assert Geco().beta(0.3, {"lambda": 4.0, "average": 0.0, "started": 1.0}) == 0.25
    assert PiControl(min=0.2).beta(0.3) == 0.2
    assert PiControl().beta(0.3, {"integral": 0.1, "beta": 0.15}) == 0.15
    assert [schedule.full_beta_at() for schedule in CONTROLLERS] == [0.5, 0.0, 0.0, 0.0]


def test_geco_weighs_the_violation_and_keeps_its_scale() -> None:
    geco = Geco(tolerance=90.0)
    # (6 + 4 * 10) / 4: the gradient is that of distortion + rate / 4
    assert loss(geco, **{"lambda": 4.0}, average=0.0, started=1.0) == pytest.approx(46 / 4)
    # lambda below 1 is not divided by
    assert loss(geco, **{"lambda": 0.5}, average=0.0, started=1.0) == pytest.approx(6 + 0.5 * 10)


def test_geco_updates_worked_out_by_hand() -> None:
    geco = Geco(tolerance=90.0, ema=0.5)
    states = run(geco, geco.initial(), [(90.02, 6.0), (90.06, 6.0), (190.0, 6.0), (-1e6, 6.0)])
    # averages: 0.02; 0.5 * 0.02 + 0.5 * 0.06 = 0.04; 0.5 * 0.04 + 0.5 * 100 = 50.02; clamped at 1.05 and 0.9
    assert [state["average"] for state in states[:3]] == pytest.approx([0.02, 0.04, 50.02])
    products = [math.exp(0.02), math.exp(0.06), math.exp(0.06) * 1.05, math.exp(0.06) * 1.05 * 0.9]
    assert [state["lambda"] for state in states] == pytest.approx(products)
    assert geco.beta(0.5, states[2]) == pytest.approx(1 / products[2])


def test_geco_raises_lambda_above_the_tolerance_and_lowers_it_below() -> None:
    geco = Geco(tolerance=90.0)
    above = [state["lambda"] for state in run(geco, geco.initial(), [(95.0, 6.0)] * 30)]
    below = [state["lambda"] for state in run(geco, geco.initial(), [(85.0, 6.0)] * 30)]
    assert above == pytest.approx([1.05 ** (step + 1) for step in range(30)])
    assert below == pytest.approx([0.9 ** (step + 1) for step in range(30)])
    at = run(geco, geco.initial(), [(90.0, 6.0)] * 30)
    assert at[-1]["lambda"] == 1.0


def test_geco_stays_finite_where_the_tolerance_is_out_of_reach() -> None:
    # without a bound 1.05^20000 overflows
    geco = Geco(tolerance=0.0)
    for distortion, limit in ((1e30, 1e6), (-1e30, 1e-6)):
        state = run(geco, geco.initial(), [(distortion, 6.0)] * 20_000)[-1]
        assert state["lambda"] == limit
        assert math.isfinite(geco.beta(1.0, state)) and math.isfinite(geco.loss(DISTORTION, KL, 1.0, state).item())


def test_geco_holds_a_toy_training_at_its_tolerance() -> None:
    # minimise rate r subject to distortion 10 / (1 + r) = 2: r = 4, where lambda = 1 / |d'(r)| = (1 + r)^2 / 10 = 2.5.
    # It swings about the solution, so means over many swings are compared.
    geco = Geco(tolerance=2.0, ema=0.0)
    rate, state = torch.tensor(0.5, requires_grad=True), geco.initial()
    rates, multipliers = [], []
    for _ in range(2000):
        distortion = 10 / (1 + rate)
        (slope,) = torch.autograd.grad(geco.loss(distortion, rate.reshape(1), 0.0, state), rate)
        with torch.no_grad():
            rate -= 0.05 * slope
        state = geco.update(state, distortion.item(), rate.item(), 0.0)
        rates.append(rate.item())
        multipliers.append(state["lambda"])
    assert sum(rates[1000:]) / 1000 == pytest.approx(4.0, rel=0.02)
    assert min(rates[1000:]) > 3.5 and max(rates[1000:]) < 4.5
    assert min(multipliers[1000:]) < 2.5 < max(multipliers[1000:])


def test_pi_updates_worked_out_by_hand() -> None:
    control = PiControl(target=5.0, kp=0.01, ki=0.001, min=0.0, max=1.0)
    first, second, third = run(control, control.initial(), [(0.0, 8.0), (0.0, 5.0), (0.0, 4.0)])
    # e = -3: P = 0.01 / (1 + exp(-3)), integral = 0 + 0.003
    assert first == pytest.approx({"integral": 0.003, "beta": 0.01 / (1 + math.exp(-3)) + 0.003})
    # e = 0: P = 0.01 / 2, the integral stays
    assert second == pytest.approx({"integral": 0.003, "beta": 0.008})
    # e = 1: P = 0.01 / (1 + exp(1)), integral = 0.003 - 0.001
    assert third == pytest.approx({"integral": 0.002, "beta": 0.01 / (1 + math.e) + 0.002})


@pytest.mark.parametrize("rate", [20.5, 25.0, 500.0])
def test_pi_leaves_its_upper_bound_at_once(rate: float) -> None:
    control = PiControl(target=20.0, max=0.5)
    risen = run(control, control.initial(), [(0.0, rate)] * 2_000)
    saturated = [state for state in risen if state["beta"] == pytest.approx(0.5, abs=1e-12)]
    assert len(saturated) >= 990  # 0.5 / (0.001 * 0.5) = 1,000 steps up, at the slowest
    assert saturated[0]["integral"] == pytest.approx(saturated[-1]["integral"], abs=1e-12)  # it has stopped
    assert control.update(saturated[-1], 0.0, 19.99, 0.5)["beta"] < 0.5 - 1e-6


@pytest.mark.parametrize("rate", [15.0, 0.0])
def test_pi_leaves_its_lower_bound_at_once(rate: float) -> None:
    control = PiControl(target=20.0, min=0.2)
    saturated = run(control, control.initial(), [(0.0, rate)] * 1_000)
    assert saturated[-1]["beta"] == pytest.approx(0.2, abs=1e-12)
    assert saturated[-1]["integral"] == pytest.approx(0.2, abs=0.005)
    assert control.update(saturated[-1], 0.0, 20.01, 0.5)["beta"] > 0.2 + 1e-6


def test_pi_leaves_a_bound_at_once_whatever_errors_held_it_there() -> None:
    control = PiControl(target=20.0, max=0.5)
    mixed = [(0.0, 20.0 + excess) for excess in (0.01, 3.0, 400.0) * 400]
    state = run(control, control.initial(), mixed)[-1]
    assert state["beta"] == 0.5
    assert control.update(state, 0.0, 19.999, 0.5)["beta"] < 0.5 - 1e-9


def test_pi_reaches_a_bound_that_a_single_step_would_cross() -> None:
    # Ki * |e| = 5 is more than the whole range: refusing the step would leave beta near 0 for ever
    control = PiControl(target=0.0, max=1.0)
    assert control.update(control.initial(), 0.0, 5000.0, 0.0)["beta"] == 1.0


def test_pi_brings_a_toy_training_to_its_target() -> None:
    control = PiControl(target=5.0)
    state = control.initial()
    for _ in range(5000):
        rate = 10.0 / (1.0 + 4.0 * control.beta(0.5, state))  # 5 at beta = 0.25
        state = control.update(state, 0.0, rate, 0.5)
    assert state["beta"] == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize("schedule", CONTROLLERS, ids=lambda schedule: schedule.schedule)
@pytest.mark.parametrize("distortion", [math.nan, math.inf, -math.inf, 1e308, -1e308])
@pytest.mark.parametrize("rate", [math.nan, math.inf, 1e308])
def test_states_stay_finite_whatever_the_terms_are(schedule: BetaSchedule, distortion: float, rate: float) -> None:
    states = run(schedule, schedule.initial(), [(100.0, 6.0), (distortion, rate), (distortion, rate)])
    assert all(math.isfinite(value) for state in states for value in state.values())
    assert all(math.isfinite(schedule.beta(0.5, state)) for state in states)


@pytest.mark.parametrize("schedule", CONTROLLERS, ids=lambda schedule: schedule.schedule)
def test_a_course_goes_on_as_if_it_had_not_been_interrupted(schedule: BetaSchedule) -> None:
    terms = a_course(200)
    whole = run(schedule, schedule.initial(), terms)
    parked = json.loads(json.dumps(whole[79]))
    resumed = run(schedule, parked, terms[80:])
    assert resumed == whole[80:]
    assert [schedule.beta(0.5, state) for state in resumed] == [schedule.beta(0.5, state) for state in whole[80:]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"schedule": "capacity", "gamma": -1}, "greater than or equal to 0"),
        ({"schedule": "capacity", "warmup": 0}, "greater than 0"),
        ({"schedule": "free_bits", "floor": -0.1}, "greater than or equal to 0"),
        ({"schedule": "geco", "ema": 1.0}, "less than 1"),
        ({"schedule": "geco", "tolerance": float("nan")}, "finite"),
        ({"schedule": "pi", "target": -1}, "greater than or equal to 0"),
        ({"schedule": "pi", "min": 2.0}, r"beta.min is 2.0, must be <= beta.max, which is 1.0"),
        ({"schedule": "pi", "value": 1.0}, "not permitted"),
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Schedule).validate_python(wrong)


@pytest.mark.parametrize("multiplier", [0.2, 1.0, 7.0])
def test_geco_follows_the_loss_of_a_constant_beta_up_to_a_factor(multiplier: float) -> None:
    """(rate + lambda d) / max(1, lambda) = min(1, lambda) (d + rate / lambda); what is added takes the same factor."""
    schedule, state = Geco(tolerance=90.0), {"lambda": multiplier, "average": 0.0, "started": 1.0}
    distortion, kl = DISTORTION.clone().requires_grad_(), KL.clone().requires_grad_()
    d_distortion, d_kl = torch.autograd.grad(schedule.loss(distortion, kl, 0.0, state), (distortion, kl))
    size = schedule.size(state)
    assert size == min(1.0, multiplier)
    assert d_distortion.item() == pytest.approx(size)  # so a penalty, of weight 1 beside the distortion, has this too
    assert d_kl.tolist() == pytest.approx([size * schedule.beta(0.0, state)] * 3)  # and the total correlation this
