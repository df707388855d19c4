"""Drift of inputs against the validation samples that a model was chosen on: numbers, and a verdict by rule.

Shapes: N reference samples, M inputs, L latent dimensions. For the score and for each dimension of mu:

- Kolmogorov-Smirnov, two samples: the largest distance between the two distribution functions, and its p-value.
- Population stability index over deciles of the reference.

p-values of the dimensions are adjusted together (Benjamini and Hochberg 1995). A quantity has shifted moderately from
an index of 0.1 on, strongly from 0.25 on, both only if its p-value is below 0.01 / 3: for few inputs chance alone makes
the index large (its mean is about 9 (1/N + 1/M) where nothing shifted), and for many a p-value alone finds what does
not matter. The verdict is the worst of all quantities. It is at least moderate where the share of anomalous inputs is
more than twice or less than half what the threshold promises of normal ones, and the p-value of that share, of a
threshold that is itself an estimate of N samples, is below 0.01 / 3.

These are three families of tests at 0.01 / 3 each, so that at most 1 % of sets of unchanged inputs are called moderate
or drifted (Bonferroni; `tests/numerics/test_drift_rates.py` simulates it). Inputs that are the same, and patches of one
picture, count as one (`two_samples.py`). What is not told here looks more certain than it is: rows of one recording or
map, frames of one film in files of their own, neighbours sent to a server, reference samples of few places.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from vaeforge.errors import RegistryError
from vaeforge.package.bundle import Bundle
from vaeforge.serve.two_samples import (
    Groups,
    exceedance_p,
    groups_of,
    kolmogorov_smirnov,
    share_above,
    stability_index,
)

LEAST = 50  # inputs, and reference samples
LEAST_GROUPS = 10  # independent ones
FAMILIES = 3  # of tests: score, latents, share
MODERATE, LARGE = 0.1, 0.25
SIGNIFICANT = 0.01
FACTOR = 2.0
SHOWN = 12  # latent dimensions in the table, those with the largest shifts

Values = NDArray[Any]
Level = Literal["unknown", "stable", "moderate", "drifted"]


@dataclass(frozen=True)
class DriftReference:
    """What inputs are compared with: `score` [N] and `mu` [N, L] of validation samples, the model's threshold, and the
    share of normal samples that is expected above it.
    """

    score: Values
    mu: Values
    threshold: float
    expected: float


@dataclass(frozen=True)
class FeatureDrift:
    """How far one quantity has shifted: KS statistic, p-value (of mu's dimensions adjusted), stability index, level."""

    name: str
    statistic: float
    p: float
    index: float
    level: Level


@dataclass(frozen=True)
class AnomalyRate:
    """Inputs above the threshold: their share, its 99 % interval (Clopper-Pearson), the share expected, and the p-value
    of that share if nothing has changed.
    """

    value: float
    low: float
    high: float
    expected: float
    p: float


@dataclass(frozen=True)
class Drift:
    """The verdict and what it rests on; `score` and `anomaly_rate` are none, and `latents` empty, where it is unknown.

    Attributes:
        verdict: unknown (too few inputs), stable, moderate or drifted.
        reasons: one for each quantity that is not stable, or why the verdict is unknown.
        inputs, reference: how many samples were compared.
        groups: of inputs that count once; as many as inputs where all are different and of files of their own.
        score: of the model's anomaly score.
        latents: of each dimension of mu; empty where inputs came without.
        anomaly_rate: the share above the threshold.
    """

    verdict: Level
    reasons: tuple[str, ...]
    inputs: int
    reference: int
    score: FeatureDrift | None = None
    latents: tuple[FeatureDrift, ...] = ()
    anomaly_rate: AnomalyRate | None = None
    groups: int = 0

    def plain(self) -> dict[str, Any]:
        """As JSON; `strange` is the former name of `anomaly_rate`."""
        content = asdict(self)
        return content | {"strange": content["anomaly_rate"]}


def reference_of(bundle: Bundle) -> DriftReference:
    """The reference of a packaged model.

    Raises:
        RegistryError: if it has none, or one of other shapes than `score` [N] and `mu` [N, L].
    """
    arrays, contract = bundle.reference, bundle.contract
    score, mu = (arrays.get(name, np.empty(0)) for name in ("score", "mu"))
    if score.ndim != 1 or mu.shape != (len(score), contract.latent_dim):
        raise RegistryError(
            f"{bundle.folder}: its reference has score {list(score.shape)} and mu {list(mu.shape)}, must be [N] and "
            f"[N, {contract.latent_dim}]; export the model again"
        )
    rate = contract.threshold_rate
    return DriftReference(score, mu, contract.threshold, 1 - contract.quantile if rate is None else rate)


def compare(reference: DriftReference, score: Values, mu: Values | None, names: Sequence[str] | None = None) -> Drift:
    """The drift of inputs.

    Args:
        reference: what they are compared with.
        score: of the inputs [M].
        mu: of the inputs [M, L]; none where it is not known.
        names: of the file that each input [M] is of; none where each is of its own.
    """
    inputs, known = len(score), len(reference.score)
    groups = groups_of(_rows(score, mu), names)
    if min(inputs, known) < LEAST:
        few = f"{inputs} inputs and {known} reference samples, at least {LEAST} of each are needed"
        return Drift("unknown", (f"cannot be evaluated: {few}",), inputs, known, groups=groups.count)
    if groups.count < LEAST_GROUPS:
        few = (
            f"{inputs} inputs are of {groups.count} pictures or the same ones again, at least {LEAST_GROUPS} are needed"
        )
        remedy = "score more pictures"
        return Drift("unknown", (f"cannot be evaluated: {few}; {remedy}",), inputs, known, groups=groups.count)
    known_groups = groups_of(_rows(reference.score, reference.mu))
    own = _judged(_shift("score", reference.score, known_groups, score, groups))
    latents = () if mu is None else _latents(reference.mu, known_groups, mu, groups)
    share = anomaly_rate(reference, known_groups, score, groups)
    shifted = [shift for shift in (own, *latents) if shift.level != "stable"]
    reasons = [f"{s.name}: PSI {s.index:.3g}, KS {s.statistic:.3g}, p {s.p:.2g}" for s in shifted]
    if _is_off(share):
        interval = f"99 % interval {share.low:.3g} to {share.high:.3g}"
        told = f"{share.value:.3g} of the inputs ({interval}), expected {share.expected:.3g}, p {share.p:.2g}"
        reasons.append(f"anomaly rate: {told}")
    verdict: Level = "moderate" if reasons else "stable"
    if any(shift.level == "drifted" for shift in shifted):
        verdict = "drifted"
    return Drift(verdict, tuple(reasons), inputs, known, own, latents, share, groups.count)


def _rows(score: Values, mu: Values | None) -> Values:
    return score[:, None] if mu is None else np.column_stack([score, mu])


def anomaly_rate(reference: DriftReference, known: Groups, score: Values, groups: Groups) -> AnomalyRate:
    """The share of `score` [M] above the threshold, with its 99 % interval."""
    from scipy import stats  # half a second, which a server that starts does without

    share = share_above(reference.threshold, score, groups)
    interval = stats.binomtest(round(share * groups.count), groups.count).proportion_ci(1 - SIGNIFICANT)
    p = exceedance_p(reference.score, known, reference.threshold, share, groups.count)
    return AnomalyRate(share, float(interval.low), float(interval.high), reference.expected, p)


def _shift(name: str, reference: Values, known: Groups, values: Values, groups: Groups) -> FeatureDrift:
    found = kolmogorov_smirnov(reference, known, values, groups)
    return FeatureDrift(name, found.statistic, found.p, stability_index(reference, known, values, groups), "stable")


def _latents(reference: Values, known: Groups, mu: Values, groups: Groups) -> tuple[FeatureDrift, ...]:
    from scipy import stats

    raw = [_shift(f"mu_{one}", reference[:, one], known, mu[:, one], groups) for one in range(mu.shape[1])]
    adjusted = stats.false_discovery_control([shift.p for shift in raw], method="bh")
    return tuple(_judged(replace(shift, p=float(p))) for shift, p in zip(raw, adjusted, strict=True))


def _judged(shift: FeatureDrift) -> FeatureDrift:
    if shift.p >= SIGNIFICANT / FAMILIES or shift.index < MODERATE:
        return shift
    return replace(shift, level="drifted" if shift.index >= LARGE else "moderate")


def _is_off(share: AnomalyRate) -> bool:
    expected = share.expected / FACTOR <= share.value <= share.expected * FACTOR
    return share.p < SIGNIFICANT / FAMILIES and not expected


def drift_table(drift: Drift) -> Table:
    """The score, and the latent dimensions with the largest stability index."""
    latents = sorted(drift.latents, key=lambda shift: -shift.index)
    of = "" if drift.groups == drift.inputs else f" of {drift.groups} groups"
    title = f"{drift.inputs} inputs{of} against {drift.reference} validation samples"
    table = Table(title=title, title_justify="left")
    for column in ("quantity", "PSI", "KS", "p", "shifted"):
        table.add_column(column, justify="left" if column in ("quantity", "shifted") else "right")
    for shift in ([drift.score] if drift.score else []) + latents[:SHOWN]:
        table.add_row(*_row(shift))
    if len(latents) > SHOWN:
        table.caption = f"{len(latents) - SHOWN} latent dimensions with smaller shifts not listed"
    return table


def _row(shift: FeatureDrift) -> tuple[str, ...]:
    shifted = {"stable": "no", "moderate": "moderately", "drifted": "strongly"}[shift.level]
    return shift.name, f"{shift.index:.3f}", f"{shift.statistic:.3f}", f"{shift.p:.2g}", shifted
