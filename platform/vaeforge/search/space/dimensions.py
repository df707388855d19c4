"""Dimensions of a search space: ranges and choices, some of which open further dimensions.

Nothing of Optuna is imported here: workers read spaces too, and the import would cost each of them a second.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from vaeforge.errors import nearest

Params = dict[str, Any]


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Range:
    """An interval of integers or floats, both ends included.

    Attributes:
        path: dotted configuration path.
        name: what Optuna knows it as; the path, unless options give one path different ranges.
        integer: whether its values are integers.
        log: sampled uniformly in the logarithm.
    """

    path: str
    name: str
    low: float
    high: float
    integer: bool
    log: bool

    def suggest(self, trial: Any) -> Params:
        suggest = trial.suggest_int if self.integer else trial.suggest_float
        return {self.path: suggest(self.name, self.low, self.high, log=self.log)}

    def corner_points(self) -> list[Params]:
        """Both ends."""
        return [{self.path: self.low}, {self.path: self.high}]

    def grid(self, points: int) -> list[float]:
        """At most `points` values, evenly spaced (logarithmically with `log`), both ends among them; 1: the middle.

        Of a range with fewer integers than `points`, each integer once.
        """
        shares = [0.5] if points == 1 else [step / (points - 1) for step in range(points)]
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        between = [low + share * (high - low) for share in shares]
        values = [math.exp(value) if self.log else value for value in between]
        if points > 1:
            values[0], values[-1] = self.low, self.high  # exactly: exp(log(x)) may lie just outside
        return list(dict.fromkeys(round(value) if self.integer else value for value in values))

    def contains(self, value: Any) -> bool:
        return is_number(value) and self.low <= value <= self.high and (not self.integer or value == int(value))

    def requirement(self, value: Any = None) -> str:
        """What a value must be."""
        kind = "an integer" if self.integer else "a number"
        return f"{kind} in {self.low} .. {self.high}"


@dataclass(frozen=True)
class Choice:
    """One of some options; an option may open dimensions of its own.

    Attributes:
        path: dotted configuration path.
        options: each option with the dimensions that it opens.
        label: what Optuna knows it as where that is not the path, because options give one path different options.
    """

    path: str
    options: Mapping[Any, tuple["Dimension", ...]]
    label: str = ""

    @property
    def name(self) -> str:
        return self.label or self.path

    @property
    def is_conditional(self) -> bool:
        """Whether any option opens a dimension."""
        return any(self.options.values())

    def suggest(self, trial: Any) -> Params:
        chosen = trial.suggest_categorical(self.name, list(self.options))
        return {self.path: chosen} | suggest_all(self.options[chosen], trial)

    def corner_points(self) -> list[Params]:
        """Each option with, one after the other, both ends of what it opens."""
        found = []
        for option, dimensions in self.options.items():
            first = {key: value for d in dimensions for key, value in d.corner_points()[0].items()}
            found.append({self.path: option, **first})
            found += [{self.path: option, **first, **example} for d in dimensions for example in d.corner_points()]
        return found

    def contains(self, value: Any) -> bool:
        same = [option for option in self.options if option == value]  # true == 1, and is another option all the same
        return any(isinstance(option, bool) == isinstance(value, bool) for option in same)

    def requirement(self, value: Any = None) -> str:
        """What a value must be, naming the option that is nearest to `value`."""
        return f"one of {', '.join(map(str, self.options))}{nearest(value, self.options)}"


Dimension: TypeAlias = Range | Choice


def suggest_all(dimensions: Iterable[Dimension], trial: Any) -> Params:
    """What an Optuna trial is suggested for `dimensions`, and for those that its options open."""
    params: Params = {}
    for dimension in dimensions:
        params |= dimension.suggest(trial)
    return params


def walk(dimensions: tuple[Dimension, ...]) -> Iterator[Dimension]:
    """Every dimension, those that options open included."""
    for dimension in dimensions:
        yield dimension
        if isinstance(dimension, Choice):
            for opened in dimension.options.values():
                yield from walk(opened)


def active_dimensions(dimensions: tuple[Dimension, ...], params: Params) -> Iterator[Dimension]:
    """The dimensions that `params` can have a value of: those always open, and those that its options open."""
    for dimension in dimensions:
        yield dimension
        if isinstance(dimension, Choice) and dimension.path in params and dimension.contains(params[dimension.path]):
            yield from active_dimensions(dimension.options[params[dimension.path]], params)
