"""Quality of a search for its cost: strategies replayed on a table of real trainings, regret against cost.

    python benchmarks/search_quality.py [--table speckle] [--rows tpe_asha random ...] [--lookups nearest] [--seeds 20]
                                        [--budget 100]

`search_table.parquet` (made by `search_table.py`) holds the curves, `search_replay.py` the clock of 4 simulated groups,
`search_strategies.py` the rows. What the output holds already is not run again; remove it to start anew. One thread.

    regret        best value of the full trainings so far less the table's best, nats; none before the first
    normalised    regret over (median - best) of the table: 1 is a configuration of the middle
    reach         cost at which a row's mean regret first is random's final mean regret or less
    intervals     95 %, percentile bootstrap over seeds (curves) or over configurations (rank correlations)

The rank correlation (Spearman) is that of the value at a rung with the final value: within a schedule, and pooled, as a
global rung compares. `kept` is the share of the table's best tenth that lies in the best third at the rung.
"""

import argparse
import json
import math
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from search_figure import draw
from search_replay import HOSTS, Floats, Table, params_of, read_curves, replay
from search_strategies import OURS, ROWS
from search_tables import BENCHMARKS, TABLES

from vaeforge.errors import DataError
from vaeforge.paths import write_bytes
from vaeforge.seeds import derive

LOOKUPS = ("interpolated", "nearest")
RESAMPLES = 2000
SEEN = 20  # seeds on which the rule of thin rungs was found; later ones had no part in it
TOLD_AT = (10, 20, 40, 100)
Figures = dict[str, Any]


