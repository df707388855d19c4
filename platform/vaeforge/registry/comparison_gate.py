"""Comparison gate: a version beside the best one ever registered on the same data, on the same test samples.

Non-inferiority: a version passes if it is shown to be worse by no more than a margin. Differences are paired by sample,
intervals are over independent groups (`evaluation/intervals.py`), at the error probability that refusals on this test
set have left (`error_rates.py`). The likelihood's margin is a share s of what the best version gained over
the mean of the training samples. With mean nats per sample c of the version, b of the best and m of the training mean,

    c - b <= s (m - b)    is shown where the lower end of    s (m - b) + (b - c)    is at least 0,

the linear form of a test on the share of an effect that is retained (Rothmann et al. 2003), which takes into account
that the margin itself is only estimated. Where the best version gains nothing, the margin is 0. Where the test of both
holds normal samples alone, there is no AUROC to compare, and the likelihood decides.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaeforge.config.gates import Gates
from vaeforge.evaluation.auroc import auroc, auroc_difference, groups_per_label
from vaeforge.evaluation.intervals import GroupEstimate, mean_over_groups
from vaeforge.evaluation.per_sample_scores import PerSampleScores
from vaeforge.evaluation.tasks import task_named
from vaeforge.registry.error_rates import ErrorRates, alpha_of, chance_of_passing
from vaeforge.registry.verdict import RuleOutcome

LIKELIHOOD, DETECTION = "likelihood", "auroc"
NO_TRAINING_MEAN = "its evidence lacks the training mean's likelihood; run `vaeforge evaluate` and register it again"


@dataclass(frozen=True)
class Incumbent:
    """The version to compare with: its name, and its evidence, or why that cannot be had."""

    name: str
    evidence: PerSampleScores | None
    problem: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two versions on the same test samples.

    Attributes:
        mine: evidence of the version that is judged.
        best: of the best version.
        name: of the best version.
        task: what both are evaluated by.
        dimensions: values of a sample, D.
        number: k, one more than versions were refused on this test set before.
    """

    mine: PerSampleScores
    best: PerSampleScores
    name: str
    task: str
    dimensions: int
    number: int

    @property
    def alpha(self) -> float:
        """The error probability."""
        return alpha_of(self.number)


def compare(
    evidence: PerSampleScores | None,
    task: str,
    dimensions: int,
    best: Incumbent,
    number: int,
    gates: Gates,
    skipped: list[str],
) -> Iterator[RuleOutcome]:
    """The likelihood, and if the task detects anomalies the AUROC, beside those of `best`.

    Args:
        evidence: of the version; none where there is none.
        task: what it is evaluated by.
        dimensions: values of a sample, D.
        best: the version to compare with.
        number: k, one more than versions were refused on this test set before.
        gates: the margins.
        skipped: gets a line for a rule that does not apply.
    """
    problem = _incomparable(evidence, best, task)
    no_detection = _no_detection(evidence, best, task)
    detects = not no_detection
    if no_detection:
        skipped.append(f"{DETECTION}: {no_detection}")
    if problem or evidence is None or best.evidence is None:
        for rule in (LIKELIHOOD, DETECTION) if detects else (LIKELIHOOD,):
            yield _not_evaluated(rule, problem, f"comparable with {best.name}")
        return
    comparison = Comparison(evidence, best.evidence, best.name, task, dimensions, number)
    yield _likelihood_outcome(comparison, gates)
    if detects:
        yield _auroc_outcome(comparison, gates)


def _no_detection(evidence: PerSampleScores | None, best: Incumbent, task: str) -> str:
    """Why the AUROC of two versions is not compared; empty if it must be, whether or not it can."""
    if not task_named(task).detects_anomalies:
        return f"not applicable to the task {task}"
    known = [one for one in (evidence, best.evidence) if one is not None]
    if evidence is None or any(one.anomalous for one in known):
        return ""
    return f"the test holds no anomalous samples, neither for this version nor for {best.name}; the likelihood decides"


def _incomparable(evidence: PerSampleScores | None, best: Incumbent, task: str) -> str:
    """Why two versions cannot be compared; empty if they can."""
    if evidence is None or not evidence.finite:
        return "no finite evidence of this version"
    if best.evidence is None or not best.evidence.finite:
        return f"{best.name}: {best.problem or 'its evidence is not finite'}"
    if evidence.same_test(best.evidence):
        return ""
    told = ""
    if task_named(task).detects_anomalies:
        theirs, own = (f"{one.anomalous} of {len(one.labels)}" for one in (best.evidence, evidence))
        told = f" ({theirs} anomalous, of this version's {own}), so that nothing is compared"
    return f"{best.name} was measured on other test samples{told}"


@dataclass(frozen=True)
class LikelihoodGain:
    """What a version kept of the best one's likelihood, nats per sample.

    Attributes:
        best: what the best version gained over the training mean, m - b.
        lost: how much worse the version is than the best one, c - b.
        margin: the share of `best` that may be lost; 0 where there is no gain.
        within: s (m - b) + (b - c), what is left of the margin.
    """

    best: float
    lost: float
    margin: float
    within: GroupEstimate


