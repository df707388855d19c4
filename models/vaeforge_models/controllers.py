"""Schedules that answer to the terms of the training: capacity, free bits, GECO, PI control.

Units: nats per sample; `distortion` and `rate` are means over the whole batch, `kl` [L] is the rate per latent
dimension. Every rank computes the state from the same all-reduced means, so ranks agree without talking.
"""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor

from vaeforge_models.objective import NO_STATE, BetaSchedule, State, logistic

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

    def capacity(self, t: float) -> float:
        """C(t) in nats."""
        return self.c_max * min(1.0, t / self.warmup)

    def beta(self, t: float, state: Mapping[str, float] = NO_STATE) -> float:
        return self.gamma

    def full_beta_at(self) -> float:
        """The progress at which the capacity is full."""
        return self.warmup

    def loss(self, distortion: Tensor, kl: Tensor, t: float, state: Mapping[str, float] = NO_STATE) -> Tensor:
        return distortion + self.gamma * (kl.sum() - self.capacity(t)).abs()


class FreeBits(BetaSchedule):
    """distortion + value * sum_j max(floor, KL_j), KL_j the whole batch's mean (Kingma et al. 2016).

    A latent dimension pays nothing for its first `floor` nats: below it, the gradient of its KL is zero.
    """

    linear: ClassVar[bool] = False
    given_weights: ClassVar[tuple[str, ...]] = ("value",)
    schedule: Literal["free_bits"] = "free_bits"
    floor: Annotated[float, Field(ge=0, description="lambda, nats per latent dimension")] = 0.1
    value: Weight = 1.0

    def beta(self, t: float, state: Mapping[str, float] = NO_STATE) -> float:
        return self.value

    def full_beta_at(self) -> float:
        return 0.0

    def loss(self, distortion: Tensor, kl: Tensor, t: float, state: Mapping[str, float] = NO_STATE) -> Tensor:
        return distortion + self.value * kl.clamp(min=self.floor).sum()


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

    def beta(self, t: float, state: Mapping[str, float] = NO_STATE) -> float:
        return 1.0 / (state or self.initial())["lambda"]

    def full_beta_at(self) -> float:
        return 0.0

    def size(self, state: Mapping[str, float] = NO_STATE) -> float:
        return min(1.0, (state or self.initial())["lambda"])

    def loss(self, distortion: Tensor, kl: Tensor, t: float, state: Mapping[str, float] = NO_STATE) -> Tensor:
        multiplier = (state or self.initial())["lambda"]
        return (kl.sum() + multiplier * (distortion - self.tolerance)) / max(1.0, multiplier)

    def update(self, state: Mapping[str, float], distortion: float, rate: float, t: float) -> State:
        before = state or self.initial()
        violation = distortion - self.tolerance
        if not math.isfinite(violation):
            return dict(before)
        kept = self.ema if before["started"] else 0.0
        average = kept * before["average"] + (1.0 - kept) * violation
        # the exponent is clamped, not the exponential: exp of a thousand nats overflows
        factor = math.exp(_clamp(average, *MULTIPLIER_STEP))
        return {"lambda": _clamp(before["lambda"] * factor, *MULTIPLIER_BOUNDS), "average": average, "started": 1.0}


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

    def beta(self, t: float, state: Mapping[str, float] = NO_STATE) -> float:
        return (state or self.initial())["beta"]

    def full_beta_at(self) -> float:
        return 0.0

    def update(self, state: Mapping[str, float], distortion: float, rate: float, t: float) -> State:
        before = state or self.initial()
        error = self.target - rate
        if not math.isfinite(error):
            return dict(before)
        proportional = self.kp * logistic(-error)
        integral = self._integrate(before["integral"], -self.ki * error, proportional)
        return {"integral": integral, "beta": _clamp(proportional + integral, self.min, self.max)}

    def _integrate(self, integral: float, step: float, proportional: float) -> float:
        """The integral after `step`, stopped at the bound that beta would cross."""
        if step > 0:
            return min(integral + step, max(integral, self.max - proportional))
        return max(integral + step, min(integral, self.min - proportional))


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