def main() -> None:
    """Replay rows, and write what came out as figures and a picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--table", choices=list(TABLES), default="fmri")
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--lookups", nargs="*", choices=LOOKUPS, default=list(LOOKUPS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--output", type=Path, help="default: search_quality[_TABLE].json")
    given = parser.parse_args()
    spec = TABLES[given.table]
    given.output = given.output or BENCHMARKS / f"search_quality{'' if spec.name == 'fmri' else '_' + spec.name}.json"
    torch.set_num_threads(1)
    known: Figures = json.loads(given.output.read_text()) if given.output.exists() else {}
    replays: Figures = known.get("replays", {})
    facts = about(Table.read(spec.path, "interpolated", spec), given.budget)
    for key in known and ("budget", "hosts", "table"):
        if known[key] != facts[key]:
            raise DataError(f"{given.output}: {key}: got {known[key]}, must be {facts[key]}; remove it to start anew")
    for lookup in given.lookups:
        table = Table.read(spec.path, lookup, spec)
        rows: Figures = replays.setdefault(lookup, {"rows": {}})["rows"]
        for name in given.rows:
            rows[name] = measure(name, table, given.seeds, given.budget, rows.get(name, {}))
            write(given.output, {**facts, "replays": replays})
        replays[lookup] = {"command": "python " + " ".join(sys.argv), **compared(rows, table)}
        write(given.output, {**facts, "replays": replays})
    draw({**facts, "replays": replays}, given.output.with_suffix(".png"))


def write(path: Path, content: Figures) -> None:
    """Write the figures; what holds plain values takes one line."""
    innermost = re.compile(r"([\[{])\s+([^\[\]{}]*?)\s+([\]}])")
    text = innermost.sub(lambda m: m[1] + " ".join(m[2].split()) + m[3], json.dumps(content, indent=1))
    write_bytes(path, text.encode() + b"\n")


def measure(name: str, table: Table, seeds: int, budget: int, known: Figures) -> Figures:
    """Regret after each full training's worth of cost, for each seed, and what became of the trials.

    Args:
        known: what an earlier run found; its seeds are not run again.
    """
    budget = min(budget, ROWS[name].until or budget)
    started, costs = time.monotonic(), np.arange(1.0, budget + 1.0)
    regrets, trials = list(known.get("regrets", [])), list(known.get("trials", []))
    for seed in range(len(regrets), seeds):
        trace = replay(ROWS[name].start(derive(seed, "search quality"), table.lookup, table.spec), table, budget)
        trials.append(dict(sorted(trace.trials.items())))
        regrets.append([finite(regret) for regret in trace.incumbent(costs) - table.best])
    seconds = round(time.monotonic() - started, 1)
    print(f"{table.lookup} {name}: final {np.mean([r[-1] for r in regrets]):.2f}, {seconds} s", flush=True)
    return {"title": ROWS[name].title, "trials": trials, "regrets": regrets}


def about(table: Table, budget: int) -> Figures:
    """How the figures were made, and what the table alone says."""
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    versions = {name: version(name) for name in ("optuna", "ray", "numpy", "scipy", "torch")}
    content: Figures = {**machine, "versions": versions}
    content |= {"budget": budget, "hosts": HOSTS, "table": described(table)}
    return content | {
        "check": checked(table) if table.spec.between and table.spec.check.exists() else None,
        "rungs": rank_correlations(table),
    }


def compared(rows: Figures, table: Table) -> Figures:
    """The rows beside random and beside ours."""
    found: Figures = {}
    for name in (name for name in ROWS if name in rows):
        row = {key: rows[name][key] for key in ("title", "trials", "regrets")}
        row |= {"mean_trials": mean_counts(row["trials"]), **levels(row, table)}
        row |= against_random(row, rows["random"]) if "random" in rows else {}
        row |= {"more_than_ours": differences(row, rows[OURS])} if OURS in rows and name != OURS else {}
        found[name] = row
    target = {"target": finite(float(final(rows["random"]).mean()))} if "random" in rows else {}
    return {**target, "rows": found}


def mean_counts(counts: list[dict[str, int]]) -> dict[str, float]:
    """The mean over seeds of each count."""
    names = sorted({name for count in counts for name in count})
    return {name: round(float(np.mean([count.get(name, 0) for count in counts])), 1) for name in names}


def described(table: Table) -> Figures:
    """The table in numbers."""
    final_values = {key: float(curve[-1]) for key, curve in table.curves.items()}
    best = sorted(final_values.items(), key=lambda item: item[1])[:5]
    return {
        "configurations": len(table.curves),
        "failed": int(sum(math.isnan(value) for value in final_values.values())),
        "best": round(table.best, 3),
        "median": round(table.median, 3),
        "worst": round(float(np.nanmax(list(final_values.values()))), 3),
        "seconds_of_a_full_training": round(table.seconds, 3),
        "best_five": [[*key, round(value, 3)] for key, value in best],
    }


def checked(table: Table) -> Figures:
    """How far interpolated final values are from trained ones, and those of two seeds from each other, nats."""
    trained = {key: curve[-1] for key, curve in read_curves(table.spec.check, table.spec.epochs).items()}
    pairs = {key: (value, float(table.curve(params_of(key))[-1])) for key, value in trained.items()}
    again = np.array([pair for key, pair in pairs.items() if key in table.curves])
    between = np.array([pair for key, pair in pairs.items() if key not in table.curves])
    errors = between[:, 1] - between[:, 0]
    return {
        "between": len(between),
        "spearman": spearman_interval(between[:, 0], between[:, 1]),
        "interpolated_less_trained": {"median": finite(float(np.median(errors))), "iqr": spread(errors)},
        "repeated": len(again),
        "other_seed_less_table": {"iqr": spread(again[:, 0] - again[:, 1])},
    }


def spread(values: Floats) -> list[float | None]:
    """The quartiles."""
    return [finite(float(value)) for value in np.quantile(values, [0.25, 0.75])]


def curves(row: Figures) -> Floats:
    """Regrets [seeds, costs], infinite before a search's first full training."""
    return np.array([[math.inf if r is None else r for r in seed] for seed in row["regrets"]])


def final(row: Figures) -> Floats:
    return curves(row)[:, -1]


def reach(mean: Floats, level: float) -> float:
    """The cost at which a mean curve first is `level` or less; infinite if never."""
    below = np.flatnonzero(mean <= level + 1e-9)
    return float(below[0] + 1) if len(below) else math.inf


def levels(row: Figures, table: Table) -> Figures:
    """Mean regret on the way, with its interval, and over the distance of the table's median."""
    regrets, scale = curves(row), table.median - table.best
    told = {str(cost): interval(regrets[:, cost - 1]) for cost in TOLD_AT if cost <= regrets.shape[1]}
    return {
        "regret": told,
        "normalised": {cost: finite(value[0] / scale) for cost, value in told.items() if value[0] is not None},
    }


