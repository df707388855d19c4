"""Comparison of a model with simpler methods (baselines) on the same test samples.

Evaluation tasks call `compare`, or `compare_auroc` and `compare_means` with per-sample scores or errors by method; the
rows go into the evaluation's manifest, `comparison.csv`, the terminal and the model card. A difference is significant
if its 95 % interval, for which the same independent groups are left out of model and baseline (`intervals`), excludes
zero: above or below, so that a baseline can be shown to be better, too.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from vaeforge.evaluation.auroc import auroc_over_groups
from vaeforge.evaluation.intervals import (
    ANY,
    FEW_GROUPS_OF_SHARES,
    FEW_UNEQUAL_GROUPS,
    MIN_GROUPS,
    MIN_GROUPS_OF_SHARES,
    GroupEstimate,
    Range,
    mean_over_groups,
)
from vaeforge.evaluation.pair_means import MIN_GROUPS_OF_PAIRS

MODEL = "model"
REAL = "real against real"  # a row of real samples, what a perfect generator would show
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Better = Literal["higher", "lower"]
Significance = Literal["model is better", "baseline is better", "no clear difference", "no interval", ""]


@dataclass(frozen=True)
class ComparisonRow:
    """One method, and the model compared with it.

    Attributes:
        metric: what is compared, on the test set.
        better: whether higher or lower numbers of the metric are better.
        name: of the method (a baseline), or `model` for the model itself.
        value: the method's, with the ends of its 95 % interval, `low` and `high`; None where the groups carry none.
        difference: model - baseline, with the ends of its 95 % interval, `difference_low` and `difference_high`.
        conservative: whether an interval holds 95 % or more, since it is of few groups (`intervals`).
    """

    metric: str
    better: Better
    name: str
    value: float
    low: float | None
    high: float | None
    difference: float
    difference_low: float | None
    difference_high: float | None
    conservative: bool = False

    @property
    def significant(self) -> Significance:
        """Which of the two the interval of the difference shows to be better; empty for the model itself."""
        if self.name == MODEL:
            return ""
        if self.difference_low is None or self.difference_high is None:
            return "no interval"
        if not (self.difference_low > 0 or self.difference_high < 0):  # so that NaN shows nothing
            return "no clear difference"
        return "model is better" if (self.difference_low > 0) == (self.better == "higher") else "baseline is better"

    @property
    def model_beats(self) -> bool:
        """Whether the model is shown to be better."""
        return self.significant == "model is better"

    def plain(self) -> dict[str, Any]:
        """The row for JSON, which says of an interval that it is conservative and of others nothing, as it used to."""
        row = asdict(self) | {"model_beats": self.model_beats}
        return row if self.conservative else {key: value for key, value in row.items() if key != "conservative"}


NO_INTERVAL = (
    f"no interval: fewer independent groups than it needs (at least {MIN_GROUPS}; {MIN_GROUPS_OF_SHARES} for shares "
    f"and areas from 0 to 1, {MIN_GROUPS_OF_PAIRS} for KID), or all groups alike"
)
CONSERVATIVE = (
    f"intervals hold 95 % or more: shares and areas of up to {FEW_GROUPS_OF_SHARES} groups, all else of up to "
    f"{FEW_UNEQUAL_GROUPS} groups of different sizes"
)
CSV_COLUMNS = (
    "metric",
    "better",
    "method",
    "value",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
    "significant",
    "conservative",
)


def compare(metric: str, better: Better, found: Mapping[str, GroupEstimate]) -> list[ComparisonRow]:
    """One row a method, each against the one named `model`; all of the same groups.

    Args:
        metric: what is compared, for titles.
        better: whether higher or lower numbers are better.
        found: by the method's name.
    """
    return [_row(metric, better, name, estimate, found[MODEL]) for name, estimate in found.items()]


def _row(metric: str, better: Better, name: str, estimate: GroupEstimate, model: GroupEstimate) -> ComparisonRow:
    low, high = estimate.interval() or (None, None)
    if name == MODEL:
        return ComparisonRow(metric, better, name, estimate.value, low, high, 0.0, 0.0, 0.0, estimate.conservative)
    less = model.minus(estimate)
    spread = less.interval() or (None, None)
    few = estimate.conservative or less.conservative
    return ComparisonRow(metric, better, name, estimate.value, low, high, less.value, spread[0], spread[1], few)


def compare_auroc(scored: Mapping[str, Floats], labels: Integers, groups: Integers) -> list[ComparisonRow]:
    """Compare anomaly scores by AUROC: one row a method, each against the one named `model`.

    Args:
        scored: float [T] by the method's name, larger for anomalous samples.
        labels: int64 [T], 1 for anomalous samples.
        groups: int64 [T], independent groups.
    """
    found = {name: auroc_over_groups(labels, scores, groups) for name, scores in scored.items()}
    return compare("AUROC", "higher", found)


def compare_means(
    metric: str, better: Better, values: Mapping[str, Floats], groups: Integers, within: Range = ANY
) -> list[ComparisonRow]:
    """Compare per-sample values by their means: one row a method, each against the one named `model`.

    Args:
        metric: what the values are, for titles.
        better: which means are better.
        values: float [T] by the method's name, one per test sample.
        groups: int64 [T], independent groups.
        within: what a mean can be.
    """
    found = {name: mean_over_groups(one, groups, within) for name, one in values.items()}
    return compare(metric, better, found)


def model_metrics(rows: Iterable[ComparisonRow], names: Mapping[str, str]) -> dict[str, float]:
    """The model's own numbers, and the known ends of their intervals, by the metric and what it is to be called."""
    found: dict[str, float | None] = {}
    for row in rows:
        if row.name == MODEL and row.metric in names:
            name = names[row.metric]
            found |= {name: row.value, f"{name}_low": row.low, f"{name}_high": row.high}
    return {key: value for key, value in found.items() if value is not None}


