"""Error rates of the gates: how often a version passes that should not, and one that should.

Each version of a model is compared with the best one on one test set. Where k - 1 versions have been refused on it, the
next comparison is made at the error probability

    alpha_k = 0.025 / (k (k + 1)),    alpha_1 + alpha_2 + ... = 0.025.

All comparisons together, however many there will be, let a version that is worse by the margin through with at most
2.5 %: until one of them passes, the j-th of those versions finds at least j - 1 refusals, so that it is compared at
alpha_j or less, and the sum of these is 0.025 (Bonferroni, whatever depends on what). A version that passes spends
nothing: it either deserved to, or the error has happened already (online fallback, Tian and Ramdas 2021). What is spent
is the test set: with each refusal, an equally good version has a smaller chance to pass. Below one half, the test set
is used up.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaeforge.evaluation.intervals import GroupEstimate

ALPHA = 0.025
USED_UP = 0.5
PASSED, REFUSED, NOT_EVALUATED, NO_RIVAL = "passed", "refused", "not evaluated", "no rival"
SPEND_NOTHING = (PASSED, NOT_EVALUATED, NO_RIVAL)  # outcomes of a comparison
RENEW = (
    "prepare another test set (new data, or another prepare.seed, which splits the files anew) and train on it: "
    "versions of other data are not compared with these"
)


@dataclass(frozen=True)
class ErrorRates:
    """How often a rule decides wrongly.

    Attributes:
        alpha: the largest probability that a version at the bound of the rule passes.
        power: the probability that a version passes that is exactly as it should be.
        comparison: which comparison of the test set it is, k; none where a rule compares with no other version.
    """

    alpha: float
    power: float
    comparison: int | None = None

    def __str__(self) -> str:
        if self.comparison is None:
            at_bound, right = _percent(self.alpha), _percent(self.power)
            return f"a model at that bound passes with {at_bound}, an exactly right one with {right}"
        return (
            f"{self.comparison - 1} refused on this test set before: a version worse by the margin passes with "
            f"{_percent(self.alpha)}, in all comparisons together {_percent(ALPHA)}, an equally good one with "
            f"{_percent(self.power)}"
        )


def alpha_of(comparison: int) -> float:
    """The error probability of a comparison after k - 1 refusals; see the module's docstring."""
    return ALPHA / (comparison * (comparison + 1))


def chance_of_passing(estimate: "GroupEstimate", margin: float, alpha: float) -> float:
    """The probability that a version without any true difference is shown to be worse by no more than `margin`.

    P(T >= t_alpha) for a noncentral T with the non-centrality margin / se: the estimate's standard error is taken as
    the true one. Where it is 0, whoever is equally good passes.

    Args:
        estimate: of the difference, in the units of the margin.
        margin: >= 0.
        alpha: the error probability of the comparison.
    """
    if estimate.alike:
        return 1.0
    from scipy import special  # a fifth of a second, which lists of versions do without

    bound = special.stdtrit(estimate.df, 1 - alpha)
    return float(1 - special.nctdtr(estimate.df, margin / estimate.se, bound))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
