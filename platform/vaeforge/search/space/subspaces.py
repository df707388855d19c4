"""Subspaces: the flat parts of a conditional space.

A subspace is one combination of the options that open dimensions: under it every trial has the same parameters, which
is what samplers need that cannot model conditional ones.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from vaeforge.errors import ConfigError
from vaeforge.search.space.dimensions import Choice, Dimension, Params, Range
from vaeforge.search.space.search_space import SearchSpace

MAX_SUBSPACES = 24


@dataclass(frozen=True)
class Subspace:
    """A flat part of a space.

    Attributes:
        name: its options, `linear` or `linear, resize`; `all` where nothing splits the space.
        fixed: these options and the frozen values that hold under them; with a value for each range and choice this
            is a full configuration.
        ranges: its ranges.
        choices: its choices; none of them opens anything.
    """

    name: str
    fixed: Params
    ranges: tuple[Range, ...]
    choices: tuple[Choice, ...]

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        return (*self.ranges, *self.choices)

    def contains(self, params: Mapping[str, object]) -> bool:
        """Whether `params` have the subspace's options and frozen values."""
        return all(path in params and params[path] == value for path, value in self.fixed.items())


def split_into_subspaces(space: SearchSpace, sampler: str, categorical: bool) -> tuple[Subspace, ...]:
    """Every combination of the options that open dimensions; with `categorical` of the options of all choices.

    `sampler` is the name of the one that needs them, for the message.

    Raises:
        ConfigError: if there are more than `MAX_SUBSPACES`.
    """
    count = _count(space.dimensions, categorical)
    if count > MAX_SUBSPACES:
        which = "the options of all choices" if categorical else "the options that open dimensions"
        raise ConfigError(
            f"{space.source}: search: {sampler} needs a model for each combination of {which}: got {count}, "
            f"must be <= {MAX_SUBSPACES}; freeze a choice, or take tpe, which holds them in one"
        )
    return tuple(_subspace(space, *parts) for parts in _split(space.dimensions, categorical))


def _subspace(space: SearchSpace, chosen: Params, flat: tuple[Dimension, ...]) -> Subspace:
    ranges = tuple(dimension for dimension in flat if isinstance(dimension, Range))
    choices = tuple(dimension for dimension in flat if isinstance(dimension, Choice))
    return Subspace(", ".join(map(str, chosen.values())) or "all", space.with_fixed_params(chosen), ranges, choices)


def _splits(dimension: Dimension, categorical: bool) -> bool:
    return isinstance(dimension, Choice) and (categorical or dimension.is_conditional)


def _count(dimensions: tuple[Dimension, ...], categorical: bool) -> int:
    """How many combinations there are, without making them."""
    return math.prod(
        sum(_count(below, categorical) for below in dimension.options.values())
        for dimension in dimensions
        if isinstance(dimension, Choice) and _splits(dimension, categorical)
    )


def _split(dimensions: tuple[Dimension, ...], categorical: bool) -> list[tuple[Params, tuple[Dimension, ...]]]:
    """Each combination's chosen options, and the dimensions that are open under them."""
    alternatives: list[list[tuple[Params, tuple[Dimension, ...]]]] = []
    for dimension in dimensions:
        if not isinstance(dimension, Choice) or not _splits(dimension, categorical):
            alternatives.append([({}, (dimension,))])
            continue
        alternatives.append(
            [
                ({dimension.path: option} | chosen, opened)
                for option, below in dimension.options.items()
                for chosen, opened in _split(below, categorical)
            ]
        )
    return [_joined(parts) for parts in product(*alternatives)]


def _joined(parts: tuple[tuple[Params, tuple[Dimension, ...]], ...]) -> tuple[Params, tuple[Dimension, ...]]:
    chosen: Params = {}
    for options, _ in parts:
        chosen |= options
    return chosen, tuple(dimension for _, opened in parts for dimension in opened)
