"""Table of distances between generated and real samples: Fréchet distance and KID of each set.

Neither means anything without its feature network: each table carries the extractor's name and its weights' SHA-256.
Rows compare beside real samples against real ones.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from vaeforge.errors import DataError
from vaeforge.evaluation.comparison import REAL
from vaeforge.evaluation.extractor import Features
from vaeforge.evaluation.frechet import frechet_distance
from vaeforge.evaluation.intervals import GroupEstimate
from vaeforge.evaluation.kid import GroupedSet, grouped, kid_over_groups
from vaeforge.seeds import derive

FRECHET_FROM = 2560  # twice the 1280 features: below, the covariances are too poor to compare


@dataclass(frozen=True)
class DistributionRow:
    """One set of samples against the real ones.

    `kid_low` and `kid_high` are None where groups are too few, `kid` too where a set has but one.
    """

    name: str
    frechet: float
    kid: float | None
    kid_low: float | None
    kid_high: float | None


@dataclass(frozen=True)
class DistributionTable:
    """Sets of samples, each against the same real ones.

    Attributes:
        rows: the first is real against real, what a perfect generator would show.
        n: samples on either side of every Fréchet distance; `kid_n` of every set in its KID.
        headline: which of the two columns to quote, with its extractor.
        extractor: its name; `weights` the SHA-256 of its weights.
        kids: of the rows that have one.
    """

    rows: tuple[DistributionRow, ...]
    n: int
    kid_n: int
    headline: str
    extractor: str
    weights: str
    kids: Mapping[str, GroupEstimate] = field(compare=False, repr=False)

    def lines(self) -> list[dict[str, Any]]:
        """The rows for a CSV, each with what it takes to read it alone."""
        common = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in HIDDEN}
        return [asdict(row) | common for row in self.rows]


HIDDEN = ("rows", "kids")


def distribution_table(
    real_a: Features, real_b: Features, rows: Mapping[str, Features], seed: int, against_both: bool = False
) -> DistributionTable:
    """Every row and `real_b` against `real_a`, all cut at random to the size of the smallest set.

    The headline is KID below 2560 samples and the Fréchet distance from there on; KID uses at most 2560 samples of each
    set, the first of the same cut.

    Args:
        real_a: the reference.
        real_b: other real samples, of other groups, else real against real would come out too small.
        rows: sets of samples by name, of groups that the reference does not have. A row that follows samples of
            `real_b`, one by one, has their groups.
        seed: of the cuts.
        against_both: the KIDs of rows are against `real_a` and `real_b` together, twice the groups. KID has no bias at
            any number of samples, so this stays comparable with real against real; the Fréchet distance would not. Only
            for rows that were made from neither.

    Raises:
        DataError: if the sets come from different extractors, a row takes the name of the real one, or a set has a
            group of the reference.
    """
    if REAL in rows:
        raise DataError(f"distribution table: row {REAL!r} is the table's own; give yours another name")
    named = {REAL: real_b, **rows}
    for name, row in named.items():
        _require_same_extractor(real_a, name, row)
        _require_other_groups(real_a, name, row)
    n = min(len(one.values) for one in (real_a, *named.values()))
    real = real_a.cut(n, derive(seed, "reference", "cut"))
    cut = {name: row.cut(n, derive(seed, name, "cut")) for name, row in named.items()}
    reference, sets = _short(real), {name: _short(row) for name, row in cut.items()}
    found = {
        name: kid_over_groups(reference, row, sets[REAL] if against_both and name != REAL else None)
        for name, row in sets.items()
    }
    kids = {name: replace(kid, known_zero=name == REAL) for name, kid in found.items() if kid is not None}
    made = tuple(_row(name, frechet_distance(real.values, row.values), found[name]) for name, row in cut.items())
    headline = f"{'KID' if n < FRECHET_FROM else 'Fréchet distance'} ({real_a.extractor})"
    return DistributionTable(made, n, min(n, FRECHET_FROM), headline, real_a.extractor, real_a.weights, kids)


def _short(features: Features) -> GroupedSet:
    return grouped(replace(features, values=features.values[:FRECHET_FROM], groups=features.groups[:FRECHET_FROM]))


def _row(name: str, frechet: float, kid: GroupEstimate | None) -> DistributionRow:
    if kid is None:
        return DistributionRow(name, frechet, None, None, None)
    low, high = kid.interval() or (None, None)
    return DistributionRow(name, frechet, kid.value, low, high)


def _require_other_groups(real: Features, name: str, row: Features) -> None:
    shared = np.intersect1d(real.groups, row.groups)
    if len(shared):
        raise DataError(
            f"distribution table, row {name!r}: shares {len(shared)} groups with the reference, must share none; "
            "number them apart, or compare with other real samples"
        )


def _require_same_extractor(real: Features, name: str, row: Features) -> None:
    for what, expected, got in (
        ("extractor", real.extractor, row.extractor),
        ("weights", real.weights, row.weights),
        ("features", real.values.shape[1], row.values.shape[1]),
    ):
        if expected != got:
            raise DataError(f"distribution table, row {name!r}: {what}: got {got}, must be {expected}; extract it anew")
