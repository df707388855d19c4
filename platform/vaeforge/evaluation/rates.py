"""Upper limit of a rate that is measured on samples in groups, valid for rare events and few groups.

The limit is that of Clopper and Pearson (1934) for an effective number of samples, after Korn and Graubard (1998),
"Confidence intervals for proportions with small expected number of positive counts estimated from survey data":

    n* = min(n, p (1 - p) / se^2) (t_{n - 1} / t_{G - 1})^2,    upper = Beta^-1(1 - alpha; n* p + 1, n* - n* p)

with the rate p, its jackknife standard error over groups se, and the quantiles of Student's t at alpha. Where few
groups have an event, se comes out too small by chance: n* is therefore never larger than with one more group of rate
1/2, nor than G where no group has an event, for then nothing is known of how much the samples of a group resemble each
other. The ends of a jackknife-t interval would hold a true rate of 0.2 in 89 to 97 of 100 samples of 10 to 50 groups,
where 97.5 are claimed (`benchmarks/coverage_gates.py`).
Shapes: N samples in G groups.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaeforge.evaluation.intervals import mean_over_groups


@dataclass(frozen=True)
class GroupedRate:
    """A rate measured on samples in groups.

    Attributes:
        value: the share of samples that have the event.
        effective: n*, as many independent samples as say as much; depends on the error probability.
        alpha: the error probability that `effective` is for.
        upper: the rate that the true one lies above with probability at most `alpha`.
    """

    value: float
    effective: float
    alpha: float
    upper: float

    def chance_within(self, rate: float, bound: float) -> float:
        """The probability that the upper limit of as many effective samples of a true `rate` is at most `bound`.

        P(X <= k) of a binomial X with n* trials, k the most events that still have their limit within `bound`.
        """
        from scipy import special  # see intervals

        counts = np.arange(math.floor(self.effective) + 1)
        passing = counts[upper_limit(counts / self.effective, self.effective, self.alpha) <= bound]
        return float(special.bdtr(passing[-1], round(self.effective), rate)) if len(passing) else 0.0


def grouped_rate(events: NDArray[np.bool_], groups: NDArray[np.int64], alpha: float) -> GroupedRate:
    """The rate of `events` [N] in at least two groups [N], with its upper limit at the error probability `alpha`."""
    value, effective = float(events.mean()), effective_samples(events, groups, alpha)
    upper = float(upper_limit(np.array([value]), effective, alpha)[0])
    return GroupedRate(value, effective, alpha, upper)


def effective_samples(events: NDArray[np.bool_], groups: NDArray[np.int64], alpha: float) -> float:
    """n* of the module's docstring."""
    from scipy import special

    count, names = len(events), np.unique(groups)
    own = _independent_samples(events, groups)
    extra = round(count / len(names))  # samples of one more group, half of them with the event
    padded = np.concatenate([events.astype(np.float64), np.full(max(extra, 1), 0.5)])
    careful = _independent_samples(padded, np.concatenate([groups, np.full(max(extra, 1), names.max() + 1)]))
    known = own if 0 < events.sum() < count else float(len(names))
    spread = special.stdtrit(max(count - 1, 1), 1 - alpha) / special.stdtrit(len(names) - 1, 1 - alpha)
    return float(min(count, known, careful) * spread**2)


def _independent_samples(values: NDArray[np.floating] | NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """p (1 - p) / se^2: as many independent samples have this standard error; infinite where it is 0."""
    estimate = mean_over_groups(values.astype(np.float64), groups)
    return estimate.value * (1 - estimate.value) / estimate.se**2 if estimate.se > 0 else math.inf


def upper_limit(rates: NDArray[np.float64], effective: float, alpha: float) -> NDArray[np.float64]:
    """Clopper and Pearson's upper limit of each rate among `effective` samples; the same shape."""
    from scipy import special

    misses = np.maximum(effective * (1 - rates), 0.0)
    inside = special.betainccinv(effective * rates + 1, np.maximum(misses, np.finfo(np.float64).tiny), alpha)
    return np.where(misses > 0, inside, 1.0)
