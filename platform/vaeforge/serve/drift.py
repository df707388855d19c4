"""Drift of inputs against the validation samples that a model was chosen on: numbers, and a verdict by rule.

Shapes: N reference samples, M inputs, L latent dimensions, B = 10 bins. For the score and for each dimension of mu:

- Kolmogorov-Smirnov, two samples: the largest distance between the two distribution functions, and its p-value.
- Population stability index: sum over bins of (q - p) ln(q / p). The bins are deciles of the reference, p and q the
  shares of reference and inputs in them with half a count added to each bin, so that an empty one is no infinity.

p-values of the dimensions are adjusted together (Benjamini and Hochberg 1995). A quantity has shifted
moderately from an index of 0.1 on, strongly from 0.25 on, both only if its p-value is below 0.01: for few inputs chance
alone makes the index large (its mean is about (B - 1)(1/N + 1/M) where nothing shifted), and for many a p-value alone
finds what does not matter. The verdict is the worst of all quantities. It is at least
moderate where the share of anomalous inputs is more than twice or less than half what the threshold promises of normal
ones, and its 99 % interval excludes that promise.

The p-values take inputs as independent. Overlapping patches and neighbouring frames are not, and look more certain
than they are.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from scipy import stats

from vaeforge.errors import RegistryError
from vaeforge.package.bundle import Bundle

LEAST = 50  # inputs, and reference samples
BINS = 10
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
    """Inputs above the threshold: their share, its 99 % interval (Clopper-Pearson), and the share expected."""

    value: float
    low: float
    high: float
    expected: float


@dataclass(frozen=True)
class Drift:
    """The verdict and what it rests on; `score` and `anomaly_rate` are none, and `latents` empty, where it is unknown.

    Attributes:
        verdict: unknown (too few inputs), stable, moderate or drifted.
        reasons: one for each quantity that is not stable, or why the verdict is unknown.
        inputs, reference: how many samples were compared.
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


def compare(reference: DriftReference, score: Values, mu: Values | None) -> Drift:
    """The drift of inputs with `score` [M] and `mu` [M, L], none where it is not known."""
    inputs, known = len(score), len(reference.score)
    if min(inputs, known) < LEAST:
        few = f"{inputs} inputs and {known} reference samples, at least {LEAST} of each are needed"
        return Drift("unknown", (f"cannot be evaluated: {few}",), inputs, known)
    own = _shift("score", reference.score, score)
    latents = () if mu is None else _latents(reference.mu, mu)
    share = anomaly_rate(score, reference)
    shifted = [shift for shift in (own, *latents) if shift.level != "stable"]
    reasons = [f"{s.name}: PSI {s.index:.3g}, KS {s.statistic:.3g}, p {s.p:.2g}" for s in shifted]
    if _is_off(share):
        interval = f"99 % interval {share.low:.3g} to {share.high:.3g}"
        reasons.append(f"anomaly rate: {share.value:.3g} of the inputs ({interval}), expected {share.expected:.3g}")
    verdict: Level = "moderate" if reasons else "stable"
    if any(shift.level == "drifted" for shift in shifted):
        verdict = "drifted"
    return Drift(verdict, tuple(reasons), inputs, known, own, latents, share)


def stability_index(reference: Values, values: Values) -> float:
    """The population stability index; see the module's docstring. Equal deciles, of tied values, are one edge."""
    edges = np.unique(np.quantile(reference, np.arange(1, BINS) / BINS))
    p, q = (_smoothed(edges, array) for array in (reference, values))
    return float(np.sum((q - p) * np.log(q / p)))


def anomaly_rate(score: Values, reference: DriftReference) -> AnomalyRate:
    """The share of `score` [M] above the threshold, with its 99 % interval."""
    anomalous = int((score > reference.threshold).sum())
    interval = stats.binomtest(anomalous, len(score)).proportion_ci(1 - SIGNIFICANT)
    return AnomalyRate(anomalous / len(score), float(interval.low), float(interval.high), reference.expected)


def _smoothed(edges: Values, values: Values) -> Values:
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1) + 0.5
    shares: Values = counts / counts.sum()
    return shares


def _shift(name: str, reference: Values, values: Values) -> FeatureDrift:
    found = stats.ks_2samp(reference, values, method="asymp")
    return _judged(name, float(found.statistic), float(found.pvalue), stability_index(reference, values))


def _latents(reference: Values, mu: Values) -> tuple[FeatureDrift, ...]:
    raw = [_shift(f"mu_{index}", reference[:, index], mu[:, index]) for index in range(mu.shape[1])]
    adjusted = stats.false_discovery_control([shift.p for shift in raw], method="bh")
    return tuple(_judged(s.name, s.statistic, float(p), s.index) for s, p in zip(raw, adjusted, strict=True))


def _judged(name: str, statistic: float, p: float, index: float) -> FeatureDrift:
    level: Level = "stable"
    if p < SIGNIFICANT and index >= MODERATE:
        level = "drifted" if index >= LARGE else "moderate"
    return FeatureDrift(name, statistic, p, index, level)


def _is_off(share: AnomalyRate) -> bool:
    excluded = not share.low <= share.expected <= share.high
    return excluded and not share.expected / FACTOR <= share.value <= share.expected * FACTOR


def drift_table(drift: Drift) -> Table:
    """The score, and the latent dimensions with the largest stability index."""
    latents = sorted(drift.latents, key=lambda shift: -shift.index)
    table = Table(title=f"{drift.inputs} inputs against {drift.reference} validation samples", title_justify="left")
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