def comparison_csv(rows: Iterable[ComparisonRow]) -> str:
    """The rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = {"method" if key == "name" else key: value for key, value in asdict(row).items()}
        writer.writerow(values | {"significant": row.significant})
    return text.getvalue()


def comparison_tables(rows: Sequence[ComparisonRow]) -> list[Table]:
    """The comparison for a terminal, a table for each metric."""
    return [_table([row for row in rows if row.metric == metric]) for metric in dict.fromkeys(r.metric for r in rows)]


def worse_than(rows: Iterable[ComparisonRow]) -> str:
    """The baselines that are shown to be better than the model, by metric, in one line; empty where there is none.

    Real samples are no method: that they are better than generated ones is no reason to use another model.
    """
    better: dict[str, list[str]] = {}
    for row in rows:
        if row.significant == "baseline is better" and row.name != REAL:
            better.setdefault(row.metric, []).append(row.name)
    return "; ".join(f"{metric}: {', '.join(names)}" for metric, names in better.items())


def _table(rows: Sequence[ComparisonRow]) -> Table:
    first = rows[0]
    table = Table(title=f"Test {first.metric} ({first.better} is better); 95 % intervals over groups")
    unknown = any(row.low is None or row.difference_low is None for row in rows)
    few = any(row.conservative and row.low is not None for row in rows)
    table.caption = "; ".join([NO_INTERVAL] * unknown + [CONSERVATIVE] * few) or None
    for column in ("method", first.metric, "model − baseline", "significant"):  # noqa: RUF001, a minus sign
        table.add_column(column, no_wrap=True)
    for row in rows:
        own = f"{row.value:.4g}{_ends(row.low, row.high, '.3g')}"
        against = f"{row.difference:+.3g}{_ends(row.difference_low, row.difference_high, '+.2g')}"
        table.add_row(row.name, own, "" if row.name == MODEL else against, row.significant)
    return table


def _ends(low: float | None, high: float | None, digits: str) -> str:
    return "" if low is None or high is None else f" [{low:{digits}}, {high:{digits}}]"
