"""Importances of parameters for one goal: conditional PED-ANOVA, with NumPy alone.

Watanabe et al. 2023 (IJCAI), extended to conditional parameters by arXiv 2601.20800: with all trials n, the best tenth
t of them, and of a parameter those trials that have it, N of all and T of the best,

    importance = (t / n)² · (T / t)² / (N / n) · Σ_grid p_all · (p_best / p_all - 1)²

p are Parzen estimates over a grid of the parameter's values. The numbers are those of Optuna's evaluator
(`optuna.importance.PedAnovaImportanceEvaluator`), which cannot be had without the import of forests, SciPy and pandas
for its other evaluators: three seconds of a core at the end of each search.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vaeforge.search.samplers.trials import FinishedTrial
from vaeforge.search.space.dimensions import Dimension, Params, Range, active_dimensions

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]

BEST = 0.1  # of the trials: what is important for being among them
STEPS = 50  # of the grid of a continuous parameter
FEWEST = 2  # trials that have a parameter, below which it is not judged
NARROWEST = 0.5 / 1.64  # width of a kernel in steps of the grid: 90 % of it lies on one step
TINY = 1e-12


def ped_anova(trials: Sequence[FinishedTrial], dimensions: Sequence[Dimension]) -> dict[str, float]:
    """Share of each parameter, by Optuna's name for it, the largest first; all together are 1.

    Args:
        trials: fully trained ones with one finite cost each, at least 2.
        dimensions: of the space that was searched.
    """
    costs = np.array([trial.finite[0] for trial in trials])
    best = costs <= np.sort(costs)[math.ceil(BEST * len(costs)) - 1]
    opened = [_opened(dimensions, trial.params) for trial in trials]
    known = {name: dimension for one in opened for name, (dimension, _) in one.items()}
    found = {name: _importance(name, one, opened, best) for name, one in known.items()}
    total = sum(found.values())
    shares = {name: value / total if total else 1.0 / len(found) for name, value in found.items()}
    return dict(sorted(shares.items(), key=lambda item: item[1], reverse=True))


def _opened(dimensions: Sequence[Dimension], params: Params) -> dict[str, tuple[Dimension, Any]]:
    """The dimensions that are open under `params`, each with its value."""
    opened = active_dimensions(tuple(dimensions), params)
    return {one.name: (one, params[one.path]) for one in opened if one.path in params}


def _importance(
    name: str, dimension: Dimension, opened: Sequence[Mapping[str, tuple[Dimension, Any]]], best: NDArray[np.bool_]
) -> float:
    having = np.array([name in one for one in opened])
    count, among = int(having.sum()), int((having & best).sum())
    if count < FEWEST or not among or _single(dimension):
        return 0.0
    places = np.array([_place(dimension, one[name][1]) for one in opened if name in one])
    steps = _steps(dimension)
    p_all, p_best = (_density(dimension, places[chosen], steps) for chosen in (np.full(count, True), best[having]))
    share, of_best = count / len(best), among / best.sum()
    return float(best.mean() ** 2 * of_best**2 / share * (p_all @ (p_best / p_all - 1) ** 2))


def _single(dimension: Dimension) -> bool:
    return dimension.low == dimension.high if isinstance(dimension, Range) else len(dimension.options) == 1


def _steps(dimension: Dimension) -> int:
    if not isinstance(dimension, Range):
        return len(dimension.options)
    if not dimension.integer:
        return STEPS
    many = dimension.high - dimension.low + 1
    return min(math.ceil(math.log(many) / math.log(2)) + 1 if dimension.log else round(many), STEPS)


def _place(dimension: Dimension, value: Any) -> int:
    """The step of the grid that `value` is nearest to, the lower one in the middle between two."""
    if not isinstance(dimension, Range):
        return next(
            place
            for place, option in enumerate(dimension.options)
            if option == value and isinstance(option, bool) == isinstance(value, bool)
        )
    low, high, at = (math.log(v) if dimension.log else float(v) for v in (dimension.low, dimension.high, value))
    steps = _steps(dimension)
    return min(max(math.ceil((at - low) / ((high - low) / (steps - 1)) - 0.5), 0), steps - 1)


def _density(dimension: Dimension, places: Counts, steps: int) -> Floats:
    """Parzen estimate over the grid, with one kernel as wide as the grid as its prior."""
    counts = np.bincount(places, minlength=steps)
    seen = np.flatnonzero(counts)
    weights = np.append(counts[seen], 1.0)
    kernels = _bumps(seen, counts[seen], steps) if isinstance(dimension, Range) else _options(seen, steps)
    found: Floats = (weights / weights.sum()) @ kernels + TINY
    return found


def _options(seen: Counts, options: int) -> Floats:
    """Kernels of a choice: one a seen option, and the prior; each row sums to 1."""
    kernels = np.full((len(seen) + 1, options), 1.0 / (len(seen) + 1))
    kernels[np.arange(len(seen)), seen] += 1.0
    shares: Floats = kernels / kernels.sum(axis=1, keepdims=True)
    return shares


def _bumps(seen: Counts, counts: Counts, steps: int) -> Floats:
    """Kernels of a range: normal distributions cut off at the grid's ends, and the prior; widths by Scott's rule."""
    total, cumulated = int(counts.sum()), np.cumsum(counts)
    mean = (seen @ counts) / total
    sd = math.sqrt(((seen - mean) ** 2 @ counts) / max(1, total - 1))
    first = np.searchsorted(cumulated, total // 4, side="left")
    third = min(len(seen) - 1, int(np.searchsorted(cumulated, total * 3 // 4, side="right")))
    width = 1.059 * min((seen[third] - seen[first]) / 1.34, sd) * total**-0.2
    centres = np.append(seen, (steps - 1) / 2)
    widths = np.append(np.full(len(seen), max(width, NARROWEST)), float(steps))
    edges = np.arange(steps + 1) - 0.5
    below = _normal_cdf((edges[None, :] - centres[:, None]) / widths[:, None])
    kernels: Floats = np.diff(below, axis=1) / (below[:, -1:] - below[:, :1])
    return kernels


def _normal_cdf(z: Floats) -> Floats:
    flat = [0.5 * math.erfc(-value / math.sqrt(2.0)) for value in z.ravel().tolist()]
    return np.array(flat).reshape(z.shape)
