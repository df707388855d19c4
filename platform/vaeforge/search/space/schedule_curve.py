"""Curve of beta over a training: the common description of schedules, whatever their kinds and own parameters.

The mean of beta over the training is what schedules are compared by. On the fmri table of `benchmarks/` (384 trainings)
a schedule and a constant beta of the same mean end 5 nats apart (median), of the same largest beta 4 to 14; on the
speckle table the mean is no better a guide than the largest.

A planned beta is linear in its amplitude (`value`, or `max` above `min`), so a mean leads back to one amplitude.
Controllers find their own weight, and knots have no amplitude: they have no such curve here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from vaeforge.search.space.dimensions import Params
from vaeforge_models.objective import BetaSchedule
from vaeforge_models.schedules import SCHEDULES

POINTS = 240  # of the curve: a multiple of the usual numbers of cycles
AMPLITUDES = ("value", "max")
FULL = 0.99  # of the largest beta: as good as full
SECTION = "beta."


@dataclass(frozen=True)
class ScheduleCurve:
    """A schedule by its curve.

    Attributes:
        mean: of beta over the training.
        final: at its end.
        largest: on the way.
        full: share of the training at full beta.
        rises: how often beta falls and begins to rise anew, and once for the first time.
    """

    mean: float
    final: float
    largest: float
    full: float
    rises: int


def amplitude_path(schedule: str) -> str | None:
    """The parameter that scales the beta of `schedule`; none where none does, or beta is not planned."""
    kind = SCHEDULES.get(schedule)
    if kind is None or kind.initial is not BetaSchedule.initial or not kind.given_weights:
        return None
    return SECTION + kind.given_weights[0] if kind.given_weights[0] in AMPLITUDES else None


def schedule_curve(params: Params) -> ScheduleCurve | None:
    """The curve of the schedule that `params` name; what they leave out is the schedule's default."""
    betas = _betas(*_key(params))
    if betas is None:
        return None
    largest = max(betas)
    full = sum(beta >= FULL * largest for beta in betas) / len(betas)
    falls = sum(after < before for before, after in pairwise(betas))
    return ScheduleCurve(sum(betas) / len(betas), betas[-1], largest, full, 1 + falls)


def mean_beta(params: Params) -> float | None:
    """The mean beta of the schedule that `params` name; none where it has no curve."""
    betas = _betas(*_key(params))
    return None if betas is None else sum(betas) / len(betas)


def amplitude_for(params: Params, mean: float) -> float | None:
    """The amplitude with which the schedule of `params` has this mean beta; none where it has no curve."""
    path = amplitude_path(str(params.get("beta.schedule", "constant")))
    if path is None:
        return None
    low = float(params.get("beta.min", 0.0))
    one, two = (mean_beta({**params, path: low + step}) for step in (1.0, 2.0))
    if one is None or two is None or two <= one:
        return None
    return low + 1.0 + (mean - one) / (two - one)


def _key(params: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, Any], ...]]:
    own = {path.removeprefix(SECTION): value for path, value in params.items() if path.startswith(SECTION)}
    schedule = str(own.pop("schedule", "constant"))
    return schedule, tuple(sorted((name, _frozen(value)) for name, value in own.items()))


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


@lru_cache(maxsize=4096)
def _betas(schedule: str, own: tuple[tuple[str, Any], ...]) -> tuple[float, ...] | None:
    """beta in the middle of each of `POINTS` equal parts of the training."""
    if amplitude_path(schedule) is None:
        return None
    kind = SCHEDULES[schedule]
    known = {name: value for name, value in own if name in kind.model_fields}
    made = kind.model_validate({"schedule": schedule, **known})
    return tuple(float(made.beta((step + 0.5) / POINTS)) for step in range(POINTS))
