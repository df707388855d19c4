"""beta as a function of training progress.

Progress t = optimiser step / steps of the planned training, in [0, 1]. Being functions of t alone, schedules are the
same whatever epoch a trial is stopped, paused or resumed at. t = 1 is the limit from below: a cyclical schedule ends
at its largest beta, not at the start of the next cycle.
"""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from vaeforge_models.settings import Settings

Weight = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]


class Constant(Settings):
    """beta(t) = value (Higgins et al. 2017)."""

    schedule: Literal["constant"] = "constant"
    value: Weight = 1.0

    def beta(self, t: float) -> float:
        return self.value

    def first_full(self) -> float:
        """The progress at which beta first reaches its largest value."""
        return 0.0


class Linear(Settings):
    """beta(t) = value * min(1, t / warmup) (Bowman et al. 2016)."""

    schedule: Literal["linear"] = "linear"
    value: Weight = 1.0
    warmup: Fraction = 0.25

    def beta(self, t: float) -> float:
        return self.value * min(1.0, t / self.warmup)

    def first_full(self) -> float:
        return self.warmup


class Cosine(Settings):
    """beta(t) = value * (1 - cos(pi * min(1, t / warmup))) / 2."""

    schedule: Literal["cosine"] = "cosine"
    value: Weight = 1.0
    warmup: Fraction = 0.25

    def beta(self, t: float) -> float:
        return self.value * 0.5 * (1.0 - math.cos(math.pi * min(1.0, t / self.warmup)))

    def first_full(self) -> float:
        return self.warmup


class Cyclical(Settings):
    """Linear rises from `min` to `max` repeated `cycles` times (Fu et al. 2019).

    tau = frac(cycles * t); min + (max - min) * tau / ramp while tau < ramp, then max for the rest of the cycle.
    """

    schedule: Literal["cyclical"] = "cyclical"
    max: Weight = 1.0
    min: Weight = 0.0
    cycles: Annotated[int, Field(ge=1)] = 4
    ramp: Fraction = 0.5

    @model_validator(mode="after")
    def _ordered(self) -> "Cyclical":
        if self.min > self.max:
            raise ValueError(f"beta.min is {self.min}, must be <= beta.max, which is {self.max}")
        return self

    def beta(self, t: float) -> float:
        if t >= 1.0:
            return self.max
        tau = math.modf(self.cycles * t)[0]
        return self.min + (self.max - self.min) * min(1.0, tau / self.ramp)

    def first_full(self) -> float:
        return self.ramp / self.cycles


Schedule = Annotated[Constant | Linear | Cosine | Cyclical, Field(discriminator="schedule")]
SCHEDULES: dict[str, type[Constant] | type[Linear] | type[Cosine] | type[Cyclical]] = {
    "constant": Constant,
    "linear": Linear,
    "cosine": Cosine,
    "cyclical": Cyclical,
}
