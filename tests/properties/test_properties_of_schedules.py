"""Schedules: scaled weights, repeated cycles, and where the largest weight is."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vaeforge_models.objective import BetaSchedule
from vaeforge_models.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Cyclical,
    HalfCosine,
    Linear,
    Progressive,
    Sigmoid,
    Step,
)

WEIGHTS, PARTS, CYCLES, TIMES = st.floats(0, 20), st.floats(0.05, 1.0), st.integers(1, 8), st.floats(0, 1)
RISING = st.sampled_from([Linear, Cosine, Sigmoid, Progressive])


@st.composite
def planned(draw: st.DrawFn) -> BetaSchedule:
    """Any schedule that is a function of progress."""
    low, high = sorted([draw(WEIGHTS), draw(WEIGHTS)])
    kind = draw(st.sampled_from(["constant", "rising", "cyclical", "half", "step"]))
    if kind == "constant":
        return Constant(value=high)
    if kind == "rising":
        return draw(RISING)(value=high, warmup=draw(PARTS))
    cycles: dict[str, Any] = {"min": low, "max": high, "cycles": draw(CYCLES)}
    if kind == "cyclical":
        return Cyclical(**cycles, ramp=draw(PARTS), shape=draw(st.sampled_from(["linear", "cosine", "sigmoid"])))
    if kind == "half":
        return HalfCosine(**cycles)
    times = sorted(draw(st.sets(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9]), min_size=1)))
    return Step(knots=tuple((t, draw(WEIGHTS)) for t in times))


@given(planned(), TIMES, st.floats(0, 10))
def test_weights_scale_at_every_time(schedule: BetaSchedule, t: float, factor: float) -> None:
    assert schedule.scaled(factor).beta(t) == pytest.approx(factor * schedule.beta(t), abs=1e-12)
    assert schedule.scaled(factor).full_beta_at() == schedule.full_beta_at() or factor == 0


@given(planned(), TIMES)
def test_no_weight_is_negative_or_above_that_of_the_full_one(schedule: BetaSchedule, t: float) -> None:
    full = schedule.beta(min(schedule.full_beta_at() * (1 - 1e-12), 1.0))
    if not isinstance(schedule, Step | Sigmoid):  # a sigmoid has 0.7 % left, a step jumps
        assert 0 <= schedule.beta(t) <= full + 1e-6 * (1 + full)
    elif isinstance(schedule, Step):
        assert 0 <= schedule.beta(t) <= schedule.beta(schedule.full_beta_at())


@given(st.sampled_from([Cyclical, HalfCosine]), CYCLES, WEIGHTS, st.floats(0.01, 0.99), st.integers(0, 7))
def test_cycles_repeat(kind: type[BetaSchedule], cycles: int, high: float, part: float, number: int) -> None:
    assume(number < cycles)
    schedule = kind.model_validate({"max": high, "cycles": cycles})
    assert schedule.beta((number + part) / cycles) == pytest.approx(schedule.beta(part / cycles), abs=1e-6 * (1 + high))


@given(RISING, WEIGHTS, PARTS, TIMES, TIMES)
def test_warm_ups_only_rise(kind: type[BetaSchedule], value: float, warmup: float, first: float, second: float) -> None:
    schedule = kind.model_validate({"value": value, "warmup": warmup})
    early, late = sorted([first, second])
    assert schedule.beta(early) <= schedule.beta(late) + 1e-12


@given(st.sampled_from(sorted(SCHEDULES)), TIMES)
def test_every_schedule_of_weight_zero_weighs_nothing_or_is_a_controller(name: str, t: float) -> None:
    schedule = SCHEDULES[name]().scaled(0.0)
    assert schedule.beta(t) == 0 or not schedule.given_weights
