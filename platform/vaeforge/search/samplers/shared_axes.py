"""Points of a conditional space as vectors on axes that schedules share.

An axis is a searched parameter, on its unit scale (`unit_scaling.py`), but for the amplitude of a schedule
(`beta.value` or `beta.max`): in its place stands one axis for all schedules, the logarithm of their mean beta over the
training (`space/schedule_curve.py`). So a trial under one schedule says something about the others. A vector has NaN
where its point has no such parameter, and the number of the option where it is a choice.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.search.samplers.unit_scaling import from_unit, sample_space, to_unit
from vaeforge.search.space.dimensions import Choice, Dimension, Params, Range, walk
from vaeforge.search.space.schedule_curve import amplitude_for, amplitude_path, mean_beta
from vaeforge.search.space.search_space import SearchSpace

Vector = NDArray[np.float64]
MEAN = "mean beta"  # no path of a parameter has a space in it
SCHEDULE, LATENT = "beta.schedule", "model.latent_dim"


class SharedAxes:
    """The axes of a space.

    Attributes:
        names: of the axes: the path of a choice, the name of a range (one path may have several), and `MEAN`.
        options: how many options an axis has; 0 for a range.
        size: the latent size, if it is a range that is always open.
    """

    def __init__(self, space: SearchSpace):
        self._space = space
        self._dimensions = {dimension.name: dimension for dimension in walk(space.dimensions)}
        self._amplitudes = self._shared()
        own = [name for name, dimension in self._dimensions.items() if not self._is_amplitude(dimension)]
        self.names = tuple(own + ([MEAN] if self._amplitudes else []))
        self.options = tuple(self._options(name) for name in self.names)
        self._place = {name: place for place, name in enumerate(self.names)}
        sizes = (one for one in space.dimensions if isinstance(one, Range) and one.path == LATENT)
        self.size = next(sizes, None)
        means = [math.log(mean) for mean in self._end_means()]
        self._low, self._high = (min(means), max(means)) if means else (0.0, 1.0)

    def place(self, name: str) -> int | None:
        """Where an axis stands; none where the space has no such axis."""
        return self._place.get(name)

    def unit_of_mean(self, mean: float) -> float:
        """Where a mean beta lies on its axis, which may be outside of [0, 1]."""
        return (math.log(mean) - self._low) / max(self._high - self._low, 1e-9)

    @property
    def nats_of_mean(self) -> float:
        """How far the axis of the mean beta reaches, in the natural logarithm."""
        return max(self._high - self._low, 1e-9)

    def vector(self, params: Params) -> Vector:
        """A point on the axes."""
        found = np.full(len(self.names), math.nan)
        for name, (dimension, value) in self._opened(params).items():
            if self._is_amplitude(dimension):
                mean = mean_beta(self._space.with_fixed_params(params))
                if mean is not None and mean > 0:
                    found[self._place[MEAN]] = min(max(self.unit_of_mean(mean), 0.0), 1.0)
            elif isinstance(dimension, Choice):
                found[self._place[name]] = _index(dimension, value)
            else:
                found[self._place[name]] = to_unit(dimension, value)
        return found

    def point(self, draw: Callable[[int], float]) -> Params:
        """The point of the space that `draw` says of each axis that is open: a unit, or the number of an option."""

        def one(dimension: Dimension) -> Any:
            if self._is_amplitude(dimension):
                return None
            drawn = draw(self._place[dimension.name])
            return list(dimension.options)[int(drawn)] if isinstance(dimension, Choice) else from_unit(dimension, drawn)

        params = sample_space(self._space.dimensions, one)
        for path in [path for path, value in params.items() if value is None]:
            mean = math.exp(self._low + draw(self._place[MEAN]) * (self._high - self._low))
            wanted = amplitude_for(self._space.with_fixed_params(params | {path: 1.0}), mean)
            amplitude = self._amplitude_of(params)
            params[path] = min(max(wanted or amplitude.low, amplitude.low), amplitude.high)
        return self._space.with_fixed_params(params)

    def _opened(self, params: Params) -> dict[str, tuple[Dimension, Any]]:
        known = self._space.optuna_names(params).values()
        return {dimension.name: (dimension, value) for dimension, value in known}

    def _is_amplitude(self, dimension: Dimension) -> bool:
        return isinstance(dimension, Range) and dimension in self._amplitudes

    def _shared(self) -> tuple[Range, ...]:
        """The amplitudes of schedules that are ranges of the logarithm, if the schedule is searched or frozen."""
        known = [d for schedule, below in self._schedules() for d in below if d.path == amplitude_path(schedule)]
        return tuple(dict.fromkeys(d for d in known if isinstance(d, Range) and d.log and not d.integer))

    def _schedules(self) -> Iterator[tuple[str, tuple[Dimension, ...]]]:
        """Each schedule with the dimensions that its trials have beside the common ones."""
        if SCHEDULE in self._space.fixed:
            yield str(self._space.fixed[SCHEDULE]), self._space.dimensions
        for choice in self._space.dimensions:
            if isinstance(choice, Choice) and choice.path == SCHEDULE:
                yield from ((str(schedule), below) for schedule, below in choice.options.items())

    def _amplitude_of(self, params: Params) -> Range:
        """The amplitude of the schedule that `params` have."""
        schedule = str(self._space.with_fixed_params(params)[SCHEDULE])
        return next(d for s, below in self._schedules() if s == schedule for d in self._amplitudes if d in below)

    def _end_means(self) -> list[float]:
        """The mean beta at both ends of each schedule's amplitude, other parameters at their defaults."""
        found = []
        for schedule, below in self._schedules():
            for amplitude in [d for d in self._amplitudes if d in below]:
                ends = [{SCHEDULE: schedule, amplitude.path: end} for end in (amplitude.low, amplitude.high)]
                found += [mean_beta(self._space.with_fixed_params(end)) for end in ends]
        return [mean for mean in found if mean]

    def _options(self, name: str) -> int:
        dimension = self._dimensions.get(name)
        return len(dimension.options) if isinstance(dimension, Choice) else 0


def _index(choice: Choice, value: Any) -> int:
    """Which option `value` is; true is none where 1 is one."""
    options = list(choice.options)
    same = [i for i, one in enumerate(options) if one == value and isinstance(one, bool) == isinstance(value, bool)]
    return same[0]
