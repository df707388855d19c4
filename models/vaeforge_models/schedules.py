"""Planned schedules, whose beta is a function of training progress, and the list of all schedules.

Progress t = optimiser step / steps of the planned training, in [0, 1]. The schedules of this file are functions of t
alone, so they are the same whatever epoch a trial is stopped, paused or resumed at; those that answer to the terms of
the training are in `controllers.py`. t = 1 is the limit from below: a cyclical schedule ends at its largest beta, not
at the start of the next cycle.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from vaeforge_models.controllers import Capacity, FreeBits, Geco, PiControl
from vaeforge_models.objective import NO_STATE, BetaSchedule
from vaeforge_models.scalars import Scalar, cosine, fraction, logistic, minimum, where

Weight = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Cycles = Annotated[int, Field(ge=1)]


class Constant(BetaSchedule):
    """beta(t) = value (Higgins et al. 2017)."""

    given_weights: ClassVar[tuple[str, ...]] = ("value",)
    schedule: Literal["constant"] = "constant"
    value: Weight = 1.0

    def beta(self, t: Scalar, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        return self.value

    def full_beta_at(self) -> float:
        return 0.0


class WarmUp(BetaSchedule):
    """What the schedules have in common that rise from (about) 0 to `value` over the first part, `warmup`, of t."""

    given_weights: ClassVar[tuple[str, ...]] = ("value",)
    value: Weight = 1.0
    warmup: Fraction = 0.25

    def risen(self, t: Scalar) -> Scalar:
        """How much of the warm-up is over at t, in [0, 1]."""
        return minimum(t / self.warmup, 1.0)

    def full_beta_at(self) -> float:
        return self.warmup


class Linear(WarmUp):
    """beta(t) = value * min(1, t / warmup) (Bowman et al. 2016)."""

    schedule: Literal["linear"] = "linear"

    def beta(self, t: Scalar, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        return self.value * self.risen(t)


class Cosine(WarmUp):
    """beta(t) = value * (1 - cos(pi * min(1, t / warmup))) / 2."""

    schedule: Literal["cosine"] = "cosine"

    def beta(self, t: Scalar, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        return self.value * half_cosine(self.risen(t))


class Sigmoid(WarmUp):
    """beta(t) = value * sigma((t - warmup / 2) / (warmup / 10)) (ControlVAE's code, Shao et al. 2020).

    From 0.0067 * value at t = 0 over a half at warmup / 2 to 0.9933 * value at t = warmup. It has no largest value;
    `full_beta_at` is the end of the warm-up, where 0.7 % are missing.
    """

    schedule: Literal["sigmoid"] = "sigmoid"

    def beta(self, t: Scalar, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        return self.value * logistic(10.0 * t / self.warmup - 5.0)


class Cyclical(BetaSchedule):
    """Rises from `min` to `max` repeated `cycles` times (Fu et al. 2019).

    tau = frac(cycles * t); min + (max - min) * f(tau / ramp) while tau < ramp, then max for the rest of the cycle. f is
    linear, half a cosine, or a sigmoid stretched to go through (0, 0) and (1, 1), so that each shape starts at `min`
    and meets `max` without a jump.
    """

    given_weights: ClassVar[tuple[str, ...]] = ("max", "min")
    schedule: Literal["cyclical"] = "cyclical"
    max: Weight = 1.0
    min: Weight = 0.0
    cycles: Cycles = 4
    ramp: Fraction = 0.5
    shape: Literal["linear", "cosine", "sigmoid"] = "linear"

    @model_validator(mode="after")
    def _ordered(self) -> "Cyclical":
        _require_order(self.min, self.max)
        return self

    def beta(self, t: Scalar, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        rise = minimum(fraction(self.cycles * t) / self.ramp, 1.0)
        return where(t >= 1.0, self.max, self.min + (self.max - self.min) * SHAPES[self.shape](rise))

    def full_beta_at(self) -> float:
        return self.ramp / self.cycles


class HalfCosine(BetaSchedule):
    """min + (max - min) * (1 + sin(pi * (tau - 1/2))) / 2, tau = frac(cycles * t): rises over each whole cycle.

    The schedule of the coordinate-conditioned lipid model.
    """

    given_weights: ClassVar[tuple[str, ...]] = ("max", "min")
    schedule: Literal["half_cosine"] = "half_cosine"
    max: Weight = 0.5
    min: Weight = 0.0
    cycles: Cycles = 3

    @model_validator(mode="after")
    def _ordered(self) -> "HalfCosine":
        _require_order(self.min, self.max)
        return self

    def beta(self, t: Scalar, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        tau = where(t >= 1.0, 1.0, fraction(self.cycles * t))
        return self.min + (self.max - self.min) * half_cosine(tau)

    def full_beta_at(self) -> float:
        return 1.0 / self.cycles


class Progressive(WarmUp):
    """value * min(1, t / warmup): linear from 0 over the first part of the training, then constant.

    The second schedule of the lipid model. There it is told from a linear warm-up by switching off a clamp of the KL.
    No objective here clamps the KL, so with the same numbers this is exactly `linear`; it has a name of its own so that
    the source's settings can be written as they are published and be compared as a group.
    """

    schedule: Literal["progressive"] = "progressive"

    def beta(self, t: Scalar, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        return self.value * self.risen(t)


class Step(BetaSchedule):
    """Piecewise constant: from each knot [t, beta] on, beta; before the first knot, the first knot's beta.

    A knot at t = 1 changes nothing, because t = 1 is the limit from below.
    """

    given_weights: ClassVar[tuple[str, ...]] = ("knots",)
    schedule: Literal["step"] = "step"
    knots: tuple[tuple[float, float], ...] = ((0.0, 0.0), (0.25, 1.0))

    @field_validator("knots")
    @classmethod
    def _sound(cls, knots: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if not knots:
            raise ValueError("got no knots, must be a list of at least one [t, beta]")
        for t, beta in knots:
            if not 0.0 <= t <= 1.0 or beta < 0.0:
                raise ValueError(f"got the knot [{t}, {beta}], must be [t, beta] with 0 <= t <= 1 and beta >= 0")
        for (earlier, _), (later, _) in pairwise(knots):
            if not earlier < later:
                raise ValueError(f"got a knot at t = {later} after one at t = {earlier}, t must increase strictly")
        return knots

    def scaled(self, factor: float) -> Self:
        return self.model_copy(update={"knots": tuple((t, factor * beta) for t, beta in self.knots)})

    def beta(self, t: Scalar, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        value: Scalar = self.knots[0][1]
        for knot, beta in self.knots:
            value = where((t >= knot) & (knot < 1.0), beta, value)
        return value

    def full_beta_at(self) -> float:
        first, *later = self.knots
        in_force = [(0.0, first[1]), *(knot for knot in later if knot[0] < 1.0)]
        return max(in_force, key=lambda knot: knot[1])[0]  # the earliest of equals


def half_cosine(u: Scalar) -> Scalar:
    """Half a cosine period, from 0 at u = 0 to 1 at u = 1."""
    return 0.5 * (1.0 - cosine(math.pi * u))


def straight(u: Scalar) -> Scalar:
    """u itself."""
    return u


def stretched_sigmoid(u: Scalar) -> Scalar:
    """sigma(10 u - 5), shifted and scaled to go through (0, 0) and (1, 1)."""
    low, high = logistic(-5.0), logistic(5.0)
    return (logistic(10.0 * u - 5.0) - low) / (high - low)


def _require_order(low: float, high: float) -> None:
    if low > high:
        raise ValueError(f"beta.min is {low}, must be <= beta.max, which is {high}")


SHAPES: Mapping[str, Callable[[Scalar], Scalar]] = {
    "linear": straight,
    "cosine": half_cosine,
    "sigmoid": stretched_sigmoid,
}
Schedule = Annotated[
    Constant
    | Linear
    | Cosine
    | Sigmoid
    | Cyclical
    | HalfCosine
    | Progressive
    | Step
    | Capacity
    | FreeBits
    | Geco
    | PiControl,
    Field(discriminator="schedule"),
]
SCHEDULES: dict[str, type[BetaSchedule]] = {
    "constant": Constant,
    "linear": Linear,
    "cosine": Cosine,
    "sigmoid": Sigmoid,
    "cyclical": Cyclical,
    "half_cosine": HalfCosine,
    "progressive": Progressive,
    "step": Step,
    "capacity": Capacity,
    "free_bits": FreeBits,
    "geco": Geco,
    "pi": PiControl,
}
