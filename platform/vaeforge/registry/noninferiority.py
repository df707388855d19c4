"""A version against the best one ever registered on the same data, sample by sample, by resampling whole groups.

Gates let a version pass that is shown to be worse by no more than a margin (non-inferiority); the margin is the same
however many versions came before, and the comparison is with the best of all, so that small losses cannot add up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaeforge.config.experiment import Gates
from vaeforge.evaluate.bootstrap import (
    bootstrap_auroc,
    bootstrap_means,
    groups_per_label,
    percentile_interval,
    weighted_auroc,
)
from vaeforge.evaluate.tasks import task_named
from vaeforge.registry.evidence import Evidence
from vaeforge.registry.verdict import Finding
from vaeforge.seeds import derive

SEED = derive(0, "gate bootstrap")
LIKELIHOOD, DETECTION = "likelihood", "auroc"


@dataclass(frozen=True)
class Rival:
    """The version to compare with: its name, and its evidence, or why that cannot be had."""

    name: str
    evidence: Evidence | None
    problem: str = ""


def compare(
    evidence: Evidence | None, task: str, dimensions: int, best: Rival, gates: Gates, skipped: list[str]
) -> Iterator[Finding]:
    """The likelihood, and if the task detects anomalies the AUROC, beside those of `best`; `dimensions` is D."""
    problem = _problem(evidence, best)
    detects = task_named(task).detects_anomalies
    if not detects:
        skipped.append(f"{DETECTION}: not applicable to the task {task}")
    if problem or evidence is None or best.evidence is None:
        for rule in (LIKELIHOOD, DETECTION) if detects else (LIKELIHOOD,):
            yield Finding(rule, f"cannot be evaluated: {problem}", f"comparable with {best.name}", False)
        return
    yield _likelihood(evidence, best.evidence, task, dimensions, best.name, gates)
    if detects:
        yield _detection(evidence, best.evidence, best.name, gates)


def gain_per_value(mine: Evidence, best: Evidence, task: str, dimensions: int, draws: int) -> NDArray[np.float64]:
    """mean(best.nll - mine.nll) / D in each draw of whole groups, nats per value: [draws]."""
    chosen = mine.compared(task)
    gains = (best.nll[chosen] - mine.nll[chosen]) / dimensions
    return bootstrap_means(mine.groups[chosen], {LIKELIHOOD: gains}, SEED, draws)[LIKELIHOOD]


def auroc_gain(mine: Evidence, best: Evidence, draws: int) -> NDArray[np.float64]:
    """AUROC of mine less that of the best in each draw of whole groups within each label: [draws]."""
    scores = {"mine": mine.score, "best": best.score}
    drawn = bootstrap_auroc(mine.labels, mine.groups, scores, SEED, draws)
    return drawn["mine"] - drawn["best"]


def groups_in(groups: NDArray[np.int64]) -> int:
    """How many independent groups there are."""
    return len(np.unique(groups))


def too_few(rule: str, counts: Mapping[str, int], gates: Gates) -> Finding:
    """A rule that cannot be evaluated because there are not enough independent groups."""
    found = ", ".join(f"{count} {name} groups" for name, count in counts.items())
    return Finding(rule, f"cannot be evaluated: {found}", f"judged on at least {gates.min_groups} groups", False)


def _problem(evidence: Evidence | None, best: Rival) -> str:
    """Why two versions cannot be compared; empty if they can."""
    if evidence is None or not evidence.finite:
        return "no finite evidence of this version"
    if best.evidence is None or not best.evidence.finite:
        return f"{best.name}: {best.problem or 'its evidence is not finite'}"
    return "" if evidence.same_test(best.evidence) else f"{best.name} was measured on other test samples"


def _likelihood(mine: Evidence, best: Evidence, task: str, dimensions: int, name: str, gates: Gates) -> Finding:
    count = groups_in(mine.groups[mine.compared(task)])
    if count < gates.min_groups:
        return too_few(LIKELIHOOD, {"normal" if task_named(task).detects_anomalies else "test": count}, gates)
    low = percentile_interval(gain_per_value(mine, best, task, dimensions, gates.draws)).low
    return _finding(LIKELIHOOD, "nats per value", low, mine.mean_nll(task), best.mean_nll(task), gates.margin, name)


def _detection(mine: Evidence, best: Evidence, name: str, gates: Gates) -> Finding:
    counts = dict(zip(("normal", "anomalous"), groups_per_label(mine.labels, mine.groups), strict=True))
    if min(counts.values()) < gates.min_groups:
        return too_few(DETECTION, counts, gates)
    low = percentile_interval(auroc_gain(mine, best, gates.draws)).low
    return _finding(DETECTION, "of the AUROC", low, _auroc(mine), _auroc(best), gates.auroc_margin, name)


def _finding(rule: str, unit: str, low: float, mine: float, best: float, margin: float, name: str) -> Finding:
    found = f"{mine:.6g} against {best:.6g}, a gain of at least {low:.4g} {unit} by the 95 % interval"
    return Finding(rule, found, f"a gain of at least {-margin:g} over {name}", low >= -margin)


def _auroc(evidence: Evidence) -> float:
    return weighted_auroc(evidence.labels, evidence.score, np.ones(len(evidence.score)))