def against_random(row: Figures, random: Figures) -> Figures:
    """The cost at which a row has random's final mean regret."""
    mine, other = curves(row), curves(random)
    count, budget = min(len(mine), len(other)), other.shape[1]

    def resampled(rng: np.random.Generator) -> float:
        seeds = rng.integers(count, size=count)
        return reach(mine[seeds].mean(0), float(other[seeds, -1].mean()))

    found, (low, high) = reach(mine.mean(0), float(other[:, -1].mean())), bootstrap(resampled)
    told: Figures = {"reach": finite(found), "reach_interval": [finite(low), finite(high)]}
    if count > SEEN:
        told["reach_of_later_seeds"] = finite(reach(mine[SEEN:count].mean(0), float(other[SEEN:count, -1].mean())))
    return {**told, "times_cheaper_than_random": finite(budget / found)}


def differences(row: Figures, ours: Figures) -> Figures:
    """This row's mean regret less ours, nats, positive where ours is better, with its interval over common seeds."""
    count = min(len(row["regrets"]), len(ours["regrets"]))
    theirs, mine = curves(row)[:count], curves(ours)[:count]
    less = theirs - np.where(np.isfinite(mine), mine, math.nan)[:, : theirs.shape[1]]
    return {str(cost): interval(less[:, cost - 1]) for cost in TOLD_AT if cost <= less.shape[1]}


def interval(values: Floats) -> list[float | None]:
    """Mean and its interval."""
    if not np.isfinite(values).all():
        return [None, None, None]
    low, high = bootstrap(lambda rng: float(values[rng.integers(len(values), size=len(values))].mean()))
    return [finite(float(values.mean())), finite(low), finite(high)]


def bootstrap(statistic: Callable[[np.random.Generator], float]) -> tuple[float, float]:
    """The 2.5 and 97.5 % points of `statistic` over resamples."""
    rng = np.random.default_rng(derive(0, "bootstrap"))
    drawn = np.sort([statistic(rng) for _ in range(RESAMPLES)])
    return float(drawn[round(0.025 * (RESAMPLES - 1))]), float(drawn[round(0.975 * (RESAMPLES - 1))])


def finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def rank_correlations(table: Table) -> Figures:
    """For each rung: Spearman with the final value and the share of the best tenth kept, in groups and pooled."""
    keys = [key for key, curve in table.curves.items() if not np.isnan(curve[-1])]
    schedule = np.array([key[0] for key in keys])
    values = np.array([table.curves[key] for key in keys])
    found = {}
    for rung in sorted({1, table.spec.epochs // 9, table.spec.epochs // 3}):
        early, last = values[:, rung - 1], values[:, table.spec.epochs - 1]
        by = {name: spearman_interval(early[schedule == name], last[schedule == name]) for name in table.spec.schedules}
        grouped, pooled = best_third(early, schedule), best_third(early, np.zeros(len(keys)))
        best = last <= np.quantile(last, 0.1)
        found[str(rung)] = {
            "within": by,
            "pooled": spearman_interval(early, last),
            "kept": {"within": share(grouped[best]), "pooled": share(pooled[best])},
            "passed_by_schedule": {name: share(pooled[schedule == name]) for name in table.spec.schedules},
        }
    return found


def best_third(early: Floats, group: Any) -> Any:
    """Which configurations lie in the best third of their group."""
    passed = np.zeros(len(early), dtype=bool)
    for name in np.unique(group):
        of_group = group == name
        passed[of_group] = early[of_group] <= np.percentile(early[of_group], 100 / 3)
    return passed


def share(passed: Any) -> float:
    return round(float(np.mean(passed)), 3)


def spearman(a: Floats, b: Floats) -> float:
    """The rank correlation, ties at their mean rank."""
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def spearman_interval(early: Floats, last: Floats) -> list[float | None]:
    """The rank correlation and its interval."""

    def resampled(rng: np.random.Generator) -> float:
        chosen = rng.integers(len(early), size=len(early))
        return spearman(early[chosen], last[chosen])

    low, high = bootstrap(resampled)
    return [finite(spearman(early, last)), finite(low), finite(high)]


if __name__ == "__main__":
    main()
