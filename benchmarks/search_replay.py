"""A search on a table of finished trainings: real samplers and schedulers, on the clock of simulated worker groups.

Samplers see ranges in the logarithm, not categories. What a proposal would have given is looked up in one of two ways:
    interpolated  its curve is interpolated between the table's (multilinear in the logarithms of beta, latent size and
                  learning rate, within the schedule), so that no two proposals are the same, as in a real search;
                  the smallest final value is still the table's, because such a surface has its extremes at its points
    nearest       its curve is that of the nearest point, on ranges that end half a step outside the outermost points,
                  so that every point owns about the same share; a proposal near an earlier one gives the same numbers

An epoch costs the median seconds of its latent size in the table, so that what else the machine did while the table was
made does not matter. Costs are in full trainings: the time of all worker groups together over the mean time of a full
training over the table. Proposing and deciding cost nothing here.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from search_tables import FMRI, SCHEDULES, TableSpec

Floats = NDArray[np.float64]
Params = dict[str, Any]
Key = tuple[str, float, int, float]
Lookup = Literal["interpolated", "nearest"]
HOSTS = 4  # worker groups


class Table:
    """Curves of the value by configuration, and what an epoch costs.

    Attributes:
        curves: value after each epoch at each point; NaN where it was not finite, and after the training broke off.
        best: the smallest final value.
        median: the median final value.
        seconds: of a mean full training.
        spec: what the table trained.
    """

    def __init__(
        self, curves: Mapping[Key, Floats], epoch_seconds: Mapping[int, float], lookup: Lookup, spec: TableSpec = FMRI
    ):
        self.curves, self.lookup, self.spec = curves, lookup, spec
        self._axes = tuple(np.log(axis) for axis in spec.axes)
        self.seconds = spec.epochs * float(np.mean([epoch_seconds[key[2]] for key in curves]))
        self._epoch_costs = [epoch_seconds[size] / self.seconds for size in spec.latent_dims]
        final = np.array([curve[-1] for curve in curves.values()])
        self.best, self.median = float(np.nanmin(final)), float(np.nanmedian(final))
        self._grids: dict[str, Floats] = {}
        for schedule in spec.schedules if lookup == "interpolated" else ():
            keys = [[[(schedule, b, size, lr) for lr in spec.lrs] for size in spec.latent_dims] for b in spec.betas]
            self._grids[schedule] = np.array([[[curves[key] for key in row] for row in plane] for plane in keys])

    @staticmethod
    def read(path: Path, lookup: Lookup, spec: TableSpec = FMRI) -> "Table":
        """The table of `spec` that `search_table.py` wrote."""
        columns = pq.read_table(path, columns=["latent_dim", "seconds"])
        sizes, seconds = columns["latent_dim"].to_numpy(), columns["seconds"].to_numpy()
        costs = {n: float(np.median(seconds[sizes == n])) for n in spec.latent_dims}
        return Table(read_curves(path, spec.epochs), costs, lookup, spec)

    def curve(self, params: Params) -> Floats:
        """The value after each epoch of a training with `params`."""
        schedule, *place = key_of(params)
        if self.lookup == "nearest":
            beta, size, lr = (nearest(axis, x) for axis, x in zip(self.spec.axes, place, strict=True))
            return self.curves[schedule, beta, size, lr]
        found = self._grids[schedule]
        for axis, x in zip(self._axes, place, strict=True):
            low = int(np.clip(np.searchsorted(axis, math.log(x)) - 1, 0, len(axis) - 2))
            share = float(np.clip((math.log(x) - axis[low]) / (axis[low + 1] - axis[low]), 0.0, 1.0))
            found = (1 - share) * found[low] + share * found[low + 1]
        return found

    def epoch_cost(self, params: Params) -> float:
        """Full trainings that an epoch with `params` costs, linear in the logarithm of the latent size."""
        return float(np.interp(math.log(params["model.latent_dim"]), self._axes[1], self._epoch_costs))


def read_curves(path: Path, epochs: int = FMRI.epochs) -> dict[Key, Floats]:
    """The value after each epoch, by configuration."""
    curves: dict[Key, Floats] = {}
    for row in pq.read_table(path).to_pylist():
        # single precision turns 0.1 into 0.10000000149
        key = row["schedule"], float(f"{row['beta']:.6g}"), row["latent_dim"], float(f"{row['lr']:.6g}")
        curve = curves.setdefault(key, np.full(epochs, np.nan))
        curve[row["epoch"] - 1] = math.nan if row["value"] is None else row["value"]
    return curves


def nearest(axis: Sequence[float], value: float) -> Any:
    """The point of `axis` that is nearest to `value` in the logarithm."""
    return min(axis, key=lambda point: abs(math.log(point / value)))


def key_of(params: Params) -> Key:
    """Schedule, largest beta, latent size and learning rate of `params`."""
    schedule = params["beta.schedule"]
    return schedule, params[SCHEDULES[schedule][0]], params["model.latent_dim"], params["optimizer.lr"]


def params_of(key: Key) -> Params:
    """The parameters of a configuration."""
    schedule, beta, latent_dim, lr = key
    path = SCHEDULES[schedule][0]
    return {"model.latent_dim": latent_dim, "beta.schedule": schedule, path: beta, "optimizer.lr": lr}


def ends(axis: Sequence[float], lookup: Lookup) -> list[float]:
    """The range of a sampler over `axis`; `nearest` goes half a step of the logarithm outside."""
    if lookup == "interpolated":
        return [axis[0], axis[-1]]
    return [axis[0] * math.sqrt(axis[0] / axis[1]), axis[-1] * math.sqrt(axis[-1] / axis[-2])]


def space_content(
    search: str | dict[str, Any],
    scheduler: str | dict[str, Any],
    rung: str,
    first: int,
    lookup: Lookup,
    spec: TableSpec = FMRI,
) -> dict[str, Any]:
    """The space of the table's axes, in the form of a space file.

    Args:
        search: name of a sampler, or its settings.
        scheduler: name of a scheduler, or its settings.
        rung: `schedule` or `global`.
        first: the epoch of the first rung.
        lookup: what the ranges are for.
        spec: the table.
    """
    low, high = ends(spec.latent_dims, lookup)
    beta = {"float": ends(spec.betas, lookup), "log": True}
    return {
        "family": spec.family,
        "objective": {"metric": "val/nelbo", "mode": "min"},
        "fidelity": {"max": spec.epochs, "min": first, "reduction": 3},
        "rung": rung,
        "search": search,
        "scheduler": scheduler,
        "space": {
            "model.latent_dim": {"int": [round(low), round(high)], "log": True},
            "beta.schedule": {"choice": {name: {path: beta} for name, (path, _) in spec.schedules.items()}},
            "optimizer.lr": {"float": ends(spec.lrs, lookup), "log": True},
        },
    }


class Deciding(Protocol):
    """What a strategy is to the replay; those of `search_strategies.py` are real samplers and schedulers.

    `ask` proposes a trial, `stops` decides on it after each of `epochs`, `tell` says how it ended.
    """

    epochs: frozenset[int]

    def ask(self, number: int) -> Params: ...

    def stops(self, number: int, params: Params, epoch: int, value: float) -> bool: ...

    def tell(self, number: int, params: Params, state: str, value: float | None, epoch: int) -> None: ...


@dataclass
class Trace:
    """What one search did.

    Attributes:
        costs: when each full training ended, in full trainings of all worker groups together.
        values: the values of these.
        trials: by state; those that were stopped by `stopped at` their epoch.
    """

    costs: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    trials: dict[str, int] = field(default_factory=dict)

    def incumbent(self, at: Floats) -> Floats:
        """The best value of the full trainings that had ended by each cost; NaN before the first."""
        best = np.concatenate([[math.nan], np.minimum.accumulate(self.values)]) if self.values else np.array([math.nan])
        return best[np.searchsorted(self.costs, at, side="right")]


def replay(strategy: Deciding, table: Table, budget: float, hosts: int = HOSTS) -> Trace:
    """Search until all worker groups together have spent `budget` full trainings.

    Only full trainings count as found: a trial stopped on the way is no candidate, as in a real search.
    """
    trace, numbers = Trace(), iter(range(10**9))
    running: list[tuple[float, int, int, Params]] = []  # (time, trial, epoch, params): what ends its next stage when

    def submit(now: float) -> None:
        number = next(numbers)
        params = strategy.ask(number)
        advance(now, number, 0, params)

    def advance(now: float, number: int, epoch: int, params: Params) -> None:
        curve, waits = table.curve(params), strategy.epochs | {table.spec.epochs}
        stage = next(e for e in range(epoch + 1, table.spec.epochs + 1) if e in waits or breaks_off(curve, e))
        heapq.heappush(running, (now + (stage - epoch) * table.epoch_cost(params), number, stage, params))

    for _ in range(hosts):
        submit(0.0)
    while running[0][0] * hosts <= budget:
        now, number, epoch, params = heapq.heappop(running)
        state, value = outcome_of(strategy, table, number, epoch, params)
        if state == "running":
            advance(now, number, epoch, params)
            continue
        record(trace, state, value, now * hosts, epoch)
        strategy.tell(number, params, state, value, epoch)
        submit(now)
    return trace


def outcome_of(strategy: Deciding, table: Table, number: int, epoch: int, params: Params) -> tuple[str, float | None]:
    """The trial's state after `epoch` (running, completed, stopped, failed) and its value."""
    curve = table.curve(params)
    if breaks_off(curve, epoch):
        return "failed", None
    value = float(curve[epoch - 1])
    if epoch == table.spec.epochs:
        return "completed", value
    return "stopped" if strategy.stops(number, params, epoch, value) else "running", value


def breaks_off(curve: Floats, epoch: int) -> bool:
    return bool(np.isnan(curve[epoch - 1]))


def record(trace: Trace, state: str, value: float | None, cost: float, epoch: int) -> None:
    name = f"stopped at {epoch}" if state == "stopped" else state
    trace.trials[name] = trace.trials.get(name, 0) + 1
    if state == "completed" and value is not None:
        trace.costs.append(cost)
        trace.values.append(value)
