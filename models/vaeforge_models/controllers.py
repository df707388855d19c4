"""Schedules that answer to the terms of the training: capacity, free bits, GECO, PI control.

Units: nats per sample; `distortion` and `rate` are means over the whole batch, `kl` [L] is the rate per latent
dimension. Every rank computes the state from the same all-reduced means, so ranks agree without talking.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from vaeforge_models.objective import NO_STATE, BetaSchedule, State
from vaeforge_models.scalars import (
    Flag,
    Scalar,
    clamp,
    exponential,
    finite,
    logistic,
    maximum,
    minimum,
    per_unit,
    where,
)

if TYPE_CHECKING:  # see `scalars`
    from torch import Tensor

Weight = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]

MULTIPLIER_BOUNDS = (1e-6, 1e6)
MULTIPLIER_STEP = (math.log(0.9), math.log(1.05))


class Capacity(BetaSchedule):
    """distortion + gamma * |rate - C(t)|, C(t) = c_max * min(1, t / warmup) in nats (Burgess et al. 2018).

    The capacity C is planned and the rate is measured, so there is no state. `beta` reports gamma, which weighs the
    rate positively above the capacity and negatively below it.
    """

    linear: ClassVar[bool] = False
    given_weights: ClassVar[tuple[str, ...]] = ("gamma",)
    schedule: Literal["capacity"] = "capacity"
    gamma: Weight = 1000.0
    c_max: Weight = 25.0
    warmup: Fraction = 1.0

    def capacity(self, t: Scalar) -> Scalar:
        """C(t) in nats."""
        return self.c_max * minimum(t / self.warmup, 1.0)

    def beta(self, t: Scalar, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        return self.gamma

    def full_beta_at(self) -> float:
        """The progress at which the capacity is full."""
        return self.warmup

    def loss(
        self,
        distortion: "Tensor",
        kl: "Tensor",
        t: Scalar,
        state: Mapping[str, Scalar] = NO_STATE,
        units: "Tensor | None" = None,
    ) -> "Tensor":
        return distortion + self.gamma * (kl.sum(-1) - self.capacity(t)).abs()


class FreeBits(BetaSchedule):
    """distortion + value * sum_j max(floor, KL_j), KL_j the whole batch's mean (Kingma et al. 2016).

    A latent dimension pays nothing for its first `floor` nats: below it, the gradient of its KL is zero.
    """

    linear: ClassVar[bool] = False
    given_weights: ClassVar[tuple[str, ...]] = ("value",)
    schedule: Literal["free_bits"] = "free_bits"
    floor: Annotated[float, Field(ge=0, description="lambda, nats per latent dimension")] = 0.1
    value: Weight = 1.0

    def beta(self, t: Scalar, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        return self.value

    def full_beta_at(self) -> float:
        return 0.0

    def loss(
        self,
        distortion: "Tensor",
        kl: "Tensor",
        t: Scalar,
        state: Mapping[str, Scalar] = NO_STATE,
        units: "Tensor | None" = None,
    ) -> "Tensor":
        paid = kl.clamp(min=per_unit(self.floor))
        return distortion + self.value * (paid if units is None else paid * units).sum(-1)


class Geco(BetaSchedule):
    """Minimise rate + lambda * (distortion - tolerance), lambda found by the training (Rezende and Viola 2018).

    After each step: average <- ema * average + (1 - ema) * (distortion - tolerance), beginning with its first value;
    lambda <- lambda * clamp(exp(average), 0.9, 1.05), from 1. A distortion above the tolerance raises lambda. beta is
    1 / lambda.

    The loss is divided by max(1, lambda), and so is min(1, lambda) * (distortion - tolerance + beta * rate): the
    direction of its gradient is the published one, its size stays that of distortion + beta * rate while lambda >= 1,
    so that the clipping of gradients and fp16 see no growing factor. Penalties of a family belong to the distortion and
    the total correlation to the rate; all of them take the factor min(1, lambda) (`size`), so that a model under lambda
    has the loss of a constant beta = 1 / lambda, up to that factor.
    Violations of more than a tenth of a nat move lambda at its full pace, so it swings about the solution.
    lambda stays in [1e-6, 1e6], because a tolerance that no model reaches would let it grow until it overflows.
    """

    schedule: Literal["geco"] = "geco"
    tolerance: Annotated[float, Field(description="distortion to reach, nats per sample; depends on the data")] = 100.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.99

    def initial(self) -> State:
        return {"lambda": 1.0, "average": 0.0, "started": 0.0}

    def beta(self, t: Scalar, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        return 1.0 / (state or self.initial())["lambda"]

    def full_beta_at(self) -> float:
        return 0.0

    def size(self, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        return minimum((state or self.initial())["lambda"], 1.0)

    def loss(
        self,
        distortion: "Tensor",
        kl: "Tensor",
        t: Scalar,
        state: Mapping[str, Scalar] = NO_STATE,
        units: "Tensor | None" = None,
    ) -> "Tensor":
        multiplier = (state or self.initial())["lambda"]
        return (kl.sum(-1) + multiplier * (distortion - self.tolerance)) / maximum(multiplier, 1.0)

    def update(self, state: Mapping[str, Scalar], distortion: Scalar, rate: Scalar, t: Scalar) -> State:
        before = state or self.initial()
        violation = distortion - self.tolerance
        kept = where(before["started"] > 0, self.ema, 0.0)
        average = kept * before["average"] + (1.0 - kept) * violation
        # the exponent is clamped, not the exponential: exp of a thousand nats overflows
        factor = exponential(clamp(average, *MULTIPLIER_STEP))
        after = {"lambda": clamp(before["lambda"] * factor, *MULTIPLIER_BOUNDS), "average": average, "started": 1.0}
        return _kept_unless(finite(violation), before, after)


class PiControl(BetaSchedule):
    """beta = Kp / (1 + exp(e)) + integral in [min, max], e = target - rate, integral -= Ki * e (Shao et al. 2020).

    A rate above the target raises beta. The paper's constant beta_min is where the integral starts, so that beta starts
    at `min`. Anti-windup: a step moves the integral no further than to where beta meets a bound, and not at all while
    beta is held there; so however long beta was at a bound, the first error of the other sign takes it off (if the
    bounds are at least Kp / 2 apart, what the proportional part moves by itself). The published code stops its integral
    where beta is below 0 and above 1 at once, which is never.
    """

    schedule: Literal["pi"] = "pi"
    target: Annotated[float, Field(ge=0, description="KL*, nats per sample")] = 20.0
    kp: Weight = 0.01
    ki: Weight = 0.001
    min: Weight = 0.0
    max: Weight = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> "PiControl":
        if self.min > self.max:
            raise ValueError(f"beta.min is {self.min}, must be <= beta.max, which is {self.max}")
        return self

    def initial(self) -> State:
        return {"integral": self.min, "beta": self.min}

    def beta(self, t: Scalar, state: Mapping[str, Scalar] = NO_STATE) -> Scalar:
        return (state or self.initial())["beta"]

    def full_beta_at(self) -> float:
        return 0.0

    def update(self, state: Mapping[str, Scalar], distortion: Scalar, rate: Scalar, t: Scalar) -> State:
        before = state or self.initial()
        error = self.target - rate
        proportional = self.kp * logistic(-error)
        integral = self._integrate(before["integral"], -self.ki * error, proportional)
        after = {"integral": integral, "beta": clamp(proportional + integral, self.min, self.max)}
        return _kept_unless(finite(error), before, after)

    def _integrate(self, integral: Scalar, step: Scalar, proportional: Scalar) -> Scalar:
        """The integral after `step`, stopped at the bound that beta would cross."""
        up = minimum(integral + step, maximum(integral, self.max - proportional))
        down = maximum(integral + step, minimum(integral, self.min - proportional))
        return where(step > 0, up, down)


def _kept_unless(sound: Flag, before: Mapping[str, Scalar], after: State) -> State:
    """The state `after` a step whose terms were finite, else the one before it."""
    return {name: where(sound, value, before[name]) for name, value in after.items()}
