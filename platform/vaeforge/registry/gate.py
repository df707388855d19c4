"""Gates: whether a version may become champion, decided from numbers alone. What cannot be judged has not passed.

A version is compared with the best one ever registered on the same data, sample by sample, by resampling whole groups.
It passes if it is shown to be worse by no more than a margin (non-inferiority); the margin is the same however many
versions came before, and the comparison is with the best of all, so that small losses cannot add up.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaeforge.config.experiment import Bounds, Gates
from vaeforge.evaluation.bootstrap import (
    bootstrap_auroc,
    bootstrap_means,
    groups_per_label,
    percentile_interval,
    weighted_auroc,
)
from vaeforge.evaluation.per_sample_scores import PerSampleScores
from vaeforge.evaluation.tasks import task_named
from vaeforge.evaluation.threshold import THRESHOLD_METRIC
from vaeforge.registry.lineage import ACTIVE
from vaeforge.registry.verdict import RuleOutcome, Verdict, verdict_of
from vaeforge.seeds import derive

TEST = "test/nelbo"
MEGABYTE = 1e6
AGREEMENT = 1e-6
SEED = derive(0, "gate bootstrap")
LIKELIHOOD, DETECTION = "likelihood", "auroc"


@dataclass(frozen=True)
class Incumbent:
    """The version to compare with: its name, and its evidence, or why that cannot be had."""

    name: str
    evidence: PerSampleScores | None
    problem: str = ""


@dataclass(frozen=True)
class GateCandidate:
    """What gates look at.

    Attributes:
        task: what the family is evaluated by.
        dimensions: values of a sample, D.
        data_identity: of the data that it was trained and measured on.
        metrics: flat `val/...` and `test/...` numbers of the evaluation.
        parity: whether the exported graphs agree with torch.
        evidence: of each test sample; none where it cannot be read, and then `problem` says why.
        size_bytes: of model.onnx; latency_ms: 95th percentile of a single sample; none where not measured.
    """

    task: str
    dimensions: int
    data_identity: str
    metrics: Mapping[str, float]
    parity: bool
    evidence: PerSampleScores | None
    problem: str = ""
    size_bytes: float | None = None
    latency_ms: float | None = None


def decide(candidate: GateCandidate, best: Incumbent | None, champion_data: str | None, gates: Gates) -> Verdict:
    """Judge `candidate` by `gates`.

    Args:
        candidate: what was measured of it.
        best: the version with the lowest negative log-likelihood ever registered on these data; none if there is none.
        champion_data: the data identity of the champion; none where there is no champion.
        gates: what a champion must show.
    """
    skipped: list[str] = []
    outcomes = [_parity(candidate), _active(candidate, gates), _likelihood(candidate)]
    outcomes += [_bounded(name, candidate.metrics.get(name), bounds) for name, bounds in gates.require.items()]
    outcomes += _calibration(candidate, gates, skipped)
    outcomes += _resources(candidate, gates)
    outcomes += _same_data(candidate, champion_data, skipped)
    if best is None:
        skipped.append("comparison: the first version on these data")
    else:
        outcomes += compare(candidate.evidence, candidate.task, candidate.dimensions, best, gates, skipped)
    return verdict_of(outcomes, skipped)


def _parity(candidate: GateCandidate) -> RuleOutcome:
    found = "the graphs compute what torch computes" if candidate.parity else "not shown"
    return RuleOutcome("parity", found, "shown", candidate.parity)


def _active(candidate: GateCandidate, gates: Gates) -> RuleOutcome:
    return _bounded(ACTIVE, candidate.metrics.get(ACTIVE), Bounds(min=gates.min_active_units))


def _likelihood(candidate: GateCandidate) -> RuleOutcome:
    """The number and its evidence say the same."""
    value, evidence = candidate.metrics.get(TEST, math.nan), candidate.evidence
    needed = "a finite number, the mean of the evidence"
    if evidence is None:
        return RuleOutcome(TEST, f"cannot be evaluated: {candidate.problem or 'no evidence'}", needed, False)
    mean = float(evidence.nll.mean()) if evidence.finite else math.nan
    agrees = math.isfinite(value) and math.isclose(value, mean, rel_tol=AGREEMENT, abs_tol=AGREEMENT)
    return RuleOutcome(TEST, f"{value:.6g}, evidence {mean:.6g}", needed, agrees)


def _bounded(name: str, value: float | None, bounds: Bounds) -> RuleOutcome:
    low, high = bounds.min, bounds.max
    limits = ((">=", low), ("<=", high))
    needed = " and ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)
    if value is None or not math.isfinite(value):
        return RuleOutcome(name, "missing" if value is None else f"{value}", needed, False)
    passed = (low is None or value >= low) and (high is None or value <= high)
    return RuleOutcome(name, f"{value:.6g}", needed, passed)


def _calibration(candidate: GateCandidate, gates: Gates, skipped: list[str]) -> Iterator[RuleOutcome]:
    """Share of test normals above the threshold less the planned one, by the bootstrap's lower bound."""
    rule, evidence = "calibration", candidate.evidence
    if not task_named(candidate.task).detects_anomalies:
        skipped.append(f"{rule}: not applicable to the task {candidate.task}")
        return
    needed = f"an excess of at most {gates.calibration:g} over {1 - gates.threshold_quantile:g}"
    threshold = candidate.metrics.get(THRESHOLD_METRIC, math.nan)
    if evidence is None or not evidence.finite or not math.isfinite(threshold):
        yield RuleOutcome(rule, "cannot be evaluated: no threshold, or no finite scores", needed, False)
        return
    normal = evidence.labels == 0
    groups = evidence.groups[normal]
    if groups_in(groups) < gates.min_groups:
        yield too_few(rule, {"normal": groups_in(groups)}, gates)
        return
    above = (evidence.score[normal] > threshold).astype(np.float64)
    low = percentile_interval(bootstrap_means(groups, {rule: above}, SEED, gates.draws)[rule]).low
    excess = low - (1 - gates.threshold_quantile)
    found = f"{above.mean():.3g} of test normals lie above the threshold, at least {low:.3g} by the 95 % interval"
    yield RuleOutcome(rule, found, needed, excess <= gates.calibration)


