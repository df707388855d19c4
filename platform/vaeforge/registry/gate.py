"""Gates: whether a version may become champion, decided from numbers alone. What cannot be judged has not passed.

A version is compared with the best one ever registered on the same data (`comparison_gate.py`). Best is who has the
lowest `val/nelbo`: the test set has no part in choosing what it is compared with on it, and is not partial to it. The
comparison is with the best of all and not with the champion, so that small losses cannot add up.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vaeforge.config.gates import Bounds, Gates
from vaeforge.evaluation.only_normal import only_normal_in
from vaeforge.evaluation.per_sample_scores import PerSampleScores
from vaeforge.evaluation.threshold import THRESHOLD_METRIC
from vaeforge.registry.calibration_gate import judge_calibration
from vaeforge.registry.comparison_gate import Incumbent, compare
from vaeforge.registry.tags import ACTIVE
from vaeforge.registry.verdict import RuleOutcome, Verdict, verdict_of

TEST = "test/nelbo"
MEGABYTE = 1e6
AGREEMENT = 1e-6


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
        comparison: k, one more than versions were refused on this test set before.
        size_bytes: of model.onnx; latency_ms: 95th percentile of a single sample; none where not measured.
    """

    task: str
    dimensions: int
    data_identity: str
    metrics: Mapping[str, float]
    parity: bool
    evidence: PerSampleScores | None
    problem: str = ""
    comparison: int = 1
    size_bytes: float | None = None
    latency_ms: float | None = None


def decide(candidate: GateCandidate, best: Incumbent | None, champion_data: str | None, gates: Gates) -> Verdict:
    """Judge `candidate` by `gates`.

    Args:
        candidate: what was measured of it.
        best: the version with the lowest `val/nelbo` ever registered on these data; none if there is none.
        champion_data: the data identity of the champion; none where there is no champion.
        gates: what a champion must show.
    """
    skipped: list[str] = []
    outcomes = [_parity(candidate), _active(candidate, gates), _likelihood(candidate)]
    outcomes += [
        _bounded(name, candidate.metrics.get(name), bounds, only_normal_in(candidate.metrics))
        for name, bounds in gates.require.items()
    ]
    threshold = candidate.metrics.get(THRESHOLD_METRIC, math.nan)
    outcomes += judge_calibration(candidate.task, candidate.evidence, threshold, gates, skipped)
    outcomes += _resources(candidate, gates)
    outcomes += _same_data(candidate, champion_data, skipped)
    if best is None:
        skipped.append("comparison: the first version on these data")
    else:
        task, dimensions, number = candidate.task, candidate.dimensions, candidate.comparison
        outcomes += compare(candidate.evidence, task, dimensions, best, number, gates, skipped)
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


def _bounded(name: str, value: float | None, bounds: Bounds, why: str = "") -> RuleOutcome:
    """Whether a number is within bounds; `why` there may be none."""
    low, high = bounds.min, bounds.max
    limits = ((">=", low), ("<=", high))
    needed = " and ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)
    if value is None or not math.isfinite(value):
        missing = f"missing: {why}" if why else "missing"
        return RuleOutcome(name, missing if value is None else f"{value}", needed, False)
    passed = (low is None or value >= low) and (high is None or value <= high)
    return RuleOutcome(name, f"{value:.6g}", needed, passed)


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
