"""Error rates of the gates by simulation, before and after they were derived anew; writes `coverage_gates.json`.

For the threshold the mean share of normals above it; for the calibration and the comparison gate the share of simulated
versions that pass. `before` is what the gates were: an interpolated quantile; percentiles of a bootstrap over groups,
the lower end of the rate within 0.1 of the planned one; the best of K versions on the test set, 2.5 % a comparison.
`after` is what they are: the order statistic; an upper limit within 0.15; a rival named by validation, and 2.5 % over
all comparisons. A small part of it with fixed seeds is `tests/unit/test_gate_error_rates.py`.

Shapes: R repeats, K earlier versions, G groups.
"""

import argparse
import itertools
import json
import math
import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy import stats

from vaeforge.evaluation.rates import grouped_rate
from vaeforge.evaluation.threshold import threshold_of
from vaeforge.registry.error_rates import ALPHA, alpha_of

Floats = NDArray[np.float64]
PLANNED, QUANTILE = 0.05, 0.95
GROUPS, RIVALS, NORMALS = (10, 20, 50), (1, 5, 20), (10, 20, 50, 100)
CLUSTERS = ((2, 0.0), (10, 0.0), (10, 0.1), (10, 0.3), (4, 1.0))  # samples a group, intra-class correlation
DRAWS = 400


def threshold_rates(rng: np.random.Generator, repeats: int) -> list[dict[str, Any]]:
    """The mean false-positive rate of a threshold from n uniform scores."""
    lines = []
    for normals in NORMALS:
        scores = rng.random((repeats, normals))
        before = 1 - np.quantile(scores, QUANTILE, axis=1).mean()
        after = 1 - np.mean([threshold_of(one, QUANTILE).value for one in scores])
        lines.append({"normals": normals, "planned": PLANNED, "before": before, "after": after})
    return lines


def events(rng: np.random.Generator, repeats: int, groups: int, size: int, likeness: float, rate: float) -> Floats:
    """Events of each group, rates of groups being Beta with an intra-class correlation of `likeness`: [R, G]."""
    if likeness == 0:
        rates = np.full((repeats, groups), rate)
    elif likeness == 1:
        rates = (rng.random((repeats, groups)) < rate).astype(np.float64)
    else:
        scale = (1 - likeness) / likeness
        rates = rng.beta(rate * scale, (1 - rate) * scale, (repeats, groups))
    return rng.binomial(size, rates).astype(np.float64)


def percentile_low(rng: np.random.Generator, values: Floats) -> Floats:
    """The 2.5th percentile of the means of values [R, G] over draws of groups: [R]."""
    groups = values.shape[1]
    weights = rng.multinomial(groups, np.full(groups, 1 / groups), DRAWS) / groups
    low: Floats = np.quantile(values @ weights.T, ALPHA, axis=1)
    return low


@cache
def _upper(counts: tuple[int, ...], size: int) -> float:
    groups = np.repeat(np.arange(len(counts)), size)
    found = np.concatenate([np.arange(size) < count for count in counts])
    return grouped_rate(found, groups, ALPHA).upper


def calibration_rates(rng: np.random.Generator, repeats: int) -> list[dict[str, Any]]:
    """How often a model passes whose rate is as planned, and one whose rate is four times as high."""
    lines = []
    for groups in GROUPS:
        for size, likeness in CLUSTERS:
            for rate in (PLANNED, 4 * PLANNED):
                found = events(rng, repeats, groups, size, likeness, rate)
                before = np.mean(percentile_low(rng, found / size) <= PLANNED + 0.1)
                limits = [_upper(tuple(sorted(one.astype(int))), size) for one in found]
                after = np.mean(np.array(limits) <= PLANNED + 0.15)
                line = {"groups": groups, "samples_a_group": size, "likeness": likeness, "rate": rate}
                lines.append(line | {"before": before, "after": after})
    return lines


def differences(
    rng: np.random.Generator, repeats: int, groups: int, rivals: int, worse: float
) -> tuple[Floats, Floats]:
    """Rivals' nats less the version's: of the best of all on the test set, and of the first; [R, G] each."""
    own = rng.normal(size=(repeats, groups)) + worse
    others = rng.normal(size=(repeats, rivals, groups))
    best = others.mean(2).argmin(1)
    return others[np.arange(repeats), best] - own, others[:, 0] - own


def lower_end(values: Floats, alpha: float | Floats) -> Floats:
    """The jackknife-t lower end of the mean of each row [R, G], at one error probability or that of each: [R]."""
    groups = values.shape[1]
    low: Floats = values.mean(1) - stats.t.isf(alpha, groups - 1) * values.std(1, ddof=1) / math.sqrt(groups)
    return low


