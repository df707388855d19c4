"""What the gates decide, and the numbers behind it by hand or in tables."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from vaeforge.config.gates import Gates
from vaeforge.evaluation.per_sample_scores import PerSampleScores
from vaeforge.registry.comparison_gate import Incumbent, likelihood_gain
from vaeforge.registry.gate import GateCandidate, decide
from vaeforge.registry.verdict import Verdict

GATES = Gates(min_active_units=4)
DIMENSIONS = 10
DATA = "d" * 64


def evidence(shift: float = 0.0, groups: int = 48, per: int = 3, noise: int = 0) -> PerSampleScores:
    """Half of the groups normal, half anomalous; anomalous ones score higher by 3; `shift` is added to all nll.

    The training mean is 2 nats worse than what is not shifted, so that a margin of 5 % is 0.1 nats.
    """
    rng, extra = np.random.default_rng(0), np.random.default_rng(noise)
    of = np.repeat(np.arange(groups), per)
    labels = (of % 2).astype(np.int64)
    base = 50 + rng.normal(size=groups)[of] + rng.normal(size=len(of)) + 0.01 * extra.normal(size=len(of))
    return PerSampleScores(base + shift, rng.normal(size=len(of)) + 3.0 * labels, labels, of, base + 2)


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


def normal_alone(found: PerSampleScores) -> PerSampleScores:
    """The 24 normal groups of the evidence."""
    kept, mean = found.labels == 0, found.training_mean_nll
    assert mean is not None
    return PerSampleScores(
        found.nll[kept], found.score[kept], found.labels[kept], found.groups[kept], training_mean_nll=mean[kept]
    )


def test_where_no_test_has_anomalous_samples_the_likelihood_decides() -> None:
    best = normal_alone(evidence())
    verdict = judge(candidate(normal_alone(evidence(noise=1))), best)
    assert verdict.promote and verdict.comparison == "passed"
    assert [finding.rule for finding in verdict.passed] == [
        *("parity", "val/active_units", "test/nelbo", "calibration", "data", "likelihood")
    ]
    (skipped,) = verdict.skipped
    assert skipped.startswith("auroc: the test holds no anomalous samples, neither for this version nor for version 1")
    worse = judge(candidate(normal_alone(evidence(shift=0.5))), best)
    assert failed(worse) == ["likelihood"] and worse.comparison == "refused"


@pytest.mark.parametrize("mine_alone", [True, False])
def test_with_and_without_anomalous_samples_nothing_is_compared(mine_alone: bool) -> None:
    mine, best = (normal_alone(evidence()), evidence()) if mine_alone else (evidence(), normal_alone(evidence()))
    verdict = judge(candidate(mine), best)
    assert failed(verdict) == ["likelihood", "auroc"] and verdict.comparison == "not evaluated"
    counts = (
        "72 of 144 anomalous, of this version's 0 of 72"
        if mine_alone
        else "0 of 72 anomalous, of this version's 72 of 144"
    )
    assert f"version 1 was measured on other test samples ({counts}), so that nothing is compared" in verdict.reasons[0]


def test_a_floor_of_what_needs_anomalous_samples_says_why_it_cannot_be_met() -> None:
    one = candidate(normal_alone(evidence()), test_count_anomalous=0, test_count_normal=72, test_false_positive_rate=0)
    (reason,) = judge(one, require={"test/auroc": {"min": 0.8}}).reasons
    assert reason.startswith("test/auroc: missing: without anomalous samples in the test there is no AUROC")


def test_as_good_as_the_best_passes_and_far_worse_does_not() -> None:
    assert judge(candidate(), evidence()).promote
    verdict = judge(candidate(evidence(shift=0.5)), evidence())
    assert failed(verdict) == ["likelihood"]
    told = verdict.reasons[0]
    assert "a loss of 0.5 nats per sample (0.05 per value) against version 1" in told
    assert "whose gain over the training mean is 2 nats per sample (0.2 per value)" in told
    assert "must be at least 0, with a margin of 5 % of that gain, 0.1 nats per sample (0.01 per value)" in told


@pytest.mark.parametrize(("shift", "share", "passes"), [(0.09, 0.05, True), (0.11, 0.05, False), (0.11, 0.06, True)])
def test_the_margin_is_a_share_of_the_gain_over_the_training_mean(shift: float, share: float, passes: bool) -> None:
    verdict = judge(candidate(evidence(shift, noise=1)), evidence(noise=2), likelihood_margin=share)
    assert verdict.promote is passes


def test_the_margin_does_not_depend_on_how_large_samples_are() -> None:
    # 27,648 values as in images of 96 x 96 x 3, of which everything learned over the training mean is 142 nats: a loss
    # of 120 of them, which 0.01 nats per value would have allowed (276 nats), is refused; one of 5 is within 7.1.
    best = evidence(noise=1)
    assert best.training_mean_nll is not None
    best = replace(best, training_mean_nll=best.nll + 142)
    for lost, passes in ((120.0, False), (5.0, True)):
        one = replace(candidate(replace(best, nll=evidence(lost, noise=2).nll)), dimensions=27_648)
        assert judge(one, best).promote is passes


def test_where_nothing_was_learned_nothing_may_be_lost() -> None:
    def learned_nothing(shift: float, noise: int) -> PerSampleScores:
        found = evidence(shift, noise=noise)
        return replace(found, training_mean_nll=found.nll - shift - 1)

    best = learned_nothing(0.0, 1)
    verdict = judge(candidate(learned_nothing(0.05, 2)), best)
    assert failed(verdict) == ["likelihood"]
    assert "gains nothing over the training mean, so that nothing may be lost" in verdict.reasons[0]
    assert judge(candidate(learned_nothing(-0.05, 2)), best).promote


def test_the_training_mean_of_either_version_is_enough() -> None:
    old, new = replace(evidence(), training_mean_nll=None), evidence()
    assert judge(candidate(new), old).promote
    assert judge(candidate(old), new).promote
    verdict = judge(candidate(old), old)
    assert failed(verdict) == ["likelihood"]
    assert "lacks the training mean's likelihood; run `vaeforge evaluate` and register it again" in verdict.reasons[0]


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


def test_what_is_left_of_the_margin_by_hand() -> None:
    # Two samples in each of three groups; s = 0.1, m - b = 10 everywhere, b - c = -0.5, 0.5 | 0, 1 | 0.25, -0.25.
    groups, best = np.array([0, 0, 1, 1, 2, 2]), np.zeros(6)
    mine, mean = -np.array([-0.5, 0.5, 0, 1, 0.25, -0.25]), np.full(6, 10.0)
    gain = likelihood_gain(mine, best, mean, groups, 0.1)
    assert (gain.best, gain.lost, gain.margin) == (10, pytest.approx(-1 / 6), pytest.approx(1))
    # Group means of s (m - b) + (b - c) are 1, 1.5 and 1: the mean of all is 7/6, its variance 1/12 / 3.
    assert gain.within.value == pytest.approx(7 / 6)
    assert gain.within.se == pytest.approx(math.sqrt(1 / 36))
    assert gain.within.df == pytest.approx(2)
    low = gain.within.lower(0.025)
    assert low == pytest.approx(7 / 6 - 4.302652729911275 / 6)  # t of 2 degrees of freedom, from tables


def test_what_came_of_the_comparison_is_told_for_the_next_one() -> None:
    assert judge(candidate()).comparison == "no rival"
    assert judge(candidate(val_active_units=0.0), evidence()).comparison == "passed"  # refused by another rule
    assert judge(candidate(evidence(0.5)), evidence()).comparison == "refused"
    assert judge(candidate(evidence(groups=8)), evidence(groups=8)).comparison == "not evaluated"


def test_refusals_before_make_a_comparison_stricter() -> None:
    mine, best = evidence(0.06), evidence()
    best = replace(best, nll=best.nll + 0.25 * np.random.default_rng(3).normal(size=len(best.nll)))
    rates = []
    for k in (1, 4):
        verdict = judge(replace(candidate(mine), comparison=k), best)
        (found,) = (one for one in (*verdict.failed, *verdict.passed) if one.rule == "likelihood")
        assert found.rates is not None
        rates.append(found.rates)
    assert [one.alpha for one in rates] == [0.0125, 0.00125]
    assert rates[0].power > rates[1].power


def test_two_that_the_test_set_does_not_tell_apart_are_equally_good() -> None:
    one = evidence()
    clear = replace(one, score=one.score + 100.0 * one.labels)
    verdict = judge(candidate(clear), replace(clear, score=2 * clear.score))  # an AUROC of 1 each
    assert verdict.promote and verdict.power == 1.0


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
    assert judge(low, calibration=0.8).promote
    assert "calibration: gates.calibration of 1 allows every rate" in judge(low, calibration=1.0).skipped
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
        {"require": {"auroc": {"min": 0}}},
        {"require": {"test/auroc": {}}},
        {"require": {"test/auroc": {"min": 1, "max": 0}}},
        {"min_groups": 1},
        {"likelihood_margin": -0.1},
        {"likelihood_margin": 1.1},
    ],
)
def test_gates_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Gates.model_validate(settings)
