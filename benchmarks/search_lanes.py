"""Regret against cost with lanes: trials that go on together in one stack, replayed on the table of real trainings.

    python benchmarks/search_lanes.py [--rows tpe_asha ray] [--lanes 1 4 8] [--seeds 20] [--budget 20]

One worker group. A stack trains an epoch of all its lanes; then each has its answer, and trials take the place of those
that ended. So a proposal is made, and a rung decides, without what the trials beside it will have shown, which is what
lanes cost a search; what they gain is in time alone. Samplers, schedulers, table and measure are those of
`search_quality.py`, and so is the unit of cost: an epoch of a stack costs as much as the epochs of its trials one after
the other, as if lanes gained nothing. Where K lanes train g times the samples a second of one, read the curve of K at g
times the cost.

    worse     regret less that of one lane at the same cost, nats, over common seeds
    needed    cost at which the mean regret of K lanes first is that of one lane at a cost, over that cost: the g with
              which they are as good in time
"""

import argparse
import json
import math
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from search_quality import Figures, Floats, curves, finite, interval, reach, write
from search_replay import Deciding, Params, Table, Trace, breaks_off, outcome_of, record
from search_strategies import OURS, ROWS
from search_tables import BENCHMARKS, FMRI

from vaeforge.errors import DataError
from vaeforge.seeds import derive

TOLD_AT = (5, 10, 20, 40)


def main() -> None:
    """Replay each row with each number of lanes, and write what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=[OURS, "ray"])
    parser.add_argument("--lanes", nargs="*", type=int, default=[1, 4, 8])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=int, default=20)
    parser.add_argument("--output", type=Path, default=BENCHMARKS / "search_lanes.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = Table.read(FMRI.path, "interpolated")
    found: Figures = json.loads(given.output.read_text()) if given.output.exists() else about(given.budget)
    if found["budget"] != given.budget:
        problem = f"budget: got {given.budget}, must be {found['budget']}; remove it to start anew"
        raise DataError(f"{given.output}: {problem}")
    for seed in range(given.seeds):
        for name in given.rows:
            for lanes in given.lanes:
                known = found["rows"].setdefault(name, {}).setdefault(str(lanes), {"trials": [], "regrets": []})
                if len(known["regrets"]) <= seed:
                    one(name, table, lanes, seed, given.budget, known)
        write(given.output, found)
    found["command"] = "python " + " ".join(sys.argv)
    found["compared"] = {name: compared(rows) for name, rows in found["rows"].items()}
    write(given.output, found)


def about(budget: int) -> Figures:
    """How the figures are made."""
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    versions = {name: version(name) for name in ("optuna", "ray", "numpy", "scipy", "torch")}
    return {**machine, "versions": versions, "budget": budget, "rows": {}}


def one(name: str, table: Table, lanes: int, seed: int, budget: int, known: Figures) -> None:
    """Replay a seed: the regret after each full training's worth of cost, and what became of the trials."""
    started = time.monotonic()
    trace = replay_lanes(ROWS[name].start(derive(seed, "search quality"), table.lookup), table, budget, lanes)
    known["trials"].append(dict(sorted(trace.trials.items())))
    regrets = trace.incumbent(np.arange(1.0, budget + 1.0)) - table.best
    known["regrets"].append([finite(regret) for regret in regrets])
    print(f"{name}, {lanes} lanes, seed {seed}: {regrets[-1]:.2f}, {time.monotonic() - started:.1f} s", flush=True)


def replay_lanes(strategy: Deciding, table: Table, budget: float, lanes: int) -> Trace:
    """Search with one stack of so many lanes until `budget` full trainings are spent."""
    trace, cost, submitted = Trace(), 0.0, 0
    running: dict[int, tuple[Params, int]] = {}  # parameters and epochs, by trial
    while True:
        while len(running) < lanes:
            running[submitted] = strategy.ask(submitted), 0
            submitted += 1
        cost += sum(table.epoch_cost(params) for params, _ in running.values())
        if cost > budget:
            return trace
        for number, (params, before) in list(running.items()):
            epoch = before + 1
            state, value = _after(strategy, table, number, epoch, params)
            if state == "running":
                running[number] = params, epoch
                continue
            del running[number]
            record(trace, state, value, cost, epoch)
            strategy.tell(number, params, state, value, epoch)


def _after(strategy: Deciding, table: Table, number: int, epoch: int, params: Params) -> tuple[str, float | None]:
    """The trial's state after `epoch`, at which it waits for a decision or not, and its value."""
    if epoch in strategy.epochs or epoch == table.spec.epochs or breaks_off(table.curve(params), epoch):
        return outcome_of(strategy, table, number, epoch, params)
    return "running", None


def compared(rows: Figures) -> Figures:
    """Each number of lanes beside one lane."""
    single = curves(rows["1"]) if "1" in rows else None
    return {lanes: beside_one_lane(curves(row), single) for lanes, row in rows.items()}


def beside_one_lane(regrets: Floats, single: Floats | None) -> Figures:
    """Mean regret at some costs, and what else the module's docstring names."""
    costs = [cost for cost in TOLD_AT if cost <= regrets.shape[1]]
    told: Figures = {"seeds": len(regrets), "regret": {str(c): interval(regrets[:, c - 1]) for c in costs}}
    if single is None:
        return told
    count = min(len(regrets), len(single))
    both = {cost: (regrets[:count, cost - 1], single[:count, cost - 1]) for cost in costs}
    told["worse"] = {
        str(cost): interval(mine - np.where(np.isfinite(its), its, math.nan)) for cost, (mine, its) in both.items()
    }
    mean = regrets.mean(0)
    told["needed"] = {str(c): finite(reach(mean, float(its.mean())) / c) for c, (_, its) in both.items()}
    return told


if __name__ == "__main__":
    main()