def comparison_rates(rng: np.random.Generator, repeats: int) -> list[dict[str, Any]]:
    """How often an equally good version passes, and one that is worse by the margin, against K earlier ones.

    The margin is given in standard errors of a difference of two versions. `after` is where none of the K was refused,
    `after_refusals` where all were.
    """
    lines = []
    for groups, rivals, margin in itertools.product(GROUPS, RIVALS, (1.5, 3.0, 6.0)):
        allowed = margin * math.sqrt(2 / groups)
        line: dict[str, Any] = {"groups": groups, "rivals": rivals, "margin_in_errors": margin}
        for kind, worse in (("equal", 0.0), ("worse", allowed)):
            best, named = differences(rng, repeats, groups, rivals, worse)
            line[f"{kind}_before"] = np.mean(percentile_low(rng, best) >= -allowed)
            line[f"{kind}_after"] = np.mean(lower_end(named, alpha_of(1)) >= -allowed)
            line[f"{kind}_after_refusals"] = np.mean(lower_end(named, alpha_of(rivals + 1)) >= -allowed)
        lines.append(line)
    return lines


def repeated_tries(rng: np.random.Generator, repeats: int, tries: int = 20) -> list[dict[str, Any]]:
    """Twenty versions one after the other against one good version, the margin being 3 or 6 standard errors.

    `through`: at least one of twenty passes that are all worse by the margin. `equal_first` and `equal_last`: the first
    and the last pass of twenty that are all equally good; `after`, each that was refused has made the next stricter.
    """
    lines = []
    levels = np.array([alpha_of(k) for k in range(1, tries + 2)])
    for groups, margin in itertools.product(GROUPS, (3.0, 6.0)):
        allowed = margin * math.sqrt(2 / groups)
        good = rng.normal(size=(repeats, groups))
        line: dict[str, Any] = {"groups": groups, "tries": tries, "margin_in_errors": margin}
        for kind, worse in (("worse", allowed), ("equal", 0.0)):
            refused, before, after = np.zeros(repeats, int), [], []
            for _ in range(tries):
                found = good - rng.normal(size=(repeats, groups)) - worse
                before.append(percentile_low(rng, found) >= -allowed)
                after.append(lower_end(found, levels[refused]) >= -allowed)
                refused += ~after[-1]
            for name, passed in (("before", before), ("after", after)):
                if kind == "worse":
                    line[f"through_{name}"] = np.any(passed, axis=0).mean()
                else:
                    line |= {f"equal_first_{name}": passed[0].mean(), f"equal_last_{name}": passed[-1].mean()}
        lines.append(line)
    return lines


def chosen_by_validation(rng: np.random.Generator, repeats: int) -> list[dict[str, Any]]:
    """What choosing the rival on noisy validation data costs: twenty versions, one of them better by `gap`.

    A version that is worse by the margin than the truly best one passes more often than against the rival that was
    chosen, where that is another one. `noise` is the standard error on validation, in that on the test set.
    """
    lines, groups, rivals = [], 20, 20
    error = math.sqrt(2 / groups)
    for noise in (0.6, 1.2):
        for gap in (0.0, 1.0, 2.0, 4.0):
            means = np.r_[0.0, np.full(rivals - 1, gap * error)]
            told = means + noise * error / math.sqrt(2) * rng.normal(size=(repeats, rivals))
            rival = means[told.argmin(1)][:, None] + rng.normal(size=(repeats, groups))
            found = rival - rng.normal(size=(repeats, groups)) - 3 * error
            rates = {f"alpha_{k}": np.mean(lower_end(found, alpha_of(k)) >= -3 * error) for k in (1, 5, rivals)}
            lines.append({"noise": noise, "gap_in_errors": gap} | rates)
    return lines


SECTIONS: dict[str, Callable[[np.random.Generator, int], list[dict[str, Any]]]] = {
    "threshold": threshold_rates,
    "calibration": calibration_rates,
    "comparison": comparison_rates,
    "twenty_tries": repeated_tries,
    "rival_chosen_by_validation": chosen_by_validation,
}


def main() -> None:
    """Simulate and write the JSON beside this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=4000)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    given = parser.parse_args()
    found: dict[str, Any] = {"repeats": given.repeats, "seed": 0, "python": platform.python_version()}
    found |= {"numpy": np.__version__, "scipy": scipy.__version__}
    for number, (name, section) in enumerate(SECTIONS.items()):
        lines = section(np.random.default_rng([0, number]), given.repeats)
        found[name] = [
            {key: round(float(value), 5) if isinstance(value, float) else value for key, value in line.items()}
            for line in lines
        ]
        print(name, *(json.dumps(line) for line in found[name]), sep="\n", flush=True)
    given.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
