"""Whether a version may become champion: a decision made from numbers alone. What cannot be judged has not passed."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vaeforge.config.experiment import Bounds, Gates
from vaeforge.evaluate.bootstrap import bootstrap_means, percentile_interval
from vaeforge.evaluate.tasks import task_named
from vaeforge.registry.evidence import Evidence
from vaeforge.registry.lineage import ACTIVE
from vaeforge.registry.noninferiority import SEED, Rival, compare, groups_in, too_few
from vaeforge.registry.verdict import Finding, Verdict, verdict_of

TEST = "test/nelbo"
THRESHOLD = "val/threshold"
MEGABYTE = 1e6
AGREEMENT = 1e-6


@dataclass(frozen=True)
class Candidate:
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
    evidence: Evidence | None
    problem: str = ""
    size_bytes: float | None = None
    latency_ms: float | None = None


def decide(candidate: Candidate, best: Rival | None, champion_data: str | None, gates: Gates) -> Verdict:
    """Judge `candidate` by `gates`.

    Args:
        candidate: what was measured of it.
        best: the version with the lowest negative log-likelihood ever registered on these data; none if there is none.
        champion_data: the data identity of the champion; none where there is no champion.
        gates: what a champion must show.
    """
    skipped: list[str] = []
    findings = [_parity(candidate), _active(candidate, gates), _likelihood(candidate)]
    findings += [_bounded(name, candidate.metrics.get(name), bounds) for name, bounds in gates.require.items()]
    findings += _calibration(candidate, gates, skipped)
    findings += _resources(candidate, gates)
    findings += _same_data(candidate, champion_data, skipped)
    if best is None:
        skipped.append("comparison: the first version on these data")
    else:
        findings += compare(candidate.evidence, candidate.task, candidate.dimensions, best, gates, skipped)
    return verdict_of(findings, skipped)


def _parity(candidate: Candidate) -> Finding:
    found = "the graphs compute what torch computes" if candidate.parity else "not shown"
    return Finding("parity", found, "shown", candidate.parity)


def _active(candidate: Candidate, gates: Gates) -> Finding:
    return _bounded(ACTIVE, candidate.metrics.get(ACTIVE), Bounds(min=gates.min_active_units))


def _likelihood(candidate: Candidate) -> Finding:
    """The number and its evidence say the same."""
    value, evidence = candidate.metrics.get(TEST, math.nan), candidate.evidence
    needed = "a finite number, the mean of the evidence"
    if evidence is None:
        return Finding(TEST, f"cannot be evaluated: {candidate.problem or 'no evidence'}", needed, False)
    mean = float(evidence.nll.mean()) if evidence.finite else math.nan
    agrees = math.isfinite(value) and math.isclose(value, mean, rel_tol=AGREEMENT, abs_tol=AGREEMENT)
    return Finding(TEST, f"{value:.6g}, evidence {mean:.6g}", needed, agrees)


def _bounded(name: str, value: float | None, bounds: Bounds) -> Finding:
    low, high = bounds.min, bounds.max
    limits = ((">=", low), ("<=", high))
    needed = " and ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)
    if value is None or not math.isfinite(value):
        return Finding(name, "missing" if value is None else f"{value}", needed, False)
    passed = (low is None or value >= low) and (high is None or value <= high)
    return Finding(name, f"{value:.6g}", needed, passed)


def _calibration(candidate: Candidate, gates: Gates, skipped: list[str]) -> Iterator[Finding]:
    """Share of test normals above the threshold less the planned one, by the bootstrap's lower bound."""
    rule, evidence = "calibration", candidate.evidence
    if not task_named(candidate.task).detects_anomalies:
        skipped.append(f"{rule}: not applicable to the task {candidate.task}")
        return
    needed = f"an excess of at most {gates.calibration:g} over {1 - gates.threshold_quantile:g}"
    threshold = candidate.metrics.get(THRESHOLD, math.nan)
    if evidence is None or not evidence.finite or not math.isfinite(threshold):
        yield Finding(rule, "cannot be evaluated: no threshold, or no finite scores", needed, False)
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
    yield Finding(rule, found, needed, excess <= gates.calibration)


def _resources(candidate: Candidate, gates: Gates) -> Iterator[Finding]:
    """Size and latency, where the gates limit them."""
    if gates.max_megabytes is not None:
        size = candidate.size_bytes
        value = None if size is None else size / MEGABYTE
        yield _bounded("megabytes", value, Bounds(max=gates.max_megabytes))
    if gates.max_latency_ms is not None:
        yield _bounded("latency_ms", candidate.latency_ms, Bounds(max=gates.max_latency_ms))


def _same_data(candidate: Candidate, champion_data: str | None, skipped: list[str]) -> Iterator[Finding]:
    if champion_data is None:
        skipped.append("data: there is no champion")
        return
    same = candidate.data_identity == champion_data
    yield Finding("data", f"identity {candidate.data_identity}", f"{champion_data}, the champion's", same)
