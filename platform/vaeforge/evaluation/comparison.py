"""Comparison of a model with simpler methods (baselines) on the same test samples.

Evaluation tasks call `compare_auroc` and `compare_means` with per-sample scores or errors by method; the rows go into
the evaluation's manifest, `comparison.csv`, the terminal and the model card. A difference is significant if its 95 %
bootstrap interval, for which model and baseline are resampled with the same draws of independent groups, excludes zero:
above or below, so that a baseline can be shown to be better, too.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from vaeforge.evaluation.bootstrap import (
    Interval,
    auroc_interval,
    bootstrap_auroc,
    bootstrap_means,
    difference_interval,
    percentile_interval,
    weighted_auroc,
)

MODEL = "model"
REAL = "real against real"  # a row of real samples, what a perfect generator would show
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Better = Literal["higher", "lower"]
Significance = Literal["model is better", "baseline is better", "no clear difference", ""]


@dataclass(frozen=True)
class ComparisonRow:
    """One method, and the model compared with it.

    Attributes:
        metric: what is compared, on the test set.
        better: whether higher or lower numbers of the metric are better.
        name: of the method (a baseline), or `model` for the model itself.
        value: the method's, with the ends of its 95 % interval, `low` and `high`.
        difference: model - baseline, with the ends of its 95 % interval, `difference_low` and `difference_high`.
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

    @property
    def significant(self) -> Significance:
        """Which of the two the interval of the difference shows to be better; empty for the model itself."""
        if self.name == MODEL:
            return ""
        if not (self.difference_low > 0 or self.difference_high < 0):  # so that NaN shows nothing
            return "no clear difference"
        return "model is better" if (self.difference_low > 0) == (self.better == "higher") else "baseline is better"

    @property
    def model_beats(self) -> bool:
        """Whether the model is shown to be better."""
        return self.significant == "model is better"

    def plain(self) -> dict[str, Any]:
        """The row for JSON, which has no infinity: ends of intervals that are not known are null."""
        values = {key: value if value not in (np.inf, -np.inf) else None for key, value in asdict(self).items()}
        return values | {"model_beats": self.model_beats}


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
)
UNKNOWN: dict[str, Any] = {"low": -np.inf, "high": np.inf, "difference_low": -np.inf, "difference_high": np.inf}


def with_infinities(row: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `ComparisonRow.plain`: infinity for ends that are not known."""
    return {key: UNKNOWN.get(key) if value is None else value for key, value in row.items()}


def compare_auroc(scored: Mapping[str, Floats], labels: Integers, groups: Integers, seed: int) -> list[ComparisonRow]:
    """Compare anomaly scores by AUROC: one row a method, each against the one named `model`.

    Args:
        scored: float [T] by the method's name, larger for anomalous samples.
        labels: int64 [T], 1 for anomalous samples.
        groups: int64 [T], independent groups.
        seed: of the draws.
    """
    drawn = bootstrap_auroc(labels, groups, scored, seed)
    point = {name: weighted_auroc(labels, values, np.ones(len(labels))) for name, values in scored.items()}
    rows = []
    for name in scored:
        spread = difference_interval(drawn[MODEL], drawn[name], labels, groups)
        interval = auroc_interval(drawn[name], labels, groups)
        rows.append(_row("AUROC", "higher", name, point[name], interval, point[MODEL] - point[name], spread))
    return rows


def compare_means(
    metric: str, better: Better, values: Mapping[str, Floats], groups: Integers, seed: int
) -> list[ComparisonRow]:
    """Compare per-sample values by their means: one row a method, each against the one named `model`.

    With fewer than two groups nothing is known of the spread: the intervals are infinite.

    Args:
        metric: what the values are, for titles.
        better: which means are better.
        values: float [T] by the method's name, one per test sample.
        groups: int64 [T], independent groups.
        seed: of the draws.
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
) -> ComparisonRow:
    return ComparisonRow(metric, better, name, value, *interval, difference, *spread)


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
    for column in ("method", first.metric, "model − baseline", "significant"):  # noqa: RUF001, a minus sign
        table.add_column(column, no_wrap=True)
    for row in rows:
        own = f"{row.value:.4g} [{row.low:.3g}, {row.high:.3g}]"
        against = f"{row.difference:+.3g} [{row.difference_low:+.2g}, {row.difference_high:+.2g}]"
        table.add_row(row.name, own, "" if row.name == MODEL else against, row.significant)
    return table