def _resources(candidate: GateCandidate, gates: Gates) -> Iterator[RuleOutcome]:
    """Size and latency, where the gates limit them."""
    if gates.max_megabytes is not None:
        size = candidate.size_bytes
        value = None if size is None else size / MEGABYTE
        yield _bounded("megabytes", value, Bounds(max=gates.max_megabytes))
    if gates.max_latency_ms is not None:
        yield _bounded("latency_ms", candidate.latency_ms, Bounds(max=gates.max_latency_ms))


def _same_data(candidate: GateCandidate, champion_data: str | None, skipped: list[str]) -> Iterator[RuleOutcome]:
    if champion_data is None:
        skipped.append("data: there is no champion")
        return
    same = candidate.data_identity == champion_data
    yield RuleOutcome("data", f"identity {candidate.data_identity}", f"{champion_data}, the champion's", same)


def compare(
    evidence: PerSampleScores | None, task: str, dimensions: int, best: Incumbent, gates: Gates, skipped: list[str]
) -> Iterator[RuleOutcome]:
    """The likelihood, and if the task detects anomalies the AUROC, beside those of `best`; `dimensions` is D."""
    problem = _incomparable(evidence, best)
    detects = task_named(task).detects_anomalies
    if not detects:
        skipped.append(f"{DETECTION}: not applicable to the task {task}")
    if problem or evidence is None or best.evidence is None:
        for rule in (LIKELIHOOD, DETECTION) if detects else (LIKELIHOOD,):
            yield RuleOutcome(rule, f"cannot be evaluated: {problem}", f"comparable with {best.name}", False)
        return
    yield _likelihood_gain(evidence, best.evidence, task, dimensions, best.name, gates)
    if detects:
        yield _auroc_gain_outcome(evidence, best.evidence, best.name, gates)


def gain_per_value(
    mine: PerSampleScores, best: PerSampleScores, task: str, dimensions: int, draws: int
) -> NDArray[np.float64]:
    """mean(best.nll - mine.nll) / D in each draw of whole groups, nats per value: [draws]."""
    chosen = mine.compared(task)
    gains = (best.nll[chosen] - mine.nll[chosen]) / dimensions
    return bootstrap_means(mine.groups[chosen], {LIKELIHOOD: gains}, SEED, draws)[LIKELIHOOD]


def auroc_gain(mine: PerSampleScores, best: PerSampleScores, draws: int) -> NDArray[np.float64]:
    """AUROC of mine less that of the best in each draw of whole groups within each label: [draws]."""
    scores = {"mine": mine.score, "best": best.score}
    drawn = bootstrap_auroc(mine.labels, mine.groups, scores, SEED, draws)
    return drawn["mine"] - drawn["best"]


def groups_in(groups: NDArray[np.int64]) -> int:
    """How many independent groups there are."""
    return len(np.unique(groups))


def too_few(rule: str, counts: Mapping[str, int], gates: Gates) -> RuleOutcome:
    """A rule that cannot be evaluated because there are not enough independent groups."""
    found = ", ".join(f"{count} {name} groups" for name, count in counts.items())
    return RuleOutcome(rule, f"cannot be evaluated: {found}", f"judged on at least {gates.min_groups} groups", False)


def _incomparable(evidence: PerSampleScores | None, best: Incumbent) -> str:
    """Why two versions cannot be compared; empty if they can."""
    if evidence is None or not evidence.finite:
        return "no finite evidence of this version"
    if best.evidence is None or not best.evidence.finite:
        return f"{best.name}: {best.problem or 'its evidence is not finite'}"
    return "" if evidence.same_test(best.evidence) else f"{best.name} was measured on other test samples"


def _likelihood_gain(
    mine: PerSampleScores, best: PerSampleScores, task: str, dimensions: int, name: str, gates: Gates
) -> RuleOutcome:
    count = groups_in(mine.groups[mine.compared(task)])
    if count < gates.min_groups:
        return too_few(LIKELIHOOD, {"normal" if task_named(task).detects_anomalies else "test": count}, gates)
    low = percentile_interval(gain_per_value(mine, best, task, dimensions, gates.draws)).low
    return _gain_outcome(
        LIKELIHOOD, "nats per value", low, mine.mean_nll(task), best.mean_nll(task), gates.margin, name
    )


def _auroc_gain_outcome(mine: PerSampleScores, best: PerSampleScores, name: str, gates: Gates) -> RuleOutcome:
    counts = dict(zip(("normal", "anomalous"), groups_per_label(mine.labels, mine.groups), strict=True))
    if min(counts.values()) < gates.min_groups:
        return too_few(DETECTION, counts, gates)
    low = percentile_interval(auroc_gain(mine, best, gates.draws)).low
    return _gain_outcome(DETECTION, "of the AUROC", low, _auroc(mine), _auroc(best), gates.auroc_margin, name)


def _gain_outcome(rule: str, unit: str, low: float, mine: float, best: float, margin: float, name: str) -> RuleOutcome:
    found = f"{mine:.6g} against {best:.6g}, a gain of at least {low:.4g} {unit} by the 95 % interval"
    return RuleOutcome(rule, found, f"a gain of at least {-margin:g} over {name}", low >= -margin)


def _auroc(evidence: PerSampleScores) -> float:
    return weighted_auroc(evidence.labels, evidence.score, np.ones(len(evidence.score)))