def likelihood_gain(
    mine: NDArray[np.float64],
    best: NDArray[np.float64],
    training_mean: NDArray[np.float64],
    groups: NDArray[np.int64],
    share: float,
) -> LikelihoodGain:
    """What is left of the margin; see the module's docstring.

    Args:
        mine: nats of each sample by the version that is judged, [N].
        best: by the best version, [N].
        training_mean: by the mean of the training samples, [N].
        groups: the independent group of each sample, [N].
        share: s, of the best version's gain, that may be lost.
    """
    gain = float((training_mean - best).mean())
    used = share if gain > 0 else 0.0
    within = mean_over_groups(used * (training_mean - best) + (best - mine), groups)
    return LikelihoodGain(gain, float((mine - best).mean()), used * max(gain, 0.0), within)


def shown(estimate: GroupEstimate, alpha: float) -> float | None:
    """The estimate's lower end; its value where no group differs from another, as where two versions are the same.

    A standard error of 0 between two versions means that the test set does not tell them apart in any group: both
    separate it without an error, say. None where there are too few groups.
    """
    return estimate.value if estimate.alike else estimate.lower(alpha)


def _likelihood_outcome(comparison: Comparison, gates: Gates) -> RuleOutcome:
    mine, best, task = comparison.mine, comparison.best, comparison.task
    chosen = mine.compared(task)
    count = groups_in(mine.groups[chosen])
    if count < gates.min_groups:
        return too_few(LIKELIHOOD, {"normal" if task_named(task).detects_anomalies else "test": count}, gates)
    known = [one for one in (mine.training_mean_nll, best.training_mean_nll) if one is not None]
    if not known or not np.isfinite(known[0]).all():
        return _not_evaluated(LIKELIHOOD, NO_TRAINING_MEAN, f"comparable with {comparison.name}")
    gain = likelihood_gain(
        mine.nll[chosen], best.nll[chosen], known[0][chosen], mine.groups[chosen], gates.likelihood_margin
    )
    return _gain_outcome(comparison, gain, gates.likelihood_margin)


def _gain_outcome(comparison: Comparison, gain: LikelihoodGain, share: float) -> RuleOutcome:
    low = shown(gain.within, comparison.alpha)
    learned = (
        f"{comparison.name}, whose gain over the training mean is {_nats(gain.best, comparison.dimensions)}"
        if gain.best > 0
        else f"{comparison.name}, which gains nothing over the training mean, so that nothing may be lost"
    )
    found = (
        f"a loss of {_nats(gain.lost, comparison.dimensions)} against {learned}; at least "
        f"{'an unknown number' if low is None else f'{low:.4g}'} nats per sample are left of the margin"
    )
    margin = _nats(gain.margin, comparison.dimensions)
    needed = f"at least 0, with a margin of {100 * share:g} % of that gain, {margin}"
    rates = _rates(comparison, gain.within, gain.margin)
    return RuleOutcome(LIKELIHOOD, found, needed, low is not None and low >= 0, rates, comparative=True)


def _nats(value: float, dimensions: int) -> str:
    return f"{value:.4g} nats per sample ({value / dimensions:.3g} per value)"


def _auroc_outcome(comparison: Comparison, gates: Gates) -> RuleOutcome:
    mine, best = comparison.mine, comparison.best
    counts = dict(zip(("normal", "anomalous"), groups_per_label(mine.labels, mine.groups), strict=True))
    if min(counts.values()) < gates.min_groups:
        return too_few(DETECTION, counts, gates)
    gain = auroc_difference(mine.labels, mine.score, best.score, mine.groups)
    low = shown(gain, comparison.alpha)
    areas = [auroc(one.labels, one.score) for one in (mine, best)]
    least = "an unknown number" if low is None else f"{low:.4g}"
    found = f"{areas[0]:.6g} against {areas[1]:.6g}, a gain of at least {least}"
    needed = f"a gain of at least {-gates.auroc_margin:g} over {comparison.name}"
    passed = low is not None and low >= -gates.auroc_margin
    rates = _rates(comparison, gain, gates.auroc_margin)
    return RuleOutcome(DETECTION, found, needed, passed, rates, comparative=True)


def _rates(comparison: Comparison, estimate: GroupEstimate, margin: float) -> ErrorRates:
    power = chance_of_passing(estimate, margin, comparison.alpha)
    return ErrorRates(comparison.alpha, power, comparison.number)


def groups_in(groups: NDArray[np.int64]) -> int:
    """How many independent groups there are."""
    return len(np.unique(groups))


def too_few(rule: str, counts: Mapping[str, int], gates: Gates) -> RuleOutcome:
    """A rule that cannot be evaluated because there are not enough independent groups."""
    found = ", ".join(f"{count} {name} groups" for name, count in counts.items())
    return _not_evaluated(rule, found, f"judged on at least {gates.min_groups} groups")


def _not_evaluated(rule: str, why: str, needed: str) -> RuleOutcome:
    comparative = rule in (LIKELIHOOD, DETECTION)
    return RuleOutcome(rule, f"cannot be evaluated: {why}", needed, False, comparative=comparative)
