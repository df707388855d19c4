"""What the gates decide, and the intervals behind it against slow twins."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from vaeforge.config.experiment import Gates
from vaeforge.evaluation.per_sample_scores import PerSampleScores
from vaeforge.registry.gate import SEED, GateCandidate, Incumbent, auroc_gain, decide, gain_per_value
from vaeforge.registry.verdict import Verdict

GATES = Gates(min_active_units=4)
DIMENSIONS = 10
DATA = "d" * 64


def evidence(shift: float = 0.0, groups: int = 24, per: int = 3, noise: int = 0) -> PerSampleScores:
    """Half of the groups normal, half anomalous; anomalous ones score higher by 3; `shift` is added to all nll."""
    rng, extra = np.random.default_rng(0), np.random.default_rng(noise)
    of = np.repeat(np.arange(groups), per)
    labels = (of % 2).astype(np.int64)
    nll = 50 + rng.normal(size=groups)[of] + rng.normal(size=len(of)) + shift + (0.01 * extra.normal(size=len(of)))
    return PerSampleScores(nll, rng.normal(size=len(of)) + 3.0 * labels, labels, of)


def candidate(found: PerSampleScores | None = None, task: str = "anomaly", **metrics: float) -> GateCandidate:
    found = found or evidence()
    known = {"val/nelbo": -100.0, "val/active_units": 8.0, "test/nelbo": float(found.nll.mean()), "val/threshold": 2.5}
    known |= {name.replace("_", "/", 1): value for name, value in metrics.items()}
    return GateCandidate(task, DIMENSIONS, DATA, known, True, found)


def failed(verdict: Verdict) -> list[str]:
    return [finding.rule for finding in verdict.failed]


def judge(one: GateCandidate, best: PerSampleScores | None = None, **gates: Any) -> Verdict:
    rival = None if best is None else Incumbent("version 1", best)
    settings = {**GATES.model_dump(), **gates}
    return decide(one, rival, DATA if best is not None else None, Gates.model_validate(settings))


def test_the_first_sound_version_becomes_champion_and_says_what_passed() -> None:
    verdict = judge(candidate())
    assert verdict.promote
    assert [finding.rule for finding in verdict.passed] == ["parity", "val/active_units", "test/nelbo", "calibration"]
    assert verdict.skipped == ("data: there is no champion", "comparison: the first version on these data")


def test_as_good_as_the_best_passes_and_far_worse_does_not() -> None:
    assert judge(candidate(), evidence()).promote
    verdict = judge(candidate(evidence(shift=0.5)), evidence())
    assert failed(verdict) == ["likelihood"]
    assert "a gain of at least -0.05 nats per value" in verdict.reasons[0]
    assert "must be a gain of at least -0.01 over version 1" in verdict.reasons[0]


@pytest.mark.parametrize(("shift", "passes"), [(0.08, True), (0.12, False)])
def test_the_margin_is_in_nats_per_value(shift: float, passes: bool) -> None:
    assert judge(candidate(evidence(shift)), evidence()).promote is passes  # 0.01 * 10 values = 0.1 nats


def test_small_losses_do_not_add_up() -> None:
    best = evidence()
    assert judge(candidate(evidence(0.06)), best).promote
    assert not judge(candidate(evidence(0.12)), best).promote  # although it is within 0.1 of the one before


def test_the_likelihood_of_anomalies_is_no_merit() -> None:
    best, mine = evidence(), evidence()
    worse_on_anomalies = replace(mine, nll=mine.nll + 100 * (mine.labels == 1))
    assert judge(candidate(worse_on_anomalies), best).promote
    assert failed(judge(candidate(worse_on_anomalies, task="maps"), best)) == ["likelihood"]


def test_worse_detection_is_refused_where_the_task_is_anomaly() -> None:
    mine = evidence()
    blind = replace(mine, score=np.random.default_rng(1).normal(size=len(mine.score)))
    assert failed(judge(candidate(blind), evidence())) == ["auroc"]
    verdict = judge(candidate(blind, task="series"), evidence())
    assert verdict.promote
    assert "auroc: not applicable to the task series" in verdict.skipped


def test_the_likelihoods_bound_is_that_of_a_slow_bootstrap() -> None:
    mine, best = evidence(0.05, noise=1), evidence(noise=2)
    chosen = [n for n in range(len(mine.nll)) if mine.labels[n] == 0]
    names = sorted({int(mine.groups[n]) for n in chosen})
    drawn = np.random.default_rng(SEED).integers(len(names), size=(2000, len(names)))
    expected = []
    for draw in drawn[:50]:
        members = [n for index in draw for n in chosen if mine.groups[n] == names[index]]
        expected.append(sum(best.nll[n] - mine.nll[n] for n in members) / len(members) / DIMENSIONS)
    np.testing.assert_allclose(gain_per_value(mine, best, "anomaly", DIMENSIONS, 2000)[:50], expected, rtol=1e-9)


def test_the_aurocs_bound_is_that_of_a_slow_bootstrap() -> None:
    mine = evidence(groups=8)
    best = replace(mine, score=mine.score + np.random.default_rng(2).normal(size=len(mine.score)))
    generator, expected = np.random.default_rng(SEED), []
    for _ in range(20):
        members: list[int] = []
        for label in (0, 1):
            names = np.unique(mine.groups[mine.labels == label])
            for index in generator.integers(len(names), size=len(names)):
                members += list(np.flatnonzero((mine.groups == names[index]) & (mine.labels == label)))
        areas = [roc_auc_score(mine.labels[members], one.score[members]) for one in (mine, best)]
        expected.append(areas[0] - areas[1])
    np.testing.assert_allclose(auroc_gain(mine, best, 20), expected, atol=1e-12)


@pytest.mark.parametrize("task", ["anomaly", "maps"])
def test_too_few_groups_cannot_be_judged(task: str) -> None:
    few = evidence(groups=8)
    verdict = judge(candidate(few, task=task), few)
    rules = {"anomaly": ["calibration", "likelihood", "auroc"], "maps": ["likelihood"]}
    assert failed(verdict) == rules[task]
    assert all("cannot be evaluated" in reason and "at least 10 groups" in reason for reason in verdict.reasons)


def test_a_best_version_without_evidence_cannot_be_beaten() -> None:
    verdict = decide(candidate(), Incumbent("version 7", None, "its files are gone"), DATA, GATES)
    assert failed(verdict) == ["likelihood", "auroc"]
    assert "version 7: its files are gone" in verdict.reasons[0]


def test_other_test_samples_cannot_be_compared() -> None:
    best = evidence()
    other = replace(best, groups=best.groups[::-1].copy())
    assert "version 1 was measured on other test samples" in judge(candidate(), other).reasons[0]


def test_other_data_than_the_champions_are_refused() -> None:
    verdict = decide(candidate(), None, "e" * 64, GATES)
    assert failed(verdict) == ["data"]
    assert "e" * 64 in verdict.reasons[0]


def test_thresholds_that_do_not_hold_on_the_test_set_are_refused() -> None:
    low = candidate(val_threshold=0.0)  # half of the normals lie above it, 5 % were planned
    assert failed(judge(low)) == ["calibration"]
    assert judge(low, calibration=0.6).promote
    assert "calibration: not applicable to the task maps" in judge(candidate(task="maps")).skipped
    missing = judge(candidate(val_threshold=math.nan))
    assert failed(missing) == ["calibration"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"val_active_units": 3.0}, "val/active_units: 3, must be >= 4"),
        ({"val_active_units": math.nan}, "val/active_units: nan, must be >= 4"),
        ({"test_nelbo": math.nan}, "test/nelbo: nan"),
        ({"test_nelbo": 1e6}, "test/nelbo: 1e+06, evidence"),
    ],
)
def test_each_failed_number_refuses(change: dict[str, float], rule: str) -> None:
    verdict = judge(candidate(**change))
    assert len(verdict.failed) == 1
    assert verdict.reasons[0].startswith(rule)


def test_a_missing_metric_refuses() -> None:
    one = candidate()
    bare = replace(one, metrics={name: value for name, value in one.metrics.items() if name != "val/active_units"})
    assert judge(bare).reasons == ("val/active_units: missing, must be >= 4",)


def test_exactly_the_least_number_of_active_units_is_enough() -> None:
    assert judge(candidate(val_active_units=4.0)).promote


def test_required_metrics_have_floors_and_ceilings() -> None:
    require = {"test/auroc": {"min": 0.8}, "test/mse": {"max": 0.1}, "test/none": {"min": 0, "max": 1}}
    verdict = judge(candidate(test_auroc=0.7, test_mse=0.05), require=require)
    assert verdict.reasons == (
        "test/auroc: 0.7, must be >= 0.8",
        "test/none: missing, must be >= 0 and <= 1",
    )


def test_size_and_latency_count_where_they_are_limited() -> None:
    big = replace(candidate(), size_bytes=3_000_000, latency_ms=12.5)
    verdict = judge(big, max_megabytes=2.5, max_latency_ms=10)
    assert verdict.reasons == ("megabytes: 3, must be <= 2.5", "latency_ms: 12.5, must be <= 10")
    assert judge(big, max_megabytes=3, max_latency_ms=12.5).promote
    assert failed(judge(candidate(), max_megabytes=3)) == ["megabytes"]  # never measured


def test_no_evidence_and_no_parity_refuse_even_the_first() -> None:
    bare = replace(candidate(), evidence=None, problem="its file is gone", parity=False)
    verdict = judge(bare)
    assert failed(verdict) == ["parity", "test/nelbo", "calibration"]
    assert "its file is gone" in verdict.reasons[1]


def test_every_failed_rule_is_listed_with_those_that_passed() -> None:
    one = replace(candidate(evidence(shift=1), val_active_units=0.0), parity=False)
    verdict = decide(one, Incumbent("version 1", evidence()), "e" * 64, GATES)
    assert failed(verdict) == ["parity", "val/active_units", "data", "likelihood"]
    assert [finding.rule for finding in verdict.passed] == ["test/nelbo", "calibration", "auroc"]
    assert str(verdict).startswith("challenger: parity: not shown, must be shown; val/active_units")
    assert verdict.plain()["promote"] is False


@pytest.mark.parametrize(
    "settings",
    [
        {"draws": 1999},
        {"require": {"auroc": {"min": 0}}},
        {"require": {"test/auroc": {}}},
        {"require": {"test/auroc": {"min": 1, "max": 0}}},
        {"min_groups": 1},
        {"margin": -0.1},
    ],
)
def test_gates_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Gates.model_validate(settings)
