"""The rows of the search benchmark: sampler, scheduler, and what the sampler is told.

Ours: a stopped trial is told as stopped (Optuna's PRUNED, with its value at its epoch), and rungs compare within a
schedule. Ray Tune's OptunaSearch tells a stopped trial as COMPLETE with the value that it had then, and its ASHA
compares all trials. `tpe_asha_ray` is our sampler and our scheduler under these two; `ray` is OptunaSearch (TPE,
univariate) and AsyncHyperBandScheduler themselves, on the same space, value and rungs.

`tpe_asha_strict` is our scheduler as it was until this benchmark showed its price: each schedule's first trials pass
every rung. Now a trial is compared with all schedules while its own has fewer than `reduction` values at the rung.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch
from search_replay import Deciding, Lookup, Params, space_content
from search_tables import BENCHMARKS, FMRI, TableSpec

from vaeforge.config.loader import load
from vaeforge.search.samplers.trials import FinishedTrial
from vaeforge.search.schedulers.base import RungReport
from vaeforge.search.space.space import Space, parse_space

TRIALS = 1000  # more than any replay reaches; of the schedulers only PBT asks for it


@dataclass(frozen=True)
class Row:
    """One strategy.

    Attributes:
        search: our sampler; none is Ray's own pair.
        scheduler: our scheduler.
        rung: whether rungs compare within a `schedule` or are `global`.
        complete: a stopped trial is told as completed, with its value at that time.
        first: the first rung, epochs of 27.
        strict: rungs compare within the schedule from the first trial on.
        until: cost at which the replay ends, where a proposal takes too long for the whole budget.
        expected: the sampler is told what the table's data let one expect, as `vaeforge tune` tells it.
    """

    title: str
    search: str | None
    scheduler: str = "none"
    rung: str = "schedule"
    complete: bool = False
    first: int = 3
    strict: bool = False
    until: int | None = None
    expected: bool = False

    def start(self, seed: int, lookup: Lookup, spec: TableSpec = FMRI) -> Deciding:
        """A fresh search under `seed`."""
        search: dict[str, Any] = {"name": self.search or "tpe"}
        if self.expected:
            search["betas"] = spec.expected()
        first = max(1, self.first * spec.epochs // FMRI.epochs)
        content = space_content(search, self.scheduler, self.rung, first, lookup, spec)
        space = parse_space(content, "benchmark")
        return _Ray(space, seed) if self.search is None else _Ours(space, seed, self, spec)


OURS = "tpe_asha"
ROWS = {
    "random": Row("random", "random"),
    "tpe": Row("TPE", "tpe"),
    "gp": Row("GP, one per schedule", "gp", until=20),
    "random_asha": Row("random + ASHA", "random", "asha"),
    OURS: Row("TPE + ASHA (ours)", "tpe", "asha"),
    "tpe_asha_ray": Row("TPE + ASHA, COMPLETE, global rungs", "tpe", "asha", "global", complete=True),
    "ray": Row("Ray's OptunaSearch + ASHAScheduler", None),
    "tpe_asha_complete": Row("TPE + ASHA, COMPLETE", "tpe", "asha", complete=True),
    "tpe_asha_global": Row("TPE + ASHA, global rungs", "tpe", "asha", "global"),
    "tpe_asha_strict": Row("TPE + ASHA, strict schedule rungs", "tpe", "asha", strict=True),
    "tpe_asha_9": Row("TPE + ASHA, first rung 9", "tpe", "asha", first=9),
    "vae_asha_plain": Row("shared axes + ASHA, nothing expected", "vae", "asha", until=20),
    "vae_asha": Row("shared axes, expected beta + ASHA", "vae", "asha", until=20, expected=True),
    "vae": Row("shared axes, expected beta", "vae", until=20, expected=True),
    "tpe_hyperband": Row("TPE + Hyperband", "tpe", "hyperband"),
    "tpe_median": Row("TPE + median stopping", "tpe", "median"),
}


class _Ours:
    """A real sampler and a real scheduler."""

    def __init__(self, space: Space, seed: int, row: Row, spec: TableSpec):
        base = load(BENCHMARKS, spec.family, "sample", {"training.epochs": spec.epochs}).experiment
        self.space, self.base, self.row = space, base, row
        self.sampler = space.build_sampler(seed)
        self.scheduler = space.build_scheduler(seed, TRIALS)
        self.epochs = self.scheduler.epochs
        self._recorded: dict[tuple[str, int], list[float]] = {}

    def ask(self, number: int) -> Params:
        params = self.sampler.ask(number)
        if params is None:
            raise ValueError(f"trial {number}: the sampler has nothing left")
        return params

    def stops(self, number: int, params: Params, epoch: int, value: float) -> bool:
        group = self.space.group(params, self.base)
        (decision,) = self.scheduler.on_report(RungReport(number, group, params), epoch, value)
        recorded = self._recorded.setdefault((group, epoch), [])
        cutoff = float(np.percentile(recorded, 100 / self.space.fidelity.reduction)) if recorded else value
        recorded.append(value)
        return value > cutoff if self.row.strict else decision.action == "stop"

    def tell(self, number: int, params: Params, state: str, value: float | None, epoch: int) -> None:
        told = "completed" if self.row.complete and state == "stopped" else state
        if state == "failed":
            self.scheduler.on_trial_end(number)
        self.sampler.tell(FinishedTrial(number, params, told, None if value is None else (value,), epoch))


class _Ray:
    """Ray's own searcher and scheduler, asked as Tune's controller asks them."""

    def __init__(self, space: Space, seed: int):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.search = OptunaSearch(space.suggest, metric="value", mode="min", seed=seed)
        self.scheduler = AsyncHyperBandScheduler(
            time_attr="epoch",
            metric="value",
            mode="min",
            max_t=space.fidelity.max,
            grace_period=space.fidelity.min,
            reduction_factor=space.fidelity.reduction,
        )
        self.epochs = frozenset(space.fidelity.rungs())

    def ask(self, number: int) -> Params:
        self.scheduler.on_trial_add(None, SimpleNamespace(trial_id=str(number)))
        found: Params = self.search.suggest(str(number))
        return found

    def stops(self, number: int, params: Params, epoch: int, value: float) -> bool:
        trial, result = SimpleNamespace(trial_id=str(number)), {"epoch": epoch, "value": value}
        return bool(self.scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP)

    def tell(self, number: int, params: Params, state: str, value: float | None, epoch: int) -> None:
        self.search.on_trial_complete(str(number), {"epoch": epoch, "value": value} if value is not None else None)
