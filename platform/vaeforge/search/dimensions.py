"""What a search space is made of: ranges and choices, some of which open further dimensions.

Nothing of Optuna is imported here: hosts read spaces too, and an import costs each of them a second.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from vaeforge.errors import ConfigError

Params = dict[str, Any]


@dataclass(frozen=True)
class Range:
    """An interval of integers or floats, both ends included.

    Attributes:
        path: dotted configuration path.
        name: what Optuna knows it as; the path, unless branches give one path different ranges.
        whole: integers.
        log: sampled uniformly in the logarithm.
    """

    path: str
    name: str
    low: float
    high: float
    whole: bool
    log: bool

    def suggest(self, trial: Any) -> Params:
        suggest = trial.suggest_int if self.whole else trial.suggest_float
        return {self.path: suggest(self.name, self.low, self.high, log=self.log)}

    def examples(self) -> list[Params]:
        """Both ends."""
        return [{self.path: self.low}, {self.path: self.high}]

    def admits(self, value: Any) -> bool:
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return number and self.low <= value <= self.high and (not self.whole or value == int(value))

    def rule(self) -> str:
        kind = "an integer" if self.whole else "a number"
        return f"{kind} in {self.low} .. {self.high}"


@dataclass(frozen=True)
class Choice:
    """One of some options; an option may open dimensions of its own."""

    path: str
    options: Mapping[Any, tuple["Dimension", ...]]

    @property
    def name(self) -> str:
        return self.path

    def suggest(self, trial: Any) -> Params:
        chosen = trial.suggest_categorical(self.path, list(self.options))
        params = {self.path: chosen}
        for dimension in self.options[chosen]:
            params |= dimension.suggest(trial)
        return params

    def examples(self) -> list[Params]:
        """Each option with, one after the other, both ends of what it opens."""
        found = []
        for option, dimensions in self.options.items():
            first = {key: value for d in dimensions for key, value in d.examples()[0].items()}
            found.append({self.path: option, **first})
            found += [{self.path: option, **first, **example} for d in dimensions for example in d.examples()]
        return found

    def admits(self, value: Any) -> bool:
        return value in self.options

    def rule(self) -> str:
        return "one of " + ", ".join(map(str, self.options))


Dimension: TypeAlias = Range | Choice


def walk(dimensions: tuple[Dimension, ...]) -> Iterator[Dimension]:
    """Every dimension, those that options open included."""
    for dimension in dimensions:
        yield dimension
        if isinstance(dimension, Choice):
            for opened in dimension.options.values():
                yield from walk(opened)


def parse_dimensions(content: Any, where: str, problems: list[str], option: str = "") -> tuple[Dimension, ...]:
    """The dimensions that a mapping of path to description describes; what is wrong is added to `problems`."""
    if not isinstance(content, Mapping):
        problems.append(f"{where}: got {content!r}, must be a mapping of paths to ranges or choices")
        return ()
    parsed = [_parse(path, description, f"{where}: {path}", problems, option) for path, description in content.items()]
    return tuple(dimension for dimension in parsed if dimension is not None)


def _parse(path: str, description: Any, where: str, problems: list[str], option: str) -> Dimension | None:
    kinds = [kind for kind in ("int", "float", "choice") if isinstance(description, Mapping) and kind in description]
    if len(kinds) != 1:
        problems.append(
            f"{where}: got {description!r}, must be {{int: [low, high]}}, {{float: [low, high]}} or {{choice: …}}"
        )
        return None
    kind = kinds[0]
    unknown = set(description) - ({kind} if kind == "choice" else {kind, "log"})
    if unknown:
        problems.append(f"{where}: unknown key {sorted(unknown)[0]!r} beside {kind!r}")
        return None
    if kind == "choice":
        return _parse_choice(path, description["choice"], where, problems)
    return _parse_range(path, description, kind, where, problems, option)


def _parse_choice(path: str, options: Any, where: str, problems: list[str]) -> Choice | None:
    if isinstance(options, list):
        options = {value: {} for value in options}
    if not isinstance(options, Mapping) or not options:
        problems.append(f"{where}: got {options!r}, must be a list of options or a mapping of option to dimensions")
        return None
    opened = {
        name: parse_dimensions(below or {}, f"{where}.{name}", problems, str(name)) for name, below in options.items()
    }
    return Choice(path, opened)


def _parse_range(
    path: str, description: Mapping[str, Any], kind: str, where: str, problems: list[str], option: str
) -> Range | None:
    bounds, log = description[kind], description.get("log", False)
    wanted: type | tuple[type, ...] = int if kind == "int" else (int, float)
    if not (isinstance(bounds, list) and len(bounds) == 2 and all(_number(bound, wanted) for bound in bounds)):
        problems.append(f"{where}: got {bounds!r}, must be [low, high] with two {kind}s")
        return None
    if not isinstance(log, bool):
        problems.append(f"{where}: log: got {log!r}, must be true or false")
        return None
    low, high = bounds
    if low > high:
        problems.append(f"{where}: low is {low} and high is {high}, low must be <= high")
        return None
    if log and low <= 0:
        problems.append(f"{where}: low is {low} on a logarithmic scale, must be > 0")
        return None
    return Range(path, f"{path}@{option}" if option else path, low, high, kind == "int", log)


def _number(value: Any, wanted: type | tuple[type, ...]) -> bool:
    known = isinstance(value, wanted) and not isinstance(value, bool)
    return known and math.isfinite(value)


def share_names(dimensions: tuple[Dimension, ...]) -> tuple[Dimension, ...]:
    """Give a range its plain path as name wherever all branches agree on it, so that they learn from one another."""
    ranges: dict[str, set[tuple[Any, ...]]] = {}
    for dimension in walk(dimensions):
        if isinstance(dimension, Range):
            ranges.setdefault(dimension.path, set()).add(
                (dimension.low, dimension.high, dimension.whole, dimension.log)
            )

    def renamed(dimension: Dimension) -> Dimension:
        if isinstance(dimension, Range):
            name = dimension.path if len(ranges[dimension.path]) == 1 else dimension.name
            return Range(dimension.path, name, dimension.low, dimension.high, dimension.whole, dimension.log)
        return Choice(dimension.path, {o: tuple(map(renamed, below)) for o, below in dimension.options.items()})

    return tuple(map(renamed, dimensions))


def require_range(dimension: Dimension, value: Any, where: str) -> None:
    """Raise a ConfigError unless `dimension` admits `value`."""
    if not dimension.admits(value):
        raise ConfigError(f"{where}: {dimension.path}: got {value!r}, must be {dimension.rule()}")
