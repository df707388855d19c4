"""Columns of numbers that are no channels: they count, label or describe, by their names or by what they hold.

Shapes: N points. A column is taken for no channel if

- it is called as one (`pixel_id`, `tic`, `mz`, `cluster`, …),
- it has one value, or one in each section,
- it numbers the points: whole numbers, all different, in order or without gaps,
- it is a coordinate in another unit, or the sum of all other columns.

Few whole numbers among columns that are none look like labels, but could be counts: that is for the user to say.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LABELLED = r"pixel|spot|point|scan|spectrum|cell|row|col|column|cluster|leiden|louvain|kmeans|label|class|region|roi"
SAMPLED = r"batch|plate|well|replicate|run|slide|slice|sample|specimen|block|donor|patient|subject|animal|mouse|case"
DESCRIBED = r"age|sex|gender|weight|bmi|time|date|timestamp|acquisition|depth|m/?z|rt|retention[_ .]?time|ccs|adduct"
TOTALS = (
    r"tic|bpi|total|sum|total[_ .]?ion[_ .]?(?:current|count)|(?:n|total)[_ .]?(?:counts?|peaks|genes|features)"
    r"|n(?:count|feature)_\w+"
)
NUMBERED = r"[_ .]?(id|ids|index|idx|no|nr|number|num|name|code|\d+)?"
NAMES = re.compile(
    rf"(?:(?:{LABELLED}|{SAMPLED}){NUMBERED}|{DESCRIBED}|{TOTALS}|(?:.*[_ .])?(?:id|idx|index))", re.IGNORECASE
)
FEW, LEAST_ROWS, SHARE = 20, 50, 10  # distinct values at most, rows at least, rows for each distinct value
EXACT = 1e-9  # 1 - |r|, below which a column is another one in other units
SUM_TOLERANCE = 1e-4  # of a sum, as floats are often written with six digits


class Numbers(Mapping[str, Floats]):
    """Columns as float64, one at a time in memory: made whenever one is looked at."""

    def __init__(self, make: Callable[[str], Floats], names: Sequence[str]):
        self._make, self._names = make, list(names)

    def __getitem__(self, name: str) -> Floats:
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True)
class NoChannel:
    """Why a column is taken for no channel, and whether that is sure."""

    reason: str
    sure: bool = True


def no_channels(
    columns: Mapping[str, Floats], axes: Mapping[str, Floats], sections: NDArray[Any] | None
) -> dict[str, NoChannel]:
    """Which columns are no channels, and why.

    Args:
        columns: candidates [N], NaN where a value is missing.
        axes: the coordinates [N] by their names.
        sections: the section of each point [N], or none.
    """
    found: dict[str, NoChannel] = {}
    for name, values in columns.items():
        reason = _by_name(name) or _by_content(values, axes, sections)
        if reason:
            found[name] = NoChannel(reason)
    rest = Numbers(columns.__getitem__, [name for name in columns if name not in found])
    found |= {name: NoChannel("is the sum of the other columns") for name in _sums(rest)}
    return found | _few_values(Numbers(columns.__getitem__, [name for name in columns if name not in found]))


def _by_name(name: str) -> str | None:
    return "is called as what counts, labels or describes points" if NAMES.fullmatch(name.strip()) else None


def _by_content(values: Floats, axes: Mapping[str, Floats], sections: NDArray[Any] | None) -> str | None:
    known = np.isfinite(values)
    given = values[known]
    if not len(given):
        return "holds no number"
    if given.min() == given.max():
        return f"has the same value everywhere ({given[0]:g})"
    if known.all() and _numbers_points(values):
        return "numbers the points (whole numbers, all different)"
    if sections is not None and _one_each(given, sections[known]):
        return "has one value in each section, so it describes sections"
    for axis, places in axes.items():
        if len(given) > 2 and _same(given, places[known]):
            return f"is the coordinate {axis}, perhaps in another unit"
    return None


def _whole(values: Floats) -> bool:
    return bool((values == np.round(values)).all())


def _numbers_points(values: Floats) -> bool:
    if not _whole(values):
        return False
    steps = np.diff(np.sort(values))
    in_order = bool((np.diff(values) > 0).all() or (np.diff(values) < 0).all())
    return bool((steps == 1).all()) or (in_order and len(values) >= FEW)


def _one_each(given: Floats, sections: NDArray[Any]) -> bool:
    """Whether sections of several points have one value each."""
    _, members = np.unique(sections, return_inverse=True)
    count = int(members.max()) + 1
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, members, given)
    np.maximum.at(high, members, given)
    return 1 < count < len(given) and bool((low == high).all())


def _same(given: Floats, places: Floats) -> bool:
    """Whether one is a linear function of the other."""
    if not np.isfinite(places).all() or places.min() == places.max():
        return False
    return bool(1 - abs(np.corrcoef(given, places)[0, 1]) < EXACT)


def _sums(columns: Mapping[str, Floats]) -> list[str]:
    """Columns that are the sum of all others, of which there are two at least."""
    if len(columns) < 3:
        return []
    total: Floats = reduce(np.add, (np.nan_to_num(values) for values in columns.values()))
    return [
        name
        for name, values in columns.items()
        if bool((np.abs(total - 2 * np.nan_to_num(values)) <= SUM_TOLERANCE * np.abs(values)).all())
    ][:1]


def _few_values(columns: Mapping[str, Floats]) -> dict[str, NoChannel]:
    """Columns of few whole numbers, where most columns are of others."""
    whole = [name for name, values in columns.items() if _whole(values[np.isfinite(values)])]
    if 2 * len(whole) >= len(columns):
        return {}
    found = {}
    for name in whole:
        values = columns[name][np.isfinite(columns[name])]
        distinct = len(np.unique(values))
        if len(values) >= LEAST_ROWS and distinct <= FEW and distinct * SHARE <= len(values):
            found[name] = NoChannel(f"holds {distinct} different whole numbers, as labels do", sure=False)
    return found
