"""Frozen parameters: a space in which some dimensions are narrowed to one value.

A frozen range is no longer searched. A frozen choice is not either, and the dimensions that its option opens are
searched in its place. A frozen parameter that only some options open holds under these options alone.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from vaeforge.errors import nearest
from vaeforge.search.space.dimensions import Choice, Dimension, Params, Range, walk


def narrow(dimensions: tuple[Dimension, ...], frozen: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """`dimensions` with each one that is `frozen` narrowed to its value; unchanged where it does not contain that."""
    narrowed = []
    for dimension in dimensions:
        if dimension.path in frozen:
            dimension = _fixed(dimension, frozen[dimension.path])
        if isinstance(dimension, Choice):
            dimension = _with(dimension, {option: narrow(below, frozen) for option, below in dimension.options.items()})
        narrowed.append(dimension)
    return tuple(narrowed)


def frozen_problems(dimensions: tuple[Dimension, ...], frozen: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """The path of each frozen parameter that cannot be frozen so, and what is wrong."""
    wrong: dict[tuple[str, str], None] = {}  # ordered, without repetition: a path may stand under several options
    narrowed = narrow(dimensions, frozen)
    for dimension in _known(dimensions, frozen):
        value = frozen.get(dimension.path)
        if dimension.path in frozen and not dimension.contains(value):
            wrong[dimension.path, f"got {value!r}, must be {dimension.requirement(value)}"] = None
    known, open_paths = _paths(dimensions), _paths(narrowed)
    for path in frozen:
        if path not in known:
            wrong[path, f"not in the space{nearest(path, known)}"] = None
        elif path not in open_paths:
            wrong[path, "no trial has it under the other frozen values; leave it out"] = None
    return [((str(path),), text) for path, text in wrong]


def _known(dimensions: tuple[Dimension, ...], frozen: Mapping[str, Any]) -> Iterator[Dimension]:
    """Every dimension but those of options that are not the frozen one."""
    for dimension in dimensions:
        yield dimension
        if isinstance(dimension, Choice):
            left = _fixed(dimension, frozen[dimension.path]) if dimension.path in frozen else dimension
            assert isinstance(left, Choice)
            for below in left.options.values():
                yield from _known(below, frozen)


def _fixed(dimension: Dimension, value: Any) -> Dimension:
    """`dimension` with nothing but `value`; unchanged where it does not contain it."""
    if not dimension.contains(value):
        return dimension
    if isinstance(dimension, Choice):
        return _with(dimension, {option: below for option, below in dimension.options.items() if option == value})
    value = int(value) if dimension.integer else value
    return Range(dimension.path, dimension.name, value, value, dimension.integer, dimension.log)


def searched_dimensions(narrowed: tuple[Dimension, ...], frozen: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """What is left to search of `narrowed` dimensions."""
    left: list[Dimension] = []
    for dimension in narrowed:
        if isinstance(dimension, Range):
            left += [] if dimension.path in frozen else [dimension]
            continue
        opened = {option: searched_dimensions(below, frozen) for option, below in dimension.options.items()}
        left += opened[only(dimension)] if dimension.path in frozen else [_with(dimension, opened)]
    return tuple(left)


def with_fixed_params(narrowed: tuple[Dimension, ...], frozen: Mapping[str, Any], params: Params) -> Params:
    """`params` with the frozen values that are open under them and without those that are not, in the space's order."""
    full = _open(narrowed, frozen, params)
    return full | {path: value for path, value in params.items() if path not in full and path not in frozen}


def _open(dimensions: tuple[Dimension, ...], frozen: Mapping[str, Any], params: Params) -> Params:
    found: Params = {}
    for dimension in dimensions:
        if dimension.path not in frozen and dimension.path not in params:
            continue
        value = only(dimension) if dimension.path in frozen else params[dimension.path]
        found[dimension.path] = value
        if isinstance(dimension, Choice) and dimension.contains(value):
            found |= _open(dimension.options[value], frozen, params)
    return found


def only(narrowed: Dimension) -> Any:
    """The one value of a dimension that is frozen."""
    return narrowed.low if isinstance(narrowed, Range) else next(iter(narrowed.options))


def _with(choice: Choice, options: Mapping[Any, tuple[Dimension, ...]]) -> Choice:
    return Choice(choice.path, options, choice.label)


def _paths(dimensions: tuple[Dimension, ...]) -> set[str]:
    return {dimension.path for dimension in walk(dimensions)}
