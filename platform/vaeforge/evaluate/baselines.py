"""Whether the model was worth training: the same test patches scored by simple rules, side by side.

A model beats a baseline only if the 95 % interval of their AUROC difference, over the same draws of blocks, lies above
zero.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from vaeforge.config import Experiment
from vaeforge.data.contract import Prepared
from vaeforge.evaluate.anomaly import Evaluation, bootstrap_seed
from vaeforge.evaluate.bootstrap import Interval, auroc_interval, bootstrap_auroc, difference_interval, weighted_auroc
from vaeforge.evaluate.linear import fit_plane
from vaeforge.evaluate.passes import WHITE, batches, scores
from vaeforge.train.loop import untrained

MODEL = "model"
PLANES = (1, 4, 16)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """One way of scoring, and the model compared with it.

    Attributes:
        name: what scores.
        auroc: on the test set; `low` and `high` end its 95 % interval.
        difference: the model's AUROC less this one; `difference_low` and `difference_high` end its 95 % interval.
        model_beats: whether that interval lies above zero.
    """

    name: str
    auroc: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    model_beats: bool


def compare_baselines(evaluation: Evaluation, prepared: Prepared, experiment: Experiment) -> list[Baseline]:
    """Every baseline and, last, the model itself, on the test arrays of `prepared`."""
    scored = baseline_scores(prepared, experiment) | {MODEL: evaluation.test_scores}
    return compare(scored, prepared.test_labels, prepared.test_groups, bootstrap_seed(experiment))


def compare(
    scored: dict[str, Floats], labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> list[Baseline]:
    """Each of the named scores [T] against the one named `model`."""
    drawn = bootstrap_auroc(labels, groups, scored, seed)
    point = {name: weighted_auroc(labels, values, np.ones(len(labels))) for name, values in scored.items()}
    result = []
    for name in scored:
        difference = difference_interval(drawn[MODEL], drawn[name], labels, groups)
        interval = auroc_interval(drawn[name], labels, groups)
        result.append(_baseline(name, point[name], interval, point[MODEL] - point[name], difference))
    return result


def _baseline(name: str, auroc: float, interval: Interval, difference: float, spread: Interval) -> Baseline:
    beats = name != MODEL and spread.low > 0
    return Baseline(name, auroc, interval.low, interval.high, difference, spread.low, spread.high, beats)


def baseline_scores(prepared: Prepared, experiment: Experiment) -> dict[str, Floats]:
    """The test scores [T] of each baseline, among them the model before its first step."""
    plane = fit_plane(prepared.train, prepared.event_shape, max(PLANES))
    errors = plane.errors(prepared.test)
    scored = {"darkness": _darkness(prepared.test), "distance to mean": errors[:, 0]}
    scored |= {f"PCA {k}": errors[:, k] for k in PLANES if k < errors.shape[1]}
    return scored | {"untrained VAE": _untrained_scores(prepared, experiment)}


def _darkness(samples: NDArray[np.uint8]) -> Floats:
    """1 less the mean value of each sample in [0, 1]."""
    return np.concatenate([1 - raw.double().flatten(1).mean(1).numpy() / WHITE for raw in batches(samples)])


def _untrained_scores(prepared: Prepared, experiment: Experiment) -> Floats:
    """The scores of the very weights that training started from."""
    return scores(untrained(experiment, prepared.event_shape).eval(), prepared.test)


def baselines_csv(baselines: Iterable[Baseline]) -> str:
    """One line each, with a head."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Baseline)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(baseline) for baseline in baselines)
    return text.getvalue()


def baselines_table(baselines: Sequence[Baseline]) -> Table:
    """The comparison for a terminal."""
    table = Table(title="AUROC on the test set, 95 % intervals over disjoint blocks")
    for column in ("scored by", "AUROC", "model less this", "beaten"):
        table.add_column(column, no_wrap=True)
    for one in baselines:
        own = f"{one.auroc:.3f} [{one.low:.2f}, {one.high:.2f}]"
        against = f"{one.difference:+.3f} [{one.difference_low:+.2f}, {one.difference_high:+.2f}]"
        beats = "yes" if one.model_beats else "not shown"
        table.add_row(one.name, own, *(("", "") if one.name == MODEL else (against, beats)))
    return table
