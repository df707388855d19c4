"""Units, metrics and table lines of maps."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vaeforge.evaluation.bootstrap import Interval, bootstrap_means, percentile_interval
from vaeforge.evaluation.comparison import MODEL, ComparisonRow
from vaeforge_models.vae import VAE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@torch.no_grad()
def in_raw_units(model: VAE, values: Floats) -> Floats:
    """Values [N, E] in the units of the model as those of the data."""
    tensor = torch.from_numpy(values.astype(np.float32)).reshape(-1, *model.event_shape)
    return model.denormalise(tensor).flatten(1).double().numpy()


def spread_in_raw_units(model: VAE, deviations: Floats) -> Floats:
    """Standard deviations [N, E] in the units of the model as those of the data: the shift falls out."""
    return in_raw_units(model, deviations) - in_raw_units(model, np.zeros_like(deviations))


def compact(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays with floats in 32 bits."""
    return {name: a.astype(np.float32) if np.issubdtype(a.dtype, np.floating) else a for name, a in arrays.items()}


def interval_metrics(name: str, interval: Interval) -> dict[str, float]:
    """The ends of an interval beside the metric `name`; without those that are infinite, which metrics cannot be."""
    ends = {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return {key: value for key, value in ends.items() if np.isfinite(value)}


def mean_with_interval(name: str, values: NDArray[Any], groups: Integers, seed: int) -> dict[str, float]:
    """The mean of shares [N] in 0..1 and its 95 % interval over groups; [0, 1] where there is a single group.

    Args:
        name: of the metric.
        values: [N] in 0..1.
        groups: int64 [N], the independent group of each sample, which is drawn whole.
        seed: of the draws.
    """
    known = len(np.unique(groups)) > 1
    found = {name: values.astype(np.float64)}
    ends = percentile_interval(bootstrap_means(groups, found, seed)[name]) if known else Interval(0.0, 1.0)
    return {name: float(values.mean())} | interval_metrics(name, ends)


def model_metrics(rows: Iterable[ComparisonRow], names: Mapping[str, str]) -> dict[str, float]:
    """The model's own numbers, with the ends of their intervals, by the metric's name and what it is to be called."""
    found: dict[str, float] = {}
    for row in rows:
        if row.name == MODEL and row.metric in names:
            found |= {names[row.metric]: row.value} | interval_metrics(names[row.metric], Interval(row.low, row.high))
    return found
