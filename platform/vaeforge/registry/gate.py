"""Whether a version may become champion: a decision made from numbers alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vaeforge.config import Gates

OBJECTIVE = "val/nelbo"
ACTIVE = "val/active_units"


@dataclass(frozen=True)
class Verdict:
    """Whether to promote, and why: every rule that failed, or the one reason for promotion."""

    promote: bool
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return ("champion: " if self.promote else "challenger: ") + "; ".join(self.reasons)


def decide(
    candidate: Mapping[str, float],
    champion: Mapping[str, float] | None,
    gates: Gates,
    parity_passed: bool,
    same_data: bool,
) -> Verdict:
    """Compare a candidate's `val/nelbo` (nats per sample, lower is better) with the champion's, if its gates let it.

    Args:
        candidate: `val/nelbo` and `val/active_units`; one that is absent fails its rule.
        champion: the champion's metrics; none where there is no champion.
        gates: what a champion must show.
        parity_passed: whether the exported graphs agree with torch.
        same_data: whether both were trained on data of the same identity; without a champion it is not looked at.
    """
    failed = _failed_gates(candidate, gates, parity_passed)
    if champion is not None:
        failed += _failed_comparison(candidate, champion, same_data)
    if failed:
        return Verdict(False, tuple(failed))
    number = f"{OBJECTIVE} {candidate[OBJECTIVE]:.6g}"
    if champion is None:
        return Verdict(True, (f"{number}; there was no champion",))
    return Verdict(True, (f"{number} is below the champion's {champion[OBJECTIVE]:.6g}",))


def _failed_gates(candidate: Mapping[str, float], gates: Gates, parity_passed: bool) -> list[str]:
    failed: list[str] = []
    if not parity_passed:
        failed.append("the exported graphs do not compute what torch computes")
    active = candidate.get(ACTIVE)
    if active is None:
        failed.append(f"{ACTIVE} is missing, must be >= {gates.min_active_units}")
    elif not active >= gates.min_active_units:
        failed.append(f"{ACTIVE} is {active:g}, must be >= {gates.min_active_units}")
    if not _known(candidate):
        failed.append(f"{OBJECTIVE} is {candidate.get(OBJECTIVE, 'missing')}, must be a finite number")
    return failed


def _failed_comparison(candidate: Mapping[str, float], champion: Mapping[str, float], same_data: bool) -> list[str]:
    if not same_data:
        return ["trained on other data than the champion: not comparable"]
    if not _known(champion):
        return [f"the champion's {OBJECTIVE} is {champion.get(OBJECTIVE, 'missing')}: not comparable"]
    if _known(candidate) and candidate[OBJECTIVE] >= champion[OBJECTIVE]:
        given, best = candidate[OBJECTIVE], champion[OBJECTIVE]
        return [f"{OBJECTIVE} is {given:.6g}, must be below the champion's {best:.6g}"]
    return []


def _known(metrics: Mapping[str, float]) -> bool:
    return math.isfinite(metrics.get(OBJECTIVE, math.nan))
