"""Whether the model was worth training: the same test samples measured by simpler means, side by side.

The model beats another row only if the 95 % interval of their difference, over the same draws of independent groups,
excludes zero on the right side.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from vaeforge.evaluate.bootstrap import (
    Interval,
    auroc_interval,
    bootstrap_auroc,
    bootstrap_means,
    difference_interval,
    percentile_interval,
    weighted_auroc,
)

MODEL = "model"
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Row:
    """One way of doing it, and the model compared with it.

    Attributes:
        metric: what is compared, on the test set.
        better: which numbers are.
        name: who did it.
        value: `low` and `high` end its 95 % interval.
        difference: the model's number less this one; `difference_low` and `difference_high` end its 95 % interval.
        model_beats: whether that interval lies wholly on the better side of zero.
    """

    metric: str
    better: Better
    name: str
    value: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    model_beats: bool

    def plain(self) -> dict[str, Any]:
        """For JSON, which has no infinity: ends that are not known are null."""
        return {key: value if value not in (np.inf, -np.inf) else None for key, value in asdict(self).items()}


UNKNOWN: dict[str, Any] = {"low": -np.inf, "high": np.inf, "difference_low": -np.inf, "difference_high": np.inf}


def from_plain(row: Mapping[str, Any]) -> Row:
    """The inverse of `Row.plain`."""
    return Row(**{key: UNKNOWN[key] if value is None else value for key, value in row.items()})


def compare_auroc(scored: Mapping[str, Floats], labels: Integers, groups: Integers, seed: int) -> list[Row]:
    """Each of the named scores [T] against the one named `model`, as detectors of label 1."""
    drawn = bootstrap_auroc(labels, groups, scored, seed)
    point = {name: weighted_auroc(labels, values, np.ones(len(labels))) for name, values in scored.items()}
    rows = []
    for name in scored:
        spread = difference_interval(drawn[MODEL], drawn[name], labels, groups)
        interval = auroc_interval(drawn[name], labels, groups)
        rows.append(_row("AUROC", "higher", name, point[name], interval, point[MODEL] - point[name], spread))
    return rows


def compare_means(metric: str, better: Better, values: Mapping[str, Floats], groups: Integers, seed: int) -> list[Row]:
    """Each of the named values [T], one per test sample, against the one named `model`, by their means.

    With fewer than two groups nothing is known of the spread: the intervals are infinite.
    """
    drawn = bootstrap_means(groups, values, seed)
    known = len(np.unique(groups)) > 1
    everything = Interval(-np.inf, np.inf)
    rows = []
    for name, found in values.items():
        difference = float(values[MODEL].mean() - found.mean())
        spread = percentile_interval(drawn[MODEL] - drawn[name]) if known else everything
        interval = percentile_interval(drawn[name]) if known else everything
        rows.append(_row(metric, better, name, float(found.mean()), interval, difference, spread))
    return rows


def _row(
    metric: str, better: Better, name: str, value: float, interval: Interval, difference: float, spread: Interval
) -> Row:
    shown = spread.low > 0 if better == "higher" else spread.high < 0
    beats = name != MODEL and shown
    return Row(metric, better, name, value, interval.low, interval.high, difference, spread.low, spread.high, beats)


def comparison_csv(rows: Iterable[Row]) -> str:
    """One line each, with a head."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def comparison_tables(rows: Sequence[Row]) -> list[Table]:
    """The comparison for a terminal, a table for each metric."""
    return [_table([row for row in rows if row.metric == metric]) for metric in dict.fromkeys(r.metric for r in rows)]


def _table(rows: Sequence[Row]) -> Table:
    first = rows[0]
    table = Table(title=f"{first.metric} on the test set, {first.better} is better; 95 % intervals over groups")
    for column in ("by", first.metric, "model less this", "beaten"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        own = f"{row.value:.4g} [{row.low:.3g}, {row.high:.3g}]"
        against = f"{row.difference:+.3g} [{row.difference_low:+.2g}, {row.difference_high:+.2g}]"
        beats = "yes" if row.model_beats else "not shown"
        table.add_row(row.name, own, *(("", "") if row.name == MODEL else (against, beats)))
    return table
