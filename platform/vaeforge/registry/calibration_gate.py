"""Calibration gate: the threshold's false-positive rate on the test set is shown to be within its bound."""

import math
from collections.abc import Iterator

from vaeforge.config.gates import Gates
from vaeforge.evaluation.per_sample_scores import PerSampleScores
from vaeforge.evaluation.rates import grouped_rate
from vaeforge.evaluation.tasks import task_named
from vaeforge.registry.comparison_gate import groups_in, too_few
from vaeforge.registry.error_rates import ALPHA, ErrorRates
from vaeforge.registry.verdict import RuleOutcome

RULE = "calibration"


def judge_calibration(
    task: str, evidence: PerSampleScores | None, threshold: float, gates: Gates, skipped: list[str]
) -> Iterator[RuleOutcome]:
    """Whether the share of test normals above the threshold is at most the planned one and `gates.calibration`.

    That must be shown: the upper limit of the share, at an error probability of 2.5 %, lies within the bound. A model
    whose true rate is at the bound or above passes with at most that probability.

    Args:
        task: what the model is evaluated by; the rule is for anomalies.
        evidence: of the test samples; none where there is none.
        threshold: of the score; NaN where it is not known.
        gates: the planned quantile and the bound.
        skipped: gets a line where the rule does not apply.
    """
    planned = 1 - gates.threshold_quantile
    bound = planned + gates.calibration
    if not task_named(task).detects_anomalies:
        skipped.append(f"{RULE}: not applicable to the task {task}")
        return
    if bound >= 1:
        skipped.append(f"{RULE}: gates.calibration of {gates.calibration:g} allows every rate")
        return
    needed = f"at most {bound:.3g}: the planned {planned:.3g} and {gates.calibration:g}"
    if evidence is None or not evidence.finite or not math.isfinite(threshold):
        yield RuleOutcome(RULE, "cannot be evaluated: no threshold, or no finite scores", needed, False)
        return
    normal = evidence.labels == 0
    groups = evidence.groups[normal]
    if groups_in(groups) < gates.min_groups:
        yield too_few(RULE, {"normal": groups_in(groups)}, gates)
        return
    rate = grouped_rate(evidence.score[normal] > threshold, groups, ALPHA)
    found = f"{rate.value:.3g} of {normal.sum()} test normals lie above the threshold, at most {rate.upper:.3g} of all"
    if rate.value == 0:
        found += f" (a group where none does counts as one sample, {groups_in(groups)} in all)"
    yield RuleOutcome(RULE, found, needed, rate.upper <= bound, ErrorRates(ALPHA, rate.chance_within(planned, bound)))
